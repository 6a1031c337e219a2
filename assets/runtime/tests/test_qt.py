"""A window of a real PyQt5 app, without a screen: what it shows changes, its state stays. Skipped where PyQt5 is not installed."""

import gc
import os
import sys
import time
import unittest

from launcher import TOKEN, FakeLauncher
from support import AppCase

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
try:
    from PyQt5.QtCore import QCoreApplication, QThread
    from PyQt5.QtWidgets import QApplication
except ImportError:
    QApplication = None

from kuzflow_runtime import qt
from kuzflow_runtime.updates import Updates

FORMAT = "PREFIX = 'old '\ndef label(count):\n    return PREFIX + str(count)\n"
WINDOW = """
from PyQt5.QtCore import QTimer, pyqtSlot
from PyQt5.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
import format
from format import label

STEP = 1

class Window(QWidget):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.text = QLabel(label(0), self)
        self.button = QPushButton('more', self)
        self.button.clicked.connect(self.more)
        self.reset = QPushButton('reset', self)
        self.reset.clicked.connect(self.to_zero)
        self.free = QPushButton('free', self)
        self.free.clicked.connect(free)
        self.inner = QPushButton('inner', self)
        self.inner.clicked.connect(lambda: self.set(100))
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.show_it)

    def more(self):
        self.set(self.count + STEP)

    @pyqtSlot()
    def to_zero(self):
        self.set(0)

    def set(self, count):
        self.count = count
        self.show_it()

    def show_it(self):
        self.text.setText(label(self.count))

    def sizeHint(self):
        return super().sizeHint()

pressed = []
__keep__ = ['pressed']
def free():
    pressed.append(format.label('free'))
"""


@unittest.skipIf(QApplication is None, "PyQt5 is not installed")
class Window(AppCase):
    def setUp(self):
        super().setUp()
        self.qt = QApplication.instance() or QApplication(["test"])
        self.window_module = self.app({"format.py": FORMAT, "window.py": WINDOW}, "window")
        self.window = self.window_module.Window()
        self.window.button.click()
        self.window.button.click()
        self.assertEqual(self.window.text.text(), "old 2")

    def tearDown(self):
        self.window.deleteLater()
        self.window = self.window_module = None
        QCoreApplication.sendPostedEvents(None, 0)
        super().tearDown()

    def test_a_module_that_a_window_shows(self):
        self.swap(
            {
                "format.py": "PREFIX = 'new '\ndef label(count, more=''):\n    return PREFIX + str(count) + more\n"
            }
        )
        self.assertEqual((self.window.text.text(), self.window.count), ("old 2", 2))
        self.window.button.click()
        self.assertEqual(self.window.text.text(), "new 3")
        self.window.timer.timeout.emit()
        self.window.free.click()
        self.assertEqual(self.window_module.pressed, ["new free"])

    def test_the_windows_own_module_with_its_class_unchanged(self):
        """Signals that are connected to methods, slots, functions and closures of the old module all reach the new one."""
        new = WINDOW.replace("STEP = 1", "STEP = 10").replace(
            "format.label('free')", "'newly ' + format.label('free')"
        )
        self.swap({"window.py": new})
        for press in (self.window.button, self.window.free, self.window.inner, self.window.button):
            press.click()
        self.assertEqual(
            (self.window.text.text(), sys.modules["window"].pressed),
            ("old 110", ["newly old free"]),
        )
        self.window.reset.click()
        self.assertEqual(self.window.text.text(), "old 0")
        self.window.sizeHint()
        self.assertIsInstance(self.window, sys.modules["window"].Window)
        self.assertTrue(self.manager.undo())
        self.window.button.click()
        self.assertEqual(self.window.text.text(), "old 1")

    def test_live_windows_of_a_changed_class(self):
        changed = WINDOW.replace("self.set(self.count + STEP)", "self.set(self.count - STEP)")
        for new in (changed, "__hot_swappable__ = True\n" + changed):
            self.refused(
                {"window.py": new, "format.py": "def label(count):\n    return 'new'\n"},
                "live-qt-class",
                in_plan=True,
            )
            self.window.button.click()
        self.assertEqual(self.window.text.text(), "old 4")
        self.window.hide()

    def test_a_failure_leaves_the_window_at_work(self):
        self.refused(
            {
                "format.py": "def label(count):\n    return 'new'\ndef __self_check__():\n    return label(1) == 'good'\n"
            },
            "self-check",
            in_plan=False,
        )
        self.window.button.click()
        self.assertEqual(self.window.text.text(), "old 3")

    def test_a_qt_thread_at_import(self):
        rest = "def label(count):\n    return 'new'\n"
        self.refused(
            {"format.py": "from PyQt5.QtCore import QThread\nt = QThread()\nt.start()\n" + rest},
            "starts-thread",
            in_plan=True,
        )
        self.refused(
            {
                "format.py": "from PyQt5.QtCore import QThread\ndef go():\n    QThread().start()\ngo()\n"
                + rest
            },
            "starts-thread",
            in_plan=False,
        )
        thread = QThread()
        thread.start()
        thread.quit()
        self.assertTrue(thread.wait(10000))

    def test_events_and_swaps_come_in_qts_own_loop(self):
        launcher = FakeLauncher()
        self.addCleanup(launcher.close)
        updates = Updates(launcher.address, TOKEN, self.manager)
        self.addCleanup(updates.stop)
        self.assertIs(qt.core(), sys.modules["PyQt5.QtCore"])
        seen, main = [], QThread.currentThread()
        updates.signals().update_available.connect(
            lambda info: seen.append((info, QThread.currentThread() is main))
        )
        updates.on("swapped", lambda names: seen.append((names, QThread.currentThread() is main)))
        updates.start()
        launcher.hear("hello")
        launcher.raw(_request("update_available", version="2.0.0"))
        self._run(lambda: len(seen) == 1)
        folder, changes = self.release(
            {"format.py": "def label(count):\n    return 'new ' + str(count)\n"}
        )
        asked = {
            "container": os.path.basename(folder),
            "changes": [change.as_message() for change in changes],
        }
        launcher.raw(_request("swap", **asked))
        self._run(lambda: len(seen) == 2)
        self.assertEqual(seen, [({"version": "2.0.0"}, True), (["format"], True)])
        self.assertTrue(launcher.hear("swap_result")["ok"])
        self.window.button.click()
        self.assertEqual(self.window.text.text(), "new 3")

    def test_many_swaps_leave_no_objects_behind(self):
        counts = []
        for number in range(12):
            self.swap(
                {
                    "format.py": f"BIG = [0]\nclass Kind:\n    pass\ndef label(count):\n    return '{number} ' + str(count)\n"
                }
            )
            self.window.button.click()
            self.assertEqual(self.window.text.text(), f"{number} {number + 3}")
            gc.collect()
            counts.append(
                sum(
                    1
                    for each in gc.get_objects()
                    if type(each) is type(sys) and vars(each).get("__name__") == "format"
                )
            )
        self.assertLessEqual(counts[-1], 4, counts)

    def _run(self, done):
        limit = time.monotonic() + 120
        while not done():
            self.assertLess(time.monotonic(), limit)
            self.qt.processEvents()
            time.sleep(0.002)


def _request(kind, **fields):
    from kuzflow_runtime import wire

    return wire.encode(dict(fields, id=500, type=kind))


if __name__ == "__main__":
    unittest.main()
