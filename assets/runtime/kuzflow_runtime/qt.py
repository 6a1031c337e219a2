"""Qt, if the app uses it: PyQt5, PyQt6, PySide2 or PySide6, whichever the app has imported. Nothing is imported here.

`signals()` gives a QObject with the events as Qt signals, for apps that like to connect:

    updates.signals().update_available.connect(window.tell)
"""

import sys

__all__ = ["core", "application", "bridge", "signals"]

_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def core():
    """The QtCore of the binding whose application is there, else of one that is imported, else None."""
    loaded = [sys.modules.get(name + ".QtCore") for name in _BINDINGS]
    # While it is being imported it has not everything yet.
    loaded = [each for each in loaded if each is not None and hasattr(each, "QCoreApplication") and hasattr(each, "QObject")]
    for each in loaded:
        if each.QCoreApplication.instance() is not None:
            return each
    return loaded[0] if loaded else None


def application():
    """The running Qt application, or None."""
    found = core()
    return None if found is None else found.QCoreApplication.instance()


def bridge(run):
    """An object whose `wake()`, from any thread, has Qt's main thread call `run()`; None without a Qt application."""
    found, app = core(), application()
    if app is None:
        return None
    number = found.QEvent.registerEventType()
    kind = found.QEvent.Type(number)

    class Bridge(found.QObject):
        """Lives in the main thread, and hears an event of its own kind there."""

        def event(self, event):
            if event.type() == kind:
                run()
                return True
            return super().event(event)

        def wake(self):
            found.QCoreApplication.postEvent(self, found.QEvent(kind))

    made = Bridge()
    made.moveToThread(app.thread())
    return made


def signals():
    """A new QObject with the events as signals, each with one argument. Raises RuntimeError without Qt. To be made on the main thread."""
    found = core()
    if found is None:
        raise RuntimeError("the app has not imported PyQt5, PyQt6, PySide2 or PySide6")
    signal = getattr(found, "pyqtSignal", None) or found.Signal

    class Signals(found.QObject):
        """What an app may connect to."""

        update_available = signal(object)
        update_progress = signal(object)
        swapped = signal(object)
        swap_failed = signal(object)
        quit_requested = signal(object)

    return Signals()
