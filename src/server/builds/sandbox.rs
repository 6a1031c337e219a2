//! What a build sees of this computer: the system's programs and libraries, a home of its own, the
//! folder it works in, and nothing else. Linux has this with bubblewrap (`bwrap`).
//!
//! In: a program, its arguments, its folder. Out: a command. Never: a file of the server in the
//! sandbox, a variable of its environment, a network that was not granted; a place to write to that
//! is not in the build's folder, where it is counted.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::host;

/// The program that makes the sandbox.
const PROGRAM: &str = "bwrap";
/// Where the build's folder is in the sandbox.
pub(super) const INSIDE: &str = "/build";
/// Where this program is in the sandbox.
const SELF_INSIDE: &str = "/kuzflow";
/// Where the server's runtime is in the sandbox.
const RUNTIME_INSIDE: &str = "/runtime";
/// The search path in the sandbox.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Folders of programs and libraries beside `/usr`: links to it, or folders of their own.
const SYSTEM: [&str; 6] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
/// Settings of the system that programs need; none of them is secret.
const SETTINGS: [&str; 10] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
];
/// Settings of the network, for a build that has it.
const NETWORK: [&str; 4] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf"];
/// Folders of a build's folder that are its home and its places for temporary files.
pub(super) const OWN: [&str; 4] = ["home", "temp", "memory", "out"];

/// A program of a build.
#[derive(Clone, Debug)]
pub(super) struct Inside<'a> {
    /// The build's folder.
    pub(super) folder: &'a Path,
    /// The folder in which the program begins, below the build's.
    pub(super) begin: PathBuf,
    /// Folders that it may read.
    pub(super) read: &'a [PathBuf],
    /// Variables that the settings name.
    pub(super) environment: Vec<(String, String)>,
    pub(super) network: bool,
    /// A runtime of the server.
    pub(super) runtime: Option<&'a Path>,
}

/// How builds are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confinement {
    Sandbox,
    /// The operator trusts everybody who may build.
    None,
}

impl Confinement {
    /// The build's folder, as its programs see it.
    pub(super) fn seen(self, folder: &Path) -> PathBuf {
        match self {
            Self::Sandbox => PathBuf::from(INSIDE),
            Self::None => folder.to_owned(),
        }
    }

    /// The server's runtime, as the build's programs see it. Its name tells nothing; its content is
    /// what counts.
    pub(super) fn runtime_seen(self, runtime: &Path) -> PathBuf {
        match self {
            Self::Sandbox => PathBuf::from(RUNTIME_INSIDE),
            Self::None => runtime.to_owned(),
        }
    }

    /// This program with these arguments.
    pub(super) fn command(self, arguments: &[OsString], inside: &Inside<'_>) -> Vec<OsString> {
        let own = host::program().unwrap_or_else(|| PathBuf::from("kuzflow"));
        match self {
            Self::Sandbox => {
                let mut all = vec![OsString::from(PROGRAM)];
                all.extend(sandboxed(inside, &own, &system()));
                all.push(SELF_INSIDE.into());
                all.extend(arguments.iter().cloned());
                all
            }
            Self::None => [own.into()].into_iter().chain(arguments.iter().cloned()).collect(),
        }
    }

    /// The environment of the command itself. Nothing of the server's comes along but what programs
    /// cannot start without.
    pub(super) fn environment(self, inside: &Inside<'_>) -> Vec<(OsString, OsString)> {
        let from_here = |name: &str| Some((name.into(), host::variable(name)?));
        match self {
            Self::Sandbox => from_here("PATH").into_iter().collect(),
            Self::None => {
                let names = ["PATH", "SystemRoot", "SystemDrive", "ComSpec", "PATHEXT"];
                let mut all: Vec<(OsString, OsString)> =
                    names.into_iter().filter_map(from_here).collect();
                let folder = |name: &str| inside.folder.join(name).into_os_string();
                for (name, place) in [
                    ("HOME", "home"),
                    ("USERPROFILE", "home"),
                    ("TMPDIR", "temp"),
                    ("TEMP", "temp"),
                    ("TMP", "temp"),
                ] {
                    all.push((name.into(), folder(place)));
                }
                let named = inside.environment.iter();
                all.extend(named.map(|(name, value)| (name.into(), value.into())));
                all
            }
        }
    }
}

/// A folder of programs at the top of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SystemFolder {
    /// A link, with its text.
    Link(&'static str, PathBuf),
    Folder(&'static str),
}

fn system() -> Vec<SystemFolder> {
    SYSTEM
        .into_iter()
        .filter_map(|name| match fs::read_link(name) {
            Ok(target) => Some(SystemFolder::Link(name, target)),
            Err(_) => Path::new(name).is_dir().then_some(SystemFolder::Folder(name)),
        })
        .collect()
}

/// The arguments of the sandbox, up to the program in it.
fn sandboxed(inside: &Inside<'_>, own: &Path, system: &[SystemFolder]) -> Vec<OsString> {
    let mut all = Vec::new();
    let mut add = |words: &[&dyn AsRef<std::ffi::OsStr>]| {
        all.extend(words.iter().map(|word| word.as_ref().to_owned()));
    };
    // Its own numbers of users, processes and computers; it ends with the server.
    add(&[&"--unshare-user", &"--unshare-ipc", &"--unshare-pid", &"--unshare-uts"]);
    add(&[&"--unshare-cgroup-try", &"--uid", &"1000", &"--gid", &"1000"]);
    add(&[&"--die-with-parent", &"--new-session", &"--hostname", &"build", &"--clearenv"]);
    if !inside.network {
        add(&[&"--unshare-net"]);
    }
    let home = Path::new(INSIDE).join("home");
    add(&[&"--setenv", &"PATH", &SEARCH_PATH, &"--setenv", &"HOME", &home]);
    add(&[&"--setenv", &"LANG", &"C.UTF-8", &"--setenv", &"TMPDIR", &"/tmp"]);
    for (name, value) in &inside.environment {
        add(&[&"--setenv", name, value]);
    }
    add(&[&"--ro-bind", &"/usr", &"/usr"]);
    for folder in system {
        match folder {
            SystemFolder::Link(name, target) => add(&[&"--symlink", target, name]),
            SystemFolder::Folder(name) => add(&[&"--ro-bind", name, name]),
        }
    }
    let network = NETWORK.iter().filter(|_| inside.network);
    for path in SETTINGS.iter().chain(network) {
        add(&[&"--ro-bind-try", path, path]);
    }
    for path in inside.read {
        add(&[&"--ro-bind", path, path]);
    }
    if let Some(runtime) = inside.runtime {
        add(&[&"--ro-bind", &runtime, &RUNTIME_INSIDE]);
    }
    add(&[&"--proc", &"/proc", &"--dev", &"/dev"]);
    add(&[&"--bind", &inside.folder, &INSIDE]);
    add(&[&"--bind", &inside.folder.join("temp"), &"/tmp"]);
    // Memory that is shared by name lies in the build's folder as well: there it is counted.
    add(&[&"--bind", &inside.folder.join("memory"), &"/dev/shm"]);
    add(&[&"--ro-bind", &own, &SELF_INSIDE]);
    add(&[&"--remount-ro", &"/dev", &"--remount-ro", &"/"]);
    let begin = inside.begin.strip_prefix(inside.folder).unwrap_or(Path::new(""));
    add(&[&"--chdir", &Path::new(INSIDE).join(begin), &"--"]);
    all
}

/// Starts this program in a sandbox once. The error says why that does not work.
pub(super) fn probe(folder: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    for own in OWN {
        fs::create_dir(folder.path().join(own)).map_err(|error| error.to_string())?;
    }
    let inside = Inside {
        folder: folder.path(),
        begin: folder.path().to_owned(),
        read: &[],
        environment: Vec::new(),
        network: false,
        runtime: None,
    };
    let words = Confinement::Sandbox.command(&["--version".into()], &inside);
    let output = Command::new(PROGRAM)
        .args(words.iter().skip(1))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{PROGRAM} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.trim().lines().next_back().unwrap_or("it gives no reason").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(network: bool) -> Vec<String> {
        let inside = Inside {
            folder: Path::new("/data/7/1"),
            begin: "/data/7/1/source/app".into(),
            read: &["/opt/python".into()],
            environment: vec![("PIP_INDEX_URL".to_owned(), "https://example.com/".to_owned())],
            network,
            runtime: None,
        };
        let system = [SystemFolder::Link("/bin", "usr/bin".into()), SystemFolder::Folder("/lib64")];
        let words = sandboxed(&inside, Path::new("/usr/bin/kuzflow"), &system);
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn a_build_sees_programs_and_its_own_folder() {
        let words = words(false);
        let line = words.join(" ");
        for part in [
            "--unshare-net",
            "--clearenv",
            "--die-with-parent",
            "--bind /data/7/1 /build",
            "--ro-bind /opt/python /opt/python",
            "--symlink usr/bin /bin --ro-bind /lib64 /lib64",
            "--setenv PIP_INDEX_URL https://example.com/",
            "--remount-ro /",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        if cfg!(unix) {
            assert!(line.ends_with("--chdir /build/source/app --"), "{line}");
        }
        // All that can be written to is the build's own.
        let writable = words.iter().enumerate().filter(|(_, word)| *word == "--bind");
        for (at, _) in writable {
            assert!(words[at + 1].starts_with("/data/7/1"), "{line}");
        }
        assert!(!line.contains("resolv.conf"), "{line}");
    }

    #[test]
    fn the_network_is_there_only_where_it_was_granted() {
        let line = words(true).join(" ");
        assert!(!line.contains("--unshare-net") && line.contains("/etc/resolv.conf"), "{line}");
    }
}
