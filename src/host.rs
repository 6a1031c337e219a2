//! The only access to facts of the operating system: arguments, environment, folders, clock,
//! language, power.
//!
//! In: nothing. Out: plain values that the rest of the crate takes as arguments. Never: decides
//! anything. `conditions` reads power and network, `processes` and `app_windows` read which other
//! programs run and which windows they have.

pub(crate) mod app_windows;
mod conditions;
pub(crate) mod processes;
mod rights;
pub(crate) mod screen;
mod system_version;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use crate::{real_path, threads};

pub(crate) use conditions::{Conditions, conditions};
pub(crate) use rights::has_more_rights_than_owner;
pub(crate) use system_version::system_versions;

/// The process's arguments, the program's name first.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Makes a write past the largest size that the system allows for a file (`ulimit -f`) an error of
/// that write, instead of this program's end. Programs that this one starts have the system's usual
/// answer.
pub fn outlive_size_limits() {
    #[cfg(unix)]
    {
        use std::sync::Arc;
        use std::sync::atomic::AtomicBool;
        // That somebody listens is enough: nobody reads the flag. Where nobody can, such a write
        // ends the program as before.
        let signal = rustix::process::Signal::XFSZ.as_raw();
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
}

/// Begins this program anew where its address space is limited: the GNU library then gives each
/// thread 64 MB of it to allocate from, and would use it up. How many of these there may be it reads
/// when a program begins. To be called before anything else; does nothing where it cannot.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(clippy::disallowed_methods)] // the door
pub fn share_addresses() {
    use crate::model::session::CHANGED;
    use rustix::process::{Resource, getrlimit};
    use std::os::unix::process::CommandExt as _;
    const RANGES: &str = "MALLOC_ARENA_MAX";
    /// From here on there is room for all of them.
    const PLENTY: u64 = 8 << 30;
    let is_limited = getrlimit(Resource::As).current.is_some_and(|limit| limit < PLENTY);
    if !is_limited || std::env::var_os(RANGES).is_some() {
        return;
    }
    let Some(program) = program() else { return };
    // Started through the loader: that one's file is not this program.
    if program.file_name().is_none_or(|name| name.to_string_lossy().starts_with("ld-")) {
        return;
    }
    // The app is given its session as it was: what is named here is taken back at its start.
    let mut changed = std::env::var_os(CHANGED).unwrap_or_default();
    changed.push(if changed.is_empty() { "" } else { " " });
    changed.push(RANGES);
    let mut again = std::process::Command::new(program);
    let mut arguments = arguments().into_iter();
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    // What comes back is an error; then it goes on as it is.
    let _ = again.args(arguments).env(RANGES, "1").env(CHANGED, changed).exec();
}

/// Elsewhere threads take no more than they use.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_addresses() {}

/// A variable of the environment; an empty one counts as unset.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Names of the environment's variables that begin with `prefix`.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn variables_with(prefix: &str) -> Vec<OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with(prefix))
        .collect()
}

/// The folder that this program was started in: the paths that a person types are relative to it.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn working_folder() -> Option<PathBuf> {
    std::env::current_dir().ok()
}

/// The folder this program's file lies in, links resolved.
pub(crate) fn program_folder() -> Option<PathBuf> {
    program().and_then(|path| path.parent().map(std::path::Path::to_path_buf))
}

/// This program's file, links resolved.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    Some(real_path::resolve(&path).unwrap_or(path))
}

/// The folders for an app's installed versions when none is named, both in the user's local data
/// folder: the usual one, and the one that earlier launchers made.
pub(crate) fn default_homes(app: &str) -> Option<(PathBuf, Option<PathBuf>)> {
    let folders = directories::ProjectDirs::from("", "Kuzflow", app)?;
    let folder = folders.data_local_dir().to_path_buf();
    // Windows and macOS have the launcher's name in the path. Elsewhere this is the folder in which
    // the app itself keeps its files by the system's own rules.
    if cfg!(any(windows, target_os = "macos")) {
        return Some((folder, None));
    }
    let usual = folder.parent()?.join("kuzflow").join(folder.file_name()?);
    Some((usual, Some(folder)))
}

/// The folder for files that can be fetched again: `$XDG_CACHE_HOME/kuzflow` and what other systems
/// have in its place.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|folders| folders.cache_dir().join("kuzflow"))
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserFolders {
    /// The user's folder itself.
    pub home: PathBuf,
    /// The folder for application data: `$XDG_DATA_HOME`, `%APPDATA%`, `~/Library/Application
    /// Support`.
    pub data: PathBuf,
    /// The folder for settings: `$XDG_CONFIG_HOME`, and what other systems have in its place.
    pub config: PathBuf,
    /// The folder of the desktop's icons, if there is one.
    pub desktop: Option<PathBuf>,
}

/// The folders of the user who runs this program; `None` if the system names none.
pub(crate) fn user_folders() -> Option<UserFolders> {
    let base = directories::BaseDirs::new()?;
    let named =
        directories::UserDirs::new().and_then(|folders| folders.desktop_dir().map(PathBuf::from));
    // The default name, when the file that names the user's folders is missing.
    let desktop =
        named.or_else(|| Some(base.home_dir().join("Desktop")).filter(|folder| folder.is_dir()));
    Some(UserFolders {
        home: base.home_dir().to_path_buf(),
        data: base.data_dir().to_path_buf(),
        config: base.config_dir().to_path_buf(),
        desktop,
    })
}

/// Folders for files that live as long as this process and that no other user may see, the best
/// first: the session's own, then the one for temporary files.
#[allow(clippy::disallowed_methods)] // the door
pub(crate) fn private_folders() -> Vec<PathBuf> {
    let session = variable("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute() && folder.is_dir());
    session.into_iter().chain([std::env::temp_dir()]).collect()
}

/// Lets a program without its own console (a shortcut must not flash one up) write to the console
/// in which it was typed. Does nothing on systems other than Windows.
pub fn attach_console() {
    #[cfg(windows)]
    {
        use windows_sys::Win32::System::Console::{ATTACH_PARENT_PROCESS, AttachConsole};
        // SAFETY: the call takes no pointer; without a parent's console it fails, and output goes
        // nowhere as before.
        #[allow(unsafe_code)]
        unsafe {
            AttachConsole(ATTACH_PARENT_PROCESS);
        }
    }
}

/// The current time.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// The language of the system for its user, for example `zh-CN`; `None` if the system names none.
pub(crate) fn system_language() -> Option<String> {
    sys_locale::get_locale()
}

/// The time zone of this computer's user.
pub(crate) fn time_zone() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::system()
}

/// Shows a folder in the system's file manager; returns without waiting for it.
pub(crate) fn open_folder(folder: &std::path::Path) -> std::io::Result<()> {
    let program = if cfg!(windows) {
        "explorer"
    } else if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = std::process::Command::new(program);
    // What it writes is no output of this program.
    command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    // A thread must wait for the child, or it stays behind as a zombie.
    let _ = threads::spawn("child", move || child.wait());
    Ok(())
}

/// Whether the desktop is set to dark, for systems where the window system does not report it:
/// Linux and related systems. `None` if the answer does not come within `limit`.
#[cfg(all(unix, not(target_os = "macos")))]
pub(crate) fn desktop_is_dark(limit: std::time::Duration) -> Option<bool> {
    // 0 means that the user has no preference, 1 dark, 2 light.
    in_time(limit, || pollster::block_on(color_scheme()))?.ok().map(|scheme| scheme == 1)
}

/// `color-scheme` of the desktop portal's settings.
#[cfg(all(unix, not(target_os = "macos")))]
async fn color_scheme() -> zbus::Result<u32> {
    use zbus::zvariant::{OwnedValue, Value};

    let bus = zbus::Connection::session().await?;
    let (place, path) = ("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop");
    let question = ("org.freedesktop.appearance", "color-scheme");
    let reply = bus
        .call_method(Some(place), path, Some("org.freedesktop.portal.Settings"), "Read", &question)
        .await?;
    let outer: Value<'_> = OwnedValue::into(reply.body().deserialize::<OwnedValue>()?);
    // The interface's first version nests one variant in another.
    let inner = match outer {
        Value::Value(inner) => *inner,
        value => value,
    };
    Ok(u32::try_from(inner)?)
}

/// On Windows and macOS the window itself gets this from the system.
#[cfg(not(all(unix, not(target_os = "macos"))))]
pub(crate) fn desktop_is_dark(_limit: std::time::Duration) -> Option<bool> {
    None
}

/// The result of `ask`, if it comes within `limit`; a slower call is abandoned.
fn in_time<T: Send + 'static>(
    limit: std::time::Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, answer) = std::sync::mpsc::channel();
    let asking = threads::spawn("asking", move || {
        // After the limit no receiver is waiting any more.
        let _ = sender.send(ask());
    });
    asking.ok()?;
    answer.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_does_not_answer_is_not_waited_for() {
        let (_retained, never) = std::sync::mpsc::channel::<()>();
        assert_eq!(
            in_time(std::time::Duration::from_millis(1), move || never.recv().is_err()),
            None
        );
        assert_eq!(in_time(std::time::Duration::MAX, || 1), Some(1));
    }
}
