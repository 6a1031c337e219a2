//! The machine around the launcher, through the real executables: streams that accept no bytes,
//! stopped processes, file systems with missing features. With all of these obstacles the app
//! starts, and no user file is lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitStatus, Stdio};

use crate::support::release::{self, NodeProcess, World};
use crate::support::waiting::{self, until};

/// A world with 1.0.0 installed. Its settings require a check before the start, at a missing node.
fn installed() -> (World, NodeProcess) {
    World::installed("[update]\ncheck = 'never'\n", |world| {
        let package = world.build("1.0.0", &BTreeMap::new());
        world.publish(&package, &["--no-patches"]);
    })
}

/// How a child ends, which must not hang.
fn ended(command: &mut Command) -> Option<ExitStatus> {
    waiting::ends(&mut command.spawn().unwrap())
}

/// The writing end of a pipe that is full; its reader lives and does not read.
fn full_pipe() -> (std::io::PipeReader, OwnedFd) {
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = OwnedFd::from(writer);
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut file = File::from(writer);
    while file.write(&[b'x'; 4096]).is_ok_and(|count| count > 0) {}
    while file.write(b"x").is_ok_and(|count| count > 0) {}
    let writer = OwnedFd::from(file);
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    (reader, writer)
}

/// Kinds of standard error: a full disk, a pipe whose reader has gone, a pipe whose reader is
/// stopped.
fn deaf(kind: &str) -> (Option<std::io::PipeReader>, Stdio) {
    match kind {
        "full disk" => (None, File::options().write(true).open("/dev/full").unwrap().into()),
        "nobody" => (None, std::io::pipe().unwrap().1.into()),
        _ => {
            let (reader, writer) = full_pipe();
            (Some(reader), writer.into())
        }
    }
}

#[test]
fn where_nothing_can_be_reported_the_app_starts_and_every_verb_ends() {
    let (world, node) = installed();
    let started = world.path("started");
    let settings = fs::read_to_string(world.config()).unwrap();
    let run = |verb: &[&str], kind: &str| {
        let _ = fs::remove_file(&started);
        let (reader, errors) = deaf(kind);
        let mut command = world.launcher(&[&["--headless"], verb].concat());
        command.env("STARTS", &started).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let status = ended(&mut command);
        drop(reader);
        (status.and_then(|status| status.code()), started.exists())
    };
    // The app of a test world writes to no file: this one does.
    let script = world.container("1.0.0").join("app/run.sh");
    let text = fs::read_to_string(&script)
        .unwrap()
        .replace("#!/bin/sh\n", "#!/bin/sh\n[ -z \"$STARTS\" ] || echo > \"$STARTS\"\n");
    fs::write(&script, text).unwrap();
    drop(node);
    for kind in ["full disk", "nobody", "stopped reader"] {
        for verb in ["check", "update"] {
            assert_eq!(run(&[verb], kind).0, Some(1), "{verb} {kind}");
        }
        fs::write(world.config(), settings.replace("'never'", "'before-start'")).unwrap();
        assert_eq!(run(&["run"], kind), (Some(0), true), "before-start, {kind}");
        fs::write(world.config(), "broken = [").unwrap();
        assert_eq!(run(&["run"], kind), (Some(0), true), "broken settings, {kind}");
        // The launcher also writes log lines.
        fs::write(world.config(), &settings).unwrap();
        fs::write(world.home().join("active.json"), "{").unwrap();
        assert_eq!(run(&["--verbose", "run"], kind), (Some(0), true), "lost pointer, {kind}");
    }
}

/// A shell sets `SSL_CERT_FILE` to a missing file; a bare server has no certificates at all.
#[test]
fn without_certificates_everything_but_https_works() {
    let (world, _node) = installed();
    let package = world.build("1.1.0", &BTreeMap::new());
    let nowhere = world.path("no certificates");
    let bare = |mut command: Command| {
        command.env("SSL_CERT_FILE", &nowhere).env("SSL_CERT_DIR", &nowhere);
        command
    };
    world.publish(&package, &["--no-patches"]);
    let updated = bare(world.launcher(&["--json", "update"])).output().unwrap();
    assert_eq!(release::reply(&updated).result["version"], "1.1.0");

    let repository = world.path("publisher");
    let mut serve = bare(Command::new(env!("CARGO_BIN_EXE_kuzflow")));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--repo"]).arg(repository);
    let mut serve = serve.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(serve.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let address =
        line.trim_end().trim_end_matches('/').rsplit("http://").next().unwrap().to_owned();
    // The server continues: it makes the clients for the other nodes after this line.
    let answers = || {
        let mut stream = std::net::TcpStream::connect(&address).ok()?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    };
    until("the server answers", || answers().is_some());
    let _ = serve.kill();
    let _ = serve.wait();
}

#[test]
fn a_version_that_crashes_is_left_also_where_nothing_can_be_reported() {
    let (world, _node) = installed();
    for kind in ["full disk", "nobody", "stopped reader"] {
        let version = match kind {
            "full disk" => "1.1.0",
            "nobody" => "1.2.0",
            _ => "1.3.0",
        };
        let package = world.build(version, &BTreeMap::new());
        world.publish(&package, &["--no-patches"]);
        world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
        assert_eq!(world.say(&["update"]).result["version"], version);
        fs::write(world.container(version).join("app/run.sh"), "#!/bin/sh\nexit 7\n").unwrap();
        let (_reader, errors) = deaf(kind);
        let mut command = world.launcher(&["--headless", "run"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let status = ended(&mut command);
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{kind}");
        let list = world.say(&["list"]).result;
        let active = list["versions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|version| version["active"] == true)
            .unwrap();
        assert!(active["id"].as_str().unwrap().contains("_1.0.0_"), "{kind}: {active}");
    }
}

/// A launcher runs a release's migration script, which takes long. Beside it the active version
/// starts, and the user's work there is not lost.
#[test]
fn a_slow_migration_of_another_launcher_holds_no_start_up() {
    let (world, _node) = installed();
    let package = world.build("2.0.0", &BTreeMap::new());
    world.publish(&package, &["--no-patches"]);
    world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
    assert_eq!(world.say(&["update", "--prefetch"]).code, 0);
    let script = world.container("2.0.0").join("scripts/migrate");
    // The script takes until the app has started, and eight seconds more.
    let go_on = world.path("go on");
    let wait = format!("while [ ! -e '{}' ]; do sleep 0.1; done; sleep 8", go_on.display());
    fs::write(&script, format!("#!/bin/sh\ntouch \"$KUZFLOW_DATA/migrated\"\n{wait}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let slow = world
        .launcher(&["--json", "switch", "2.0.0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the switch begins", || world.home().join("incoming").exists());
    let run = || {
        let mut command = world.launcher(&["--headless", "run"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // The launcher's work after the start may wait for the other launcher.
    let program = world.container("1.0.0").join("app/run.sh");
    let text = fs::read_to_string(&program)
        .unwrap()
        .replace("#!/bin/sh\n", "#!/bin/sh\necho > \"$KUZFLOW_HOME/temp/started\"\n");
    fs::write(&program, text).unwrap();
    let mut beside = world
        .launcher(&["--headless", "run"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // The promise is five seconds; this test checks that the start does not wait for the script.
    until("the app starts", || world.container("1.0.0").join("temp/started").exists());
    fs::write(&go_on, "").unwrap();
    fs::write(world.container("1.0.0").join("data/later"), "written meanwhile").unwrap();
    beside.wait().unwrap();
    let reply = release::reply(&slow.wait_with_output().unwrap());
    assert_eq!(
        (reply.code, reply.result["at_next_start"].as_bool()),
        (0, Some(true)),
        "{:?}",
        reply.result
    );
    fs::write(&script, "#!/bin/sh\n").unwrap();
    assert!(run().contains("version=2.0.0"), "the next start switches");
    assert_eq!(
        fs::read_to_string(world.container("2.0.0").join("data/later")).unwrap(),
        "written meanwhile"
    );
}

/// Pipes and gigantic files in place of records: the launcher waits for none of them, and the app
/// starts as without them.
#[test]
fn a_pipe_in_the_place_of_a_record_is_not_waited_for() {
    let (world, _node) = installed();
    for name in
        ["active.json", "state.json", "journal.json", "lock", "nodes.json", "logs/launcher.log"]
    {
        let path = world.home().join(name);
        let before = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let mut command = world.launcher(&["--headless", "run"]);
        let status =
            ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{name}");
        let _ = fs::remove_file(&path);
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
    }
    let huge = File::create(world.home().join("active.json")).unwrap();
    huge.set_len(8 << 30).unwrap();
    let mut command = world.launcher(&["--headless", "run"]);
    let status = ended(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    assert_eq!(status.and_then(|status| status.code()), Some(0), "a gigantic record");
}

/// A home whose path is not Unicode: verbs that name places in it work as elsewhere.
#[test]
fn a_home_whose_name_is_no_unicode_is_reported() {
    use std::os::unix::ffi::OsStringExt as _;
    let (world, _node) = installed();
    let home = world.path("x").with_file_name(std::ffi::OsString::from_vec(b"home \xff".to_vec()));
    fs::rename(world.home(), &home).unwrap();
    let package = world.build("2.0.0", &BTreeMap::new());
    world.publish(&package, &["--no-patches"]);
    world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
    let say = |verb: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow-launcher"));
        command
            .arg("--home")
            .arg(&home)
            .arg("--config")
            .arg(world.config())
            .args(["--json", "--language", "en"])
            .args(verb);
        release::reply(&command.output().unwrap())
    };
    fs::write(
        home.join("containers")
            .join(world.container("1.0.0").file_name().unwrap())
            .join("data/mine"),
        "x",
    )
    .unwrap();
    assert_eq!(say(&["update"]).code, 0);
    let list = say(&["list"]);
    assert_eq!(
        (list.code, list.result["versions"].as_array().map(Vec::len)),
        (0, Some(2)),
        "{}",
        list.errors
    );
    assert_eq!(say(&["check"]).code, 3);
    let back = say(&["rollback"]);
    assert_eq!(
        (back.code, back.result["status"].as_str()),
        (0, Some("rolled_back")),
        "{}",
        back.errors
    );
}

/// `list` names the files that repairs set aside, and the user can have them deleted.
#[test]
fn what_was_set_aside_is_named_and_deleted_on_request() {
    let (world, _node) = installed();
    fs::write(world.container("1.0.0").join("app/notes.txt"), "somebody's work").unwrap();
    assert_eq!(world.say(&["verify", "--repair"]).code, 0);
    let named = world.say(&["list"]).result["set_aside"].as_array().unwrap().clone();
    assert_eq!(named.len(), 1);
    let aside = std::path::PathBuf::from(named[0].as_str().unwrap());
    assert!(aside.join("app/notes.txt").exists());
    assert_eq!(world.say(&["prune"]).code, 3);
    assert!(aside.exists(), "not by itself");
    assert_eq!(world.say(&["prune", "--damaged"]).result["deleted"], serde_json::json!(named));
    assert!(!aside.exists());
}

/// Runs a command with a strict umask.
fn strictly(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    shell
}

/// A strict umask blocks neither files that a web server serves nor files that another user starts.
/// Secrets and user files stay private.
#[test]
fn a_strict_umask_closes_what_is_private_and_nothing_else() {
    let (world, _node) = installed();
    fs::remove_dir_all(world.home()).unwrap();
    let mode =
        |path: &std::path::Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(strictly(&world.launcher(&["--json", "update"])).output().unwrap().status.success());
    let container = world.container("1.0.0");
    for path in ["", "app", "metadata", "metadata/installed.json", "metadata/container.json"] {
        assert_eq!(mode(&container.join(path)) & 0o004, 0o004, "{path} can be read");
    }
    for path in [world.home(), world.home().join("containers"), world.home().join("active.json")] {
        assert_eq!(mode(&path) & 0o004, 0o004, "{} can be read", path.display());
    }
    for folder in ["config", "data", "logs"] {
        assert_eq!(mode(&container.join(folder)), 0o700, "{folder} is the user's");
    }
    assert_eq!(mode(&world.home().join("lock")), 0o600, "others must not be able to hold it");

    let folder = world.path("strict");
    let init = ["init", release::text(&folder), "--app", "sample", "--node", "http://127.0.0.1:9/"];
    let mut kuzflow = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    assert!(strictly(kuzflow.args(init)).output().unwrap().status.success());
    let package = world.path("1.0.0.kuzflow");
    let mut kuzflow = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    let publish =
        kuzflow.args(["publish", release::text(&package), "--repo", release::text(&folder)]);
    assert!(strictly(publish).output().unwrap().status.success());
    let closed = Command::new("find")
        .arg(folder.join("repository"))
        .args(["!", "-perm", "-004"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&closed.stdout), "");
    let open = Command::new("find")
        .arg(folder.join("keys"))
        .args(["-type", "f", "-perm", "/044"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&open.stdout), "");
}

/// A umask of 000, as some containers and old file servers set it. Only the owner can write files
/// that decide about code, and no stranger can write to the user's folders.
#[test]
fn under_a_umask_that_takes_nothing_away_no_stranger_may_write_into_the_home() {
    let (world, _node) = installed();
    // The home was also made under that umask.
    fs::remove_dir_all(world.home()).unwrap();
    let say = |verb: &[&str]| {
        let launcher = world.launcher(&[&["--json", "--headless"], verb].concat());
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask 000; exec \"$0\" \"$@\""])
            .arg(launcher.get_program())
            .args(launcher.get_args());
        release::reply(&command.stdin(Stdio::null()).output().unwrap())
    };
    let look = |verb: &str| {
        for (strangers, options) in [
            ("-002", vec![]),
            ("-020", vec!["-not", "-regex", ".*/\\(config\\|data\\|logs\\|temp\\)\\(/.*\\)?"]),
        ] {
            let mut find = Command::new("find");
            find.arg(world.home()).args(["-not", "-type", "l", "-perm", strangers]).args(options);
            let found = find.output().unwrap();
            assert_eq!(
                String::from_utf8_lossy(&found.stdout),
                "",
                "{verb}: may be written by others ({strangers})"
            );
        }
    };
    let publish = |version: &str| {
        let package = world.build(version, &BTreeMap::new());
        world.publish(&package, &["--no-patches"]);
        world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
    };
    let step = |verb: &[&str], code: i32| {
        let reply = say(verb);
        assert_eq!(reply.code, code, "{verb:?}: {} {}", reply.result, reply.errors);
        look(&verb.join(" "));
    };
    step(&["update"], 0);
    step(&["run"], 0);
    fs::write(world.container("1.0.0").join("data/mine"), "x").unwrap();
    publish("2.0.0");
    step(&["update", "--prefetch"], 0);
    step(&["switch", "2.0.0"], 0);
    step(&["run"], 0);
    fs::remove_dir_all(world.container("2.0.0").join("app")).unwrap();
    step(&["verify", "--repair"], 0);
    step(&["rollback"], 0);
    step(&["run"], 0);
    step(&["remove", "2.0.0"], 0);
}

/// Limits of the system, as administrators and containers set them. They bind root as well. The app
/// starts where it gets its own needs, and a verb that gets too little reports so.
#[test]
fn under_limits_of_files_and_memory_the_app_starts_and_a_verb_says_what_it_lacks() {
    let (world, _node) = installed();
    let package = world.build("2.0.0", &BTreeMap::new());
    world.publish(&package, &["--no-patches"]);
    world.configure(&[&_node.address], "[update]\ncheck = 'never'\n");
    let limited = |limit: &str, verb: &[&str]| {
        let launcher = world.launcher(&[&["--json", "--headless"], verb].concat());
        let mut command = Command::new("prlimit");
        command
            .arg(limit)
            .arg(launcher.get_program())
            .args(launcher.get_args())
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    // A program of sixteen files needs some itself.
    for limit in ["--nofile=16", "--nofile=32", "--nofile=64", "--as=400000000"] {
        let output = limited(limit, &["run"]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            printed.contains("version=1.0.0"),
            "{limit}: {printed} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut exhausted = 0;
    for files in [8, 12, 16, 20, 24, 32, 64] {
        let reply = release::reply(&limited(&format!("--nofile={files}"), &["update"]));
        assert!(!reply.errors.contains("panicked"), "{files}: {}", reply.errors);
        match reply.code {
            0 | 3 => {}
            _ => {
                assert_eq!(
                    reply.result["problem"]["kind"], "exhausted",
                    "{files}: {} {}",
                    reply.result, reply.errors
                );
                exhausted += 1;
            }
        }
    }
    assert!(exhausted > 0, "no limit was hit");
    let printed = world.launcher(&["--headless", "run"]).stdin(Stdio::null()).output().unwrap();
    assert!(
        String::from_utf8_lossy(&printed.stdout).contains("version=2.0.0"),
        "with 64 files it is updated"
    );
}

/// A failed allocation ends the launcher. So it begins no step for which the memory may not
/// suffice, and the app continues with a launcher that waits for its end.
#[test]
fn with_little_memory_the_launcher_does_less_and_is_never_cut_off() {
    const MEGABYTE: u64 = 1 << 20;
    let (world, _node) = installed();
    let limited = |megabytes: u64, verb: &[&str]| {
        let launcher = world.launcher(&[&["--headless"], verb].concat());
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--as={}", megabytes * MEGABYTE))
            .arg(launcher.get_program())
            .args(launcher.get_args())
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    // The executable's own memory, which depends on how it was built.
    let loads = |megabytes: &u64| limited(*megabytes, &["--version"]).status.success();
    let least = (20..2000).step_by(10).find(loads).expect("the program loads");
    let mut exhausted = 0;
    for megabytes in (least + 20..least + 240).step_by(20) {
        let output = limited(megabytes, &["run"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("version=1.0.0"), "{megabytes}: {printed} {errors}");
        assert_eq!(output.status.code(), Some(0), "{megabytes}: {errors}");
        let output = limited(megabytes, &["check"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 3)), "{megabytes}: {errors}");
        exhausted += u32::from(errors.contains("too little to work with"));
    }
    assert!(exhausted > 0, "no limit was hit");
}

/// A limit of processes and threads. Root is exempt from it, so another user runs the launcher
/// then, with an unused id.
#[test]
fn under_a_limit_of_processes_the_app_starts_and_a_verb_says_what_it_lacks() {
    let (world, _node) = installed();
    let is_root = rustix::process::getuid().is_root();
    let user = (70_000 + std::process::id() % 100_000).to_string();
    if is_root {
        let folder = world.path("").join(".");
        let own =
            Command::new("chown").args(["-R", &format!("{user}:{user}")]).arg(folder).status();
        assert!(own.unwrap().success());
    }
    let limited = |limit: u32, verb: &[&str]| {
        let launcher = world.launcher(&[&["--json", "--headless"], verb].concat());
        let mut command = Command::new(if is_root { "setpriv" } else { "prlimit" });
        if is_root {
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "prlimit"]);
        }
        command
            .arg(format!("--nproc={limit}"))
            .arg(launcher.get_program())
            .args(launcher.get_args());
        command
            .env("HOME", world.path(""))
            .env("XDG_RUNTIME_DIR", world.path(""))
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    if !is_root {
        eprintln!("passed over: this user has other processes, which count as well");
        return;
    }
    if !limited(1000, &["--version"]).status.success() {
        eprintln!("passed over: another user cannot run programs that are built here");
        return;
    }
    let mut exhausted = 0;
    for limit in [3, 4, 6, 8, 12, 16, 64] {
        let output = limited(limit, &["run"]);
        let [printed, errors] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(printed.contains("version=1.0.0"), "{limit}: {printed} {errors}");
        assert!(!errors.contains("panicked"), "{limit}: {errors}");
        let reply = release::reply(&limited(limit, &["check"]));
        assert!(!reply.errors.contains("panicked"), "{limit}: {}", reply.errors);
        if ![0, 3].contains(&reply.code) {
            assert_eq!(
                reply.result["problem"]["kind"], "exhausted",
                "{limit}: {} {}",
                reply.result, reply.errors
            );
            exhausted += 1;
        }
    }
    assert!(exhausted > 0, "no limit was hit");
}
