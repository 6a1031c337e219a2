"""Qt, if the app uses it: PyQt5, PyQt6, PySide2 or PySide6, whichever the app has imported. Nothing
is imported here.

`signals()` gives a QObject with the events as Qt signals, for apps that like to connect:

    updates.signals().update_available.connect(window.tell)
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Protocol

    class Bridge(Protocol):
        """What wakes Qt's main thread."""

        def wake(self) -> None: ...


__all__ = [
    "core",
    "application",
    "close_all_windows",
    "is_asking",
    "later",
    "is_connected",
    "bridge",
    "signals",
]

_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def core() -> Any:
    """The QtCore of the binding whose application is there, else of one that is imported, else
    None."""
    loaded: list[Any] = [sys.modules.get(name + ".QtCore") for name in _BINDINGS]
    # While it is being imported it has not everything yet.
    loaded = [
        each
        for each in loaded
        if each is not None and hasattr(each, "QCoreApplication") and hasattr(each, "QObject")
    ]
    for each in loaded:
        if each.QCoreApplication.instance() is not None:
            return each
    return loaded[0] if loaded else None


def application() -> Any:
    """The running Qt application, or None."""
    found = core()
    return None if found is None else found.QCoreApplication.instance()


def close_all_windows() -> bool | None:
    """Closes every window of the Qt application, one after another, as its user would; then ends
    it. On the main thread.

    True if it ends, False if a window refuses: it and those after it stay open. None if one hides
    itself in the place of closing (an icon in the panel): what becomes of the app is its user's
    choice then."""
    app = application()
    if app is None:
        return False
    for window in _windows(app):
        try:
            closed = not window.isVisible() or window.close()
            if not closed:
                return False if window.isVisible() else None
        except RuntimeError:
            pass  # It was deleted with one before it.
    app.quit()
    return True


def is_asking() -> bool:
    """Whether a dialog keeps the user from other windows of the app: what is being typed there must
    not be closed over."""
    app = application()
    modal = app.activeModalWidget() if hasattr(app, "activeModalWidget") else None
    return modal is not None and any(window is not modal for window in _windows(app))


def later(milliseconds: int, call: Callable[[], object]) -> None:
    """Has a function called on the main thread after a while."""
    core().QTimer.singleShot(milliseconds, call)


def _windows(app: Any) -> list[Any]:
    """What is shown, main windows first. Hints, menus and splash screens are left out: they go by
    themselves and ask nobody."""
    kinds = getattr(core().Qt, "WindowType", core().Qt)
    passing = (kinds.ToolTip, kinds.Popup, kinds.SplashScreen)
    if hasattr(app, "topLevelWidgets"):
        shown = [
            each
            for each in app.topLevelWidgets()
            if each.isVisible() and each.windowType() not in passing
        ]
        return sorted(
            shown, key=lambda each: (each.parent() is not None, each.windowType() != kinds.Window)
        )
    shown = (
        [each for each in app.allWindows() if each.isVisible()]
        if hasattr(app, "allWindows")
        else []
    )
    return sorted(shown, key=lambda each: each.transientParent() is not None)


def is_connected(owner: Any, name: str) -> bool:
    """Whether somebody listens to a signal of an object that `signals()` has made; yes where Qt
    does not tell."""
    if owner is None:
        return False
    try:
        return bool(owner.receivers(getattr(owner, name)) > 0)
    except (AttributeError, TypeError):
        return True


def bridge(run: Callable[[], object]) -> Bridge | None:
    """An object whose `wake()`, from any thread, has Qt's main thread call `run()`; None without a
    Qt application."""
    found, app = core(), application()
    if app is None:
        return None
    number = found.QEvent.registerEventType()
    kind = found.QEvent.Type(number)

    # Which Qt it is, only the app knows.
    class EventBridge(found.QObject):  # type: ignore[misc, name-defined]
        """Lives in the main thread, and hears an event of its own kind there."""

        def event(self, event: Any) -> bool:
            if event.type() == kind:
                run()
                return True
            return bool(super().event(event))

        def wake(self) -> None:
            found.QCoreApplication.postEvent(self, found.QEvent(kind))

    made = EventBridge()
    made.moveToThread(app.thread())
    return made


def signals() -> Any:
    """A new QObject with the events as signals, each with one argument. Raises RuntimeError without
    Qt. To be made on the main thread."""
    found = core()
    if found is None:
        raise RuntimeError("the app has not imported PyQt5, PyQt6, PySide2 or PySide6")
    signal = getattr(found, "pyqtSignal", None) or found.Signal

    class Signals(found.QObject):  # type: ignore[misc, name-defined]
        """What an app may connect to."""

        update_available = signal(object)
        update_progress = signal(object)
        swapped = signal(object)
        swap_failed = signal(object)
        quit_requested = signal(object)

    return Signals()
