//! Who holds a job, in both databases.

use std::collections::BTreeSet;

use super::*;
use crate::fleet::fixture::{each, each_pair};

const BUILD: JobKind = JobKind::Build;

fn new(content: &str) -> NewJob<'_> {
    // Ids differ; nobody frees them before the process ends.
    let id = Box::leak(new_job_id().unwrap().into_boxed_str());
    NewJob {
        id,
        payload: "{}",
        asked_by: "ann",
        key: None,
        content,
        who: "ci",
        subject: "sample 1.0.0",
    }
}

async fn add(store: &Store, content: &str) -> Job {
    let (job, is_new) = store.new_job(BUILD, &new(content)).await.unwrap();
    assert!(is_new);
    job
}

async fn claim(store: &Store) -> Claim {
    store.claim_job(BUILD, "worker").await.unwrap().unwrap()
}

async fn state(store: &Store, job: &Job) -> JobState {
    store.job(BUILD, &job.id).await.unwrap().unwrap().state
}

/// The end of every lease, as if its worker had been silent for a minute.
async fn let_leases_end(store: &Store) {
    on!(&store.database, pool, Kind => {
        sqlx::query("UPDATE jobs SET until = 1 WHERE state = 'running'")
            .execute(pool)
            .await
            .map(drop)
            .unwrap();
    });
}

#[tokio::test]
async fn the_oldest_job_comes_first_and_each_once() {
    each(async |store| {
        assert!(store.claim_job(BUILD, "worker").await.unwrap().is_none());
        let jobs = [add(&store, "a").await, add(&store, "b").await];
        on!(&store.database, pool, Kind => {
            sqlx::query("UPDATE jobs SET created = 5 WHERE id = $1")
                .bind(jobs[1].id.as_str())
                .execute(pool)
                .await
                .map(drop)
                .unwrap();
        });
        let jobs = [store.job(BUILD, &jobs[1].id).await.unwrap().unwrap(), jobs[0].clone()];
        for (place, job) in (1..).zip(&jobs) {
            assert_eq!(store.job_position(BUILD, job).await.unwrap(), place);
        }
        let first = claim(&store).await;
        assert_eq!((&first.job.id, first.job.attempt), (&jobs[0].id, 1));
        assert!(first.job.began.is_some());
        assert_eq!(claim(&store).await.job.id, jobs[1].id);
        assert!(store.claim_job(BUILD, "worker").await.unwrap().is_none());
        let ended = store.end_job(BUILD, &first, Ending::Done("{\"a\": 1}")).await.unwrap();
        assert!(ended);
        let job = store.job(BUILD, &first.job.id).await.unwrap().unwrap();
        assert_eq!((job.state, job.result.as_str()), (JobState::Done, "{\"a\": 1}"));
        let numbers = store.job_numbers(BUILD).await.unwrap();
        assert_eq!((numbers.queued, numbers.running, numbers.done), (0, 1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_was_silent_for_too_long_changes_nothing() {
    each_pair(async |one, other| {
        let job = add(&one, "a").await;
        let slow = claim(&one).await;
        assert_eq!(one.renew_job(&slow).await.unwrap(), Lease::Held);
        assert!(other.claim_job(BUILD, "other").await.unwrap().is_none());
        let_leases_end(&one).await;
        // Nobody has taken it: its late word counts.
        assert_eq!(one.renew_job(&slow).await.unwrap(), Lease::Held);
        let_leases_end(&one).await;
        let quick = claim(&other).await;
        assert_eq!((quick.job.id.as_str(), quick.job.attempt), (job.id.as_str(), 2));
        assert_eq!(one.renew_job(&slow).await.unwrap(), Lease::Lost);
        let endings = [Ending::Done("x"), Ending::Failed("x"), Ending::Cancelled, Ending::Returned];
        for ending in endings {
            assert!(!one.end_job(BUILD, &slow, ending).await.unwrap());
        }
        assert_eq!(one.job(BUILD, &job.id).await.unwrap().unwrap(), quick.job);
        assert!(other.end_job(BUILD, &quick, Ending::Done("y")).await.unwrap());
        assert!(!other.end_job(BUILD, &quick, Ending::Failed("z")).await.unwrap(), "once");
        let numbers = one.job_numbers(BUILD).await.unwrap();
        assert_eq!((numbers.done, numbers.failed, numbers.cancelled), (1, 0, 0));
    })
    .await;
}

#[tokio::test]
async fn two_workers_of_two_stores_never_hold_one_job() {
    each_pair(async |one, other| {
        let mut wanted = BTreeSet::new();
        for number in 0..24 {
            wanted.insert(add(&one, &number.to_string()).await.id);
        }
        let workers = (0..6).map(|number| {
            let store = if number % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move {
                let mut held = Vec::new();
                while let Some(claim) = store.claim_job(BUILD, "worker").await.unwrap() {
                    held.push(claim.job.id);
                }
                held
            })
        });
        let mut held = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            held.extend(worker.await.unwrap());
        }
        assert_eq!(held.len(), 24);
        assert_eq!(held.into_iter().collect::<BTreeSet<_>>(), wanted);
    })
    .await;
}

#[tokio::test]
async fn a_job_whose_server_ends_each_time_is_given_up() {
    each(async |store| {
        let job = add(&store, "a").await;
        for attempt in 1..=ATTEMPTS {
            assert_eq!(claim(&store).await.job.attempt, attempt);
            let_leases_end(&store).await;
        }
        assert!(store.claim_job(BUILD, "worker").await.unwrap().is_none());
        let job = store.job(BUILD, &job.id).await.unwrap().unwrap();
        assert_eq!((job.state, job.result.as_str()), (JobState::Failed, ""));
        assert_eq!(store.job_numbers(BUILD).await.unwrap().failed, 1);
    })
    .await;
}

#[tokio::test]
async fn the_only_server_of_a_store_need_not_wait_for_leases() {
    each(async |store| {
        add(&store, "a").await;
        let before = claim(&store).await;
        store.free_jobs().await.unwrap();
        assert_eq!(claim(&store).await.job.attempt, 2);
        assert_eq!(store.renew_job(&before).await.unwrap(), Lease::Lost);
    })
    .await;
}

#[tokio::test]
async fn a_job_that_is_given_back_is_begun_again() {
    each(async |store| {
        add(&store, "a").await;
        let first = claim(&store).await;
        assert!(store.end_job(BUILD, &first, Ending::Returned).await.unwrap());
        let second = claim(&store).await;
        assert_eq!(second.job.attempt, 2);
        assert!(!store.end_job(BUILD, &first, Ending::Done("late")).await.unwrap());
        assert_eq!(store.renew_job(&second).await.unwrap(), Lease::Held);
    })
    .await;
}

#[tokio::test]
async fn a_job_can_be_cancelled_in_each_state() {
    each(async |store| {
        let cancel =
            async |job: &Job| store.cancel_job(BUILD, &job.id, "ci").await.unwrap().unwrap().state;
        let waiting = add(&store, "a").await;
        assert_eq!(cancel(&waiting).await, JobState::Cancelled);
        assert_eq!(cancel(&waiting).await, JobState::Cancelled, "twice is once");
        assert!(store.claim_job(BUILD, "worker").await.unwrap().is_none());

        let running = add(&store, "b").await;
        let held = claim(&store).await;
        assert_eq!(cancel(&running).await, JobState::Running, "its worker will hear of it");
        assert_eq!(store.renew_job(&held).await.unwrap(), Lease::Cancelled);
        assert!(store.end_job(BUILD, &held, Ending::Cancelled).await.unwrap());
        assert_eq!(state(&store, &running).await, JobState::Cancelled);

        let orphan = add(&store, "c").await;
        claim(&store).await;
        cancel(&orphan).await;
        let_leases_end(&store).await;
        assert!(store.claim_job(BUILD, "worker").await.unwrap().is_none(), "nobody begins it");
        assert_eq!(state(&store, &orphan).await, JobState::Cancelled);

        let done = add(&store, "d").await;
        let held = claim(&store).await;
        store.end_job(BUILD, &held, Ending::Done("x")).await.unwrap();
        assert_eq!(cancel(&done).await, JobState::Done);
        assert!(store.cancel_job(BUILD, "none", "ci").await.unwrap().is_none());

        let audit = store.audit().await.unwrap();
        assert_eq!(audit.verify(None), Ok(()));
        let cancelled = audit.entries.iter().filter(|entry| entry.what == "build_cancelled");
        let subjects: Vec<&str> = cancelled.map(|entry| entry.subject.as_str()).collect();
        assert_eq!(subjects, [&waiting.id, &running.id, &orphan.id], "what was done");
        let numbers = store.job_numbers(BUILD).await.unwrap();
        assert_eq!((numbers.queued, numbers.running, numbers.cancelled), (0, 0, 3));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_job() {
    each_pair(async |one, other| {
        let first = add(&one, "a").await;
        let repeat = async |new: &NewJob<'_>| other.new_job(BUILD, new).await.unwrap();
        assert_eq!(repeat(&new("a")).await, (first.clone(), false));
        let held = claim(&one).await;
        assert_eq!(repeat(&new("a")).await.0.id, first.id);
        one.end_job(BUILD, &held, Ending::Failed("no network")).await.unwrap();
        let (second, is_new) = repeat(&new("a")).await;
        assert!(is_new && second.id != first.id, "after a failure it may be tried again");
        one.cancel_job(BUILD, &second.id, "ci").await.unwrap();
        assert!(repeat(&new("a")).await.1);

        let keyed = NewJob { key: Some("run 17"), ..new("a") };
        let (third, is_new) = repeat(&keyed).await;
        assert!(is_new, "a key is another request");
        let with_other_content = NewJob { content: "b", ..keyed.clone() };
        assert_eq!(repeat(&with_other_content).await.0.id, third.id);
        one.cancel_job(BUILD, &third.id, "ci").await.unwrap();
        assert_eq!(repeat(&keyed).await.0.id, third.id, "a key stands for one job for ever");
        let of_another = NewJob { who: "ben", ..new("a") };
        let of_another = NewJob { key: Some("run 17"), ..of_another };
        assert!(repeat(&of_another).await.1, "each token has its own keys");

        let news = one.audit().await.unwrap().entries;
        assert_eq!(news.iter().filter(|entry| entry.what == "build_new").count(), 5);
    })
    .await;
}

#[tokio::test]
async fn requests_at_the_same_time_make_one_job_and_the_queue_is_bounded() {
    each_pair(async |one, other| {
        let tasks = (0..8).map(|number| {
            let store = if number % 2 == 0 { one.clone() } else { other.clone() };
            tokio::spawn(async move { store.new_job(BUILD, &new("same")).await.unwrap() })
        });
        let mut made = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            made.push(task.await.unwrap());
        }
        let ids: BTreeSet<&str> = made.iter().map(|(job, _)| job.id.as_str()).collect();
        assert_eq!((ids.len(), made.iter().filter(|(_, is_new)| *is_new).count()), (1, 1));
        for number in 1..MOST_WAITING {
            add(&one, &number.to_string()).await;
        }
        let refused = one.new_job(BUILD, &new("one more")).await;
        assert!(matches!(refused, Err(FleetError::QueueFull(MOST_WAITING))), "{refused:?}");
        assert!(!one.new_job(BUILD, &new("same")).await.unwrap().1, "a known one is answered");
        let listed = one.jobs(BUILD, "ann", 1000).await.unwrap();
        assert_eq!(listed.len() as i64, MOST_WAITING);
        assert!(one.jobs(BUILD, "ben", 1000).await.unwrap().is_empty());
    })
    .await;
}
