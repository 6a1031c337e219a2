//! Finds the commit of an app's files, if git knows it.

use std::path::Path;

use super::tool;

/// A commit.
#[derive(Debug)]
pub(super) struct Revision {
    /// Its id, followed by `-dirty` if files have changed since.
    pub commit: String,
    /// The committer's date.
    pub date: jiff::Timestamp,
}

/// The last commit that changed `folder`. `None` without git, without a repository, or if the
/// repository contains nothing of `folder`.
pub(super) fn of(folder: &Path) -> Option<Revision> {
    let git = |arguments: &[&str]| {
        let output =
            tool::run(tool::command("git").arg("-C").arg(folder).args(arguments), "git", b"")
                .ok()?;
        String::from_utf8(output).ok()
    };
    let log = git(&["log", "-1", "--format=%H %ct", "--", "."])?;
    let (commit, seconds) = log.trim().split_once(' ')?;
    let date = jiff::Timestamp::from_second(seconds.parse().ok()?).ok()?;
    let changed = git(&["status", "--porcelain", "--", "."])
        .is_some_and(|changes| !changes.trim().is_empty());
    Some(Revision { commit: format!("{commit}{}", if changed { "-dirty" } else { "" }), date })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_last_commit_that_touched_the_folder() {
        let repository = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str], date: &str| {
            let mut command = tool::command("git");
            command.arg("-C").arg(repository.path()).args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "-c",
                "commit.gpgsign=false",
            ]);
            command.args(arguments).env("GIT_AUTHOR_DATE", date).env("GIT_COMMITTER_DATE", date);
            tool::run(&mut command, "git", b"")
        };
        if git(&["init", "-q"], "").is_err() {
            assert!(std::env::var_os("CI").is_none(), "git is missing");
            eprintln!("skipped: git is missing");
            return;
        }
        let app = repository.path().join("app");
        fs::create_dir(&app).unwrap();
        fs::write(app.join("app.py"), "1").unwrap();
        assert!(of(&app).is_none(), "nothing is committed yet");
        for (path, date) in [("app", "1700000000 +0000"), ("other", "1800000000 +0000")] {
            fs::write(repository.path().join("other"), path).unwrap();
            git(&["add", path], date).unwrap();
            git(&["commit", "-q", "-m", path], date).unwrap();
        }
        let revision = of(&app).unwrap();
        assert_eq!(revision.date.as_second(), 1_700_000_000);
        assert_eq!(revision.commit.len(), 40);
        fs::write(app.join("app.py"), "2").unwrap();
        assert_eq!(of(&app).unwrap().commit, format!("{}-dirty", revision.commit));
    }
}
