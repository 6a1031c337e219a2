//! Tests of `server::patches::queue`.

use super::*;

fn container(version: &str) -> ContainerId {
    format!("sample_{version}_Linux_x86_64").parse().unwrap()
}

fn start() -> Time {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn later(hours: i64) -> Time {
    start() + SignedDuration::from_hours(hours)
}

fn id(from: &str, to: &str) -> PatchId {
    format!("{from}_{to}_Linux_x86_64").parse().unwrap()
}

fn ask(queue: &Queue, from: &str, to: &str, hours: i64) -> Status {
    queue.ask(&container(from), &container(to), later(hours)).unwrap()
}

fn open(folder: &tempfile::TempDir, hours: i64) -> Queue {
    Queue::open(folder.path(), later(hours)).unwrap()
}

fn only(queue: &Queue, id: &PatchId) -> PatchJob {
    let mut jobs = queue.jobs(id);
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

fn files(folder: &tempfile::TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

#[test]
fn the_same_pair_twice_is_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder, 0);
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Queued);
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Queued);
    assert_eq!(ask(&queue, "1.1.0", "1.0.0", 0), Status::Queued, "the way back is another one");
    assert_eq!(files(&folder), 2);
    let job = queue.take(start).unwrap();
    assert_eq!((job.patch_id.clone(), job.status), (id("1.0.0", "1.1.0"), Status::Generating));
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 0), Status::Generating);
    queue.end(&job, JobOutcome::Completed, start());
    assert_eq!(only(&queue, &job.patch_id).status, Status::Completed);
    assert_eq!(queue.take(start).unwrap().patch_id, id("1.1.0", "1.0.0"));
    assert_eq!(
        ask(&queue, "1.0.0", "1.1.0", 1),
        Status::Queued,
        "asked for again, it must be gone"
    );
    queue.stop();
    assert_eq!(queue.take(start), None);
}

#[test]
fn a_restart_in_the_middle_loses_nothing_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder, 0);
    ask(&queue, "1.0.0", "1.1.0", 0);
    ask(&queue, "1.0.0", "1.2.0", 1);
    let job = queue.take(|| later(2)).unwrap();
    drop(queue);
    for attempt in 2..=4 {
        let queue = open(&folder, 3);
        assert_eq!(only(&queue, &job.patch_id).status, Status::Queued);
        let jobs = [queue.take(|| later(3)).unwrap(), queue.take(|| later(3)).unwrap()];
        let again = jobs.iter().find(|again| again.patch_id == job.patch_id).unwrap();
        assert_eq!(again.attempts, attempt);
        let other = jobs.iter().find(|other| other.patch_id != job.patch_id).unwrap();
        if attempt == 2 {
            assert_eq!(jobs[0].patch_id, other.patch_id, "what waited longest comes first");
        }
        // The other job is done; the next round requests it again.
        queue.end(other, JobOutcome::Completed, later(3));
        assert_eq!(ask(&queue, "1.0.0", "1.2.0", 3), Status::Queued);
    }
    let queue = open(&folder, 4);
    let spent = only(&queue, &job.patch_id);
    assert_eq!((spent.status, spent.attempts), (Status::Failed, 4), "it is not begun for ever");
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 5), Status::Failed);
}

#[test]
fn a_failing_maker_is_given_three_more_chances_and_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder, 0);
    ask(&queue, "1.0.0", "1.1.0", 0);
    for attempt in 1..=4 {
        let job = queue.take(start).unwrap();
        assert_eq!(job.attempts, attempt);
        queue.end(&job, JobOutcome::Failed("no luck".to_owned()), start());
    }
    let id = id("1.0.0", "1.1.0");
    let job = only(&queue, &id);
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("no luck")));
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 23), Status::Failed);
    assert_eq!(ask(&queue, "1.0.0", "1.1.0", 24), Status::Queued);
    let job = queue.take(start).unwrap();
    queue.end(&job, JobOutcome::Refused("too large".to_owned()), start());
    assert_eq!(only(&queue, &id).status, Status::Failed, "no second try of what cannot be better");
    assert_eq!(only(&open(&folder, 23), &id).status, Status::Failed);
    assert_eq!(open(&folder, 24).jobs(&id), []);
    assert_eq!(files(&folder), 0);
}

#[test]
fn the_queue_has_an_end_and_foreign_files_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("x.json", "{"),
        ("sample_1.1.0_Linux_x86_64.from-1.0.0.json", "{}"),
        ("notes.txt", "mine"),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let queue = open(&folder, 0);
    for number in 0..MAX_QUEUED_JOBS {
        ask(&queue, "1.0.0", &format!("2.{number}.0"), 0);
    }
    let more = queue.ask(&container("1.0.0"), &container("3.0.0"), start());
    assert!(matches!(more, Err(QueueError::Full)), "{more:?}");
    assert_eq!(ask(&queue, "1.0.0", "2.0.0", 0), Status::Queued, "those that wait are known");
    // The content of the file names another pair than the file's name.
    let other = fs::read(folder.path().join("sample_2.0.0_Linux_x86_64.from-1.0.0.json")).unwrap();
    fs::write(folder.path().join("sample_9.0.0_Linux_x86_64.from-1.0.0.json"), other).unwrap();
    let again = open(&folder, 0);
    assert_eq!(again.jobs(&id("1.0.0", "9.0.0")), []);
    assert_eq!(fs::read_to_string(folder.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn the_same_versions_of_two_apps_are_two_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(&folder, 0);
    let other =
        |version: &str| -> ContainerId { format!("other_{version}_Linux_x86_64").parse().unwrap() };
    ask(&queue, "1.0.0", "1.1.0", 0);
    let first = queue.take(start).unwrap();
    queue.end(&first, JobOutcome::Refused("too large".to_owned()), start());
    assert_eq!(
        queue.ask(&other("1.0.0"), &other("1.1.0"), start()).unwrap(),
        Status::Queued,
        "it is not the one that failed"
    );
    let second = queue.take(start).unwrap();
    assert_eq!(
        (second.patch_id.clone(), second.to.app.as_str()),
        (first.patch_id.clone(), "other")
    );
    queue.end(&second, JobOutcome::Completed, start());
    let stated: Vec<Status> = queue.jobs(&first.patch_id).iter().map(|job| job.status).collect();
    assert_eq!(stated, [Status::Completed, Status::Failed], "in the apps' order");
    assert_eq!(files(&folder), 2);
    assert_eq!(open(&folder, 1).jobs(&first.patch_id).len(), 2);
}
