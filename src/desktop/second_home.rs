//! Two homes of one app on one computer: a stable and a beta one, an installed and a portable one.
//!
//! Linux names an entry's files by the home. On Windows and macOS people read the file's name, so
//! there it is the app's name, and the first home has it. The next one gets a mark behind the name.
//!
//! In: the files that a home wants, those that it has made, what lies in their places. Out: the
//! files, with a mark in their names if the plain ones are another home's; whether a file that the
//! home has made may be removed. Never: touches a file.

use std::path::Path;

use super::same_path::is_same;
use super::shortcut::{Artifact, Made, ShortcutContent, digest_of, mark};
use super::{DesktopError, Entry, OwnCall, link_file, mac, windows};
use crate::look;
use crate::store::Home;

/// What links of launchers call them with, behind their options.
const CALLS: [&str; 3] = ["run", "run --at-login", "window --versions"];

/// What `artifacts` makes of the entry, or of the same with the home's mark in its name. A home
/// that has its mark keeps it. `made` are the files that this home has made.
///
/// # Errors
/// Those of `artifacts`.
pub(super) fn distinct(
    entry: &Entry,
    home: &Home,
    made: &[Made],
    artifacts: impl Fn(&Entry) -> Result<Vec<Artifact>, DesktopError>,
) -> Result<Vec<Artifact>, DesktopError> {
    let root = std::path::absolute(home.root()).unwrap_or_else(|_| home.root().to_owned());
    let mark = format!(" ({})", mark(&root));
    let is_marked = made.iter().any(|made| made.path.to_string_lossy().contains(&mark));
    if !is_marked {
        let plain = artifacts(entry)?;
        if !plain.iter().any(|it| !is_unchanged(&it.path, made) && belongs_to_another_home(it)) {
            return Ok(plain);
        }
    }
    artifacts(&Entry { name: format!("{}{mark}", entry.name), ..entry.clone() })
}

/// Whether the file is as this home has made it.
fn is_unchanged(path: &Path, made: &[Made]) -> bool {
    let made = made.iter().find(|made| made.path == path).and_then(|made| made.file);
    made.is_some() && digest_of(path) == made
}

/// Whether another home's file lies in the place of this one. What an earlier installation has left
/// there is nobody's: the app's own takes its place.
fn belongs_to_another_home(artifact: &Artifact) -> bool {
    let found = look::read(&artifact.path, look::SMALL).ok().flatten();
    let Some(found) = found else { return false };
    match &artifact.content {
        ShortcutContent::Link(own) => {
            let Some((arguments, icon)) = link_file::arguments_and_icon(&found) else {
                return false;
            };
            let target = link_file::target(&found).unwrap_or_default();
            let is_own = is_same(Path::new(&icon), &own.icon) && own.icon != own.target
                || is_same(Path::new(&target), &own.target) && arguments == own.arguments;
            options(&arguments).is_some() && !is_own
        }
        ShortcutContent::Bytes(own) => {
            let identifier = mac::identifier_in(&String::from_utf8_lossy(own));
            identifier.is_some()
                && mac::identifier_in(&String::from_utf8_lossy(&found)) != identifier
        }
    }
}

/// The options that a launcher's link has before its verb; `None` for the command line of another
/// program.
fn options(arguments: &str) -> Option<&str> {
    let options = CALLS.iter().find_map(|call| arguments.strip_suffix(call))?;
    (options.is_empty() || options.ends_with(' ')).then(|| options.trim_end())
}

/// Whether the file that a home has made is another home's by now: one of an older launcher, which
/// did not look. Such a file stays. `all` are all files that this home has made; `own` is `None` for
/// a launcher that does not know its own path.
pub(super) fn belongs_to_another_home_now(
    made: &Made,
    all: &[Made],
    home: &Home,
    own: Option<&OwnCall>,
) -> bool {
    if own.is_some_and(|own| is_in_a_bundle_of_another_home(&made.path, all, own)) {
        return true;
    }
    if digest_of(&made.path) == made.file {
        return false;
    }
    let found = look::read(&made.path, look::SMALL).ok().flatten().unwrap_or_default();
    let Some((arguments, icon)) = link_file::arguments_and_icon(&found) else {
        let text = String::from_utf8_lossy(&found);
        return own.is_some_and(|own| {
            mac::is_script(&text) && mac::script(own).is_ok_and(|script| script != text)
        });
    };
    let is_own = |own: &OwnCall, options: &str| {
        let target = link_file::target(&found).unwrap_or_default();
        let own_options = windows::options(&own.arguments);
        is_same(Path::new(&target), &own.program) && own_options.is_ok_and(|own| own == options)
    };
    options(&arguments).is_some_and(|options| {
        !is_same(Path::new(&icon), &home.root().join("icon.ico"))
            && !own.is_some_and(|own| is_own(own, options))
    })
}

/// Whether another home has made the bundle of macOS that this file lies in.
fn is_in_a_bundle_of_another_home(path: &Path, all: &[Made], own: &OwnCall) -> bool {
    let Some(bundle) = path.ancestors().find(|it| it.extension().is_some_and(|end| end == "app"))
    else {
        return false;
    };
    let information = bundle.join("Contents/Info.plist");
    if is_unchanged(&information, all) {
        return false;
    }
    let found = look::read(&information, look::SMALL).ok().flatten().unwrap_or_default();
    mac::identifier_in(&String::from_utf8_lossy(&found)).is_some_and(|found| found != own.id)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::path::PathBuf;

    use super::super::Action;
    use super::super::shortcut::tests::{entry, user};
    use super::super::shortcut::{self, System, artifacts};
    use super::*;
    use crate::host::UserFolders;

    const SYSTEM: System = System::Windows;

    fn wanted(entry: &Entry, home: &Home, folders: &UserFolders) -> Vec<Artifact> {
        let all = |entry: &Entry| artifacts(entry, home, folders, true, SYSTEM);
        distinct(entry, home, &shortcut::tests::made(home), all).unwrap()
    }

    fn names(artifacts: &[Artifact]) -> Vec<String> {
        let links = artifacts.iter().filter(|it| matches!(it.content, ShortcutContent::Link(_)));
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        links.map(|it| name(&it.path)).collect()
    }

    /// Writes the links as Windows does.
    fn put(artifacts: &[Artifact]) {
        for artifact in artifacts {
            let ShortcutContent::Link(link) = &artifact.content else { continue };
            let texts = [&link.target, &link.icon].map(|path| path.to_str().unwrap().to_owned());
            fs::create_dir_all(artifact.path.parent().unwrap()).unwrap();
            let written = link_file::tests::written(&texts[0], &link.arguments, &texts[1]);
            fs::write(&artifact.path, written).unwrap();
        }
    }

    #[test]
    fn the_link_of_another_home_stays_and_the_second_home_has_its_mark() {
        let (one, other) = (user(), user());
        let folders = &one.folders;
        let first = wanted(&entry(), &one.home, folders);
        assert_eq!(names(&first), ["示例 Sample.lnk"; 2]);
        put(&first);
        assert_eq!(wanted(&entry(), &one.home, folders), first, "its own links are no obstacle");
        let beta = Entry { arguments: vec!["--home".into(), "D:\\beta".into()], ..entry() };
        let second = wanted(&beta, &other.home, folders);
        let mark = mark(other.home.root());
        assert_eq!(
            names(&second),
            [format!("示例 Sample ({mark}).lnk"), format!("示例 Sample ({mark}).lnk")]
        );
        // Once it has the mark it keeps it, whatever becomes of the first home.
        shortcut::tests::record(&other.home, &second);
        fs::remove_file(&first[1].path).unwrap();
        fs::remove_file(&first[2].path).unwrap();
        assert_eq!(names(&wanted(&beta, &other.home, folders)), names(&second));
    }

    #[test]
    fn a_setups_link_of_the_same_installation_and_that_of_an_old_program_give_way() {
        let user = user();
        let own = wanted(&entry(), &user.home, &user.folders);
        let program = entry().program;
        let program = program.to_str().unwrap();
        fs::create_dir_all(own[1].path.parent().unwrap()).unwrap();
        for (target, arguments, is_plain) in [
            (program, "run", true),
            ("C:\\Label\\Update.exe", "--processStart label.exe", true),
            ("C:\\Label\\dry-run.exe", "dry-run", true),
            (program.to_uppercase().as_str(), "run", true),
            ("D:\\other\\Sample.exe", "run", false),
            ("D:\\other\\Sample.exe", "window --versions", false),
            ("D:\\other\\Sample.exe", "--versions", true),
            (program, "--home D:\\beta run", false),
        ] {
            fs::write(&own[1].path, link_file::tests::written(target, arguments, target)).unwrap();
            let found = names(&wanted(&entry(), &user.home, &user.folders));
            assert_eq!(found[0] == "示例 Sample.lnk", is_plain, "{target} {arguments}");
        }
    }

    #[test]
    fn the_bundle_of_another_home_and_an_app_of_the_same_name_stay() {
        let (one, other) = (user(), user());
        let folders = &one.folders;
        shortcut::make(&entry(), &one.home, folders, false, System::Mac).unwrap();
        let beta = Entry { id: "kuzflow-sample-1a2b3c4d".to_owned(), ..entry() };
        shortcut::make(&beta, &other.home, folders, false, System::Mac).unwrap();
        let applications = folders.home.join("Applications");
        let names = || {
            let entries = fs::read_dir(&applications).unwrap();
            let mut names: Vec<String> =
                entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let second = format!("示例 Sample ({}).app", mark(other.home.root()));
        assert_eq!(names(), [second.clone(), "示例 Sample.app".to_owned()]);
        shortcut::remove(&other.home, None, Some(folders), System::Mac).unwrap();
        assert_eq!(names(), ["示例 Sample.app"]);
        shortcut::remove(&one.home, None, Some(folders), System::Mac).unwrap();
        // A person has put an app of this name there.
        let information = applications.join("示例 Sample.app/Contents/Info.plist");
        fs::create_dir_all(information.parent().unwrap()).unwrap();
        fs::write(&information, "<key>CFBundleIdentifier</key><string>com.example.x</string>")
            .unwrap();
        shortcut::make(&beta, &other.home, folders, false, System::Mac).unwrap();
        assert!(fs::read_to_string(&information).unwrap().contains("com.example.x"));
        assert_eq!(names(), [second, "示例 Sample.app".to_owned()]);
    }

    /// The links of an older launcher of another home, in the places of these.
    fn put_theirs(artifacts: &[Artifact]) {
        for artifact in artifacts {
            let ShortcutContent::Link(link) = &artifact.content else { continue };
            let theirs = ["D:\\other\\Sample.exe", "D:\\other\\icon.ico"];
            let written = link_file::tests::written(theirs[0], &link.arguments, theirs[1]);
            fs::write(&artifact.path, written).unwrap();
        }
    }

    fn with_window() -> Entry {
        let names = vec![(String::new(), "Versions and updates".to_owned())];
        let action = Action { id: "versions", words: vec!["window", "--versions"], names };
        Entry { actions: vec![action], ..entry() }
    }

    #[test]
    fn an_uninstall_leaves_the_links_that_are_another_homes_by_now() {
        let user = user();
        let own = wanted(&with_window(), &user.home, &user.folders);
        put(&own);
        shortcut::tests::record(&user.home, &own);
        let [menu, desktop, window] = &own[1..] else { panic!("{own:?}") };
        put_theirs(&[menu.clone(), window.clone()]);
        shortcut::remove(&user.home, None, Some(&user.folders), SYSTEM).unwrap();
        let left = [menu, desktop, window].map(|it| it.path.exists());
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn a_link_that_was_written_anew_is_still_the_homes_own() {
        let user = user();
        let own = wanted(&entry(), &user.home, &user.folders);
        put(&own);
        shortcut::tests::record(&user.home, &own);
        let made = shortcut::tests::made(&user.home);
        let beta = vec![OsString::from("--home"), "D:\\my beta".into()];
        let call = |arguments| OwnCall { arguments, ..entry().own_call() };
        let program = entry().program.to_str().unwrap().to_uppercase();
        let options = "--home \"D:\\my beta\"";
        for (arguments, options, is_own) in [
            (Vec::new(), "", true),
            (beta.clone(), options, true),
            (Vec::new(), options, false),
            (beta, "", false),
        ] {
            let words = format!("{options} run --at-login");
            let written = link_file::tests::written(&program, words.trim_start(), &program);
            fs::write(&made[1].path, written).unwrap();
            let own = call(arguments);
            let found = belongs_to_another_home_now(&made[1], &made, &user.home, Some(&own));
            assert_eq!(found, !is_own, "{options} {own:?}");
        }
        // By its icon, whatever it starts.
        let icon = user.home.root().join("icon.ico");
        let written = link_file::tests::written("D:\\moved.exe", "run", icon.to_str().unwrap());
        fs::write(&made[1].path, written).unwrap();
        assert!(!belongs_to_another_home_now(&made[1], &made, &user.home, None));
    }

    #[test]
    fn the_bundle_that_is_another_homes_by_now_stays() {
        let (one, other) = (user(), user());
        let folders = &one.folders;
        let make = |entry: &Entry, home| shortcut::make(entry, home, folders, true, System::Mac);
        make(&entry(), &one.home).unwrap();
        let theirs: Vec<PathBuf> = shortcut::files(&one.home);
        // An older launcher of another home took the names without a look. The icon is the same.
        let beta = Entry {
            id: "kuzflow-sample-1a2b3c4d".to_owned(),
            arguments: vec!["--home".into(), "/srv/beta".into()],
            ..entry()
        };
        let all = artifacts(&beta, &other.home, folders, true, System::Mac).unwrap();
        all.iter().for_each(|artifact| shortcut::put(artifact).unwrap());
        assert!(all.iter().all(|it| theirs.contains(&it.path)));
        make(&entry(), &one.home).unwrap();
        let own = shortcut::files(&one.home);
        assert!(own.iter().all(|path| path.exists() && !theirs.contains(path)), "{own:?}");
        assert!(theirs.iter().all(|path| path.exists()), "{theirs:?}");
        let call = entry().own_call();
        shortcut::remove(&one.home, Some(&call), Some(folders), System::Mac).unwrap();
        assert!(!own.iter().any(|path| path.exists()), "{own:?}");
        assert!(theirs.iter().all(|path| path.exists()), "{theirs:?}");
    }
}
