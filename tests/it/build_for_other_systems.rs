//! Containers for other systems, built here: wheels, markers, bytecode, pinned runtimes, and what
//! must not slip in. Wheels and runtimes are made by the tests; nothing is fetched.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use kuzflow::testing::model::{Digest, Version};
use kuzflow::testing::publish::bundling::{
    self, ArchiveSource, BuildError, BuildRequest, Built, PinnedArchive, Runtime,
};
use kuzflow::testing::publish::package::Effort;

use crate::build::{is_missing, python_is_missing};

/// Machine code of Windows for AMD64: `characteristics` tells a program (0x22) from a library
/// (0x2022).
fn windows_code(characteristics: u16) -> Vec<u8> {
    let mut code = b"MZ".to_vec();
    code.resize(0x80, 0);
    code[0x3c] = 0x80;
    code.extend(b"PE\0\0\x64\x86");
    code.resize(0x80 + 22, 0);
    code.extend(characteristics.to_le_bytes());
    code.resize(512, 0);
    code
}

/// A library or program of Linux.
fn linux_code(machine: u8) -> Vec<u8> {
    let mut code = b"\x7fELF\x02\x01\x01".to_vec();
    code.resize(64, 0);
    (code[16], code[18]) = (3, machine);
    code
}

const AARCH64: u8 = 183;
const X86_64: u8 = 62;

/// A library or program of macOS for its ARM processors.
pub(crate) fn mac_code() -> Vec<u8> {
    let mut code = b"\xcf\xfa\xed\xfe\x0c\0\0\x01\0\0\0\0\x02\0\0\0".to_vec();
    code.resize(64, 0);
    code
}

/// What this machine's Python says: its minor version, and what its bytecode begins with.
pub(crate) fn host_python() -> (String, Vec<u8>) {
    let code = "import sys, importlib.util; print('%d.%d' % sys.version_info[:2], importlib.util.MAGIC_NUMBER.hex())";
    let output = Command::new("python3").args(["-c", code]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (name, magic) = text.trim().split_once(' ').unwrap();
    let magic = (0..4).map(|at| u8::from_str_radix(&magic[2 * at..][..2], 16).unwrap()).collect();
    (name.to_owned(), magic)
}

pub(crate) fn zip_of(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A Python for Windows as python.org's embeddable zip has it; its library is compiled already.
pub(crate) fn windows_python(name: &str, magic: &[u8]) -> Vec<u8> {
    let digits = name.replace('.', "");
    let library = zip_of(&[("os.pyc".to_owned(), [magic, b"rest"].concat())].into());
    let version = [&windows_code(0x2022)[..], format!("\0{name}.7\0").as_bytes()].concat();
    let list = format!("python{digits}.zip\r\n.\r\n# import site\r\n");
    zip_of(
        &[
            ("python.exe".to_owned(), windows_code(0x22)),
            ("pythonw.exe".to_owned(), windows_code(0x22)),
            (format!("python{digits}.dll"), version),
            (format!("python{digits}.zip"), library),
            (format!("python{digits}._pth"), list.into_bytes()),
        ]
        .into(),
    )
}

/// A Python as standalone distributions have it, in a folder of the archive.
pub(crate) fn standalone_python(name: &str, code: &[u8]) -> Vec<u8> {
    zip_of(
        &[
            (
                format!("python/bin/python{name}"),
                [code, format!("\0{name}.7\0").as_bytes()].concat(),
            ),
            (format!("python/lib/python{name}/site.py"), Vec::new()),
            (format!("python/lib/python{name}/os.py"), Vec::new()),
        ]
        .into(),
    )
}

/// Writes a wheel with one module and, if `library` is given, one library beside it.
fn wheel(folder: &Path, name: &str, tag: &str, requires: &[&str], library: Option<(&str, &[u8])>) {
    let info = format!("{name}-1.0.dist-info");
    let requires: String = requires.iter().map(|line| format!("Requires-Dist: {line}\n")).collect();
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}");
    let mut files: BTreeMap<String, Vec<u8>> = [
        (format!("{name}/__init__.py"), format!("tag = '{tag}'\n").into_bytes()),
        (format!("{info}/METADATA"), metadata.into_bytes()),
        (
            format!("{info}/WHEEL"),
            format!("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n").into_bytes(),
        ),
    ]
    .into();
    files.extend(library.map(|(file, code)| (format!("{name}/{file}"), code.to_vec())));
    let record: String = files.keys().map(|file| format!("{file},,\n")).collect();
    files.insert(format!("{info}/RECORD"), record.into_bytes());
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(format!("{name}-1.0-{tag}.whl")), zip_of(&files)).unwrap();
}

/// An app's folder, wheels beside it, and a request to build it for `platform`.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("kuzflow 其他 ").tempdir().unwrap();
        let app = folder.path().join("app");
        fs::create_dir_all(app.join("src")).unwrap();
        fs::write(app.join("src/main.py"), "import helper\n").unwrap();
        fs::write(app.join("src/helper.py"), "x = 1\n").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn require(&self, lines: &str) {
        let text = format!("--no-index\n--find-links wheels\n{lines}\n");
        fs::write(self.path("requirements.txt"), text).unwrap();
    }

    fn request(&self, platform: &str, runtime: &[u8]) -> BuildRequest {
        let archive = self.path("runtime of the other system");
        fs::write(&archive, runtime).unwrap();
        let entry = "src/main.py".parse().unwrap();
        let name = "sample".parse().unwrap();
        let mut request = BuildRequest::new(self.path("app"), name, Version::new(1, 0, 0), entry);
        request.platform = platform.parse().unwrap();
        let digest = Digest::of(runtime);
        request.runtime =
            Runtime::Pinned(PinnedArchive { source: ArchiveSource::File(archive), digest });
        request.requirements = Some(self.path("requirements.txt")).filter(|path| path.is_file());
        request.cache = Some(self.path("cache"));
        request.effort = Effort { level: 1, threads: 2 };
        request
    }

    fn build(&self, request: &BuildRequest) -> Result<Built, BuildError> {
        let out = self.path("out");
        fs::create_dir_all(&out).unwrap();
        bundling::build(request, &out, &|_| ())
    }
}

fn has(built: &Built, path: &str) -> bool {
    built.package.manifest.file_manifest.contains_key(path)
}

fn dependencies(built: &Built) -> Vec<&str> {
    built.package.manifest.dependencies.iter().map(|there| there.name.as_str()).collect()
}

/// A file of the package, unpacked.
fn content(built: &Built, path: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(File::open(&built.path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn wheels_markers_and_bytecode_are_those_of_the_other_system() {
    if is_missing(&["-m", "pip", "--version"]) {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    let wheels = workshop.path("wheels");
    wheel(
        &wheels,
        "parent",
        "py3-none-any",
        &[
            "only_windows; sys_platform == \"win32\" and platform_machine == \"AMD64\"",
            "only_linux; sys_platform == \"linux\"",
            "only_old; python_version < \"3\"",
        ],
        None,
    );
    let digits = name.replace('.', "");
    let windows = format!("cp{digits}-cp{digits}-win_amd64");
    wheel(&wheels, "only_windows", &windows, &[], Some(("_fast.pyd", &windows_code(0x2022))));
    for name in ["only_linux", "only_old", "direct_linux"] {
        wheel(&wheels, name, "py3-none-any", &[], None);
    }
    workshop.require("parent\ndirect_linux; os_name == \"posix\"");
    let mut request = workshop.request("Windows_AMD64", &windows_python(&name, &magic));
    let built = workshop.build(&request).unwrap();
    assert_eq!(dependencies(&built), ["only_windows", "parent"]);
    assert!(has(&built, "runtime/Lib/site-packages/only_windows/_fast.pyd"));
    assert_eq!(built.report.warnings, [""; 0]);

    // Each file has bytecode that this version of Python reads.
    for path in ["app/src", "runtime/Lib/site-packages/parent"] {
        let file = if path.starts_with("app") { "helper" } else { "__init__" };
        let compiled = content(&built, &format!("{path}/__pycache__/{file}.cpython-{digits}.pyc"));
        assert_eq!(compiled[..4], magic[..], "{path}");
    }
    let info = &built.package.manifest.application_info;
    assert_eq!(info.launch.arguments, ["-E", "-s", "-B", "{container}/app/src/main.py"]);
    assert_eq!(info.launch.program.as_str(), "runtime/pythonw.exe");
    assert_eq!(info.main_executable.as_str(), "scripts/launch.bat");
    // Nothing but the container is searched, and the folder of the script comes first in the app.
    assert_eq!(
        String::from_utf8(content(&built, &format!("runtime/python{digits}._pth"))).unwrap(),
        format!(
            "python{digits}.zip\r\n.\r\nLib\\site-packages\r\n..\\app\\src\r\n..\\app\r\nimport site\r\n"
        )
    );
    request.console = true;
    let built = workshop.build(&request).unwrap();
    let launch = &built.package.manifest.application_info.launch;
    assert_eq!(launch.program.as_str(), "runtime/python.exe");
}

#[test]
fn bytecode_that_the_other_python_does_not_read_is_not_shipped() {
    if python_is_missing() {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    for (name, magic) in [("3.99", &magic[..]), (&name, b"\x01\x02\r\n")] {
        let request = workshop.request("Windows_AMD64", &windows_python(name, magic));
        let built = workshop.build(&request).unwrap();
        let paths = &built.package.manifest.file_manifest;
        assert!(!paths.keys().any(|path| path.as_str().ends_with(".pyc")), "{name}");
        let warning = built.report.warnings.join("\n");
        assert!(warning.contains(&format!("no Python {name} here")), "{warning}");
        let arguments = &built.package.manifest.application_info.launch.arguments;
        assert!(arguments.contains(&"pycache_prefix={container}/temp/pycache".to_owned()));
    }
}

#[test]
fn a_requirement_without_a_wheel_is_named_with_what_helps() {
    if is_missing(&["-m", "pip", "--version"]) {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    let digits = name.replace('.', "");
    let here = format!("cp{digits}-cp{digits}-manylinux2014_x86_64");
    wheel(&workshop.path("wheels"), "only_here", &here, &[], None);
    wheel(&workshop.path("wheels"), "parent", "py3-none-any", &["only_here>=1"], None);
    workshop.require("parent");
    let request = workshop.request("Windows_AMD64", &windows_python(&name, &magic));
    let error = workshop.build(&request).unwrap_err();
    assert!(matches!(error, BuildError::NoWheel { .. }), "{error:?}");
    let error = error.to_string();
    for part in ["only_here", "Windows_AMD64", "sys_platform != \"win32\"", "--find-links"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_wheel_for_every_system_in_support_comes_before_one_for_new_systems() {
    if is_missing(&["-m", "pip", "--version"]) {
        return;
    }
    let (name, _) = host_python();
    let digits = name.replace('.', "");
    let (linux, mac) = (linux_code(AARCH64), mac_code());
    for (platform, code, tags, taken) in [
        (
            "Linux_aarch64",
            &linux,
            &["manylinux_2_35_aarch64", "manylinux2014_aarch64", "manylinux_2_28_aarch64"][..],
            "manylinux_2_28_aarch64",
        ),
        ("Linux_aarch64", &linux, &["manylinux_2_35_aarch64"], "manylinux_2_35_aarch64"),
        (
            "Darwin_arm64",
            &mac,
            &["macosx_14_0_arm64", "macosx_10_9_universal2", "macosx_11_0_arm64"],
            "macosx_11_0_arm64",
        ),
        ("Darwin_arm64", &mac, &["macosx_10_9_universal2"], "macosx_10_9_universal2"),
        ("Darwin_arm64", &mac, &["macosx_14_0_arm64"], "macosx_14_0_arm64"),
    ] {
        let workshop = Workshop::new();
        for tag in tags {
            let tag = format!("cp{digits}-cp{digits}-{tag}");
            wheel(&workshop.path("wheels"), "fast", &tag, &[], Some(("_fast.so", code)));
        }
        workshop.require("fast");
        let request = workshop.request(platform, &standalone_python(&name, code));
        let built = workshop.build(&request).unwrap();
        let site = format!("runtime/lib/python{name}/site-packages");
        let module = content(&built, &format!("{site}/fast/__init__.py"));
        let module = String::from_utf8(module).unwrap();
        assert!(module.contains(taken), "{platform} {tags:?}: {module}");
        // A demand that not every system meets is shown.
        let is_new = taken.contains("2_35") || taken.contains("14_0");
        let shown = built.report.warnings.iter().any(|line| line.starts_with("fast needs "));
        assert_eq!(shown, is_new, "{taken}: {:?}", built.report.warnings);
    }
}

#[test]
fn machine_code_of_this_system_does_not_slip_in() {
    if python_is_missing() {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    fs::write(workshop.path("app/src/_native.so"), linux_code(X86_64)).unwrap();
    let mut request = workshop.request("Windows_AMD64", &windows_python(&name, &magic));
    let error = workshop.build(&request).unwrap_err();
    assert!(matches!(error, BuildError::ForeignFiles { .. }), "{error:?}");
    assert!(error.to_string().contains("app/src/_native.so (Linux x86_64)"), "{error}");
    request.foreign_files = vec!["app/src/_native.so".to_owned()];
    assert!(has(&workshop.build(&request).unwrap(), "app/src/_native.so"));
    request.foreign_files.clear();
    request.exclude = vec!["*.so".to_owned()];
    workshop.build(&request).unwrap();
    // Neither does the runtime of another processor.
    let runtime = standalone_python(&name, &linux_code(X86_64));
    let mut request = workshop.request("Linux_aarch64", &runtime);
    request.exclude = vec!["*.so".to_owned()];
    let error = workshop.build(&request).unwrap_err().to_string();
    assert!(error.contains(&format!("runtime/bin/python{name} (Linux x86_64)")), "{error}");
}

/// Answers as many requests as there are `bodies`, then is gone.
fn server(bodies: Vec<Vec<u8>>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/python.zip", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        for body in bodies {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    (address, serving)
}

#[test]
fn a_pinned_runtime_is_downloaded_once_and_never_used_with_another_digest() {
    if python_is_missing() {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    let runtime = windows_python(&name, &magic);
    let other = windows_python("3.99", &magic);
    let (address, serving) = server(vec![other.clone(), runtime.clone(), runtime.clone()]);
    let mut request = workshop.request("Windows_AMD64", &runtime);
    request.runtime = Runtime::Pinned(PinnedArchive {
        source: ArchiveSource::Url(address.parse().unwrap()),
        digest: Digest::of(&runtime),
    });
    let cached = || -> Vec<PathBuf> {
        let folder = fs::read_dir(workshop.path("cache/runtimes")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    };
    let error = workshop.build(&request).unwrap_err();
    assert!(matches!(error, BuildError::ArchiveDigest { .. }), "{error:?}");
    assert!(error.to_string().contains(&Digest::of(&other).to_string()), "{error}");
    assert!(cached().is_empty(), "{:?}", cached());

    let first = workshop.build(&request).unwrap();
    // What was damaged since is downloaded again.
    fs::write(&cached()[0], b"damaged").unwrap();
    assert_eq!(workshop.build(&request).unwrap().package.hash, first.package.hash);
    // Nobody answers any more, and nobody need.
    serving.join().unwrap();
    assert_eq!(workshop.build(&request).unwrap().package.hash, first.package.hash);
    fs::remove_file(&cached()[0]).unwrap();
    let error = workshop.build(&request).unwrap_err();
    assert!(matches!(error, BuildError::Download { .. }), "{error:?}");
    assert!(error.to_string().contains("/python.zip"), "{error}");
}

#[test]
fn a_platform_that_no_system_calls_itself_is_refused() {
    let workshop = Workshop::new();
    let request = workshop.request("Windows_x86_64", b"");
    let error = workshop.build(&request).unwrap_err().to_string();
    assert!(error.contains("it is Windows_AMD64"), "{error}");
}

fn kuzflow(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn one_release_has_a_container_for_each_platform() {
    if python_is_missing() {
        return;
    }
    let (name, magic) = host_python();
    let workshop = Workshop::new();
    let app = workshop.path("app");
    let (code, _, errors) = kuzflow(&app, &["init", "--name", "sample"]);
    assert_eq!(code, 0, "{errors}");
    let settings = app.join("kuzflow/kuzflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| {
            !["folder ", "#entry ", "entry ", "runtime "].iter().any(|key| line.starts_with(key))
        })
        .map(|line| {
            line.replace("[app]", "[app]\nfolder = \"..\"\nentry = \"src/main.py\"\nlevel = 1")
        })
        .collect();
    lines.push("[runtimes]".to_owned());
    for (platform, archive) in [
        ("Windows_AMD64", windows_python(&name, &magic)),
        ("Darwin_arm64", standalone_python(&name, &mac_code())),
    ] {
        fs::write(app.join("kuzflow").join(platform), &archive).unwrap();
        let digest = Digest::of(&archive);
        lines.push(format!("{platform} = {{ file = \"{platform}\", sha256 = \"{digest}\" }}"));
    }
    fs::write(&settings, lines.join("\n")).unwrap();
    let release = ["release", "1.0.0", "--platform", "Windows_AMD64", "--platform", "Darwin_arm64"];
    let (code, reply, errors) = kuzflow(&app, &release);
    assert_eq!(code, 0, "{reply}{errors}");
    let (_, list, _) = kuzflow(&app, &["list", "--json"]);
    for platform in ["Windows_AMD64", "Darwin_arm64"] {
        let id = format!("sample_1.0.0_{platform}");
        assert!(errors.contains(&format!("{id} was not tried")), "{errors}");
        assert!(list.contains(&id), "{list}");
    }
    let package = app.join("kuzflow/packages/sample_1.0.0_Windows_AMD64.kuzflow");
    let (code, _, errors) = kuzflow(&app, &["try", package.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(errors.contains("cannot be tried on this computer"), "{errors}");
    // Without a runtime for a platform nothing is built.
    let (code, _, errors) = kuzflow(&app, &["release", "1.0.1", "--platform", "Linux_aarch64"]);
    assert_eq!(code, 1);
    assert!(errors.contains("[runtimes]"), "{errors}");
}
