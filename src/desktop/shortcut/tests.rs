//! Tests of `desktop::shortcut` in the folders of an invented user.

use super::*;
use crate::desktop::{Document, icon, link_file};
use crate::model::document_type::DocumentType;

const ICON: &[u8] = include_bytes!("../../../assets/icons/launcher.png");

pub(crate) fn entry() -> Entry {
    Entry {
        id: "kuzflow-sample".to_owned(),
        name: "示例 Sample".to_owned(),
        comments: vec![
            (String::new(), "Starts it".to_owned()),
            ("zh-CN".to_owned(), "启动".to_owned()),
        ],
        bundle_names: vec![
            (String::new(), "Update bundle".to_owned()),
            ("zh-CN".to_owned(), "更新包".to_owned()),
        ],
        actions: Vec::new(),
        keywords: vec!["sample".to_owned()],
        categories: vec!["Utility".to_owned()],
        program: "/opt/app/kuzflow-launcher".into(),
        arguments: Vec::new(),
        window_class: "sample".to_owned(),
        icon: ICON.to_vec(),
        scalable_icon: None,
        documents: Vec::new(),
    }
}

/// A type of documents: these extensions, the app's own or a common one.
pub(crate) fn document(extensions: &[&str], mime: &str, is_own: bool) -> Document {
    let kind = DocumentType {
        extensions: extensions.iter().map(|&extension| extension.to_owned()).collect(),
        names: vec![
            (String::new(), "Label & file".to_owned()),
            ("zh-CN".to_owned(), "标签文件".to_owned()),
        ],
        mime: mime.to_owned(),
        is_own,
        icon: None,
    };
    Document { kind, icon: None }
}

pub(crate) struct User {
    _folder: tempfile::TempDir,
    pub home: Home,
    pub folders: UserFolders,
}

pub(crate) fn user() -> User {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_owned();
    let folders = UserFolders {
        home: root.join("user"),
        data: root.join("user/data"),
        config: root.join("user/config"),
        desktop: Some(root.join("user/桌面")),
    };
    User { home: Home::new(root.join("home")), folders, _folder: folder }
}

fn files(user: &User) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![user.folders.home.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found.retain(|path| {
        !path.to_string_lossy().contains("/mime/") || path.extension().is_some_and(|e| e == "xml")
    });
    found.retain(|path| path.file_name().is_some_and(|name| name != "mimeinfo.cache"));
    found.retain(|path| {
        path.extension().is_some_and(|e| e != "xml") || path.to_string_lossy().contains("packages")
    });
    found.sort();
    found
}

#[test]
fn a_shortcut_is_made_once_and_goes_without_a_trace() {
    let user = user();
    let made = make(&entry(), &user.home, &user.folders, true, System::Freedesktop).unwrap();
    assert_eq!(made.len(), 6, "{made:?}");
    assert!(made.iter().all(|path| path.exists()) && is_made(&user.home));
    assert_eq!(
        make(&entry(), &user.home, &user.folders, true, System::Freedesktop).unwrap(),
        Vec::<PathBuf>::new()
    );
    let foreign = user.folders.data.join("applications/other.desktop");
    std::fs::write(&foreign, "another's").unwrap();
    let removed = remove(&user.home, None, Some(&user.folders), System::Freedesktop).unwrap();
    assert_eq!((removed.len(), files(&user)), (6, vec![foreign]));
    assert!(
        !is_made(&user.home)
            && remove(&user.home, None, None, System::Freedesktop).unwrap().is_empty()
    );
}

#[test]
fn a_refresh_follows_the_app_and_respects_the_user() {
    let user = user();
    let (home, folders) = (&user.home, &user.folders);
    assert!(
        refresh(&entry(), home, folders, System::Freedesktop).unwrap().is_empty(),
        "nobody wanted one"
    );
    make(&entry(), home, folders, true, System::Freedesktop).unwrap();
    assert!(refresh(&entry(), home, folders, System::Freedesktop).unwrap().is_empty());
    let renamed = Entry { name: "New".to_owned(), ..entry() };
    let (menu, desktop) = (
        folders.data.join("applications/kuzflow-sample.desktop"),
        folders.desktop.clone().unwrap(),
    );
    std::fs::remove_file(desktop.join("kuzflow-sample.desktop")).unwrap();
    let written = refresh(&renamed, home, folders, System::Freedesktop).unwrap();
    assert!(
        written.contains(&menu) && std::fs::read_to_string(&menu).unwrap().contains("Name=New\n")
    );
    assert!(!desktop.join("kuzflow-sample.desktop").exists(), "the user threw it away");
    std::fs::write(&menu, "the user's own").unwrap();
    assert!(!refresh(&entry(), home, folders, System::Freedesktop).unwrap().contains(&menu));
    assert_eq!(std::fs::read_to_string(&menu).unwrap(), "the user's own");
    assert!(
        make(&entry(), home, folders, false, System::Freedesktop).unwrap().contains(&menu),
        "asked for, it is made"
    );
    // A smaller icon needs fewer files; the surplus files of the larger one are deleted.
    let small = Entry { icon: icon::for_hicolor(ICON)[0].1.clone(), ..entry() };
    refresh(&small, home, folders, System::Freedesktop).unwrap();
    assert!(!folders.data.join("icons/hicolor/256x256/apps/kuzflow-sample.png").exists());
    assert!(folders.data.join("icons/hicolor/48x48/apps/kuzflow-sample.png").exists());
    // An app that gets a drawing, and loses it again.
    let drawing = folders.data.join("icons/hicolor/scalable/apps/kuzflow-sample.svg");
    let drawn = Entry { scalable_icon: Some(b"<svg/>".to_vec()), ..small.clone() };
    assert!(refresh(&drawn, home, folders, System::Freedesktop).unwrap().contains(&drawing));
    refresh(&small, home, folders, System::Freedesktop).unwrap();
    assert!(!drawing.exists());
}

#[test]
fn a_bundle_of_macos_moves_with_its_name() {
    let user = user();
    make(&entry(), &user.home, &user.folders, false, System::Mac).unwrap();
    let applications = user.folders.home.join("Applications");
    assert!(applications.join("示例 Sample.app/Contents/MacOS/start").exists());
    refresh(&Entry { name: "New".to_owned(), ..entry() }, &user.home, &user.folders, System::Mac)
        .unwrap();
    let names: Vec<_> =
        std::fs::read_dir(&applications).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["New.app"]);
    remove(&user.home, None, Some(&user.folders), System::Mac).unwrap();
    assert_eq!(std::fs::read_dir(&applications).unwrap().count(), 0);
}

#[test]
fn links_of_windows_lie_in_the_menu_and_on_the_desktop() {
    let user = user();
    let all = artifacts(&entry(), &user.home, &user.folders, true, System::Windows).unwrap();
    let kinds: Vec<&str> = all.iter().map(|artifact| artifact.kind.as_str()).collect();
    assert_eq!(kinds, ["icon", "menu", "desktop"]);
    assert!(
        all[2].path.ends_with("示例 Sample.lnk")
            && matches!(all[2].content, ShortcutContent::Link(_))
    );
}

#[test]
fn two_homes_of_an_app_have_two_names() {
    let usual = Path::new("/home/user/.local/share/sample");
    assert_eq!(id("sample", usual, Some(usual)), "kuzflow-sample");
    let other = id("sample", Path::new("/media/stick"), Some(usual));
    assert!(
        other.starts_with("kuzflow-sample-")
            && other != id("sample", Path::new("/media/other"), Some(usual))
    );
}

#[test]
fn the_uninstall_of_one_home_leaves_the_icons_of_the_documents_of_another() {
    let (one, other) = (user(), user());
    let pictured = Document { icon: Some(ICON.to_vec()), ..document(&["lbl"], "text/x-l", true) };
    let common = Document { icon: Some(ICON.to_vec()), ..document(&["txt"], "text/plain", false) };
    let first = Entry { documents: vec![pictured, common], ..entry() };
    let second = Entry { id: "kuzflow-sample-1a2b3c4d".to_owned(), ..first.clone() };
    let (folders, system) = (&one.folders, System::Freedesktop);
    make(&first, &one.home, folders, true, system).unwrap();
    let alone = files(&one);
    let written = make(&second, &other.home, folders, true, system).unwrap();
    assert!(written.iter().any(|path| path.to_string_lossy().contains("/mimetypes/")));
    assert!(written.iter().all(|path| !alone.contains(path)), "{written:?}");
    assert!(!written.iter().any(|path| path.to_string_lossy().contains("plain")));
    remove(&one.home, None, Some(folders), system).unwrap();
    assert!(written.iter().all(|path| path.exists()), "{written:?}");
}

/// What a home has made.
pub(in crate::desktop) fn made(home: &Home) -> Vec<Made> {
    read(home).unwrap().unwrap_or_default().files
}

/// Records that a home has made these files, as they are.
pub(crate) fn record(home: &Home, artifacts: &[Artifact]) {
    let made = artifacts.iter().map(|artifact| Made {
        kind: artifact.kind.clone(),
        path: artifact.path.clone(),
        source: artifact.content.digest(),
        file: digest_of(&artifact.path),
    });
    write(home, &ShortcutRecord { files: made.collect(), ..ShortcutRecord::default() }).unwrap();
}

/// What `make` records on Windows, with files in the place of the links that only Windows writes.
fn made_on_windows(user: &User, entry: &Entry) {
    let wanted = artifacts(entry, &user.home, &user.folders, false, System::Windows).unwrap();
    let made = wanted.into_iter().map(|artifact| {
        std::fs::create_dir_all(artifact.path.parent().unwrap()).unwrap();
        std::fs::write(&artifact.path, "a link").unwrap();
        let (source, file) = (artifact.content.digest(), digest_of(&artifact.path));
        Made { kind: artifact.kind, path: artifact.path, source, file }
    });
    let record = ShortcutRecord { files: made.collect(), ..ShortcutRecord::default() };
    write(&user.home, &record).unwrap();
}

#[test]
fn what_the_registry_holds_of_a_document_is_renewed_when_only_its_name_has_changed() {
    let user = user();
    let named = |name: &str| {
        let mut document = document(&["lbl"], "text/x-l", true);
        document.kind.names = vec![(String::new(), name.to_owned())];
        Entry { documents: vec![document], ..entry() }
    };
    made_on_windows(&user, &named("Label"));
    let renew = |name: &str| {
        let written = refresh(&named(name), &user.home, &user.folders, System::Windows).unwrap();
        !written.is_empty()
    };
    assert!(renew("Label"), "an older launcher has not recorded what it wrote");
    assert!(!renew("Label"), "nothing has changed");
    assert!(renew("Label file") && !renew("Label file"));
    remove(&user.home, None, Some(&user.folders), System::Windows).unwrap();
}

#[test]
#[cfg(unix)]
fn a_list_of_what_was_made_that_cannot_be_read_is_not_taken_for_none() {
    let user = user();
    let system = System::Freedesktop;
    make(&entry(), &user.home, &user.folders, true, system).unwrap();
    let made = files(&user);
    let record = user.home.desktop_record();
    let aside = crate::store::fixture::make_unreadable(&record);
    assert!(is_made(&user.home), "it may be");
    assert!(make(&entry(), &user.home, &user.folders, false, system).is_err());
    assert!(refresh(&entry(), &user.home, &user.folders, system).is_err());
    assert!(remove(&user.home, None, Some(&user.folders), system).is_err(), "the user is told");
    assert_eq!(files(&user), made);
    crate::store::fixture::make_readable(&record, &aside);
    assert!(!remove(&user.home, None, Some(&user.folders), system).unwrap().is_empty());
    assert_eq!(files(&user), [] as [PathBuf; 0]);
}

#[test]
fn an_outdated_link_that_is_another_homes_by_now_stays() {
    let user = user();
    made_on_windows(&user, &entry());
    let before = read(&user.home).unwrap().unwrap();
    let [.., menu] = &before.files[..] else { panic!("{before:?}") };
    let theirs = link_file::tests::written("D:\\other\\Sample.exe", "run", "D:\\other\\icon.ico");
    std::fs::write(&menu.path, theirs).unwrap();
    let changes = Changes {
        to_write: Vec::new(),
        retained: Vec::new(),
        outdated: before.files.clone(),
        desktop: false,
    };
    let (home, folders) = (&user.home, &user.folders);
    changes.carry_out(&entry(), &before, home, folders, System::Windows).unwrap();
    let left: Vec<_> = before.files.iter().filter(|made| made.path.exists()).collect();
    assert_eq!(left, [menu]);
    assert_eq!(made(home), [], "it is not this home's any more");
}
