"""What an app that a Kuzflow launcher started can do with it: say that it is up, hear of updates,
and take them over while it runs.

    import kuzflow_runtime

    updates = kuzflow_runtime.start()          # None if no launcher listens
    window.show()
    kuzflow_runtime.up()

Everything is optional, pure Python 3.8 and later, and needs the standard library only. Nothing in
it makes the app wait for its launcher, or fail because of it.
"""

from __future__ import annotations

import importlib
import os

from . import health
from .container import container_folder, containers_folder, folder, is_running_in_container, version
from .health import failed

# Loaded when they are asked for: an app that only says `up` starts no slower.
_LATER = {
    "CircularDependencyError": "dependencies",
    "DependencyTracker": "dependencies",
    "HotSwapError": "errors",
    "Reason": "errors",
    "HotSwapManager": "hotswap",
    "Updates": "updates",
}

# Only for who checks types, here and in the other modules: to import `typing` would cost each start
# of an app some milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .dependencies import CircularDependencyError, DependencyTracker
    from .errors import HotSwapError, Reason
    from .hotswap import HotSwapManager
    from .updates import Updates

__all__ = [
    "CircularDependencyError",
    "DependencyTracker",
    "HotSwapError",
    "HotSwapManager",
    "Reason",
    "Updates",
    "container_folder",
    "containers_folder",
    "failed",
    "folder",
    "is_running_in_container",
    "start",
    "up",
    "version",
]

# The one connection of this process.
_started: Updates | None = None


def start(manager: HotSwapManager | None = None) -> Updates | None:
    """Begins to talk to the launcher: an Updates, the same one each time, or None if none listens.
    Does not wait.

    What the launcher said in the environment is taken out of it: child processes are not this app.
    """
    global _started
    address, token = os.environ.pop("KUZFLOW_CHANNEL", None), os.environ.pop("KUZFLOW_TOKEN", None)
    if _started is None and address and token and is_running_in_container():
        from .updates import Updates

        _started = Updates(address, token, manager).start()
    return _started


def up() -> None:
    """The app works: written where the launcher looks, and told if it listens."""
    health.up()
    if _started is not None:
        _started.up()


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
