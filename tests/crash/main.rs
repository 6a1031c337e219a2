//! Crash safety through the real executable. The disturbances are a kill, an error of the disk or a
//! full disk, at any point. After each of them one plain run starts a healthy version with the
//! user's files as they were before or after. Then the same verb can be repeated, and no rubbish
//! remains.
//!
//! `points.c` counts every call by which the launcher changes files in its home, over all its
//! threads, and interferes with one of them: that is a point. Each run of the tests tries a sample.
//! `KUZFLOW_CRASH=all cargo test --test crash no_single` tries all points, and the name of a scene
//! (`KUZFLOW_CRASH=rollback`) those of one scene; `KUZFLOW_CRASH_SHARD=2/6` tries the second sixth
//! of them. With `KUZFLOW_CRASH_FAULT=lasting` looks also fail at every later try. With `threads`
//! and `tasks` no more threads, or threads and processes, can start. These values are for a search
//! for faults by hand. All 18 scenes:
//!
//! ```text
//! some 7,430 points (kills, EIO and a full disk), 17,260 looks that fail once, 1,390 that fail for good. On two
//! busy cores 100 points take some seven minutes: use shards.
//! ```
//!
//! Faults that must do no harm, and the tests that try them:
//!
//! ```text
//! 19 a kill at each call; at random times    no_single_call_…, faults::killed_at_random_times_…; with large downloads:
//!                                            executables::killed_at_any_time_…, incremental::a_kill_at_any_time_…
//! 20 a full disk, errors, a read-only home   no_single_call_…, faults::on_a_read_only_disk_…; real disks: executables::a_full_disk_…,
//!                                            a_disk_that_fills_…, the_app_starts_from_a_read_only_home; all homes here have spaces and
//!                                            Chinese characters in their paths
//! 21 two launchers, stale locks, reused ids  faults::launchers_at_once_…, stale_locks_…, executables::two_launchers_at_once; files
//!                                            held open on Windows: durable::tests::renaming_waits_…
//! 22 crash, hang, end at once, crash later   faults::a_new_version_that_…, the scene "rollback by itself"
//! 23 failed migration, rollback after edits  faults::a_migration_that_fails_halfway_…, after_a_rollback_…
//! 24 what prune must not take; damage        faults::prune_takes_neither_…; executables::damage_is_found, tests/it/repair.rs
//! 25 the launcher's own update               tests/it/desktop.rs
//! 26 no display, no OpenGL, …                executables::the_app_starts_without_network_window_…, updated_in_the_real_window (drawn by
//!                                            software); window::keys_are_enough and every test there that finds things by their label
//!                                            (screen reader); gui::fonts::tests::every_character_…
//! ```

#![cfg(all(target_os = "linux", feature = "publisher"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // helpers of tests

mod check;
mod faults;
mod points;
mod scenes;
#[path = "../support/mod.rs"]
#[allow(dead_code)] // the other tests use more of it
mod support;

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use check::Reference;
use points::{Errno, Fault};
use scenes::{Scene, Stage};

/// How many points a normal run tries.
const SAMPLE: usize = 300;
/// How many points of each scene a normal run stops at.
const STOPS: usize = 2;

#[test]
fn no_single_call_is_the_wrong_one_to_be_interrupted_at() {
    try_points(&|_| Fault::AT_EACH.to_vec(), SAMPLE);
}

/// The same for looks, which change nothing. A failed look is no reason to delete a file, to choose
/// another version, or not to start the app.
#[test]
fn no_single_look_is_the_wrong_one_to_fail() {
    let fault = match std::env::var("KUZFLOW_CRASH_FAULT").as_deref() {
        Ok("lasting") => Fault::Lasting(Errno::Io),
        Ok("threads") => Fault::Threads,
        Ok("tasks") => Fault::Tasks,
        _ => Fault::Look(Errno::Io),
    };
    try_points(&|_| vec![fault], SAMPLE);
}

/// A start beside a launcher that is stopped at any point waits only a short time for it. The
/// user's work in the version that starts then is not lost when the other launcher continues.
#[test]
fn nobody_waits_for_a_launcher_that_is_stopped() {
    let stage = Stage::shared();
    let wanted = std::env::var("KUZFLOW_CRASH").unwrap_or_default();
    let mut random = fastrand::Rng::with_seed(11);
    let mut all = Vec::new();
    for scene in stage.scenes.iter().filter(|scene| {
        !scene.before.is_empty() && scene.verb != ["run"] && scene.verb != ["check"]
    }) {
        let reference = Reference::play(&stage, scene);
        let home = stage.copy(&scene.template, &format!("{} counted", scene.name));
        let command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
        let count = stage.tracer.places(&command, Fault::Kill, &home).len();
        let mut numbers: Vec<usize> = (1..=count).collect();
        if wanted != "all" {
            random.shuffle(&mut numbers);
            numbers.truncate(STOPS);
        }
        all.push((scene, reference, numbers));
    }
    let points: Vec<_> = all
        .iter()
        .flat_map(|(scene, reference, numbers)| {
            numbers.iter().map(move |number| (scene, reference, *number))
        })
        .collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((scene, reference, number)) =
                    points.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(failure) = check::try_stop(&stage, scene, reference, *number) {
                        eprintln!("{failure}");
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} points failed:\n{}",
        failures.len(),
        points.len(),
        failures.join("\n")
    );
}

/// The points of a fault in a scene with these places.
fn points_of(fault: Fault, places: &[String]) -> Vec<(Fault, usize)> {
    // Each error is tried at one look of six.
    let errno = |number: usize| Errno::ALL[number % Errno::ALL.len()];
    let numbers = 1..=places.len() + 1;
    match fault {
        Fault::Look(_) => numbers.map(|number| (Fault::Look(errno(number)), number)).collect(),
        // Each path is tried once.
        Fault::Lasting(_) => {
            let mut paths = HashSet::new();
            let path = |number: &usize| {
                places.get(number - 1).and_then(|place| place.split_once(' ')).map(|(_, path)| path)
            };
            let numbers = numbers.filter(|number| paths.insert(path(number)));
            // A signal passes, so it is not among the lasting errors.
            let lasting = Errno::ALL.len() - 1;
            numbers
                .enumerate()
                .map(|(index, number)| (Fault::Lasting(errno(index % lasting)), number))
                .collect()
        }
        fault => numbers.map(|number| (fault, number)).collect(),
    }
}

/// The requested part of the points, and the number of parts.
fn shard() -> Option<(usize, usize)> {
    let wanted = std::env::var("KUZFLOW_CRASH_SHARD").ok()?;
    let parts = wanted
        .split_once('/')
        .and_then(|(shard, shards)| Some((shard.parse().ok()?, shards.parse().ok()?)));
    let parts = parts.filter(|(shard, shards)| (1..=*shards).contains(shard));
    Some(parts.unwrap_or_else(|| panic!("KUZFLOW_CRASH_SHARD={wanted}: for example 2/6")))
}

fn try_points(faults: &dyn Fn(&Scene) -> Vec<Fault>, sample: usize) {
    let stage = Stage::shared();
    let wanted = std::env::var("KUZFLOW_CRASH").unwrap_or_default();
    let begun = Instant::now();
    let played: Vec<_> = stage
        .scenes
        .iter()
        .filter(|scene| wanted.is_empty() || wanted == "all" || scene.name == wanted)
        .map(|scene| (scene, Reference::play(&stage, scene)))
        .collect();
    let mut all = Vec::new();
    for (index, (scene, _)) in played.iter().enumerate() {
        for fault in faults(scene) {
            let home = stage.copy(&scene.template, &format!("{} counted", scene.name));
            let command =
                stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
            let places = stage.tracer.places(&command, fault, &home);
            all.extend(points_of(fault, &places).into_iter().map(|point| (index, point)));
        }
    }
    let total = all.len();
    if wanted.is_empty() {
        let every = total.div_ceil(sample);
        let mut random = fastrand::Rng::with_seed(4);
        all = all.chunks(every).map(|chunk| *random.choice(chunk).unwrap()).collect();
    }
    if let Some((shard, shards)) = shard() {
        all = all.into_iter().skip(shard - 1).step_by(shards).collect();
    }
    let (next, failures, tried) =
        (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, point)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (scene, reference) = &played[*index];
                    let done = check::try_point(&stage, scene, reference, *point);
                    *tried.lock().unwrap().entry((scene.name, point.0)).or_insert(0) +=
                        usize::from(done.reached);
                    if let Some(failure) = done.failure {
                        eprintln!("{failure}");
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let tried = tried.into_inner().unwrap();
    for ((scene, fault), count) in &tried {
        println!("{scene:<26} {fault:?} {count}");
    }
    println!("{} of {total} points tried in {:?}", tried.values().sum::<usize>(), begun.elapsed());
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} points failed:\n{}", failures.len(), failures.join("\n"));
}
