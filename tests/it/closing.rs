//! No app is ended with unsaved work. The real executables close an editor of PyQt5, PyQt6, Qt
//! Quick and GTK with unsaved text for an update, as its window manager would close it. The
//! editor's own question appears, and its answer holds.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::display::Display;
use crate::support::release::{NodeProcess, World, text};
use crate::support::waiting::{comes, ends, insist};

/// An editor. It writes its version, process and text to a file five times a second, and follows
/// the orders in another file. A window with unsaved text asks before it closes: Escape is
/// "cancel", Enter is "discard".
const EDITOR: &str = r#"
import os, sys
folder, toolkit, version = os.environ["EDITOR_FOLDER"], os.environ["EDITOR_TOOLKIT"], os.environ["KUZFLOW_VERSION"]
count = int(os.environ.get("EDITOR_WINDOWS", "1"))
done = [0]
try:
    import kuzflow_runtime
    updates = kuzflow_runtime.start()
except ImportError:
    pass

def note(texts):
    with open(folder + "/state.new", "w") as file:
        file.write("%s %d %s" % (version, os.getpid(), ",".join(texts)))
    os.replace(folder + "/state.new", folder + "/state")

def wishes():
    try:
        with open(folder + "/wishes") as file:
            all = file.read().split()
    except OSError:
        all = []
    new, done[0] = all[done[0]:], len(all)
    return new

# What was wished of the editor before it.
wishes()

def asked():
    with open(folder + "/asked", "a") as file:
        file.write("%s\n" % version)

if toolkit == "gtk":
    import gi
    gi.require_version("Gtk", "3.0")
    from gi.repository import GLib, Gtk
    windows = []

    def closing(window, event):
        if os.environ.get("EDITOR_TRAY"):
            window.hide()
            return True
        asked()
        question = Gtk.MessageDialog(transient_for=window, modal=True, text="Save changes?", title="Question")
        question.add_buttons("Cancel", Gtk.ResponseType.CANCEL, "Discard", Gtk.ResponseType.OK)
        question.set_default_response(Gtk.ResponseType.OK)
        answer = question.run()
        question.destroy()
        if answer != Gtk.ResponseType.OK:
            return True
        windows.remove(window)
        if not windows:
            Gtk.main_quit()
        return False

    for number in range(count):
        window = Gtk.Window(title="Editor %s" % version)
        window.text = Gtk.Entry(text="unsaved %d" % number)
        window.add(window.text)
        window.set_default_size(300, 120)
        window.connect("delete-event", closing)
        window.show_all()
        windows.append(window)

    def tick():
        note([window.text.get_text() for window in windows])
        for wish in wishes():
            windows[0].close()
        return True

    GLib.timeout_add(200, tick)
    Gtk.main()
elif toolkit == "qml":
    # Its question is drawn within its own window, as Qt Quick's dialogs are.
    from PyQt6.QtCore import QTimer
    from PyQt6.QtGui import QGuiApplication
    from PyQt6.QtQml import QQmlApplicationEngine

    app = QGuiApplication(sys.argv)
    engine = QQmlApplicationEngine()
    engine.loadData(b"""
import QtQuick
import QtQuick.Window
Window {
    id: window
    property bool asks: false
    property bool discards: false
    property int asked: 0
    property alias text: edit.text
    visible: true; width: 300; height: 120
    title: asks ? "Question" : "Editor %s"
    onClosing: (close) => {
        if (discards) return
        close.accepted = false
        if (!asks) { asks = true; asked += 1 }
    }
    TextEdit { id: edit; anchors.fill: parent; text: "unsaved 0" }
    Item {
        anchors.fill: parent; focus: true
        Keys.onEscapePressed: window.asks = false
        Keys.onReturnPressed: if (window.asks) { window.discards = true; window.close() }
    }
    Rectangle { anchors.fill: parent; visible: window.asks; Text { text: "Save changes?" } }
}
""" % version.encode())
    window = engine.rootObjects()[0]
    window.askedChanged.connect(asked)

    def tick():
        note([window.property("text")])
        for wish in wishes():
            window.close()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(200)
    app.exec()
else:
    if toolkit == "PyQt6":
        from PyQt6.QtCore import QTimer
        from PyQt6.QtWidgets import QApplication, QMainWindow, QMessageBox, QPlainTextEdit
    else:
        from PyQt5.QtCore import QTimer
        from PyQt5.QtWidgets import QApplication, QMainWindow, QMessageBox, QPlainTextEdit
    buttons = getattr(QMessageBox, "StandardButton", QMessageBox)

    class Editor(QMainWindow):
        def __init__(self, number):
            super().__init__()
            self.text = QPlainTextEdit("unsaved %d" % number)
            self.setCentralWidget(self.text)
            self.setWindowTitle("Editor %s" % version)
            self.resize(300, 120)

        def closeEvent(self, event):
            if os.environ.get("EDITOR_TRAY"):
                self.hide()
                event.ignore()
                return
            asked()
            question = QMessageBox(QMessageBox.Icon.Question if toolkit == "PyQt6" else QMessageBox.Question, "Question",
                                   "Save changes?", buttons.Discard | buttons.Cancel, self)
            question.setDefaultButton(buttons.Discard)
            answer = question.exec() if toolkit == "PyQt6" else question.exec_()
            if answer == buttons.Discard:
                event.accept()
                editors.remove(self)
            else:
                event.ignore()

    app = QApplication(sys.argv)
    app.setQuitOnLastWindowClosed(not os.environ.get("EDITOR_TRAY"))
    editors = [Editor(number) for number in range(count)]
    for editor in editors:
        editor.show()

    def tick():
        note([editor.text.toPlainText() for editor in editors])
        for wish in wishes():
            getattr(editors[0], wish)()

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(200)
    app.exec() if toolkit == "PyQt6" else app.exec_()
"#;

/// A program in the background, which writes to a file that it got the system's signal. Its first
/// release may continue all the same.
const BACKGROUND: &str = r#"#!/bin/sh
trap 'echo "$KUZFLOW_VERSION" >> "$EDITOR_FOLDER/asked"; [ -n "$EDITOR_STUBBORN" ] || exit 0' TERM
echo "$KUZFLOW_VERSION $$ unsaved 0" > "$EDITOR_FOLDER/state"
while :; do sleep 0.1; done
"#;

/// The same behind a script that starts it and waits for it. It needs a moment to end, and only one
/// can run.
const BEHIND_A_SCRIPT: &str = "#!/bin/sh\n\"$KUZFLOW_HOME/app/server.sh\"\n";
const SERVER: &str = r#"#!/bin/sh
mkdir "$EDITOR_FOLDER/port" || { echo 'port in use' >> "$EDITOR_FOLDER/refused"; exit 1; }
trap 'sleep 2; rmdir "$EDITOR_FOLDER/port"; echo "$KUZFLOW_VERSION" >> "$EDITOR_FOLDER/asked"; exit 0' TERM
echo "$KUZFLOW_VERSION $$ unsaved 0" > "$EDITOR_FOLDER/state"
while :; do sleep 0.1; done
"#;

/// A Python that can show windows of a toolkit, and the toolkit's folder; `None` where CI has not
/// made one.
fn python(toolkit: &str) -> Option<(PathBuf, PathBuf)> {
    let found = if toolkit == "background" {
        Some(Default::default())
    } else if toolkit == "gtk" {
        let python = PathBuf::from("/usr/bin/python3");
        let probe = "import gi; gi.require_version('Gtk', '3.0'); from gi.repository import Gtk";
        let works = Command::new(&python)
            .args(["-c", probe])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        works.then(|| (python, PathBuf::from("/nonexistent")))
    } else {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/qt-venv");
        let libraries = fs::read_dir(folder.join("lib")).into_iter().flatten().flatten();
        let mut sites = libraries.map(|entry| entry.path().join("site-packages"));
        let package = if toolkit == "qml" { "PyQt6" } else { toolkit };
        sites.find(|site| site.join(package).is_dir()).map(|site| (folder.join("bin/python"), site))
    };
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI has {toolkit}");
    if found.is_none() {
        eprintln!("passed over: no {toolkit}; .ci/run installs it");
    }
    found
}

/// A desk with a display. The editor runs on it in its first release, and the second one is
/// published.
struct Desk {
    display: Display,
    world: World,
    _node: NodeProcess,
    launcher: Child,
    managed: bool,
    state: PathBuf,
}

/// The app in a launcher of its own.
struct SecondInstance {
    launcher: Child,
    state: PathBuf,
}

impl SecondInstance {
    /// The app's process.
    fn process(&self) -> Option<String> {
        let state = fs::read_to_string(self.state.join("state")).ok()?;
        state.split(' ').nth(1).map(str::to_owned)
    }

    /// Its person closes it.
    fn close(mut self) {
        let process = self.process().unwrap();
        assert!(Command::new("kill").arg(&process).status().unwrap().success());
        assert!(ends(&mut self.launcher).is_some());
        fs::remove_file(self.state.join("state")).unwrap();
    }
}

impl Drop for SecondInstance {
    fn drop(&mut self) {
        if let Some(process) = self.process() {
            let _ = Command::new("kill").args(["-9", &process]).stderr(Stdio::null()).status();
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// How the editor is started.
#[derive(Clone, Copy)]
struct Editor {
    toolkit: &'static str,
    /// The editor has a session with its launcher.
    talks: bool,
    windows: u32,
    /// The editor's window hides when it is closed.
    tray: bool,
    /// The editor ignores the system's signal.
    stubborn: bool,
    /// The program that starts the editor ends at once.
    hands_over: bool,
    /// The program in the background is the child of a script.
    behind_a_script: bool,
}

const PYQT5: Editor = Editor {
    toolkit: "PyQt5",
    talks: false,
    windows: 1,
    tray: false,
    stubborn: false,
    hands_over: false,
    behind_a_script: false,
};

impl Desk {
    /// `None` where a required program is not installed.
    fn set_up(editor: Editor, managed: bool) -> Option<Self> {
        let (python, site) = python(editor.toolkit)?;
        let mut display = Display::open()?;
        if managed && !display.start_window_manager() {
            assert!(std::env::var_os("CI").is_none(), "CI has openbox");
            eprintln!("passed over: no openbox");
            return None;
        }
        let world = World::new();
        let state = world.path("state");
        fs::create_dir(&state).unwrap();
        for version in ["1.0.0", "2.0.0"] {
            let script = match editor.toolkit {
                "background" if editor.behind_a_script => BEHIND_A_SCRIPT.to_owned(),
                "background" => BACKGROUND.to_owned(),
                _ => script(&python, &site, editor),
            };
            publish(&world, version, &script);
        }
        let node = world.serve();
        let settings =
            "[window]\nlanguage = 'en'\nnotification = 'dialog'\n[update]\ndelay_seconds = 1\n";
        world.configure(&[&node.address], settings);
        let installed = world.say(&["update", "--to", "1.0.0"]);
        assert_eq!(installed.code, 0, "{}", installed.errors);
        let mut command = world.launcher(&["--verbose", "run"]);
        command
            .env("DISPLAY", &display.number)
            .env("QT_QPA_PLATFORM", "xcb")
            .env("GDK_BACKEND", "x11");
        command.env("QT_QUICK_BACKEND", "software");
        command.env("EDITOR_FOLDER", &state).env("EDITOR_TOOLKIT", editor.toolkit);
        command
            .env("EDITOR_WINDOWS", editor.windows.to_string())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        for (name, wanted) in [("EDITOR_TRAY", editor.tray), ("EDITOR_STUBBORN", editor.stubborn)] {
            if wanted {
                command.env(name, "1");
            }
        }
        let log = fs::File::create(world.path("log")).unwrap();
        let launcher =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let desk = Self { display, world, _node: node, launcher, managed, state };
        desk.until("the first release runs", |desk| desk.state().starts_with("1.0.0 "));
        Some(desk)
    }

    /// Opens the app a second time, by a launcher that looks for no update.
    fn open_again(&self) -> SecondInstance {
        let state = self.world.path("second state");
        fs::create_dir(&state).unwrap();
        let settings = self.world.config().with_file_name("second.toml");
        let own = fs::read_to_string(self.world.config()).unwrap();
        fs::write(&settings, own.replace("delay_seconds = 1", "check = 'never'")).unwrap();
        let mut command =
            self.world.launcher_at(&self.world.home(), &settings, &["--headless", "run"]);
        command.env("EDITOR_FOLDER", &state).stdin(Stdio::null()).stdout(Stdio::null());
        let launcher = command.stderr(Stdio::null()).spawn().unwrap();
        let second = SecondInstance { launcher, state };
        self.until("the second instance", |_| second.process().is_some());
        second
    }

    fn state(&self) -> String {
        fs::read_to_string(self.state.join("state")).unwrap_or_default()
    }

    /// How often the editor has asked its user.
    fn asked(&self) -> usize {
        fs::read_to_string(self.state.join("asked")).unwrap_or_default().lines().count()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    fn active(&self) -> [String; 2] {
        let text = fs::read_to_string(self.world.home().join("active.json")).unwrap();
        let active: serde_json::Value = serde_json::from_str(&text).unwrap();
        ["container", "pending"].map(|field| active[field].to_string())
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        if !comes(|| holds(self)) {
            let windows = self.display.tool(&[
                "search",
                "--onlyvisible",
                "--name",
                ".",
                "getwindowname",
                "%@",
            ]);
            panic!("never: {what}\nstate: {}\nwindows: {windows}\n{}", self.state(), self.log());
        }
    }

    /// Presses a key in a window until it has an effect, like a user who has clicked into it.
    fn press(&self, title: &str, key: &str, has_effect: impl Fn(&Self) -> bool) {
        let press = || {
            let Some(window) = self.display.visible(title) else { return };
            std::thread::sleep(Duration::from_millis(700));
            let front = if self.managed { "windowactivate" } else { "windowfocus" };
            self.display.tool(&[front, "--sync", &window]);
            std::thread::sleep(Duration::from_millis(200));
            self.display.tool(&["keydown", key, "sleep", "0.2", "keyup", key]);
        };
        self.until(title, |desk| desk.display.visible(title).is_some());
        insist(&format!("{key} in {title}\n{}", self.log()), press, || has_effect(self));
    }

    /// Waits for the installed update, and presses "restart now".
    fn restart(&self) {
        self.until("an offer", |desk| desk.log().contains("Offered"));
        self.press("update$", "Return", |desk| desk.log().contains("Downloading"));
        self.until("the update is ready", |desk| desk.log().contains("Ready {"));
        self.press("update$", "Return", |desk| desk.log().contains("Closing {"));
    }

    fn question(&self) -> bool {
        self.display.visible("^Question$").is_some()
    }

    fn wish(&self) {
        self.order("close");
    }

    fn order(&self, what: &str) {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.state.join("wishes"))
            .unwrap();
        writeln!(file, "{what}").unwrap();
    }

    /// Asserts that the condition holds for some seconds.
    fn stays(&self, seconds: u64, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            assert!(holds(self), "state: {}\n{}", self.state(), self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(process) = self.state().split(' ').nth(1) {
            let _ = Command::new("kill").args(["-9", process]).stderr(Stdio::null()).status();
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// The script that starts the editor. Either it stays, as scripts that start an app do, and the
/// window belongs to a child process; or it ends at once.
fn script(python: &Path, site: &Path, editor: Editor) -> String {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/runtime");
    let path = if editor.talks {
        format!("{}:{}", text(site), text(&runtime))
    } else {
        text(site).to_owned()
    };
    let after = if editor.hands_over { "</dev/null >/dev/null 2>&1 &\nexit 0" } else { "" };
    format!(
        "#!/bin/sh\nPYTHONPATH='{path}' '{}' -u \"$KUZFLOW_HOME/app/editor.py\" {after}\n",
        text(python)
    )
}

fn publish(world: &World, version: &str, script: &str) {
    let app = world.path(&format!("app {version}"));
    fs::create_dir_all(&app).unwrap();
    // The running script changes, so that each update needs a restart.
    fs::write(app.join("editor.py"), format!("# {version}\n{EDITOR}")).unwrap();
    for (name, text) in [("run.sh", script), ("server.sh", SERVER)] {
        fs::write(app.join(name), text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(app.join(name), mode).unwrap();
    }
    let out = world.path(&format!("{version}.kuzflow"));
    let first = [
        "build",
        "--app",
        text(&app),
        "--name",
        "sample",
        "--app-version",
        version,
        "--entry",
        "exe:run.sh",
    ];
    world.kuzflow(
        &[
            &first[..],
            &["--runtime", "none", "--display-name", "Sample", "--level", "1", "--out", text(&out)],
        ]
        .concat(),
    );
    world.publish(&out, &[]);
}

/// The editor's own question appears. "Cancel" there leaves everything as it was, however long it
/// takes, and the launcher does not ask again. When the user closes the editor later and discards,
/// the new release starts.
fn keeps_unsaved_work(editor: Editor, managed: bool) {
    let Some(desk) = Desk::set_up(editor, managed) else { return };
    desk.until("the editor has its text", |desk| desk.state().contains("unsaved 0"));
    let (before, active) = (desk.state(), desk.active());
    desk.restart();
    let ready = desk.active();
    desk.until("the editor's own question", Desk::question);
    // The user takes a long time: the launcher does not end the app meanwhile.
    desk.stays(12, |desk| desk.question() && desk.state() == before);
    desk.until("its person is waited for", |desk| desk.log().contains("wait: Person"));
    desk.press("^Question$", "Escape", |desk| !desk.question());
    desk.stays(4, |desk| desk.state() == before && desk.asked() == 1);
    assert!(desk.display.visible("^Editor 1.0.0").is_some());
    assert_eq!(desk.active(), ready);
    assert!(
        active[0].contains("1.0.0") && ready[0].contains("1.0.0") && ready[1].contains("2.0.0")
    );
    // The wish to restart still stands: the launcher shows it, and restarts when the editor closes.
    desk.wish();
    desk.until("the question again", Desk::question);
    desk.press("^Question$", "Return", |desk| !desk.question());
    desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
    assert_eq!(desk.asked(), 2);
}

#[test]
fn pyqt5_keeps_unsaved_work() {
    keeps_unsaved_work(PYQT5, false);
}

#[test]
fn pyqt5_keeps_unsaved_work_under_a_window_manager() {
    keeps_unsaved_work(PYQT5, true);
}

#[test]
fn pyqt6_keeps_unsaved_work_under_a_window_manager() {
    keeps_unsaved_work(Editor { toolkit: "PyQt6", ..PYQT5 }, true);
}

#[test]
fn pyqt6_keeps_unsaved_work() {
    keeps_unsaved_work(Editor { toolkit: "PyQt6", ..PYQT5 }, false);
}

#[test]
fn qml_keeps_unsaved_work() {
    keeps_unsaved_work(Editor { toolkit: "qml", ..PYQT5 }, false);
}

#[test]
fn qml_keeps_unsaved_work_under_a_window_manager() {
    keeps_unsaved_work(Editor { toolkit: "qml", ..PYQT5 }, true);
}

#[test]
fn gtk_keeps_unsaved_work() {
    keeps_unsaved_work(Editor { toolkit: "gtk", ..PYQT5 }, false);
}

#[test]
fn gtk_keeps_unsaved_work_under_a_window_manager() {
    keeps_unsaved_work(Editor { toolkit: "gtk", ..PYQT5 }, true);
}

/// "Restart later" while the editor asks: the wish is withdrawn, and the editor's end causes no
/// restart.
#[test]
fn a_restart_that_is_put_off_is_forgotten() {
    let Some(mut desk) = Desk::set_up(PYQT5, true) else { return };
    desk.restart();
    desk.until("the editor's own question", Desk::question);
    desk.until("it is waited for", |desk| desk.log().contains("wait: Person"));
    desk.press("update$", "Escape", |desk| {
        desk.log().contains("the wish to close the app is taken back")
    });
    assert!(desk.question(), "what the editor asks is left to its person");
    let before = desk.state();
    desk.press("^Question$", "Escape", |desk| !desk.question());
    desk.stays(3, |desk| desk.state() == before);
    desk.wish();
    desk.press("^Question$", "Return", |desk| !desk.question());
    assert!(ends(&mut desk.launcher).is_some(), "the launcher stays: {}", desk.log());
    assert!(desk.state().starts_with("1.0.0 "));
}

/// Several windows ask one after another: a "cancel" in the second one keeps all later ones open.
#[test]
fn windows_are_asked_one_after_another() {
    let Some(desk) = Desk::set_up(Editor { windows: 3, ..PYQT5 }, true) else { return };
    desk.until("three texts", |desk| desk.state().contains("unsaved 2"));
    desk.restart();
    desk.until("the first question", Desk::question);
    desk.press("^Question$", "Return", |desk| desk.asked() == 2);
    desk.until("the second question", Desk::question);
    desk.press("^Question$", "Escape", |desk| !desk.question());
    desk.stays(4, |desk| desk.asked() == 2 && desk.state().contains("unsaved 2"));
}

/// A window that does not understand the request to close is not killed: the launcher shows that to
/// the user.
#[test]
fn a_window_that_cannot_be_asked_is_left_alone() {
    let Some(desk) = Desk::set_up(PYQT5, false) else { return };
    let window = desk.display.window("^Editor").unwrap();
    desk.display.run("xprop", &["-id", &window, "-remove", "WM_PROTOCOLS"]);
    let before = desk.state();
    desk.restart();
    desk.until("it is told", |desk| desk.log().contains("wait: Unreachable"));
    desk.stays(3, |desk| desk.state() == before && desk.asked() == 0);
}

/// An app that continues as an icon in the panel when its window is closed gets no signal.
#[test]
fn an_app_that_hides_goes_on() {
    for talks in [false, true] {
        let Some(desk) = Desk::set_up(Editor { tray: true, talks, ..PYQT5 }, true) else { return };
        desk.restart();
        desk.until("its window goes", |desk| desk.display.visible("^Editor").is_none());
        let before = desk.state();
        desk.until("it is told", |desk| desk.log().contains("wait: Unreachable"));
        desk.stays(3, |desk| desk.state() == before);
    }
}

/// A window that its user has put into the panel is asked as any other: unsaved text in it is no
/// less than in a window in sight.
#[test]
fn a_hidden_window_of_an_app_that_talks_keeps_unsaved_work() {
    for tray in [true, false] {
        let Some(desk) = Desk::set_up(Editor { tray, talks: true, ..PYQT5 }, true) else { return };
        desk.order("hide");
        desk.until("its window goes", |desk| desk.display.visible("^Editor").is_none());
        let before = desk.state();
        desk.restart();
        if tray {
            desk.until("it is told", |desk| desk.log().contains("wait: Unreachable"));
            desk.stays(3, |desk| desk.state() == before);
        } else {
            desk.until("the editor's own question", Desk::question);
            desk.stays(3, |desk| desk.state() == before);
            desk.press("^Question$", "Return", |desk| !desk.question());
            desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
        }
    }
}

/// An app with a session closes its windows itself, and reports when its user has cancelled: the
/// offer to restart is back.
#[test]
fn an_app_that_talks_says_that_it_goes_on() {
    let Some(desk) = Desk::set_up(Editor { talks: true, ..PYQT5 }, true) else { return };
    let before = desk.state();
    desk.restart();
    desk.until("the editor's own question", Desk::question);
    desk.press("^Question$", "Escape", |desk| !desk.question());
    desk.until("it says that it goes on", |desk| {
        desk.log().contains("the app goes on, as its person wants it")
    });
    desk.stays(2, |desk| desk.state() == before && desk.asked() == 1);
    desk.press("update$", "Return", Desk::question);
    desk.press("^Question$", "Return", |desk| !desk.question());
    desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
}

/// An editor that continues in place of its starting process is asked in its own window, and no
/// version is switched beneath it.
#[test]
fn an_app_that_was_handed_over_keeps_unsaved_work() {
    keeps_unsaved_work(Editor { toolkit: "gtk", hands_over: true, ..PYQT5 }, true);
}

/// A program in the background gets the system's signal, once. A program that continues all the
/// same is not ended.
#[test]
fn a_program_in_the_background_is_asked_by_the_systems_signal() {
    let background = Editor { toolkit: "background", ..PYQT5 };
    let Some(desk) = Desk::set_up(background, false) else { return };
    desk.restart();
    desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
    assert_eq!(desk.asked(), 1);
    let Some(desk) = Desk::set_up(Editor { stubborn: true, ..background }, false) else { return };
    let before = desk.state();
    desk.restart();
    desk.until("it is told", |desk| desk.log().contains("wait: Unreachable"));
    desk.stays(3, |desk| desk.state() == before && desk.asked() == 1);
    let process = before.split(' ').nth(1).unwrap();
    assert!(Path::new("/proc").join(process).exists(), "it runs");
}

/// A script that starts the app ends at the first signal; the app itself is asked as well, and the
/// next release starts only when it has ended.
#[test]
fn a_program_in_the_background_that_a_script_has_started_is_asked_and_waited_for() {
    let background = Editor { toolkit: "background", behind_a_script: true, ..PYQT5 };
    let Some(desk) = Desk::set_up(background, false) else { return };
    desk.restart();
    desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
    assert_eq!(desk.asked(), 1);
    assert!(!desk.state.join("refused").exists(), "one after the other");
    assert!(desk.active()[0].contains("2.0.0"));
}

/// While the app is open a second time no other version can start: nothing is closed for it, and
/// the window says why. The wish is fulfilled when the other instance has ended.
#[test]
fn an_app_that_is_open_twice_is_not_closed_for_a_version_that_cannot_start() {
    let Some(desk) = Desk::set_up(Editor { toolkit: "background", ..PYQT5 }, false) else { return };
    let second = desk.open_again();
    let before = desk.state();
    desk.restart();
    desk.until("it is told", |desk| desk.log().contains("OpenTwice"));
    desk.stays(3, |desk| desk.state() == before && desk.asked() == 0);
    assert!(desk.active()[0].contains("1.0.0") && desk.active()[1].contains("2.0.0"));
    second.close();
    assert_eq!(desk.state(), before);
    desk.press("Sample", "Return", |desk| desk.asked() == 1);
    desk.until("the second release", |desk| desk.state().starts_with("2.0.0 "));
    assert!(desk.active()[0].contains("2.0.0"));
}
