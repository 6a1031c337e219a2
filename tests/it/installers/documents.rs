//! The app's documents: which types the installers register, and what a double-click on a file
//! brings to the app.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Shop, launcher, mac, small_program, tool, windows};
use crate::support::release::text;
use crate::support::waiting::until;

/// A type of the app's own, and a common one.
const DOCUMENTS: &str = "\n[[app.documents]]\nextensions = [\"lbl\", \"label\"]\n\
    name = { en = \"Label file\", zh-CN = \"标签文件\" }\nicon = \"label.png\"\n\n\
    [[app.documents]]\nextensions = [\"txt\"]\nname = \"Text\"\n";
const OWN_TYPE: &str = "application/x-sample-lbl";
/// An icon, and the name of a document that no program may take apart.
const ICON: &[u8] = include_bytes!("../../../assets/icons/launcher.png");
const NAME: &str = "-my 标签 & 100% $HOME 'x'.lbl";

/// Adds the documents to the publisher's settings.
fn with_documents(shop: &Shop) {
    let path = shop.world.path("publisher/kuzflow.toml");
    let settings = fs::read_to_string(&path).unwrap();
    fs::write(&path, settings + DOCUMENTS).unwrap();
    fs::write(shop.world.path("publisher/label.png"), ICON).unwrap();
}

/// `gio` with the files of `data` as the user's own.
fn gio_command(data: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("gio");
    command.args(arguments).current_dir(home).env("LC_ALL", "C.UTF-8").env("HOME", home);
    command.env("XDG_DATA_HOME", data).env("XDG_CONFIG_HOME", home.join(".config"));
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
        command.env_remove(variable);
    }
    command
}

/// What `gio` answers; `None` without it.
fn gio(data: &Path, home: &Path, arguments: &[&str]) -> Option<String> {
    let output = match gio_command(data, home, arguments).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("not tested: there is no gio on this computer: {error}");
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "gio {arguments:?}: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Starts a menu entry as a file manager does, with a file or without. The app goes on.
fn launch(entry: &Path, file: Option<&Path>, data: &Path, home: &Path) {
    let arguments: Vec<&str> = ["launch", text(entry)].into_iter().chain(file.map(text)).collect();
    let mut command = gio_command(data, home, &arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
}

/// The type that the desktop gives a file of this name.
fn type_of(name: &str, data: &Path, home: &Path) -> Option<String> {
    let file = home.join(name);
    fs::write(&file, "x").unwrap();
    let answer = gio(data, home, &["info", "-a", "standard::content-type", text(&file)])?;
    let line = answer.lines().find(|line| line.contains("standard::content-type")).unwrap();
    Some(line.split_whitespace().last().unwrap().to_owned())
}

#[test]
fn a_package_registers_the_documents_with_the_desktop() {
    let shop = Shop::new();
    with_documents(&shop);
    let deb = shop.installer("deb", small_program(), &[]);
    let place = shop.world.path("unpacked");
    if tool("dpkg-deb", &["--extract", text(&deb), text(&place)]).is_none() {
        return;
    }
    let share = place.join("usr/share");
    let entry = share.join("applications/sample.desktop");
    tool("desktop-file-validate", &["--no-hints", text(&entry)]);
    let entry = fs::read_to_string(entry).unwrap();
    assert!(entry.contains("\nExec=/usr/bin/sample run -- %f\n"), "{entry}");
    assert!(entry.contains(&format!("\nMimeType={OWN_TYPE};text/plain;\n")), "{entry}");
    assert!(
        share.join("icons/hicolor/48x48/mimetypes/sample-application-x-sample-lbl.png").is_file()
    );
    let metainfo = share.join("metainfo/com.example.sample.metainfo.xml");
    tool("appstreamcli", &["validate", "--no-net", text(&metainfo)]);
    let shipped = fs::read_to_string(place.join("usr/lib/sample/launcher.toml")).unwrap();
    assert!(!shipped.contains("documents"), "the package has the entry: {shipped}");
    if tool("update-mime-database", &[text(&share.join("mime"))]).is_none() {
        return;
    }
    let user = shop.user();
    let Some(found) = type_of("some.LABEL", &share, &user) else { return };
    assert_eq!(found, OWN_TYPE);
    assert_eq!(type_of("some.txt", &share, &user).unwrap(), "text/plain");
}

#[test]
fn a_double_click_brings_the_file_to_the_app_also_to_a_second_one_until_it_is_uninstalled() {
    let shop = Shop::new();
    with_documents(&shop);
    // The app writes down what it is given, and stays.
    let orders = "printf '<%s>' \"$#\" \"$@\" >>\"$HOME/given\"; echo >>\"$HOME/given\"; STAY=60\n";
    let files = BTreeMap::from([("orders", orders.as_bytes().to_vec())]);
    let package = shop.world.build("1.1.0", &files);
    shop.world.publish(&package, &["--no-patches"]);
    let run = shop.installer("run", launcher(), &[]);
    let output = shop.as_user("sh", &[text(&run)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let user = shop.user();
    let data = user.join(".local/share");
    let place = user.join(".local/lib/sample");
    assert!(place.join("document-lbl.png").is_file());
    assert!(
        data.join("icons/hicolor/48x48/mimetypes/kuzflow-sample-application-x-sample-lbl.png")
            .is_file()
    );
    let given = || fs::read_to_string(user.join("given")).unwrap_or_default();
    let update = shop.as_user(user.join(".local/bin/sample"), &["--headless", "update"]);
    assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));

    let documents = user.join("my 文档");
    fs::create_dir_all(&documents).unwrap();
    let Some(found) = type_of(NAME, &data, &documents) else { return };
    assert_eq!(found, OWN_TYPE);
    let opener = gio(&data, &user, &["mime", OWN_TYPE]).unwrap();
    assert!(
        opener
            .contains("Default application for “application/x-sample-lbl”: kuzflow-sample.desktop"),
        "{opener}"
    );
    let entry = data.join("applications/kuzflow-sample.desktop");
    let file = documents.join(NAME);
    launch(&entry, Some(&file), &data, &user);
    let line = format!("<1><{}>\n", file.display());
    until("the app has the file", || given() == line);
    // While it runs, the next file goes to a second start of the app.
    launch(&entry, Some(&file), &data, &user);
    until("the second one has it as well", || given() == line.repeat(2));
    launch(&entry, None, &data, &user);
    until("a start without a file", || given() == line.repeat(2) + "<0>\n");

    shop.world.end_apps();
    crate::support::processes::ask_apps_to_end(&user.join(".local/share/kuzflow/sample"));
    let removed = shop.as_user(place.join("uninstall"), &[]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    let opener = gio(&data, &user, &["mime", OWN_TYPE]).unwrap();
    assert!(!opener.contains("kuzflow-sample.desktop"), "{opener}");
    assert_ne!(type_of("other.lbl", &data, &documents).unwrap(), OWN_TYPE);
    assert!(
        !data
            .join("icons/hicolor/48x48/mimetypes/kuzflow-sample-application-x-sample-lbl.png")
            .exists()
    );
}

#[test]
fn a_document_type_that_cannot_be_used_is_named_before_anything_is_written() {
    let shop = Shop::new();
    let path = shop.world.path("publisher/kuzflow.toml");
    let settings = fs::read_to_string(&path).unwrap();
    let wrong = "\n[[app.documents]]\nextensions = [\".lbl\"]\nname = \"Label\"\n";
    fs::write(&path, settings + wrong).unwrap();
    let folder = shop.world.path("publisher");
    for verb in ["package", "refresh"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        let output = command.args([verb, "--repo", text(&folder)]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{verb}");
        assert!(errors.contains("[[app.documents]]: write the extension"), "{verb}: {errors}");
    }
    assert!(!folder.join("installers").exists());
}

#[test]
fn the_bundle_of_macos_declares_the_documents() {
    let (shop, launchers) = mac::shop();
    with_documents(&shop);
    let made = mac::package(&shop, &launchers[..1], "app", &[]);
    let script = "import zipfile, plistlib, json, sys\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        p = plistlib.loads(z.read('示例 Sample.app/Contents/Info.plist'))\n\
        print(json.dumps([p, z.namelist()]))";
    let Some(printed) = tool("python3", &["-c", script, text(&made[0])]) else { return };
    let found: Value = serde_json::from_str(&printed).unwrap();
    let (own, common) =
        (&found[0]["CFBundleDocumentTypes"][0], &found[0]["CFBundleDocumentTypes"][1]);
    assert_eq!(own["LSItemContentTypes"][0], "com.example.sample.lbl");
    assert_eq!(
        (&own["LSHandlerRank"], &own["CFBundleTypeName"]),
        (&"Owner".into(), &"Label file".into())
    );
    assert_eq!(common["LSHandlerRank"], "Alternate");
    assert_eq!(common["CFBundleTypeExtensions"], serde_json::json!(["txt"]));
    let defined = found[0]["UTExportedTypeDeclarations"].as_array().unwrap();
    assert_eq!(defined.len(), 1, "a common type is not defined anew");
    let tags = &defined[0]["UTTypeTagSpecification"];
    assert_eq!(tags["public.filename-extension"], serde_json::json!(["lbl", "label"]));
    assert_eq!(tags["public.mime-type"], serde_json::json!([OWN_TYPE]));
    let icon = format!("{}.icns", defined[0]["UTTypeIconFile"].as_str().unwrap());
    let path = format!("示例 Sample.app/Contents/Resources/{icon}");
    assert!(found[1].as_array().unwrap().contains(&path.into()), "{found}");
}

#[test]
fn windows_learns_of_the_documents_and_forgets_them_with_the_app() {
    let Some((shop, launcher)) = windows::shop() else { return };
    let Some(computer) = windows::Windows::new() else { return };
    with_documents(&shop);
    let setup = windows::package(&shop, &launcher, "setup", &[]).remove(0);
    let install = |setup: &Path| computer.run(setup, &["/S", r"/D=C:\Apps\Sample"]);
    let value =
        |key: &str, name: &str| computer.value(&format!(r"HKCU\Software\Classes\{key}"), name);
    // Another program opens files of one of the extensions.
    let other = ["reg", "add", r"HKCU\Software\Classes\.label", "/ve", "/d", "other.label", "/f"];
    assert!(computer.command("wine").args(other).status().unwrap().success());
    assert_eq!(install(&setup), 0);
    assert_eq!(value(".lbl", "").as_deref(), Some("sample.lbl"));
    assert_eq!(value(".label", "").as_deref(), Some("other.label"));
    assert_eq!(value(r".label\OpenWithProgids", "sample.label").as_deref(), Some(""));
    assert_eq!(value(r".txt\OpenWithProgids", "sample.txt").as_deref(), Some(""));
    assert_eq!(value(".txt", ""), None, "the app is only offered for a common type");
    assert_eq!(value("sample.lbl", "").as_deref(), Some("Label file"));
    let icon = value(r"sample.lbl\DefaultIcon", "");
    assert_eq!(icon.as_deref(), Some(r"C:\Apps\Sample\document-lbl.ico"));
    assert!(computer.path("Apps/Sample/document-lbl.ico").is_file());

    // A later release opens other documents.
    let settings = shop.world.path("publisher/kuzflow.toml");
    let changed = fs::read_to_string(&settings).unwrap().replace("\"lbl\", \"label\"", "\"tag\"");
    fs::write(&settings, changed).unwrap();
    assert_eq!(install(&windows::package(&shop, &launcher, "setup", &[]).remove(0)), 0);
    assert_eq!((value(".lbl", ""), value("sample.lbl", "")), (None, None));
    assert_eq!(value(".label", "").as_deref(), Some("other.label"));
    assert_eq!(value(r".label\OpenWithProgids", "sample.label"), None);
    assert_eq!(value(".tag", "").as_deref(), Some("sample.tag"));

    let uninstall = ["/S", r"_?=C:\Apps\Sample"];
    assert_eq!(computer.run(&computer.path("Apps/Sample/uninstall.exe"), &uninstall), 0);
    for key in [".tag", "sample.tag", "sample.txt"] {
        assert_eq!(value(key, ""), None, "{key}");
    }
    assert_eq!(value(r".txt\OpenWithProgids", "sample.txt"), None);
    assert_eq!(value(".label", "").as_deref(), Some("other.label"));
}

#[test]
fn a_double_click_on_windows_brings_the_file_to_the_app() {
    let Some((shop, launcher)) = windows::shop() else { return };
    let Some(computer) = windows::Windows::new() else { return };
    with_documents(&shop);
    let setup = windows::package(&shop, &launcher, "setup", &[]).remove(0);
    // Wine's shell reads the types of all users only.
    assert_eq!(computer.run(&setup, &["/S", "/AllUsers", r"/D=C:\Apps\Sample"]), 0);
    let folder = computer.path("my 文档");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("-my 标签 & 100%.lbl"), "x").unwrap();
    let file = r"C:\my 文档\-my 标签 & 100%.lbl";
    let started = computer.command("wine").args(["start", "/wait", file]).status().unwrap();
    assert!(started.success());
    let opened = fs::read(computer.path("Apps/opened.txt")).unwrap();
    let opened: Vec<u16> =
        opened.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]])).collect();
    assert_eq!(String::from_utf16(&opened).unwrap().trim(), format!("run -- \"{file}\""));

    let uninstall = ["/S", r"_?=C:\Apps\Sample"];
    assert_eq!(computer.run(&computer.path("Apps/Sample/uninstall.exe"), &uninstall), 0);
    assert_eq!(computer.value(r"HKLM\Software\Classes\.lbl", ""), None);
}
