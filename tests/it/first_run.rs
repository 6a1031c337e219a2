//! The app knows its first start after its first installation, and no other.

use std::fs;
use std::path::Path;

use crate::support::release::World;

/// The app's program, which prints what it knows. On Windows a batch file is one.
const PROGRAM: &str = if cfg!(windows) { "run.bat" } else { "run.sh" };

fn write(path: &Path) {
    #[cfg(windows)]
    fs::write(path, "@echo %KUZFLOW_VERSION%:%KUZFLOW_FIRST_RUN%:\r\n").unwrap();
    #[cfg(unix)]
    crate::support::program::write_script(
        path,
        "#!/bin/sh\necho \"$KUZFLOW_VERSION:$KUZFLOW_FIRST_RUN:\"\n",
    );
}

fn release(world: &World, version: &str) {
    let app = world.path(&format!("app {version}"));
    fs::create_dir_all(&app).unwrap();
    write(&app.join(PROGRAM));
    let package = world.pack(version, &format!("exe:{PROGRAM}"), &["--runtime", "none"]);
    world.publish(&package, &["--no-patches"]);
}

/// What the app prints; a launcher that itself was started by an app is a usual one.
fn printed(world: &World) -> String {
    let mut launcher = world.launcher(&["--headless", "run"]);
    let output = launcher.env("KUZFLOW_FIRST_RUN", "1").output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().trim().to_owned()
}

#[test]
fn the_first_start_is_the_only_one_that_knows_it() {
    let (world, _node) = World::installed("[update]\ncheck = 'never'\n", |world| {
        release(world, "1.0.0");
    });
    assert_eq!(printed(&world), "1.0.0:1:");
    assert_eq!(printed(&world), "1.0.0::");
    release(&world, "1.1.0");
    world.update();
    assert_eq!(printed(&world), "1.1.0::", "an update is no first installation");
    // The user begins anew: that is one again.
    assert_eq!(world.say(&["uninstall", "--yes", "--delete-data"]).code, 0);
    world.update();
    assert_eq!(printed(&world), "1.1.0:1:");
}
