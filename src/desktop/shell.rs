//! Windows' own calls: the shell makes links (by COM, so that any name in any language works), and
//! the registry holds file types.

use std::path::Path;

use windows::Win32::System::Com::{
    CLSCTX_INPROC_SERVER, COINIT_APARTMENTTHREADED, CoCreateInstance, CoInitializeEx, IPersistFile,
};
use windows::Win32::UI::Shell::{
    IShellLinkW, SHCNE_ASSOCCHANGED, SHCNF_IDLIST, SHChangeNotify, ShellLink,
};
use windows::core::{HSTRING, Interface as _};
use windows_registry::{CURRENT_USER, Key, LOCAL_MACHINE};

use super::DesktopError;
use super::windows::{ClassValue, FileClass, Link, Listed};
use crate::threads;

const CLASSES: &str = "Software\\Classes";
/// Where Windows keeps which links of the Startup folder the user has switched off.
const STARTUP_APPS: &str =
    "Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\StartupApproved\\StartupFolder";

/// Where Windows keeps the list of installed programs.
const PROGRAMS: &str = "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall";

fn refused(action: &'static str) -> impl Fn(windows::core::Error) -> DesktopError {
    move |error| DesktopError::System { action, source: error.into() }
}

/// Writes `link` as a `.lnk` file at `path`. It uses a new thread, since the caller's thread may
/// have initialised COM in another mode.
pub(super) fn write_link(path: &Path, link: &Link) -> Result<(), DesktopError> {
    let (path, link) = (path.to_owned(), link.clone());
    let make = move || make_link(&path, &link).map_err(refused("make a link"));
    let made = threads::spawn("link", make);
    let made = made
        .map_err(|source| DesktopError::System { action: "make a link", source: source.into() })?;
    made.join().unwrap_or_else(|_| {
        Err(DesktopError::System {
            action: "make a link",
            source: "the thread that makes it has panicked".into(),
        })
    })
}

#[allow(unsafe_code)]
fn make_link(path: &Path, link: &Link) -> windows::core::Result<()> {
    // SAFETY: all pointers are to strings that live through their call; the objects are
    // reference-counted by their wrappers. COM need not be closed: the thread ends after this.
    unsafe {
        CoInitializeEx(None, COINIT_APARTMENTTHREADED).ok()?;
        let shell: IShellLinkW = CoCreateInstance(&ShellLink, None, CLSCTX_INPROC_SERVER)?;
        shell.SetPath(&HSTRING::from(link.target.as_path()))?;
        shell.SetArguments(&HSTRING::from(link.arguments.as_str()))?;
        shell.SetWorkingDirectory(&HSTRING::from(link.folder.as_path()))?;
        shell.SetDescription(&HSTRING::from(link.description.as_str()))?;
        shell.SetIconLocation(&HSTRING::from(link.icon.as_path()), 0)?;
        let file: IPersistFile = shell.cast()?;
        file.Save(&HSTRING::from(path), true)
    }
}

/// Sets these values of the user's classes.
pub(super) fn associate(values: &[ClassValue]) -> Result<(), DesktopError> {
    let set = || {
        for ClassValue { key, name, value, is_for_unclaimed } in values {
            if *is_for_unclaimed && is_claimed(key) {
                continue;
            }
            CURRENT_USER.create(format!("{CLASSES}\\{key}"))?.set_string(name, value)?;
        }
        Ok(())
    };
    set().map_err(refused("set a kind of file"))?;
    classes_changed();
    Ok(())
}

/// The entry of this link in Windows' list of startup apps. Without one Windows starts the link.
pub(super) fn startup_entry(link: &str) -> Option<Vec<u8>> {
    let entry = CURRENT_USER.open(STARTUP_APPS).and_then(|key| key.get_value(link));
    entry.ok().map(|value| value.to_vec())
}

/// What the list of installed programs has of an app: for this user, and for all.
pub(super) fn listed(app: &str) -> Vec<Listed> {
    let read = |is_for_all: bool| {
        let root = if is_for_all { LOCAL_MACHINE } else { CURRENT_USER };
        let key = root.open(format!("{PROGRAMS}\\{app}")).ok()?;
        let value = |name: &str| key.get_string(name).ok();
        let (version, folder) = (value("DisplayVersion")?, value("InstallLocation")?);
        Some(Listed { is_for_all, version, folder })
    };
    [false, true].into_iter().filter_map(read).collect()
}

/// Writes the version and the size of an entry that is there. The size is asked for once it is sure
/// that the entry may be written.
pub(super) fn renew_listed(
    app: &str,
    listed: &Listed,
    version: &str,
    kilobytes: impl FnOnce() -> u32,
) -> Result<(), DesktopError> {
    let root = if listed.is_for_all { LOCAL_MACHINE } else { CURRENT_USER };
    let write = || {
        let key = root.options().read().write().open(format!("{PROGRAMS}\\{app}"))?;
        key.set_u32("EstimatedSize", kilobytes())?;
        key.set_string("DisplayVersion", version)
    };
    write().map_err(refused("renew the entry in the list of programs"))
}

/// Whether a program has set the default value of a class, for this user or for all.
fn is_claimed(key: &str) -> bool {
    let has_value = |root: &Key| {
        let value = root.open(format!("{CLASSES}\\{key}")).and_then(|key| key.get_string(""));
        value.is_ok_and(|value| !value.is_empty())
    };
    has_value(CURRENT_USER) || has_value(LOCAL_MACHINE)
}

/// Removes a class, and its association with the files of its extension. What other programs have
/// set for this extension stays.
pub(super) fn dissociate(file_class: &FileClass) -> Result<(), DesktopError> {
    let FileClass { extension, class } = file_class;
    let classes = CURRENT_USER.create(CLASSES).map_err(refused("open the kinds of files"))?;
    // A missing key needs no removal.
    let _ = classes.remove_tree(class);
    let open = |key: &str| classes.options().read().write().open(key);
    if let Ok(openers) = open(&format!(".{extension}\\OpenWithProgids")) {
        let _ = openers.remove_value(class);
    }
    if let Ok(key) = open(&format!(".{extension}"))
        && key.get_string("").is_ok_and(|usual| usual == *class)
    {
        let _ = key.remove_value("");
    }
    classes_changed();
    Ok(())
}

/// Makes the shell show the new icons and programs at once.
fn classes_changed() {
    // SAFETY: with these values the call takes no pointer.
    #[allow(unsafe_code)]
    unsafe {
        SHChangeNotify(SHCNE_ASSOCCHANGED, SHCNF_IDLIST, None, None);
    }
}
