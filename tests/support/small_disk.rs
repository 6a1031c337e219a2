//! A small disk for a folder: a tmpfs, where this user may mount one.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted disk, which is unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a disk at `place` with mount options such as `size=60m`. Where this user may not
    /// mount one it is `None`, and the reason is printed.
    pub fn mount(place: &Path, options: &str) -> Option<Self> {
        if cfg!(windows) {
            eprintln!("passed over: Windows has no disk in memory");
            return None;
        }
        fs::create_dir_all(place).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(place.to_owned()));
        }
        assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
        eprintln!("passed over: a small disk can only be mounted by root");
        None
    }

    pub fn remount(&self, options: &str) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    /// Fills the disk to the last byte, like another program.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.filler()).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write(&vec![0; size]).is_ok_and(|count| count > 0) {}
        }
    }

    /// Makes as many files as the disk can hold, like another program; room for bytes is left.
    pub fn fill_with_files(&self) {
        fs::create_dir(self.fillers()).unwrap();
        for number in 0_u64.. {
            match fs::File::create(self.fillers().join(number.to_string())) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Frees the space again.
    pub fn free(&self) {
        let _ = fs::remove_file(self.filler());
        let _ = fs::remove_dir_all(self.fillers());
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fillers(&self) -> PathBuf {
        self.0.join("fillers")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
