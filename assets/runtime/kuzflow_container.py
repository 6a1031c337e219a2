"""Every process of the container's Python runs this first (`kuzflow_container.pth` imports it), the
app as well as helpers that the app starts with `sys.executable`: they find the app's modules, and
nothing of another Python's.

The launcher starts the app with `-E -s`, so that no variable of the session reaches it and none has
to be exported to other programs. What the app starts itself does not have these options. Standard
library only, Python 3.8 and later; a failure here must not keep the app from starting, so nothing
is asked for that may be missing.
"""

from __future__ import annotations

import os
import site
import sys


def _container(path: str) -> str | None:
    """The container that holds `path`; None outside of one."""
    folder = os.path.dirname(os.path.abspath(path))
    while os.path.dirname(folder) != folder:
        folder, name = os.path.split(folder)
        if name == "runtime" and os.path.isdir(os.path.join(folder, "metadata")):
            return folder
    return None


def _session_paths() -> set[str]:
    """Folders that only the user's session has put on the path: for another Python. What the app
    itself exports is kept."""
    exported = os.environ.get("PYTHONPATH", "")
    if (
        sys.flags.ignore_environment
        or not exported
        or exported != os.environ.get("KUZFLOW_ORIGINAL_PYTHONPATH")
    ):
        return set()
    return {os.path.abspath(folder) for folder in exported.split(os.pathsep) if folder}


def _isolate(container: str) -> None:
    foreign = _session_paths()
    user = site.USER_SITE if site.ENABLE_USER_SITE else None
    if user:
        foreign.add(user)
    # The site module looks at this again before it imports `usercustomize`.
    site.ENABLE_USER_SITE = False
    sys.path[:] = [folder for folder in sys.path if folder not in foreign]
    app = os.path.join(container, "app")
    if app not in sys.path:
        sys.path.insert(0, app)


def _keep_container_unchanged(container: str) -> None:
    """An installed container must not change: its bytecode is there, or goes where temporary files
    go."""
    compiled = getattr(__spec__, "cached", None)
    if compiled and os.path.exists(compiled):
        sys.dont_write_bytecode = True
    elif not sys.flags.dont_write_bytecode:
        sys.dont_write_bytecode = False
        if sys.pycache_prefix is None:
            sys.pycache_prefix = os.path.join(container, "temp", "pycache")


_found = _container(__file__)
if _found is not None:
    _isolate(_found)
    _keep_container_unchanged(_found)
