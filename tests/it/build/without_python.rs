//! Apps with another runtime than this machine's Python.

use super::*;

/// A distribution for another system, as folder and as archives: the builder finds everything in
/// its files.
#[test]
fn a_package_for_windows_from_an_embeddable_distribution() {
    let folder = tempfile::tempdir().unwrap();
    let app = sample(folder.path());
    fs::copy(
        concat!(env!("CARGO_MANIFEST_DIR"), "/assets/icons/launcher.png"),
        app.join("logo.png"),
    )
    .unwrap();
    let distribution = folder.path().join("embeddable");
    let site = "Lib/site-packages";
    for (path, content) in [
        ("python.exe", &b"MZ"[..]),
        ("pythonw.exe", b"MZ"),
        ("python311.dll", b"MZ\x003.11.9\x00"),
        ("python311._pth", b"python311.zip\r\n.\r\n"),
        ("Lib/test/big.py", b""),
        ("Lib/os.py", b""),
        (
            &format!("{site}/PyQt5_Qt5-5.15.2.dist-info/METADATA"),
            b"Name: PyQt5-Qt5\nVersion: 5.15.2\n",
        ),
        (&format!("{site}/PyQt5/Qt5/plugins/platforms/qwindows.dll"), b"MZ"),
        (&format!("{site}/pkg/tests/__init__.py"), b""),
    ] {
        let path = distribution.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let zip = folder.path().join("embeddable.zip");
    let mut writer = zip::ZipWriter::new(File::create(&zip).unwrap());
    let tar = folder.path().join("embeddable.tar.gz");
    let encoder =
        flate2::write::GzEncoder::new(File::create(&tar).unwrap(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(encoder);
    archive.append_dir_all("python/install", &distribution).unwrap();
    archive.into_inner().unwrap().finish().unwrap();
    for entry in walkdir::WalkDir::new(&distribution)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
    {
        let name = entry.path().strip_prefix(&distribution).unwrap().to_str().unwrap().to_owned();
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, &fs::read(entry.path()).unwrap()).unwrap();
    }
    writer.finish().unwrap();

    let mut request = request(&app);
    request.platform = "Windows_AMD64".parse().unwrap();
    request.bytecode = false;
    request.icon = Some("logo.png".into());
    let mut hashes = Vec::new();
    for runtime in [Runtime::Folder(distribution), Runtime::Archive(zip), Runtime::Archive(tar)] {
        request.runtime = runtime;
        let built = build_in(&folder.path().join("out"), &request);
        let manifest = &built.package.manifest;
        assert_eq!(manifest.platform_info.python_version.as_deref(), Some("3.11.9"));
        assert_eq!(manifest.platform_info.qt_version.as_deref(), Some("5.15.2"));
        assert_eq!(manifest.dependencies[0].name, "PyQt5-Qt5");
        let info = &manifest.application_info;
        assert_eq!(info.icon.as_ref().unwrap().as_str(), "app/logo.png");
        assert_eq!(info.main_executable.as_str(), "scripts/launch.bat");
        assert_eq!(info.launch.program.as_str(), "runtime/pythonw.exe");
        assert!(
            !info.launch.environment.contains_key("QT_PLUGIN_PATH"),
            "its own Qt finds its plugins by itself"
        );
        for foreign in ["QT_PLUGIN_PATH", "QML2_IMPORT_PATH", "PYTHONHOME"] {
            assert!(info.launch.without.iter().any(|name| name == foreign), "{foreign}");
        }
        assert_eq!(
            info.launch.arguments[..4],
            ["-E", "-s", "-X", "pycache_prefix={container}/temp/pycache"]
        );
        assert!(
            manifest
                .file_manifest
                .contains_key(format!("runtime/{site}/pkg/tests/__init__.py").as_str())
        );
        assert!(!manifest.file_manifest.contains_key("runtime/Lib/test/big.py"));
        hashes.push(built.package.hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "folder and archives make the same package");
}

#[test]
fn an_icon_that_is_an_svg_is_in_the_release_as_a_picture_and_as_a_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("native");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("program"), "#!/bin/sh\n").unwrap();
    let mut request = request(&app);
    request.runtime = Runtime::None;
    request.entry = "exe:program".parse().unwrap();
    request.icon = Some("logo.svg".into());
    let drawing = |inner: &str| {
        let svg =
            format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'>{inner}</svg>");
        fs::write(app.join("logo.svg"), svg).unwrap();
    };
    drawing("<circle cx='4' cy='4' r='4'/>");
    let [one, two] = ["one", "two"].map(|out| build_in(&folder.path().join(out), &request));
    assert_eq!(one.package.hash, two.package.hash, "drawn the same way each time");
    let files = &one.package.manifest.file_manifest;
    assert_eq!(
        one.package.manifest.application_info.icon.as_ref().unwrap().as_str(),
        "metadata/icon.png"
    );
    for place in ["metadata/icon.png", "metadata/icon.svg", "app/logo.svg"] {
        assert!(files.contains_key(place), "{place}");
    }
    drawing("<circle cx='4' cy='4' r='4'/><text>A</text>");
    let built = build_in(&folder.path().join("three"), &request);
    let warnings = &built.report.warnings;
    assert!(warnings.iter().any(|it| it.contains("logo.svg contains text, which")), "{warnings:?}");
    let files = &built.package.manifest.file_manifest;
    assert!(files.contains_key("metadata/icon.png") && !files.contains_key("metadata/icon.svg"));
}

#[test]
fn an_app_without_python_brings_its_own_program() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("native");
    fs::create_dir_all(app.join("bin")).unwrap();
    // The file is not executable here, as after a checkout on Windows; in the container it is.
    fs::write(
        app.join("bin/program"),
        "#!/bin/sh\nprintf '%s|' \"$KUZFLOW_VERSION\" \"$@\"\nexit 7\n",
    )
    .unwrap();
    let mut request = request(&app);
    request.runtime = Runtime::None;
    request.entry = "exe:bin/program".parse().unwrap();
    // Windows runs no file of this name, and the build refuses it there.
    request.migrate = cfg!(unix).then(|| app.join("bin/program"));
    let built = build_in(&folder.path().join("out"), &request);
    let root = folder.path().join("in stalled");
    install(&built, &root);
    // The file has the name that the launcher looks for, and is executable.
    #[cfg(unix)]
    assert_eq!(Command::new(root.join("scripts/migrate")).status().unwrap().code(), Some(7));
    #[cfg(unix)]
    for mut command in [
        launched(&built.package.manifest.application_info.launch, &root),
        Command::new(root.join("scripts/launch.sh")),
    ] {
        let output = command.args(["a b", "c"]).output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"1.2.3|a b|c|"[..]));
    }
    assert_eq!(built.package.manifest.platform_info.python_version, None);
}
