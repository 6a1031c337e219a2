//! Tests of `store::processes` on Linux.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Goes to a folder whose path is longer than the system can tell, and waits there.
const GO_DEEP: &str = "import os, sys\n\
    for _ in range(25):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n\
    print('!', end='', flush=True)\nsys.stdin.read()\n";

#[test]
fn a_process_in_a_folder_without_a_path_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let deep = Command::new("python3")
        .args(["-c", GO_DEEP])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut deep) = deep else {
        assert!(std::env::var_os("CI").is_none(), "python3 does not work");
        return;
    };
    deep.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    let all = super::all().unwrap();
    let found = all.iter().find(|process| process.id == deep.id()).unwrap();
    assert_eq!(found.folder, Some(PathBuf::new()));
    drop(deep.stdin.take());
    deep.wait().unwrap();
}
