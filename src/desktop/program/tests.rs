//! Tests of `desktop::program` with a script as the executable: exchanged, killed and put back.

use std::os::unix::fs::PermissionsExt as _;

use super::staged::ExchangeStep;
use super::*;
use crate::model::publisher::tests::{EXAMPLE, SIGNER, Workshop};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A launcher that is a script: it answers a self-test as version 2.0.0.
const NEW: &str = "#!/bin/sh\necho '{\"result\":{\"status\":\"done\",\"version\":\"2.0.0\"}}'\n";
const OLD: &str = "#!/bin/sh\necho old\n";

struct Place {
    folder: tempfile::TempDir,
    program: LauncherFile,
}

fn place() -> Place {
    let folder = tempfile::Builder::new().prefix("启动 器").tempdir().unwrap();
    let path = folder.path().join("launcher");
    fs::write(&path, OLD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    Place { program: LauncherFile::new(path), folder }
}

impl Place {
    fn stage(&self, content: &str) -> Result<Staged<'_>, Unfit> {
        let hash = Digest::of(content.as_bytes());
        self.program.stage(&mut content.as_bytes(), &version("2.0.0"), hash, 1 << 20)
    }

    fn exchange(&self, content: &str) -> Result<(), Unfit> {
        self.stage(content)?.replace_running(&[], &version("1.0.0"), Duration::from_secs(20))
    }

    fn content(&self) -> String {
        assert_eq!(fs::metadata(self.program.path()).unwrap().permissions().mode() & 0o777, 0o750);
        fs::read_to_string(self.program.path()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }
}

#[test]
fn the_old_one_goes_once_the_new_one_has_started_the_app() {
    let place = place();
    assert!(matches!(place.program.begin(&version("1.0.0")), Begun::Usual));
    assert_eq!(place.names(), ["launcher"], "a usual start writes nothing");
    place.exchange(NEW).unwrap();
    assert_eq!(
        (place.content().as_str(), fs::read_to_string(place.program.old()).unwrap().as_str()),
        (NEW, OLD)
    );
    // A third launcher is not accepted before the second is confirmed.
    assert!(matches!(place.stage("#!/bin/sh\n"), Err(Unfit::Busy)));
    let Begun::Unproved(attempt) = place.program.begin(&version("2.0.0")) else { panic!() };
    // A second start while the first is still running does not count as a second try.
    assert!(matches!(place.program.begin(&version("2.0.0")), Begun::Usual));
    place.program.confirm(attempt);
    assert_eq!(place.names(), ["launcher"]);
    assert!(matches!(place.program.begin(&version("2.0.0")), Begun::Usual));
}

#[test]
fn one_that_dies_on_its_way_is_replaced_by_the_old_one_at_the_second_start() {
    let place = place();
    place.exchange(NEW).unwrap();
    drop(place.program.begin(&version("2.0.0")));
    assert_eq!(place.content(), NEW);
    assert!(matches!(place.program.begin(&version("2.0.0")), Begun::PutBack));
    assert_eq!(place.content(), OLD);
    assert!(matches!(place.program.begin(&version("1.0.0")), Begun::Usual));
    assert!(matches!(place.exchange(NEW), Err(Unfit::Known)), "it is not tried again");
    place.exchange(&format!("{NEW}# another build\n")).unwrap();
    assert!(place.program.remove_all().unwrap().is_empty(), "nothing is forgotten on the way");
}

#[test]
fn a_kill_between_any_two_steps_leaves_a_whole_launcher_and_the_next_start_converges() {
    for done in 0..=ExchangeStep::ALL.len() {
        let place = place();
        let staged = place.stage(NEW).unwrap();
        for step in &ExchangeStep::ALL[..done] {
            staged.perform(*step, &version("1.0.0")).unwrap();
        }
        drop(staged);
        let now = if place.content() == NEW { "2.0.0" } else { "1.0.0" };
        assert_eq!(now == "2.0.0", done == ExchangeStep::ALL.len());
        match place.program.begin(&version(now)) {
            Begun::Unproved(attempt) if now == "2.0.0" => place.program.confirm(attempt),
            Begun::Usual if now == "1.0.0" => {}
            other => panic!("{done}: {other:?}"),
        }
        // Wherever the kill came, an update succeeds afterwards.
        if now == "1.0.0" {
            place.exchange(NEW).unwrap();
            let Begun::Unproved(attempt) = place.program.begin(&version("2.0.0")) else {
                panic!("{done}")
            };
            place.program.confirm(attempt);
        }
        assert_eq!(place.names(), ["launcher"], "{done}");
    }
}

#[test]
fn a_kill_while_it_is_confirmed_confirms_it() {
    let place = place();
    place.exchange(NEW).unwrap();
    drop(place.program.begin(&version("2.0.0")));
    place.program.remove_exchanged();
    let Begun::Unproved(attempt) = place.program.begin(&version("2.0.0")) else { panic!() };
    place.program.confirm(attempt);
    assert_eq!((place.content().as_str(), place.names()), (NEW, vec!["launcher".to_owned()]));
    // A file that Windows could not delete while it ran is deleted later.
    fs::write(place.program.old(), OLD).unwrap();
    place.program.remove_left();
    assert_eq!(place.names(), ["launcher"]);
}

#[test]
fn a_kill_after_the_old_one_was_put_back_leaves_it_there() {
    let place = place();
    place.exchange(NEW).unwrap();
    drop(place.program.begin(&version("2.0.0")));
    // Put back, and killed before that was recorded.
    place.program.put_back().unwrap();
    assert!(matches!(place.program.begin(&version("1.0.0")), Begun::Usual));
    assert!(matches!(place.exchange(NEW), Err(Unfit::Known)));
    assert_eq!(place.content(), OLD);
}

#[test]
fn one_that_does_not_start_never_takes_the_place() {
    let place = place();
    let limit = Duration::from_millis(700);
    for (content, late) in [
        ("#!/no/such/interpreter\n", false),
        ("#!/bin/sh\nexit 1\n", false),
        ("#!/bin/sh\nexec sleep 60\n", true),
        ("#!/bin/sh\necho '{\"result\":{\"status\":\"done\",\"version\":\"1.9.9\"}}'\n", false),
        (
            "#!/bin/sh\necho '{\"result\":{\"status\":\"done\",\"version\":\"2.0.0\"}}'\nexit 3\n",
            false,
        ),
        ("#!/bin/sh\nyes\n", true),
    ] {
        for expected in [1, 1, 0] {
            let limit = if late { limit } else { Duration::from_secs(20) };
            let result = place
                .stage(content)
                .and_then(|staged| staged.replace_running(&[], &version("1.0.0"), limit));
            let unfit = result.unwrap_err();
            assert_eq!(unfit.is_the_builds(), expected == 1, "{content}: {unfit}");
            assert_eq!(place.content(), OLD, "{content}");
        }
    }
    assert_eq!(place.names(), ["launcher", "launcher.update.json"]);
    place.exchange(NEW).unwrap();
}

#[test]
fn a_wrong_byte_or_one_too_many_is_refused() {
    let place = place();
    let stage = |bytes: &str, most| {
        place.program.stage(
            &mut bytes.as_bytes(),
            &version("2.0.0"),
            Digest::of(NEW.as_bytes()),
            most,
        )
    };
    assert!(matches!(stage(&NEW.replace("done", "dome"), 1 << 20), Err(Unfit::Digest { .. })));
    assert!(matches!(stage(NEW, 10), Err(Unfit::Digest { .. })));
    assert_eq!(place.names(), ["launcher"]);
    fs::write(place.program.note_path(), "{").unwrap();
    assert!(
        matches!(place.program.begin(&version("1.0.0")), Begun::Usual),
        "a damaged note keeps nothing from starting"
    );
    place.exchange(NEW).unwrap();
}

#[test]
fn what_lies_beside_keeps_the_ending_of_programs() {
    let beside = |path: &str| {
        let program = LauncherFile::new(path);
        [program.staged(), program.note_path()].map(|path| path.to_str().unwrap().to_owned())
    };
    assert_eq!(beside("/a/launcher.EXE"), ["/a/launcher.new.EXE", "/a/launcher.update.json"]);
    assert_eq!(beside("/a/launcher-1.2"), ["/a/launcher-1.2.new", "/a/launcher-1.2.update.json"]);
}

#[test]
fn a_program_in_a_signed_application_bundle_stays() {
    let folder = tempfile::tempdir().unwrap();
    let contents = folder.path().join("示例.app/Contents");
    let program = LauncherFile::new(contents.join("MacOS/示例"));
    fs::create_dir_all(contents.join("MacOS")).unwrap();
    fs::write(program.path(), OLD).unwrap();
    assert!(program.fixed().is_none());
    fs::create_dir(contents.join("_CodeSignature")).unwrap();
    assert!(program.fixed().unwrap().to_string().contains("signed application bundle"));
}

#[test]
fn the_exchange_refuses_another_publishers_launcher_once_and_for_all() {
    let Some(workshop) = Workshop::new() else { return };
    workshop.certify("first", "key", EXAMPLE);
    let signed = workshop.signed(&workshop.program(1), "first", "key", "sha256");
    let unsigned = workshop.program(2);
    let place = workshop.path("launcher.exe");
    fs::write(&place, &signed).unwrap();
    let launcher = LauncherFile::new(&place);
    let (version, hash) = ("2.0.0".parse().unwrap(), Digest::of(&unsigned));
    let stage = || launcher.stage(&mut unsigned.as_slice(), &version, hash, 1 << 20).map(drop);
    let refused = stage().unwrap_err();
    assert!(matches!(refused, Unfit::Publisher(_)));
    assert_eq!(
        refused.to_string(),
        format!(
            "the launcher before it is signed by {SIGNER:?}; in the new one there is no signature"
        )
    );
    assert!(launcher.has_failed(&hash), "it is not fetched again");
    assert!(matches!(stage(), Err(Unfit::Known)));
    let is_there = |name: &str| Path::new(&workshop.path(name)).exists();
    assert!(fs::read(&place).unwrap() == signed && !is_there("launcher.new.exe"));
}
