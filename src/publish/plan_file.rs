//! A rollout's plan as a publisher writes it: a TOML file, with shares in percent.
//!
//! In: the text of the file, the present time. Out: a checked plan. Never: a share that is finer than
//! the metadata can say; a field that nobody knows.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::error::{PublishError, at};
use crate::look;
use crate::model::Version;
use crate::model::rollout_plan::{Hold, RolloutPlan, Scope, Stage, Written};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    /// Absent: at once.
    begins: Option<Moment>,
    #[serde(default)]
    hold: Hold,
    recall_to: Option<Version>,
    stages: Vec<WrittenStage>,
    #[serde(default)]
    only: Scope,
}

/// A time as text, or as TOML's own kind of time.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Text(String),
    Time(toml::value::Datetime),
}

/// `[[stages]]`; shares in percent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStage {
    percent: f64,
    #[serde(default)]
    hours: u64,
    success: Option<f64>,
    rollbacks: Option<f64>,
    #[serde(default)]
    most_rollbacks: u64,
    #[serde(default)]
    samples: u64,
}

impl RolloutPlan {
    /// Reads the plan in a file; one without `begins` begins `now`.
    ///
    /// # Errors
    /// [`PublishError::File`] if it cannot be read, [`PublishError::Options`] for what is no plan.
    pub(crate) fn read(path: &Path, now: Timestamp) -> Result<Self, PublishError> {
        Self::read_noting(path, now).map(|(plan, _)| plan)
    }

    /// The same, and whether the file names a beginning.
    ///
    /// # Errors
    /// Those of [`RolloutPlan::read`].
    pub(crate) fn read_noting(path: &Path, now: Timestamp) -> Result<(Self, bool), PublishError> {
        let bytes = look::read(path, look::SMALL).map_err(at(path))?;
        let refuse = |why: String| PublishError::Options(format!("{}: {why}", path.display()));
        let bytes = bytes.ok_or_else(|| refuse("there is no such file".to_owned()))?;
        let text = String::from_utf8(bytes).map_err(|error| refuse(error.to_string()))?;
        plan_of(&text, now).map_err(refuse)
    }
}

/// The plan, and whether the text names a beginning.
fn plan_of(text: &str, now: Timestamp) -> Result<(RolloutPlan, bool), String> {
    let file: PlanFile = toml::from_str(text).map_err(|error| error.to_string())?;
    let has_beginning = file.begins.is_some();
    let begins = match file.begins {
        None => now,
        Some(Moment::Text(text)) => time(&text)?,
        Some(Moment::Time(time_of_toml)) => time(&time_of_toml.to_string())?,
    };
    let stages = file.stages.into_iter().map(WrittenStage::checked).collect::<Result<_, _>>()?;
    // Whole seconds: all times in metadata are.
    let begins = Timestamp::from_second(begins.as_second()).map_err(|error| error.to_string())?;
    let PlanFile { hold, recall_to, only, .. } = file;
    let written = Written { stages, begins, only, recall_to, hold, stage: 0 };
    let plan = RolloutPlan::try_from(written).map_err(|error| error.to_string())?;
    Ok((plan, has_beginning))
}

fn time(text: &str) -> Result<Timestamp, String> {
    let expected = "expected a time with its zone, for example 2026-12-01T08:00:00Z";
    text.parse().map_err(|_| format!("begins: {text:?}, {expected}"))
}

impl WrittenStage {
    fn checked(self) -> Result<Stage, String> {
        Ok(Stage {
            permille: thousandths("percent", self.percent)?,
            hours: self.hours,
            success: thousandths("success", self.success.unwrap_or(0.0))?,
            rollbacks: thousandths("rollbacks", self.rollbacks.unwrap_or(100.0))?,
            most_rollbacks: self.most_rollbacks,
            samples: self.samples,
        })
    }
}

/// A percentage in thousandths.
fn thousandths(name: &str, percent: f64) -> Result<u16, String> {
    let tenths = percent * 10.0;
    let whole = tenths.round();
    if (0.0..=100.0).contains(&percent) && (tenths - whole).abs() < 1e-6 {
        Ok(whole as u16)
    } else {
        Err(format!("{name} = {percent}: expected 0 to 100 percent, in steps of 0.1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-30T10:00:00.5Z".parse().unwrap()
    }

    #[test]
    fn a_plan_is_written_in_percent() {
        let (plan, has_beginning) = plan_of(
            "begins = 2026-12-01T08:00:00Z\nrecall_to = \"2.0.3\"\nhold = \"approval\"\n\
             [[stages]]\npercent = 0.5\nhours = 24\nsuccess = 97\nrollbacks = 1\nsamples = 200\n\
             [[stages]]\npercent = 100\n[only]\nfrom = \">=2, <3\"\nrings = [\"insiders\"]\n",
            now(),
        )
        .unwrap();
        let first = plan.stages()[0];
        assert_eq!((first.permille, first.hours, first.success), (5, 24, 970));
        assert_eq!((first.rollbacks, first.samples), (10, 200));
        assert_eq!((plan.stages()[1].permille, plan.stages()[1].rollbacks), (1000, 1000));
        assert_eq!(
            (plan.hold(), plan.recall_to().unwrap().to_string()),
            (Hold::Approval, "2.0.3".into())
        );
        assert_eq!(plan.begins().to_string(), "2026-12-01T08:00:00Z");
        let at_once = plan_of("[[stages]]\npercent = 100\n", now()).unwrap();
        assert!(has_beginning && !at_once.1);
        let at_once = at_once.0;
        assert_eq!(at_once.begins().to_string(), "2026-11-30T10:00:00Z", "whole seconds");
        let text =
            plan_of("begins = \"2026-12-01T08:00:00+08:00\"\n[[stages]]\npercent = 1\n", now());
        assert_eq!(text.unwrap().0.begins().to_string(), "2026-12-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_plan_is_refused_with_its_reason() {
        for (text, reason) in [
            ("stages = []", "1 to 16 stages"),
            ("[[stages]]\npercent = 0.05", "steps of 0.1"),
            ("[[stages]]\npercent = 101", "0 to 100 percent"),
            ("[[stages]]\npercent = 10\n[[stages]]\npercent = 5", "stage 2"),
            ("[[stages]]\npercent = 10\nminutes = 5", "minutes"),
            ("begins = 2026-12-01\n[[stages]]\npercent = 10", "begins"),
            ("[[stages]]\npercent = 10\nrollbacks = 1", "samples"),
        ] {
            let error = plan_of(text, now()).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
