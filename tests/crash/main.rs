//! Crash safety through the real executable (promise 4).

#![cfg(all(target_os = "linux", feature = "publisher"))]
#![allow(dead_code)] // the world has more than is used here
#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests

mod check;
mod faults;
mod points;
#[path = "../support/release.rs"]
mod release;
mod scenes;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use check::Reference;
use points::Fault;
use scenes::Stage;

/// Points that are tried if nobody asks for all of them.
const SAMPLE: usize = 400;

#[test]
fn no_single_call_is_the_wrong_one_to_be_interrupted_at() {
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
        for fault in Fault::AT_EACH {
            let home = stage.copy(&scene.template, &format!("{} counted", scene.name));
            let command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
            let count = stage.tracer.count(&command, fault, &home);
            all.extend((1..=count + 1).map(|number| (index, (fault, number))));
        }
    }
    let total = all.len();
    if wanted.is_empty() {
        let every = total.div_ceil(SAMPLE);
        all = all.into_iter().skip(fastrand::Rng::with_seed(4).usize(..every)).step_by(every).collect();
    }
    let (next, failures, tried) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, point)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (scene, reference) = &played[*index];
                    let done = check::try_point(&stage, scene, reference, *point);
                    *tried.lock().unwrap().entry((scene.name, point.0)).or_insert(0) += usize::from(done.reached);
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
