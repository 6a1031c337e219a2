//! The verbs about installed versions: `list`, `switch`, `rollback`, `pin`, `skip`, `remove`,
//! `prune`.
//!
//! In: the typed arguments. Out: what the store did, in words and as JSON. Never: the network.

use serde_json::json;

use super::invocation::Invocation;
use crate::app::Ending;
use crate::engine::installed;
use crate::messages::problem;
use crate::messages::protocol::{Command, Event, Phase, Problem, ProblemKind};
use crate::model::{ContainerId, Version};
use crate::reports;
use crate::session::switching;
use crate::store::{StoreError, maintenance, recall, remove, rollback, snapshots};
use crate::update::check;

/// What `prune` deletes besides versions.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlsoDelete {
    /// What repairs and new installations have set aside of damaged versions.
    pub(super) damaged: bool,
    /// The user's files that exist nowhere else.
    pub(super) set_aside: bool,
}

impl Invocation<'_> {
    pub(super) fn list(&self) -> Result<Ending, StoreError> {
        let environment = self.environment();
        let versions = installed::installed(&environment)?;
        let (retained, disk_use) =
            (installed::retained(&environment), installed::disk_use(&environment));
        let (texts, zone) = (&self.output.texts, jiff::tz::TimeZone::system());
        for version in &versions {
            let mark = if version.active { "*" } else { " " };
            let left = version
                .left
                .map(|left| texts.with("version-left", &[("date", &texts.date(left, &zone))]));
            let marks = [
                version.running.then(|| texts.get("version-running")),
                (version.ready && !version.running).then(|| texts.get("version-ready")),
                version.pinned.then(|| texts.get("version-pinned")),
                version.failed.then(|| texts.get("version-failed")),
                version.recalled.then(|| texts.get("version-recalled")),
                left,
            ];
            let marks = marks
                .into_iter()
                .flatten()
                .reduce(|before, next| texts.with("list", &[("before", &before), ("next", &next)]));
            let date = texts.date(version.installed, &zone);
            let size = texts.size(disk_use.of(&version.folder).unwrap_or(version.size));
            let line = format!(
                "{mark} {:<16} {size:>10}  {date}  {}",
                version.id.version.to_string(),
                marks.unwrap_or_default()
            );
            self.output.say(line.trim_end());
        }
        if versions.is_empty() {
            self.output.say(&texts.get("versions-empty"));
        } else {
            let count = u64::try_from(versions.len()).unwrap_or(u64::MAX);
            self.output.say(&texts.count(
                "versions-subtitle-measured",
                count,
                &[("size", &texts.size(disk_use.whole))],
            ));
        }
        let aside = self.place.home.set_aside()?;
        for folder in &aside {
            let size = texts.size(disk_use.of(folder).unwrap_or(0));
            let path = folder.display().to_string();
            self.output.say(&texts.with("versions-set-aside", &[("path", &path), ("size", &size)]));
        }
        for retained in retained.iter().filter(|retained| retained.only_copy) {
            let version = retained.version.to_string();
            let date = texts.moment(retained.left, &zone);
            let path = retained.folder.display().to_string();
            let size = texts.size(disk_use.of(&retained.folder).unwrap_or(0));
            let facts = [("version", &version), ("date", &date), ("path", &path), ("size", &size)];
            let facts = facts.map(|(name, value)| (name, value.as_str()));
            self.output.say(&texts.with("versions-only-copy", &facts));
        }
        let aside: Vec<_> = aside.iter().map(|folder| folder.to_string_lossy()).collect();
        let (ending, status) = outcome(versions.is_empty());
        let result = json!({ "status": status, "versions": versions, "kept": retained, "disk_use": disk_use, "set_aside": aside });
        self.output.result(result);
        Ok(ending)
    }

    pub(super) fn switch(&self, version: &Version) -> Result<Ending, StoreError> {
        let record = self.record(version)?;
        if self.chosen().as_ref() == Some(&record.container) {
            return Ok(self.nothing_to_do(version));
        }
        let reported = |event: Event| {
            self.output.event(&event);
            if let Event::Incident { what, .. } = &event {
                self.output.incident(what);
            }
        };
        let environment = self.environment();
        let was_recalled = recall::is_active_recalled(&environment.home);
        let chosen = switching::choose(&environment, record.container.into(), false, &reported);
        if let Some(happening) = switching::happening(version, &chosen, was_recalled) {
            reports::record(&environment, &happening);
        }
        match chosen {
            Ok(chosen) => {
                switching::prune_automatically(&environment);
                self.output.say(
                    &self.output.texts.with("ready-title", &[("version", &version.to_string())]),
                );
                self.output.result(json!({ "status": "done", "version": version, "at_next_start": chosen.at_next_start }));
                Ok(Ending::Done)
            }
            Err(problem) => Ok(self.output.problem(&problem)),
        }
    }

    /// The version that the next start uses.
    pub(super) fn chosen(&self) -> Option<ContainerId> {
        self.place.home.chosen().ok()
    }

    pub(super) fn nothing_to_do(&self, version: &Version) -> Ending {
        self.output
            .say(&self.output.texts.with("switch-chosen", &[("version", &version.to_string())]));
        self.output.result(json!({ "status": "nothing_to_do", "current": version }));
        Ending::NothingToDo
    }

    pub(super) fn points(&self) -> Result<Ending, StoreError> {
        let points = rollback::points(&self.place.home)?;
        for point in &points {
            let date = self.output.texts.date(point.left, &jiff::tz::TimeZone::system());
            self.output.say(&format!("{:<16} {date}", point.container.version.to_string()));
        }
        if points.is_empty() {
            self.output.say(&self.output.texts.get("problem-no-rollback-point"));
        }
        let (ending, status) = outcome(points.is_empty());
        self.output.result(json!({ "status": status, "points": points }));
        Ok(ending)
    }

    pub(super) fn roll_back(&self, to: Option<Version>) -> Ending {
        let to = match to.map(|version| self.record(&version)).transpose() {
            Ok(record) => record.map(|record| record.container),
            Err(error) => return self.output.problem(&problem::of_store(&error)),
        };
        self.engine(Command::RollBack(to), |phase| match phase {
            Phase::RolledBack { .. } => Some(Ending::Done),
            Phase::Failed { .. } => Some(Ending::Failed),
            _ => None,
        })
    }

    pub(super) fn pin(&self, release: bool) -> Result<Ending, StoreError> {
        let mut state = self.place.home.state()?;
        let (active, _) = self.place.home.active()?;
        let pinned = (!release).then_some(active.container.version);
        let (ending, status) = outcome(state.pinned == pinned);
        state.pinned = pinned;
        self.place.home.set_state(&state)?;
        let texts = &self.output.texts;
        let with =
            |name: &str, version: &Version| texts.with(name, &[("version", &version.to_string())]);
        match &state.pinned {
            Some(version) => {
                self.output.say(&with("pinned", version));
                let next = self.chosen().map(|id| id.version).filter(|next| next != version);
                next.iter().for_each(|next| self.output.say(&with("pinned-waits", next)));
            }
            None => self.output.say(&texts.get("unpinned")),
        }
        self.output.result(json!({ "status": status, "pinned": state.pinned }));
        Ok(ending)
    }

    pub(super) fn skip(&self, version: Option<Version>) -> Result<Ending, StoreError> {
        let Some(version) = version else { return Ok(Ending::NothingToDo) };
        let mut state = self.place.home.state()?;
        if state.skipped.contains(&version)
            || self.chosen().is_some_and(|chosen| version <= chosen.version)
        {
            let text = self.output.texts.with("skip-nothing", &[("version", &version.to_string())]);
            return Ok(self.nothing_skipped(&text, &state.skipped));
        }
        if !self.is_published(&version) {
            let chain =
                vec!["the repository, as it was seen last, has no such release for this app, system and channel".to_owned()];
            let problem =
                Problem { kind: ProblemKind::NoSuchVersion, subject: version.to_string(), chain };
            return Ok(self.output.problem(&problem));
        }
        self.output.say(&self.output.texts.with("skipped", &[("version", &version.to_string())]));
        state.skipped.push(version);
        self.place.home.set_state(&state)?;
        self.output.result(json!({ "status": "done", "skipped": state.skipped }));
        Ok(Ending::Done)
    }

    /// Offers a skipped version again, or all of them.
    pub(super) fn offer_again(&self, version: Option<Version>) -> Result<Ending, StoreError> {
        let mut state = self.place.home.state()?;
        let before = state.skipped.len();
        state.skipped.retain(|skipped| version.as_ref().is_some_and(|version| version != skipped));
        if state.skipped.len() == before {
            return Ok(self.nothing_skipped(&self.output.texts.get("skip-none"), &state.skipped));
        }
        self.place.home.set_state(&state)?;
        self.output.say(&self.output.texts.get("unpinned"));
        self.output.result(json!({ "status": "done", "skipped": state.skipped }));
        Ok(Ending::Done)
    }

    fn nothing_skipped(&self, text: &str, skipped: &[Version]) -> Ending {
        self.output.say(text);
        self.output.result(json!({ "status": "nothing_to_do", "skipped": skipped }));
        Ending::NothingToDo
    }

    /// Whether there is such a release, as far as the stored metadata shows without the network.
    fn is_published(&self, version: &Version) -> bool {
        let Some(repository) = check::seen_last(&self.environment()) else { return true };
        repository.iter().any(|published| published == version)
    }

    pub(super) fn remove(&self, version: &Version) -> Result<Ending, StoreError> {
        let record = self.record(version)?;
        self.environment()
            .remove_versions(|home, lock| remove::set_aside(home, &record.container, lock))?;
        self.output
            .say(&self.output.texts.with("versions-removed", &[("version", &version.to_string())]));
        self.output.result(json!({ "status": "done", "removed": [record.container] }));
        Ok(Ending::Done)
    }

    pub(super) fn prune(
        &self,
        keep: Option<usize>,
        also: AlsoDelete,
    ) -> Result<Ending, StoreError> {
        let keep = keep.unwrap_or(self.place.settings.update.keep_versions);
        let (removed, deleted) = self.environment().remove_versions(|home, lock| {
            let removed = maintenance::prune(home, keep, lock)?;
            let mut deleted =
                if also.damaged { remove::set_damaged_aside(home, lock)? } else { Vec::new() };
            if also.set_aside {
                for only_copy in snapshots::only_copies(home)? {
                    let folder = only_copy.place(home);
                    snapshots::delete(home, &folder, lock)?;
                    deleted.push(folder);
                }
            }
            Ok((removed, deleted))
        })?;
        for id in &removed {
            self.output.say(&format!("- {id}"));
        }
        for folder in &deleted {
            self.output.say(&format!("- {}", folder.display()));
        }
        let deleted: Vec<_> = deleted.iter().map(|folder| folder.to_string_lossy()).collect();
        let none = removed.is_empty() && deleted.is_empty();
        if none {
            self.output.say(&self.output.texts.get("versions-none-removed"));
        }
        let (ending, status) = outcome(none);
        self.output.result(json!({ "status": status, "removed": removed, "deleted": deleted }));
        Ok(ending)
    }
}

/// How a verb ends, for the shell and for scripts: the two always say the same.
fn outcome(is_nothing: bool) -> (Ending, &'static str) {
    match is_nothing {
        true => (Ending::NothingToDo, "nothing_to_do"),
        false => (Ending::Done, "done"),
    }
}
