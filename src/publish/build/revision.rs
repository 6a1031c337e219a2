//! The commit that an app's files come from, if git knows.

use std::path::Path;

use super::tool;

/// A commit.
#[derive(Debug)]
pub struct Revision {
    /// Its id; with `-dirty` behind it if files were changed since.
    pub commit: String,
    /// The committer's date.
    pub date: jiff::Timestamp,
}

/// The last commit that touched `folder`. `None` without git, without a repository, or if nothing in `folder` is in one.
pub fn of(folder: &Path) -> Option<Revision> {
    let git = |arguments: &[&str]| {
        let output = tool::run(tool::command("git").arg("-C").arg(folder).args(arguments), "git", b"").ok()?;
        String::from_utf8(output).ok()
    };
    let log = git(&["log", "-1", "--format=%H %ct", "--", "."])?;
    let (commit, seconds) = log.trim().split_once(' ')?;
    let date = jiff::Timestamp::from_second(seconds.parse().ok()?).ok()?;
    let changed = git(&["status", "--porcelain", "--", "."]).is_some_and(|changes| !changes.trim().is_empty());
    Some(Revision { commit: format!("{commit}{}", if changed { "-dirty" } else { "" }), date })
}
