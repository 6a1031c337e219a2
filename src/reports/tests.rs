//! The two switches of reports, in a home of their own.

use std::path::Path;

use super::happening::Way;
use super::*;
use crate::model::Version;
use crate::model::plan::UpdateStrategy;
use crate::settings::Settings;

const WANTED: &str = "[reports]\nurl = 'http://127.0.0.1:9/'\n";

/// The environment of a launcher with this home and these settings.
pub(crate) fn environment(home: &Path, more: &str) -> Environment {
    let settings =
        format!("app = 'sample'\n{more}[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:9/'\n");
    Environment {
        home: Home::new(home),
        settings: Settings::parse(&settings, Path::new("launcher.toml")).unwrap(),
        shipped_root: Vec::new(),
        included_bundle: None,
        arguments: Vec::new(),
        language: "en".to_owned(),
    }
}

fn offered(minor: u64) -> Happening {
    let to = Version::new(2, minor, 0);
    Happening::Offered(Way { from: None, to, strategy: UpdateStrategy::Full })
}

/// The numbers in the reports that wait.
fn installations(environment: &Environment) -> Vec<String> {
    waiting(&environment.home).iter().map(|report| report.installation.to_string()).collect()
}

#[test]
fn what_another_launcher_wrote_last_goes_when_the_user_switches_reports_on_again() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path(), WANTED);
    record(&environment, &offered(0));
    let first = installations(&environment);
    assert_eq!(first.len(), 1);
    turn(&environment.home, true).unwrap();
    assert_eq!(installations(&environment), first, "they were on");
    let queue = Queue::of(&environment.home);
    let (report, memory) = (waiting(&environment.home).remove(0), queue.memory());
    turn(&environment.home, false).unwrap();
    record(&environment, &offered(1));
    assert_eq!(installations(&environment), [""; 0], "off");
    // Another launcher was at it.
    queue.add(&report).unwrap();
    queue.remember(&memory).unwrap();
    turn(&environment.home, true).unwrap();
    assert_eq!(installations(&environment), [""; 0]);
    record(&environment, &offered(0));
    let second = installations(&environment);
    assert!(second.len() == 1 && second != first, "{second:?}");
}

#[test]
fn what_waits_goes_once_nobody_wants_it_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = environment(folder.path(), WANTED);
    let unwanted = environment(folder.path(), "");
    let queue = Queue::of(&wanted.home);
    let left = || (waiting(&wanted.home).len(), queue.memory() != Memory::default());
    record(&wanted, &offered(0));
    remove_unwanted(&wanted);
    assert_eq!(left(), (1, true));
    remove_unwanted(&unwanted);
    assert_eq!(left(), (0, false), "the publisher");
    record(&wanted, &offered(1));
    let report = waiting(&wanted.home).remove(0);
    turn(&wanted.home, false).unwrap();
    queue.add(&report).unwrap();
    remove_unwanted(&wanted);
    assert_eq!(left(), (0, false), "the user");
    // Whether the user has switched them off cannot be read now.
    queue.add(&report).unwrap();
    std::fs::write(folder.path().join("state.json"), "{").unwrap();
    remove_unwanted(&wanted);
    assert_eq!(left(), (1, false));
}
