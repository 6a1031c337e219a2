//! Two homes of one app on one computer: a stable and a beta one, an installed and a portable one.
//!
//! Linux names an entry's files by the home. On Windows and macOS people read the file's name, so
//! there it is the app's name, and the first home has it. The next one gets a mark behind the name.
//!
//! In: the files that a home wants, those that it has made, what lies in their places. Out: the
//! files, with a mark in their names if the plain ones are another home's. Never: touches a file.

use std::path::Path;

use super::shortcut::{Artifact, Made, ShortcutContent, digest_of, mark};
use super::{DesktopError, Entry, link_file, mac};
use crate::look;
use crate::store::Home;

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
            let is_own = Path::new(&icon) == own.icon && own.icon != own.target
                || Path::new(&target) == own.target && arguments == own.arguments;
            starts_an_app(&arguments) && !is_own
        }
        ShortcutContent::Bytes(own) => {
            let identifier = mac::identifier_in(&String::from_utf8_lossy(own));
            identifier.is_some()
                && mac::identifier_in(&String::from_utf8_lossy(&found)) != identifier
        }
    }
}

/// Whether a link with this command line starts a launcher's app.
fn starts_an_app(arguments: &str) -> bool {
    arguments.split(' ').next_back().is_some_and(|last| ["run", "--at-login"].contains(&last))
}

/// Whether the file that a home has made is another home's by now: one of an older launcher, which
/// did not look.
pub(super) fn belongs_to_another_home_now(made: &Made, home: &Home) -> bool {
    if digest_of(&made.path) == made.file {
        return false;
    }
    let found = look::read(&made.path, look::SMALL).ok().flatten().unwrap_or_default();
    let link = link_file::arguments_and_icon(&found);
    link.is_some_and(|(arguments, icon)| {
        starts_an_app(&arguments) && Path::new(&icon) != home.root().join("icon.ico")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

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
            ("D:\\other\\Sample.exe", "run", false),
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
        shortcut::remove(&other.home, Some(folders), System::Mac).unwrap();
        assert_eq!(names(), ["示例 Sample.app"]);
        shortcut::remove(&one.home, Some(folders), System::Mac).unwrap();
        // A person has put an app of this name there.
        let information = applications.join("示例 Sample.app/Contents/Info.plist");
        fs::create_dir_all(information.parent().unwrap()).unwrap();
        fs::write(&information, "<key>CFBundleIdentifier</key><string>com.example.x</string>")
            .unwrap();
        shortcut::make(&beta, &other.home, folders, false, System::Mac).unwrap();
        assert!(fs::read_to_string(&information).unwrap().contains("com.example.x"));
        assert_eq!(names(), [second, "示例 Sample.app".to_owned()]);
    }

    #[test]
    fn an_uninstall_leaves_a_link_that_is_another_homes_by_now() {
        let user = user();
        let own = wanted(&entry(), &user.home, &user.folders);
        put(&own);
        shortcut::tests::record(&user.home, &own);
        let theirs =
            link_file::tests::written("D:\\other\\Sample.exe", "run", "D:\\other\\icon.ico");
        fs::write(&own[1].path, theirs).unwrap();
        shortcut::remove(&user.home, Some(&user.folders), SYSTEM).unwrap();
        assert!(own[1].path.exists() && !own[2].path.exists());
    }
}
