//! `packaging/ci/release.sh`, which publishers copy: one call from the app's folder to the page, and
//! the same call again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use kuzflow::testing::model::Platform;

#[test]
fn one_call_builds_publishes_packages_and_uploads_and_a_second_one_changes_nothing() {
    let folder = tempfile::Builder::new().prefix("kuzflow 测试 ").tempdir().unwrap();
    let app = folder.path().join("my-app");
    fs::create_dir(&app).unwrap();
    fs::write(app.join("run"), "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(app.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_kuzflow"));
    let init = Command::new(program).arg("init").current_dir(&app).output().unwrap();
    assert!(init.status.success());

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/ci/release.sh");
    let search = std::env::var_os("PATH").unwrap();
    let search = std::env::split_paths(&search).collect::<Vec<_>>();
    let search = std::iter::once(program.parent().unwrap().to_owned()).chain(search);
    let search = std::env::join_paths(search).unwrap();
    let upload = folder.path().join("server");
    fs::create_dir_all(upload.join("repository/metadata")).unwrap();
    let has_rsync = Command::new("rsync").arg("--version").output().is_ok();
    let release = |version: &str| {
        let mut command = Command::new("bash");
        command.arg(&script).arg(version).current_dir(&app).env("PATH", &search);
        command.env("KUZFLOW_LAUNCHERS", format!("{}=/bin/true", Platform::current()));
        if has_rsync {
            command.env("KUZFLOW_UPLOAD", &upload);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    release("v1.0.0");
    release("v1.0.0");
    let folder = if has_rsync { upload.join("download") } else { app.join("kuzflow/installers") };
    for kind in ["online", "with-release"] {
        let page = fs::read_to_string(folder.join(kind).join("index.html")).unwrap();
        assert!(page.contains("my-app_1.0.0_amd64.deb") || !cfg!(target_arch = "x86_64"), "{page}");
    }
    if has_rsync {
        assert!(upload.join("repository/metadata/timestamp.json").is_file());
        assert!(!upload.join("download/online/.kuzflow").exists());
    }
}
