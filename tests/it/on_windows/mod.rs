//! What is Windows' own, through the real executables. Wine runs these scenes on Linux as well.

mod documents;
mod exit_codes;
mod handing_over;
mod hooks;
mod hot;
mod killed;
mod links;
mod names;
mod old_shortcuts;
mod open_files;
mod program_list;
mod screen;
mod signed;
mod window;

use std::collections::BTreeMap;
use std::process::Command;

use crate::support::release::{NodeProcess, World};

/// No checks. A version counts as up when it says so, and never by the time that it has run: on a
/// busy computer one that crashes at once may seem to run for a while.
const QUIET: &str = "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 3600\n";

/// Publishes a version of the sample app with further files.
fn publish(world: &World, version: &str, files: &[(&str, &str)]) {
    let files = files.iter().map(|(path, text)| (*path, text.as_bytes().to_vec()));
    let package = world.build(version, &files.collect::<BTreeMap<_, _>>());
    world.publish(&package, &["--no-patches"]);
}

/// A world in which 1.0.0 is installed.
fn installed() -> (World, NodeProcess) {
    World::installed(QUIET, |world| publish(world, "1.0.0", &[]))
}

/// The launcher's path as the system writes it; a cross-built test has it with slashes.
fn launcher_in_plain_form() -> String {
    env!("CARGO_BIN_EXE_kuzflow-launcher").replace('/', "\\")
}

/// Something in the registry that the test makes, and that goes with the test, whatever comes of it.
struct Registered(Vec<String>);

impl Registered {
    /// `place` is what `reg delete` is called with.
    fn new(place: &[&str]) -> Self {
        Self(place.iter().map(|word| (*word).to_owned()).collect())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = Command::new("reg").arg("delete").args(&self.0).arg("/f").output();
    }
}
