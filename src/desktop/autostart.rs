//! The start at login: one file that makes the system start the launcher when the user logs in.
//!
//! ```text
//! Linux     ~/.config/autostart/ID.desktop      (Desktop Application Autostart Specification)
//! Windows   a link in the Startup folder of the Start menu
//! macOS     ~/Library/LaunchAgents/ID.plist
//! ```
//!
//! In: an [`Entry`], the user's folders, a home. Out: that file, which `<home>/autostart.json`
//! names. Never: turned on without the user's word, changes a file that the user changed unless
//! asked, needs an administrator.

use std::path::{Path, PathBuf};

use super::shortcut::{Artifact, Made, System, digest_of, put};
use super::{DesktopError, Entry, OwnCall, freedesktop, mac, remove_file, second_home, windows};
use crate::durable;
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::host::UserFolders;
use crate::look;
use crate::store::Home;

/// What the launcher is called with at login, after its options.
const WORDS: [&str; 2] = ["run", "--at-login"];

/// Makes the system start the app at login. Returns the file, or `None` if it is there already.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path is not Unicode; [`DesktopError::File`] and
/// [`DesktopError::System`] if the file cannot be written.
pub(crate) fn turn_on(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    system: System,
) -> Result<Option<PathBuf>, DesktopError> {
    let before = read(home)?;
    let wanted = artifact(entry, before.as_ref(), home, folders, system)?;
    let is_there = before.as_ref().is_some_and(|made| {
        made.path == wanted.path
            && made.source == wanted.content.digest()
            && made.file.is_some()
            && digest_of(&made.path) == made.file
    });
    if is_there {
        return Ok(None);
    }
    make(home, wanted, before, &entry.own_call()).map(Some)
}

/// Takes the start at login away. Returns the file that was there. One that is another home's by now
/// stays.
///
/// # Errors
/// [`DesktopError::File`] if it cannot be removed; a repeated call goes on from there.
pub(crate) fn turn_off(
    home: &Home,
    own: Option<&OwnCall>,
) -> Result<Option<PathBuf>, DesktopError> {
    let Some(made) = read(home)? else { return Ok(None) };
    let was_there = !belongs_to_another_home(&made, home, own) && remove_file(&made.path)?;
    remove_file(&home.autostart_record())?;
    Ok(was_there.then_some(made.path))
}

/// Whether an older launcher of another home has taken the file over.
fn belongs_to_another_home(made: &Made, home: &Home, own: Option<&OwnCall>) -> bool {
    second_home::belongs_to_another_home_now(made, std::slice::from_ref(made), home, own)
}

/// Whether the app starts at login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// This file starts it.
    On(PathBuf),
    /// Nothing starts it: no file, one that the desktop's own settings have switched off, or one
    /// that starts it from another home.
    Off,
    /// The file is there, and a person has switched it off in a list of the system, which is not
    /// the launcher's to change.
    OffInSystem,
}

/// Whether the app starts at login now.
///
/// # Errors
/// [`DesktopError::File`] if the record or the file cannot be read.
pub(crate) fn state(home: &Home, own: Option<&OwnCall>) -> Result<State, DesktopError> {
    let Some(made) = read(home)? else { return Ok(State::Off) };
    let content = look::read(&made.path, look::SMALL).at("read", &made.path)?;
    Ok(match content {
        Some(bytes) if is_switched_off(&String::from_utf8_lossy(&bytes)) => State::Off,
        Some(_) if belongs_to_another_home(&made, home, own) => State::Off,
        Some(_) if is_off_in_system(&made.path) => State::OffInSystem,
        Some(_) => State::On(made.path),
        None => State::Off,
    })
}

/// Windows has a list of startup apps, in which a person can switch each of them off.
#[cfg(windows)]
fn is_off_in_system(file: &Path) -> bool {
    let name = file.file_name().and_then(std::ffi::OsStr::to_str);
    name.and_then(super::shell::startup_entry).is_some_and(|entry| windows::is_startup_off(&entry))
}

/// Elsewhere such settings are in the file itself.
#[cfg(not(windows))]
const fn is_off_in_system(_file: &Path) -> bool {
    false
}

/// Whether there is a record of such a file.
pub(crate) fn is_made(home: &Home) -> bool {
    !matches!(read(home), Ok(None))
}

/// Follows a launcher that has moved, and the app's name. A file that the user changed or removed
/// stays as it is.
///
/// # Errors
/// As [`turn_on`].
pub(crate) fn refresh(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    system: System,
) -> Result<Option<PathBuf>, DesktopError> {
    let Some(made) = read(home)? else { return Ok(None) };
    let is_ours = made.file.is_some() && digest_of(&made.path) == made.file;
    if is_ours { turn_on(entry, home, folders, system) } else { Ok(None) }
}

/// Desktops switch such an entry off by a line in it.
fn is_switched_off(text: &str) -> bool {
    let line = |line: &str| line.replace(' ', "").to_ascii_lowercase();
    text.lines()
        .map(line)
        .any(|line| ["hidden=true", "x-gnome-autostart-enabled=false"].contains(&line.as_str()))
}

/// The file, with a name that no other home of the app has.
fn artifact(
    entry: &Entry,
    before: Option<&Made>,
    home: &Home,
    folders: &UserFolders,
    system: System,
) -> Result<Artifact, DesktopError> {
    let made = before.map(std::slice::from_ref).unwrap_or_default();
    let one = |entry: &Entry| named(entry, folders, system).map(|it| vec![it]);
    let wanted = second_home::distinct(entry, home, made, one)?.pop();
    wanted.map_or_else(|| named(entry, folders, system), Ok)
}

fn named(entry: &Entry, folders: &UserFolders, system: System) -> Result<Artifact, DesktopError> {
    const KIND: &str = "autostart";
    let id = &entry.id;
    Ok(match system {
        System::Freedesktop => {
            let path = folders.config.join(format!("autostart/{id}.desktop"));
            Artifact::file(KIND, path, freedesktop::autostart(entry, &WORDS)?)
        }
        System::Windows => {
            let startup = folders.data.join("Microsoft\\Windows\\Start Menu\\Programs\\Startup");
            let link = windows::login_link(entry, &WORDS)?;
            Artifact::link(KIND, startup.join(windows::link_name(entry)), link)
        }
        System::Mac => {
            let path = folders.home.join(format!("Library/LaunchAgents/{id}.plist"));
            Artifact::file(KIND, path, mac::launch_agent(entry, &WORDS)?)
        }
    })
}

/// Writes the file. The record comes first, so that a launcher that is killed leaves no file that
/// nobody removes.
fn make(
    home: &Home,
    wanted: Artifact,
    before: Option<Made>,
    own: &OwnCall,
) -> Result<PathBuf, DesktopError> {
    let made = Made {
        kind: wanted.kind.clone(),
        path: wanted.path.clone(),
        source: wanted.content.digest(),
        file: None,
    };
    let is_ours = |before: &Made| !belongs_to_another_home(before, home, Some(own));
    if let Some(before) = before.filter(|before| before.path != made.path && is_ours(before)) {
        remove_file(&before.path)?;
    }
    write(home, &made)?;
    put(&wanted)?;
    write(home, &Made { file: digest_of(&made.path), ..made })?;
    Ok(wanted.path)
}

/// The record; a damaged one counts as none.
fn read(home: &Home) -> Result<Option<Made>, DesktopError> {
    let path = home.autostart_record();
    let json = look::read(&path, look::SMALL).at("read", &path)?;
    let Some(json) = json else { return Ok(None) };
    Ok(serde_json::from_slice(&json)
        .inspect_err(|error| {
            tracing::warn!(error = error_chain::line(error), path = %path.display(), "it is unknown what starts the app at login");
        })
        .ok())
}

fn write(home: &Home, made: &Made) -> Result<(), DesktopError> {
    let path = home.autostart_record();
    let json = serde_json::to_vec_pretty(made).at("write", &path)?;
    home.create()?;
    Ok(durable::replace(&path, &json).at("write", &path)?)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::desktop::link_file;
    use crate::desktop::shortcut::tests::{User, entry, user};

    fn on(user: &User, entry: &Entry, system: System) -> Option<PathBuf> {
        turn_on(entry, &user.home, &user.folders, system).unwrap()
    }

    #[test]
    fn each_system_starts_the_launcher_by_its_own_kind_of_file() {
        for (system, place, expected) in [
            (
                System::Freedesktop,
                "user/config/autostart/kuzflow-sample.desktop",
                "Exec=/opt/app/kuzflow-launcher run --at-login\n",
            ),
            (
                System::Mac,
                "user/Library/LaunchAgents/kuzflow-sample.plist",
                "<string>/opt/app/kuzflow-launcher</string>\n    <string>run</string>\n    <string>--at-login</string>",
            ),
        ] {
            let user = user();
            let path = on(&user, &entry(), system).unwrap();
            assert!(path.ends_with(place), "{}", path.display());
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(expected), "{text}");
            assert_eq!(on(&user, &entry(), system), None, "it is there");
            assert_eq!(state(&user.home, None).unwrap(), State::On(path.clone()));
            assert_eq!(turn_off(&user.home, None).unwrap(), Some(path.clone()));
            assert!(!path.exists() && !is_made(&user.home));
            assert_eq!(turn_off(&user.home, None).unwrap(), None);
        }
    }

    #[test]
    fn it_follows_a_moved_launcher_and_leaves_what_the_user_changed() {
        let (user, system) = (user(), System::Freedesktop);
        let moved = Entry { program: "/srv/moved/launcher".into(), ..entry() };
        let refreshed = || refresh(&moved, &user.home, &user.folders, system).unwrap();
        assert_eq!(refreshed(), None, "nothing is turned on by itself");
        let path = on(&user, &entry(), system).unwrap();
        assert_eq!(refreshed(), Some(path.clone()));
        assert!(std::fs::read_to_string(&path).unwrap().contains("/srv/moved/launcher"));
        assert_eq!(refreshed(), None);
        // The desktop's own settings switch it off.
        let text = std::fs::read_to_string(&path).unwrap();
        let off = format!("{text}X-GNOME-Autostart-enabled=false\n");
        std::fs::write(&path, &off).unwrap();
        assert_eq!(state(&user.home, None).unwrap(), State::Off);
        let before = Entry { program: "/opt/other".into(), ..entry() };
        assert_eq!(refresh(&before, &user.home, &user.folders, system).unwrap(), None);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), off);
        // The user's word counts again.
        assert!(on(&user, &entry(), system).is_some());
        assert_eq!(state(&user.home, None).unwrap(), State::On(path.clone()));
        std::fs::remove_file(&path).unwrap();
        assert_eq!((refreshed(), path.exists()), (None, false));
        assert_eq!(state(&user.home, None).unwrap(), State::Off);
    }
    /// A record of the link for the start at login of Windows, in whose place another link lies.
    fn replaced(user: &User, target: &str, arguments: &str) -> Made {
        let path = user.folders.data.join("Sample.lnk");
        std::fs::create_dir_all(&user.folders.data).unwrap();
        let link = windows::login_link(&entry(), &WORDS).unwrap();
        let source = Artifact::link("autostart", path.clone(), link).content.digest();
        std::fs::write(&path, link_file::tests::written(target, arguments, target)).unwrap();
        let made = Made { kind: "autostart".to_owned(), path, source, file: None };
        write(&user.home, &made).unwrap();
        made
    }

    #[test]
    fn a_link_that_is_another_homes_by_now_is_neither_shown_nor_removed() {
        let own = entry().own_call();
        let program = own.program.to_str().unwrap();
        let theirs = [
            ("D:\\other\\Sample.exe", "run --at-login"),
            (program, "--home D:\\beta run --at-login"),
        ];
        for (target, arguments) in theirs {
            let user = user();
            let made = replaced(&user, target, arguments);
            assert_eq!(state(&user.home, Some(&own)).unwrap(), State::Off);
            assert_eq!(turn_off(&user.home, Some(&own)).unwrap(), None);
            assert!(made.path.exists() && !is_made(&user.home), "{arguments}");
            // Switched on, this home has a link of its own.
            let place = user.folders.data.join("Sample (1a2b3c4d).lnk");
            let wanted = Artifact::file("autostart", place.clone(), "a link");
            make(&user.home, wanted, Some(made.clone()), &own).unwrap();
            assert!(made.path.exists() && place.exists());
            assert_eq!(turn_off(&user.home, Some(&own)).unwrap(), Some(place));
        }
    }

    #[test]
    fn a_link_that_windows_has_written_anew_is_still_the_homes_own() {
        let (user, own) = (user(), entry().own_call());
        let made = replaced(&user, own.program.to_str().unwrap(), "run --at-login");
        assert_eq!(state(&user.home, Some(&own)).unwrap(), State::On(made.path.clone()));
        assert_eq!(turn_off(&user.home, Some(&own)).unwrap(), Some(made.path));
    }
}
