"""What a module may not do while it is loaded for a swap, since it could not be undone; and what it
did that can be.

A thread cannot be taken back, so none is started: the attempt is refused. What modules commonly
change besides themselves is put back after a failure: registries and attributes in the app's other
modules, functions put into modules of others, `sys.path`, environment variables, signal handlers,
functions for the end of the program. Not put back: files, sockets, child processes, what a C
extension remembers, and what is deeper than one level in an object of another module.
"""

from __future__ import annotations

import _thread
import atexit
import multiprocessing.process
import os
import signal
import sys
import threading
import types

from .journal import Own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable

    from .journal import Journal

    # What a module or a class holds, by name.
    Namespace = dict[str, Any]

__all__ = ["Guard", "Snapshot", "namespace_of"]


class Guard:
    """While this context lasts, the current thread starts no other: the attempt raises
    RuntimeError, and `attempts` tells of it even if the module caught that. Other threads are not
    hindered."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        # Functions that the modules want called at the end of the program.
        self.at_exit: list[Callable[..., object]] = []
        self._undo: list[Callable[[], None]] = []
        self._interval = 0.0

    def __enter__(self) -> Guard:
        mine = threading.get_ident()
        self._refuse(threading.Thread, "start", mine, "a thread")
        self._refuse(_thread, "start_new_thread", mine, "a thread")
        self._refuse(multiprocessing.process.BaseProcess, "start", mine, "a process")
        for name in ("PyQt5", "PyQt6", "PySide2", "PySide6"):
            core = sys.modules.get(name + ".QtCore")
            if core is not None and hasattr(core, "QThread"):
                self._refuse(core.QThread, "start", mine, "a Qt thread")
        self._atexit: Callable[..., Any] = atexit.register

        def register(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
            if threading.get_ident() == mine:
                self.at_exit.append(function)
            return self._atexit(function, *arguments, **keywords)

        atexit.register = register  # type: ignore[assignment]
        # Other threads seldom get to see what is not decided yet.
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._interval)
        atexit.register = self._atexit
        for step in reversed(self._undo):
            step()
        self._undo.clear()

    def _refuse(self, owner: Any, name: str, mine: int, what: str) -> None:
        original = getattr(owner, name)
        # As it lies there: what `getattr` gives no longer finds out whose method it is.
        raw = vars(owner)[name]

        def refused(*arguments: Any, **keywords: Any) -> Any:
            if threading.get_ident() != mine:
                return original(*arguments, **keywords)
            self.attempts.append(what)
            raise RuntimeError(f"{what} was started while the module was loaded")

        try:
            setattr(owner, name, refused)
        except (AttributeError, TypeError):
            # This binding does not let us: what `advise` reads in the source is all there is.
            return
        self._undo.append(lambda: setattr(owner, name, raw))


class Snapshot:
    """The namespaces of all modules, and, for the app's own, what their classes, lists, dicts and
    sets hold."""

    def __init__(self, is_ours: Callable[[Any], bool], leave_out: Iterable[Namespace] = ()) -> None:
        """`is_ours(module)`: whether it is one of the app's. `leave_out`: namespaces that nothing
        writes to."""
        skipped = {id(each) for each in leave_out}
        self._modules = dict(sys.modules)
        self._spaces: list[tuple[Namespace, Namespace, bool]] = []
        self._containers: list[tuple[Any, Any]] = []
        self._classes: list[tuple[type, Namespace]] = []
        seen: set[int] = set()
        for module in list(sys.modules.values()):
            space = namespace_of(module)
            if space is None or id(space) in skipped or id(space) in seen:
                continue
            seen.add(id(space))
            ours = is_ours(module)
            self._spaces.append((space, dict(space), ours))
            if ours:
                for value in list(space.values()):
                    self._take(value, seen)
                    if (
                        isinstance(value, type)
                        and id(value) not in seen
                        and is_ours(sys.modules.get(value.__module__))
                    ):
                        seen.add(id(value))
                        self._classes.append((value, dict(vars(value))))
                        for inner in list(vars(value).values()):
                            self._take(inner, seen)
        for value in (sys.path, sys.meta_path, sys.path_hooks):
            self._take(value, seen)
        self._environment = dict(os.environ)
        self._signals: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._signals = {
                number: signal.getsignal(number)
                for number in range(1, signal.NSIG)
                if _is_signal(number)
            }

    def _take(self, value: Any, seen: set[int]) -> None:
        if type(value) in (dict, list, set) and id(value) not in seen and value is not sys.modules:
            seen.add(id(value))
            self._containers.append((value, value.copy()))

    def holders(self) -> list[object]:
        """Our own copies, which go on holding old objects."""
        spaces: list[object] = [before for _, before, _ in self._spaces]
        spaces += [before for _, before in self._classes] + [
            before for _, before in self._containers
        ]
        return [*spaces, self._modules, self._spaces, self._classes, self._containers]

    def note_registrations(self, journal: Journal) -> None:
        """Notes how to take out of dicts and lists what was put into them since: also a swap that
        went well can be undone later, when the app has changed more in them."""
        for container, before in self._containers:
            if type(before) is dict:
                for key, value in list(container.items()):
                    if before.get(key, container) is not value:
                        journal.add(_unregister, container, key, key in before, before.get(key))
            elif type(before) is list:
                known = {id(each) for each in before}
                added = [each for each in container if id(each) not in known]
                if added:
                    journal.add(_remove_from, container, Own(added))
            elif container - before:
                journal.add(container.difference_update, container - before)

    def restore(self, is_gone: Callable[[Any], bool], is_foreign: Callable[[object], bool]) -> None:
        """Puts back what is different.

        `is_gone(module)`: the module was loaded since and belongs to what is undone.
        `is_foreign(value)`: the value belongs to it; in modules that are not the app's, where other
        threads may rightly have changed something, only such values are put back.
        """
        for name, module in list(sys.modules.items()):
            if name not in self._modules and is_gone(module):
                del sys.modules[name]
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module and (
                name not in sys.modules or is_gone(sys.modules[name])
            ):
                sys.modules[name] = module
        for space, before, ours in self._spaces:
            for name, value in list(space.items()):
                if name not in before:
                    stays = (
                        isinstance(value, types.ModuleType)
                        and not is_gone(value)
                        and sys.modules.get(value.__name__) is value
                    )
                    if (ours and not stays) or is_foreign(value):
                        del space[name]
                elif before[name] is not value and (ours or is_foreign(value)):
                    space[name] = before[name]
            if ours:
                for name, value in before.items():
                    if name not in space:
                        space[name] = value
        for cls, before in self._classes:
            for name in [
                name for name in vars(cls) if name not in before and not name.startswith("__annot")
            ]:
                delattr(cls, name)
            for name, value in before.items():
                if vars(cls).get(name) is not value:
                    setattr(cls, name, value)
        for container, before in self._containers:
            if type(before) is list:
                different = len(container) != len(before) or any(
                    one is not other for one, other in zip(container, before)
                )
            elif type(before) is dict:
                different = list(container) != list(before) or any(
                    container[key] is not before[key] for key in before
                )
            else:
                different = container != before
            if different:
                container.clear()
                (container.extend if type(before) is list else container.update)(before)
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        for number, handler in self._signals.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _unregister(container: dict[Any, Any], key: object, was_there: bool, before: object) -> None:
    if was_there:
        container[key] = before
    else:
        container.pop(key, None)


def _remove_from(container: list[Any], added: list[Any]) -> None:
    gone = {id(each) for each in added}
    container[:] = [each for each in container if id(each) not in gone]


def _is_signal(number: int) -> bool:
    try:
        signal.getsignal(number)
    except ValueError:
        return False
    return True


def namespace_of(module: Any) -> Namespace | None:
    """The module's own dict, also of one that leads to another."""
    try:
        namespace: Namespace = types.ModuleType.__getattribute__(module, "__dict__")
    except (AttributeError, TypeError):
        return None  # Something else that was put into `sys.modules`.
    return namespace
