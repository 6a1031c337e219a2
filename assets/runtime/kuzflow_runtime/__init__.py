"""What an app that a Kuzflow launcher started can do with it: say that it is up, hear of updates, and take them over while it runs.

    import kuzflow_runtime

    updates = kuzflow_runtime.start()          # None outside of a container
    kuzflow_runtime.up()

Everything is optional, pure Python 3.8 and later, and needs the standard library only. Nothing in it makes the app wait for its
launcher, or fail because of it.
"""

from .container import container_folder, containers_folder, folder, is_running_in_container, version
from .dependencies import CircularDependencyError, DependencyTracker
from .errors import HotSwapError, Reason
from .health import failed, up
from .hotswap import HotSwapManager

__all__ = [
    "CircularDependencyError", "DependencyTracker", "HotSwapError", "HotSwapManager", "Reason", "container_folder", "containers_folder",
    "failed", "folder", "is_running_in_container", "up", "version",
]
