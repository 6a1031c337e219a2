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
    it. On the main thread. A window that was put out of sight may hold unsaved work as well: it is
    asked after those in sight.

    True if it ends. If a window refuses, it and those after it stay. Then False if the user goes on
    in a window in sight, None if there is none (an icon in the panel). None, too, if a window has
    appeared meanwhile. What becomes of the app is its user's choice then."""
    app = application()
    if app is None:
        return False
    asked = _windows(app)
    hidden = [each for each in asked if not each.isVisible()]
    ends_by_itself = bool(asked) and app.quitOnLastWindowClosed()
    if ends_by_itself:
        # Qt would end the app with the last window in sight, and leave the hidden ones unasked.
        app.setQuitOnLastWindowClosed(False)
    try:
        refused = next((each for each in asked if not _close(each, each in hidden)), None)
    finally:
        if ends_by_itself:
            app.setQuitOnLastWindowClosed(True)
    if refused is not None:
        if ends_by_itself and refused in hidden and len(hidden) < len(asked) and not _in_sight(app):
            # The app counts on a window in sight, and the others are closed now.
            refused.show()
        return False if _in_sight(app) else None
    if any(each not in asked for each in _in_sight(app)):
        return None
    app.quit()
    return True


def is_asking() -> bool:
    """Whether a dialog keeps the user from other windows of the app: what is being typed there must
    not be closed over."""
    app = application()
    modal = app.activeModalWidget() if hasattr(app, "activeModalWidget") else None
    if modal is None and hasattr(app, "modalWindow"):
        modal = app.modalWindow()
    return modal is not None and any(window is not modal for window in _windows(app))


def later(milliseconds: int, call: Callable[[], object]) -> None:
    """Has a function called on the main thread after a while."""
    core().QTimer.singleShot(milliseconds, call)


def _close(window: Any, was_hidden: bool) -> bool:
    """Asks a window to close. False if it refuses."""
    hook = sys.excepthook
    try:
        if was_hidden:
            # Qt 5 cannot tell a hidden window from one that its user has closed. That one may
            # raise if it is asked again, and PyQt ends the program if it finds Python's own hook.
            sys.excepthook = lambda *raised: hook(*raised)
        elif not window.isVisible():
            return True  # It went with one before it.
        return bool(window.close())
    except RuntimeError:
        return True  # It was deleted with one before it.
    finally:
        sys.excepthook = hook


def _in_sight(app: Any) -> list[Any]:
    return [each for each in _windows(app) if each.isVisible()]


def _windows(app: Any) -> list[Any]:
    """What is shown, main windows first; then what was shown once and is hidden. Hints, menus and
    splash screens are left out: they go by themselves and ask nobody."""
    kinds = getattr(core().Qt, "WindowType", core().Qt)
    passing = (kinds.ToolTip, kinds.Popup, kinds.SplashScreen)
    widgets = [
        each
        for each in (app.topLevelWidgets() if hasattr(app, "topLevelWidgets") else [])
        if each.windowType() not in passing
        and (each.isVisible() or _was_put_away(each))
        and not each.inherits("QSystemTrayIconSys")
    ]
    # Qt Quick's. One that was never shown, or was closed, accepts without being asked.
    scenes = [
        each
        for each in (app.allWindows() if hasattr(app, "allWindows") else [])
        if each.isTopLevel() and each.type() not in passing and not each.inherits("QWidgetWindow")
    ]
    widgets.sort(key=lambda each: (each.parent() is not None, each.windowType() != kinds.Window))
    scenes.sort(key=lambda each: each.transientParent() is not None)
    return sorted(widgets + scenes, key=lambda each: not each.isVisible())


def _was_put_away(widget: Any) -> bool:
    """Whether a hidden window was shown before, and is more than a question that was answered: Qt's
    own ones hold no work, and may refuse to be closed."""
    attributes = getattr(core().Qt, "WidgetAttribute", core().Qt)
    shown = (attributes.WA_WState_ExplicitShowHide, attributes.WA_WState_Created)
    return all(widget.testAttribute(each) for each in shown) and not any(
        widget.inherits(kind) for kind in ("QMessageBox", "QProgressDialog")
    )


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
