//! The builder as a publisher uses it: a sample app with this machine's Python, started from a
//! difficult path.

mod errors;
mod without_python;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use kuzflow::testing::container;
use kuzflow::testing::model::Version;
use kuzflow::testing::model::manifest::Launch;
use kuzflow::testing::publish::bundling::{self, BuildError, BuildRequest, Built, Runtime};
use kuzflow::testing::publish::package::Effort;

/// The sample app prints how it was started, and ends with the requested exit code.
const APP: &str = r#"
import json, os, sys
import helper
names = ["KUZFLOW_HOME", "KUZFLOW_VERSION", "PYTHONPATH", "PYTHONHOME"]
print(json.dumps({
    "arguments": sys.argv[1:],
    "folder": os.getcwd(),
    "environment": {name: os.environ.get(name) for name in names},
    "program": sys.executable,
    "standard_library": os.__file__,
    "helper": helper.__cached__,
    "helper_code": helper.where.__code__.co_filename,
    "modules": [__import__(name).__name__ for name in ("ssl", "sqlite3", "ctypes", "zlib", "asyncio")],
}))
sys.exit(7)
"#;

fn sample(folder: &Path) -> PathBuf {
    let app = folder.join("source");
    fs::create_dir_all(app.join("数据")).unwrap();
    fs::write(app.join("app.py"), APP).unwrap();
    fs::write(app.join("helper.py"), "def where():\n    return __file__\n").unwrap();
    fs::write(app.join("数据/文 件.txt"), "内容").unwrap();
    fs::write(app.join("left.log"), "not shipped").unwrap();
    fs::create_dir_all(app.join("__pycache__")).unwrap();
    fs::write(app.join("__pycache__/helper.cpython-311.pyc"), "stale").unwrap();
    app
}

fn request(app: &Path) -> BuildRequest {
    let entry = "app.py".parse().unwrap();
    let mut request =
        BuildRequest::new(app, "sample".parse().unwrap(), Version::new(1, 2, 3), entry);
    request.exclude = vec!["*.log".to_owned()];
    request.effort = Effort { level: 1, threads: 2 };
    request
}

/// Whether this machine's Python lacks a feature; CI's must have it.
pub(crate) fn is_missing(arguments: &[&str]) -> bool {
    let missing = !Command::new("python3")
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(!missing || std::env::var_os("CI").is_none(), "python3 {arguments:?} does not work");
    if missing {
        eprintln!("passed over: python3 {arguments:?} does not work");
    }
    missing
}

pub(crate) fn python_is_missing() -> bool {
    is_missing(&["--version"])
}

fn build_in(folder: &Path, request: &BuildRequest) -> Built {
    fs::create_dir_all(folder).unwrap();
    bundling::build(request, folder, &|_| ()).unwrap()
}

fn install(built: &Built, root: &Path) {
    let manifest = Arc::new(built.package.manifest.clone());
    let json = manifest.to_json().unwrap();
    container::unpack_package(
        &File::open(&built.path).unwrap(),
        manifest,
        &built.package.index,
        &json,
        root.to_path_buf(),
        2,
        &|_| (),
    )
    .unwrap();
}

/// The process that a launch describes, as the launcher makes it.
fn launched(launch: &Launch, root: &Path) -> Command {
    let place = |text: &str| text.replace("{container}", root.to_str().unwrap());
    let mut command = Command::new(launch.program.under(root));
    command
        .args(launch.arguments.iter().map(|argument| place(argument)))
        .current_dir(launch.working_folder.under(root));
    command.envs(launch.environment.iter().map(|(name, value)| (name, place(value))));
    for (name, folders) in &launch.prepend {
        let old = std::env::var_os(name).filter(|value| !value.is_empty());
        let paths = folders.iter().map(|folder| folder.under(root));
        let paths = paths.chain(old.iter().flat_map(std::env::split_paths));
        command.env(name, std::env::join_paths(paths).unwrap());
    }
    for (name, folders) in &launch.append {
        let old = std::env::var_os(name).filter(|value| !value.is_empty());
        let paths = old
            .iter()
            .flat_map(std::env::split_paths)
            .chain(folders.iter().map(|folder| folder.under(root)));
        command.env(name, std::env::join_paths(paths).unwrap());
    }
    for name in launch.without.iter().filter(|name| !launch.environment.contains_key(*name)) {
        command.env_remove(name);
    }
    command
}

fn reported(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

const ARGUMENTS: [&str; 6] = ["a b", "\"quoted\"", "it's", "", "$HOME `x`", "中文 !"];

#[cfg(unix)]
#[test]
fn a_built_app_starts_from_anywhere_both_ways() {
    use std::sync::atomic::{AtomicU64, Ordering};

    use kuzflow::testing::model::Platform;
    use kuzflow::testing::model::manifest::FOLDERS;

    if python_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bytes = AtomicU64::new(0);
    let request = request(&sample(folder.path()));
    let built = bundling::build(&request, folder.path(), &|progress| {
        bytes.fetch_max(progress.done, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(
        built.path.file_name().unwrap().to_str().unwrap(),
        format!("sample_1.2.3_{}.kuzflow", Platform::current())
    );
    assert_eq!(bytes.into_inner(), built.report.unpacked_size);
    assert_eq!(
        kuzflow::testing::publish::package::inspect(&built.path, 2).unwrap().hash,
        built.package.hash
    );

    // The container moves to another place, and the folder of its build no longer exists.
    fs::remove_dir_all(&request.app).unwrap();
    let root = fs::canonicalize(folder.path()).unwrap().join("my apps/中文 $HOME \"x\" 'y'");
    install(&built, &root);
    for (name, description) in FOLDERS {
        assert_eq!(
            fs::read_to_string(root.join(name).join(".description")).unwrap().trim(),
            description
        );
    }
    assert_eq!(fs::read_to_string(root.join("app/数据/文 件.txt")).unwrap(), "内容");
    assert!(!root.join("app/left.log").exists());

    let link = folder.path().join("start it");
    std::os::unix::fs::symlink(root.join("scripts/launch.sh"), &link).unwrap();
    let launch = &built.package.manifest.application_info.launch;
    let script = built.package.manifest.application_info.main_executable.under(&root);
    for (start, mut command) in [
        ("launch", launched(launch, &root)),
        ("script", Command::new(script)),
        ("link", Command::new(&link)),
    ] {
        let output = command.args(ARGUMENTS).output().unwrap();
        let reported = reported(&output);
        assert_eq!(reported["arguments"], serde_json::json!(ARGUMENTS), "{start}");
        assert_eq!(
            reported["folder"].as_str().unwrap(),
            root.join("app").to_str().unwrap(),
            "{start}"
        );
        assert_eq!(
            reported["environment"]["KUZFLOW_HOME"].as_str().unwrap(),
            root.to_str().unwrap(),
            "{start}"
        );
        assert_eq!(reported["environment"]["KUZFLOW_VERSION"], "1.2.3", "{start}");
        assert!(
            reported["environment"]["PYTHONPATH"].is_null()
                && reported["environment"]["PYTHONHOME"].is_null(),
            "{start}: {reported}"
        );
        assert!(
            Path::new(reported["program"].as_str().unwrap()).starts_with(&root),
            "{start}: {reported}"
        );
        assert!(
            Path::new(reported["standard_library"].as_str().unwrap()).starts_with(&root),
            "{start}: {reported}"
        );
        // Python used the bytecode of the package, which still names the source at its new place.
        assert!(Path::new(reported["helper"].as_str().unwrap()).is_file(), "{start}: {reported}");
        assert_eq!(
            reported["helper_code"].as_str().unwrap(),
            root.join("app/helper.py").to_str().unwrap(),
            "{start}"
        );
    }
    let verification = container::verify_tree(&root, &built.package.manifest, 2, &|_| ());
    assert!(
        verification.is_whole() && verification.extra.is_empty(),
        "running the app changed it: {verification:?}"
    );
    let version = built.package.manifest.platform_info.python_version.clone().unwrap();
    let host = Command::new("python3").arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&host.stdout).trim(), format!("Python {version}"));
}

/// Prints where modules come from: in the app, in a helper that the app starts elsewhere with its
/// own Python, and the environment of other programs.
#[cfg(unix)]
const LOOKS: &str = r#"
import json, os, subprocess, sys
import helper
code = "import json, helper, sys; print(json.__file__); print(helper.__file__); print(sys.prefix)"
own = subprocess.run([sys.executable, "-c", code], cwd="/", stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
others = dict(line.split("=", 1) for line in subprocess.check_output(["/usr/bin/env"]).decode().splitlines() if "=" in line)
print(json.dumps({"json": json.__file__, "helper": helper.__file__, "own": own, "others": others, "path": sys.path}))
sys.exit(7)
"#;

#[cfg(unix)]
#[test]
fn the_session_does_not_reach_the_containers_python_nor_that_python_other_programs() {
    if python_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let app = sample(folder.path());
    fs::write(app.join("app.py"), LOOKS).unwrap();
    fs::create_dir_all(app.join("deep")).unwrap();
    fs::write(app.join("deep/app.py"), LOOKS).unwrap();
    fs::write(app.join("deep/__init__.py"), "").unwrap();
    fs::write(app.join("deep/run.py"), format!("def main():\n{}", LOOKS.replace('\n', "\n    ")))
        .unwrap();
    let other = folder.path().join("another Python");
    fs::create_dir_all(&other).unwrap();
    for module in ["json", "helper", "sitecustomize", "usercustomize"] {
        fs::write(
            other.join(format!("{module}.py")),
            "raise SystemExit('a module of another Python')\n",
        )
        .unwrap();
    }
    let session = |command: &mut Command, launch: &Launch| {
        command.env("PYTHONPATH", &other).env("KUZFLOW_ORIGINAL_PYTHONPATH", &other);
        for (name, value) in [
            ("PYTHONHOME", "/nowhere"),
            ("PYTHONPLATLIBDIR", "lib64"),
            ("PYTHONSAFEPATH", "1"),
            ("PYTHONWARNINGS", "error"),
            ("PYTHONINSPECT", "1"),
            ("PYTHONUSERBASE", other.to_str().unwrap()),
        ] {
            // The launcher does the same.
            if !launch.without.iter().any(|without| without == name) {
                command.env(name, value);
            }
        }
    };
    for (index, entry) in
        ["app.py", "deep/app.py", "module:deep.app", "module:deep.run:main"].into_iter().enumerate()
    {
        let mut request = request(&app);
        request.entry = entry.parse().unwrap();
        request.bytecode = index % 2 == 0;
        let built = build_in(&folder.path().join("out"), &request);
        let root = fs::canonicalize(folder.path()).unwrap().join(format!("installed {index}"));
        install(&built, &root);
        let launch = &built.package.manifest.application_info.launch;
        let mut command = launched(launch, &root);
        session(&mut command, launch);
        let mut script =
            Command::new(built.package.manifest.application_info.main_executable.under(&root));
        // The script removes the variables by itself.
        session(&mut script, &Launch { without: Vec::new(), ..launch.clone() });
        for mut command in [command, script] {
            let output = command.output().unwrap();
            let reported = reported(&output);
            let inside =
                |place: &serde_json::Value| Path::new(place.as_str().unwrap()).starts_with(&root);
            assert!(
                inside(&reported["json"]) && inside(&reported["helper"]),
                "{entry}: {reported}"
            );
            assert!(reported["own"].as_array().unwrap().iter().all(inside), "{entry}: {reported}");
            let others = reported["others"].as_object().unwrap();
            for (name, value) in others
                .iter()
                .filter(|(name, _)| !["KUZFLOW_HOME", "PWD", "OLDPWD"].contains(&name.as_str()))
            {
                let first = value.as_str().unwrap().split(':').next().unwrap();
                assert!(
                    !Path::new(first).starts_with(&root),
                    "{entry}: other programs see {name}={value}"
                );
            }
            assert_eq!(
                others["PYTHONPATH"],
                other.to_str().unwrap(),
                "{entry}: what the user has set is still there"
            );
        }
        let verification = container::verify_tree(&root, &built.package.manifest, 2, &|_| ());
        assert!(
            verification.is_whole() && verification.extra.is_empty(),
            "{entry}: it changed: {verification:?}"
        );
    }
}

#[test]
fn the_same_inputs_make_the_same_package() {
    if python_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut hashes = Vec::new();
    for (name, threads) in [("one", 1), ("a much longer name, two", 2)] {
        let place = folder.path().join(name);
        let app = sample(&place);
        // Another time and other permissions for the group.
        File::options()
            .append(true)
            .open(app.join("app.py"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH)
            .unwrap();
        #[cfg(unix)]
        if threads == 2 {
            fs::set_permissions(
                app.join("app.py"),
                std::os::unix::fs::PermissionsExt::from_mode(0o660),
            )
            .unwrap();
        }
        let mut request = request(&app);
        request.effort.threads = threads;
        let built = build_in(&place, &request);
        let manifest = &built.package.manifest;
        assert_eq!(manifest.container_info.build_date.to_string(), "1980-01-01T00:00:00Z");
        let text = String::from_utf8(manifest.to_json().unwrap()).unwrap();
        assert!(!text.contains(place.to_str().unwrap()));
        hashes.push((manifest.file_manifest.clone(), built.package.hash));
    }
    for (path, entry) in &hashes[0].0 {
        assert_eq!(Some(entry), hashes[1].0.get(path), "{path}");
    }
    assert_eq!(hashes[0].1, hashes[1].1);
}

/// The test makes a wheel here and fetches nothing: the wheel is installed, listed, and has no
/// trace of this machine.
#[test]
fn requirements_are_installed_and_listed() {
    if is_missing(&["-m", "pip", "--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("tiny_package-2.5-py3-none-any.whl");
    let mut writer = zip::ZipWriter::new(File::create(&wheel).unwrap());
    let record = "tiny_package/__init__.py,,\ntiny_package-2.5.dist-info/METADATA,,\ntiny_package-2.5.dist-info/WHEEL,,\n\
        tiny_package-2.5.dist-info/entry_points.txt,,\ntiny_package-2.5.dist-info/RECORD,,\n";
    for (name, content) in [
        ("tiny_package/__init__.py", "def main():\n    print('tiny')\n    return 7\n"),
        ("tiny_package/stub.pyi", ""),
        (
            "tiny_package-2.5.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: tiny-package\nVersion: 2.5\n",
        ),
        (
            "tiny_package-2.5.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (
            "tiny_package-2.5.dist-info/entry_points.txt",
            "[console_scripts]\ntiny = tiny_package:main\n",
        ),
        ("tiny_package-2.5.dist-info/RECORD", record),
    ] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, content.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    fs::write(folder.path().join("requirements.txt"), "./tiny_package-2.5-py3-none-any.whl\n")
        .unwrap();
    let mut request = request(&sample(folder.path()));
    request.requirements = Some(folder.path().join("requirements.txt"));
    request.entry = "module:tiny_package:main".parse().unwrap();
    request.bytecode = false;
    request.prune = vec!["*.pyi".to_owned()];
    let built = build_in(&folder.path().join("out"), &request);
    let manifest = &built.package.manifest;
    assert!(
        manifest
            .dependencies
            .iter()
            .any(|dependency| dependency.name == "tiny-package" && dependency.version == "2.5")
    );
    let root = folder.path().join("installed");
    install(&built, &root);
    let output = launched(&manifest.application_info.launch, &root).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &b"tiny\n"[..]));
    let traces = ["stub.pyi", "INSTALLER", "REQUESTED", "direct_url.json"];
    let trace = manifest
        .file_manifest
        .keys()
        .find(|path| traces.contains(&path.file_name()) || path.as_str().ends_with("bin/tiny"));
    assert_eq!(trace, None);
}
