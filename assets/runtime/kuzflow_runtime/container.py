"""Where the app is: its container, the folders in it that the app may write to, and its version.

A container is one release, installed in a folder of its own:
`<home>/containers/<id>/{app,runtime,config,data,logs,temp,...}`. The launcher names it in
`KUZFLOW_HOME` and its version in `KUZFLOW_VERSION`. After a hot update the app runs code of a later
container, but the folder with the user's files stays the one that it was started in: the files move
at the next start.
"""

from __future__ import annotations

import os

__all__ = ["is_running_in_container", "container_folder", "containers_folder", "version", "folder"]

# What the app may write to; all else in a container stays as it was installed.
_WRITABLE = ("config", "data", "logs", "temp")


def is_running_in_container() -> bool:
    """Whether a launcher, or a container's own start script, started this app."""
    return container_folder() is not None


def container_folder() -> str | None:
    """The folder of the container that the app was started in, or None outside of one."""
    home = os.environ.get("KUZFLOW_HOME")
    if not home or not os.path.isdir(os.path.join(home, "app")):
        return None
    return os.path.abspath(home)


def containers_folder() -> str | None:
    """The folder that holds all installed containers, or None outside of a container."""
    home = container_folder()
    return None if home is None else os.path.dirname(home)


def version() -> str | None:
    """The version that the app was started as, or None outside of a container. A hot update does
    not change it."""
    return os.environ.get("KUZFLOW_VERSION") or None if is_running_in_container() else None


def folder(name: str, fallback: str = ".") -> str:
    """The folder `config`, `data`, `logs` or `temp` of the container; outside of one, the folder of
    that name in `fallback`.

    Raises ValueError for another name: nothing else in a container may be written to.
    """
    if name not in _WRITABLE:
        raise ValueError(
            f"not a folder for the app's own files: {name!r}, expected one of "
            f"{', '.join(_WRITABLE)}"
        )
    return os.path.join(container_folder() or os.path.abspath(fallback), name)
