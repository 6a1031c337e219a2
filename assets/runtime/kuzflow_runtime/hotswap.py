"""Exchanging modules of the running app for those of a new container: all of an update, or none.

1. `plan` reads, proves and judges the new sources and says what asks for a restart. Nothing is
   touched.
2. `swap` loads the new modules beside the old ones, in dependency order, under their own names, so
   that they find each other. Nothing of the app leads to them yet. A module may check itself:
   `__required_attrs__`, `__self_check__()`.
3. Then, on the same thread and before anyone else runs, the app is led to them: `from m import
   name` and `import m` in other modules, functions and classes in containers and instances; old
   functions call the new ones; the old module object gives what the new one has. State that the
   module names in `__keep__` is carried over. Listeners are told last, and may still refuse.
4. Anything that fails, in any of these, undoes everything, in reverse. `undo` does so later, too.

The old module's namespace is not written to: code of it that is still running (a loop, a thread)
ends as it began. What cannot be done stands in `classes` (living objects), `guard` (side effects)
and `references` (what holds objects).
"""

from __future__ import annotations

import gc
import threading

from . import container, functions
from .changes import Change
from .errors import HotSwapError, Reason
from .overlay import Overlay
from .prepare import Prepared
from .swap import Swap

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    import weakref
    from typing import Callable, Iterable, Sequence

    from .prepare import Registration
    from .wire import Message

    Listener = Callable[[list[str]], object]

__all__ = ["HotSwapManager", "HotSwapError", "Reason"]


class HotSwapManager:
    """Swaps modules. One is enough for an app; `swap` and `undo` belong on its main thread."""

    def __init__(self, folder: str | None = None, containers: str | None = None) -> None:
        """`folder`: the container that the app runs from; `containers`: the folder with all of
        them, in which new code must lie. Without them: what the launcher said, else nothing can be
        swapped."""
        self.folder = folder or container.container_folder()
        self.containers = containers or container.containers_folder()
        # All containers that the app has code of; the last one is that which it takes new code
        # from.
        self.in_use = [self.folder] if self.folder else []
        self.on_moved: Callable[[], object] | None = None
        self._lock = threading.RLock()
        self.overlay = Overlay()
        self.forwards = functions.Forwards()
        # Modules that were swapped before, by name: someone may still hold them.
        self.earlier: dict[str, weakref.WeakSet[types.ModuleType]] = {}
        self._registered: dict[str, Registration] = {}
        self.listeners: list[Listener] = []
        self._last: tuple[Swap, str] | None = None

    def register(
        self,
        name: str,
        required: Iterable[str] = (),
        self_check: Callable[[types.ModuleType], object] | None = None,
        keep: Iterable[str] = (),
        hot_swappable: bool | Sequence[str] | None = None,
    ) -> None:
        """What a module may say of itself, said by someone else: names it must have, a function of
        the new module that checks it, names that are carried over, and the classes whose instances
        may be moved (True or names)."""
        self._registered[name] = {
            "required": tuple(required),
            "self_check": self_check,
            "keep": tuple(keep),
            "hot_swappable": hot_swappable,
        }

    def on_swapped(self, listener: Listener) -> Listener:
        """Calls `listener(names)` as the last part of each swap; if it raises, the swap is undone.
        Returns the listener."""
        self.listeners.append(listener)
        return listener

    def prepare(self, folder: str, changes: Iterable[Change | Message]) -> Prepared:
        """Judges an update to the container in `folder`: a Prepared. In any thread, with the app
        untouched. `changes`: Change objects, or their JSON. Raises HotSwapError if what was asked
        makes no sense."""
        if not self.in_use:
            raise HotSwapError([Reason("no-container", "the app does not run in a container")])
        listed = [
            each if isinstance(each, Change) else Change.from_message(each) for each in changes
        ]
        return Prepared(folder, listed, self.in_use, self._registered)

    def plan(self, folder: str, changes: Iterable[Change | Message]) -> Message:
        """What a swap would do, as a JSON object: `swappable`, `later`, `requires_restart`,
        `hot_swappable_count`, `reasons`, `ignored`."""
        try:
            return self.prepare(folder, changes).as_message()
        except HotSwapError as error:
            return {
                "swappable": [],
                "later": [],
                "requires_restart": True,
                "hot_swappable_count": 0,
                "reasons": [reason.as_message() for reason in error.reasons],
                "ignored": [],
            }

    def swap(self, folder: str, changes: Iterable[Change | Message]) -> list[str]:
        """Exchanges the modules. Returns their names; raises HotSwapError after everything was
        undone.

        The judging is done again: objects may have been made since the plan.
        """
        with self._lock:
            prepared = self.prepare(folder, changes)
            if prepared.reasons:
                raise HotSwapError(prepared.reasons)
            gc.collect()  # What nobody holds is not alive.
            swap = Swap(self, prepared)
            swap.run()
            self._last = (swap, self.in_use[-1])
            self._move_to(prepared.container)
            return list(prepared.swap)

    def undo(self) -> bool:
        """Takes back the last swap: the old code runs again, with the state that the app has now.
        Returns whether there was one.

        Raises HotSwapError if a step could not be undone; the others were.
        """
        with self._lock:
            if self._last is None:
                return False
            (swap, before), self._last = self._last, None
            failures = swap.journal.undo()
            if failures:
                raise HotSwapError(
                    [Reason("undo", f"not undone: {failure!r}") for failure in failures]
                )
            self._move_to(before)
        if self.on_moved is not None:
            self.on_moved()  # Nobody else would tell the launcher.
        return True

    def _move_to(self, folder: str) -> None:
        """Objects of the others may live on: they stay in the list, before it."""
        self.in_use = [each for each in self.in_use if each != folder] + [folder]
