"""Real Qt apps, without a screen, are closed for a restart: no window that may hold unsaved work goes
unasked, whether it is in sight or not. Each app is a process of its own, for each binding that is
installed."""

import importlib.util
import os
import subprocess
import sys
import unittest

BINDINGS = [
    each
    for each in ("PyQt5", "PyQt6", "PySide6", "PySide2")
    if importlib.util.find_spec(each) is not None
]
FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
APP = """
import sys
from {binding}.QtCore import QTimer
from {binding}.QtWidgets import QApplication, QDialog, QMainWindow, QMessageBox
from {binding}.QtQml import QQmlApplicationEngine
from kuzflow_runtime import qt

asked = []

class Window(QMainWindow):
    def __init__(self, name, dirty=False):
        super().__init__()
        self.name, self.dirty = name, dirty
        self.show()

    def closeEvent(self, event):
        asked.append(self.name)
        if self.dirty:
            event.ignore()

def scene(visible):
    engine = QQmlApplicationEngine()
    engine.loadData(b'''
        import QtQuick 2.15
        import QtQuick.Window 2.15
        Window {{
            property bool asked: false
            visible: true
            onClosing: function(close) {{ asked = true; close.accepted = false }}
        }}''')
    found = engine.rootObjects()[0]
    found.setVisible(visible)
    found.engine = engine
    return found

app = QApplication([])
{scene}

def restart():
    print(qt.close_all_windows(), *asked)
    QTimer.singleShot(200, lambda: app.exit(5))

QTimer.singleShot(0, restart)
run = getattr(app, "exec", None) or app.exec_
print("ended" if run() == 0 else "goes on")
{after}
"""


@unittest.skipIf(not BINDINGS, "no binding of Qt is installed")
class Closing(unittest.TestCase):
    def outcome(self, scene, expected, after=""):
        """What an app prints whose windows are closed after `scene`."""
        for binding in BINDINGS:
            with self.subTest(binding):
                app = APP.format(binding=binding, scene=scene, after=after)
                surroundings = dict(
                    os.environ,
                    QT_QPA_PLATFORM="offscreen",
                    QT_QUICK_BACKEND="software",
                    PYTHONPATH=FOLDER,
                )
                done = subprocess.run(
                    [sys.executable, "-c", app],
                    env=surroundings,
                    capture_output=True,
                    timeout=120,
                    check=False,
                )
                self.assertEqual(done.stdout.decode().splitlines(), expected, done.stderr.decode())

    def test_a_window_in_the_panel_is_asked_and_keeps_its_work(self):
        for by_itself in (True, False):
            put_away = (
                f"app.setQuitOnLastWindowClosed({by_itself})\nw = Window('w', True); w.hide()"
            )
            self.outcome(put_away, ["None w", "goes on"])

    def test_windows_that_agree_let_the_app_end(self):
        self.outcome("a, b = Window('a'), Window('b'); a.hide()", ["True b a", "ended"])

    def test_a_hidden_window_beside_one_in_sight_keeps_its_work(self):
        """It is asked last, and then it is the one that its user can go on with: Qt would have
        ended the app with the other one."""
        scene = "a, b = Window('a', True), Window('b'); a.hide()"
        self.outcome(
            scene, ["False b a", "goes on", "True False"], "print(a.isVisible(), b.isVisible())"
        )

    def test_what_lies_behind_a_window_that_refuses_is_not_touched(self):
        scene = "a, b = Window('a'), Window('b', True); a.hide()"
        self.outcome(scene, ["False b", "goes on"])

    def test_what_was_never_shown_or_has_been_answered_does_not_count(self):
        scene = """
never = QMainWindow(); never.closeEvent = lambda event: event.ignore()
box = QMessageBox()
role = getattr(QMessageBox, "ButtonRole", QMessageBox).ActionRole
for text in "ab":
    box.addButton(text, role)
box.show()
box.hide()
w = Window('w')"""
        self.outcome(scene, ["True w", "ended"])

    def test_a_closed_window_that_raises_when_it_is_asked_again_ends_nothing(self):
        scene = """
class Once(Window):
    def closeEvent(self, event):
        self.open.remove(self)
once = Once('once'); Once.open = [once]; w = Window('w', True)
once.close()"""
        self.outcome(scene, ["False w", "goes on"])
        self.outcome(scene.replace("'w', True", "'w'"), ["True w", "ended"])

    def test_a_window_that_appears_meanwhile_is_left_to_its_user(self):
        scene = """
class Document(Window):
    def closeEvent(self, event):
        self.saving = Window('saving')
w = Document('w')"""
        self.outcome(scene, ["None", "goes on"])

    def test_windows_of_qt_quick_are_asked_in_any_application(self):
        for visible, refused in ((True, "False"), (False, "None")):
            after = "print(s.property('asked'))"
            self.outcome(f"s = scene({visible})", [refused, "goes on", "True"], after)


if __name__ == "__main__":
    unittest.main()
