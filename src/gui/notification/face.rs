//! What the notification shows in a state of the engine, and whether it shows anything. Pure.

use super::end::NotificationEnd;
use crate::gui::texts::Texts;
use crate::gui::view_state::{ViewState, step};
use crate::messages::protocol::{ClosingWait, Phase};

/// What the notification shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gui) enum Face {
    /// A release can be fetched: now or later.
    Offer,
    /// The update is under way, in this step.
    Strip(StripStep),
    /// The running app has taken the new version over.
    Swapped,
    /// The new version is installed, and a restart brings it: now or later.
    Restart,
    /// The app asks its user something before it closes.
    Waiting,
}

/// A step of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gui) enum StripStep {
    /// The user chose the update, and the engine has not begun it.
    Preparing,
    /// Bytes arrive.
    Downloading,
    /// The user paused the download.
    Paused,
    /// The launcher writes files.
    Installing,
    /// The running app takes the new version over.
    Swapping,
    /// The launcher ends the app and starts it again.
    Switching,
}

/// The face of a state, or how the notification has ended. `chosen`: the user chose "now" for the
/// offer.
pub(in crate::gui) fn face(view: &ViewState, chosen: bool) -> Result<Face, NotificationEnd> {
    let step = match &view.phase {
        Phase::Offered { .. } if !chosen => return Ok(Face::Offer),
        Phase::Offered { .. } | Phase::Checking => StripStep::Preparing,
        Phase::Idle if chosen => StripStep::Preparing,
        Phase::Downloading { .. } => StripStep::Downloading,
        Phase::Paused { .. } => StripStep::Paused,
        Phase::Installing { .. } => StripStep::Installing,
        Phase::Swapping { .. } => StripStep::Swapping,
        Phase::Closing { wait: ClosingWait::App, .. } | Phase::Switching { .. } => {
            StripStep::Switching
        }
        Phase::Closing { .. } => return Ok(Face::Waiting),
        Phase::Swapped { .. } => return Ok(Face::Swapped),
        Phase::Ready { .. } => return Ok(Face::Restart),
        Phase::Launched { .. } => return Err(done(view)),
        Phase::Idle | Phase::Cancelled => return Err(NotificationEnd::Declined),
        // These phases have a text to read, and the notification is too small for it.
        Phase::UpToDate { .. }
        | Phase::RollingBack
        | Phase::RolledBack { .. }
        | Phase::Repairing { .. }
        | Phase::Repaired(_)
        | Phase::Failed { .. } => return Err(NotificationEnd::Details),
    };
    Ok(Face::Strip(step))
}

/// The end of a successful update: `Done`, or `Details` if a text is left to read.
pub(in crate::gui) fn done(view: &ViewState) -> NotificationEnd {
    let nothing_to_read = view.incidents.is_empty() && view.notice.is_none();
    if nothing_to_read || view.finished() {
        NotificationEnd::Done
    } else {
        NotificationEnd::Details
    }
}

impl StripStep {
    /// The step's number in this update, and the number of steps: fetching, installing, and
    /// bringing into use. A version that is on this computer already needs no fetching.
    pub(crate) fn place(self, fetches: bool) -> (u64, u64) {
        let before = u64::from(fetches);
        let place = match self {
            Self::Preparing | Self::Downloading | Self::Paused => 1,
            Self::Installing => before + 1,
            Self::Swapping | Self::Switching => before + 2,
        };
        (place, before + 2)
    }

    /// The name of the step's message in the catalogue.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "strip-preparing",
            Self::Downloading => "strip-downloading",
            Self::Paused => "status-paused",
            Self::Installing => "strip-installing",
            Self::Swapping => "strip-swapping",
            Self::Switching => "strip-switching",
        }
    }

    /// How much of the step is done; `None` where that is unknown.
    pub(crate) fn fraction(self, view: &ViewState) -> Option<f32> {
        match self {
            Self::Downloading | Self::Paused => Some(view.fraction()),
            Self::Installing if view.counts_files() => Some(view.fraction()),
            Self::Switching if view.takes_files_along() => Some(view.fraction()),
            Self::Preparing | Self::Installing | Self::Swapping | Self::Switching => None,
        }
    }

    /// What the step does at the moment.
    pub(crate) fn detail(self, texts: &Texts, view: &ViewState) -> String {
        let progress = &view.progress;
        let amount = || {
            texts.with(
                "progress-amount",
                &[("done", &texts.size(progress.done)), ("total", &texts.size(progress.total))],
            )
        };
        match self {
            Self::Downloading if progress.done == 0 => texts.get("status-connecting"),
            Self::Downloading => texts.with(
                "strip-detail",
                &[("amount", &amount()), ("speed", &texts.speed(progress.speed))],
            ),
            Self::Paused => amount(),
            Self::Installing if view.counts_files() => {
                let (file, files) = step(progress);
                texts.with(
                    "progress-step",
                    &[("done", &texts.number(file)), ("total", &texts.number(files))],
                )
            }
            Self::Installing => texts.get("status-verifying"),
            Self::Swapping => texts.get("swapping-subtitle"),
            Self::Switching if view.takes_files_along() => {
                texts.taken_along(progress.done, progress.total)
            }
            Self::Switching if matches!(view.phase, Phase::Closing { .. }) => {
                texts.get("strip-waiting")
            }
            Self::Switching => texts.get("strip-starting"),
            Self::Preparing => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::Language;
    use crate::messages::protocol::{Event, NoUpdate, Problem, ProblemKind};
    use crate::model::Version;
    use crate::model::incident::{Incident, Notice};

    fn view(phase: Phase) -> ViewState {
        let mut view = ViewState::default();
        view.apply(Event::Phase { phase });
        view
    }

    #[test]
    fn every_phase_has_a_face_or_an_end() {
        let version = Version::new(2, 0, 1);
        let strip = |step| Ok(Face::Strip(step));
        let closing =
            |wait| Phase::Closing { version: Some(Version::new(2, 0, 1)), back: false, wait };
        let problem =
            Problem { kind: ProblemKind::NoNetwork, subject: String::new(), chain: Vec::new() };
        let expected = [
            (Phase::Checking, strip(StripStep::Preparing)),
            (Phase::Downloading { version: version.clone() }, strip(StripStep::Downloading)),
            (Phase::Paused { version: version.clone() }, strip(StripStep::Paused)),
            (Phase::Installing { version: version.clone() }, strip(StripStep::Installing)),
            (Phase::Swapping { version: version.clone() }, strip(StripStep::Swapping)),
            (closing(ClosingWait::App), strip(StripStep::Switching)),
            (closing(ClosingWait::Person), Ok(Face::Waiting)),
            (closing(ClosingWait::Unreachable), Ok(Face::Waiting)),
            (Phase::Switching { version: version.clone() }, strip(StripStep::Switching)),
            (Phase::Swapped { version: version.clone(), modules: Vec::new() }, Ok(Face::Swapped)),
            (Phase::Ready { version: version.clone(), running: true }, Ok(Face::Restart)),
            (Phase::Launched { version }, Err(NotificationEnd::Done)),
            (Phase::Cancelled, Err(NotificationEnd::Declined)),
            (
                Phase::UpToDate { reason: NoUpdate::Newest, current: None },
                Err(NotificationEnd::Details),
            ),
            (Phase::RollingBack, Err(NotificationEnd::Details)),
            (Phase::Failed { problem }, Err(NotificationEnd::Details)),
        ];
        for (phase, face_or_end) in expected {
            assert_eq!(face(&view(phase.clone()), true), face_or_end, "{phase:?}");
        }
        assert_eq!(face(&view(Phase::Idle), false), Err(NotificationEnd::Declined));
    }

    #[test]
    fn what_should_be_read_is_not_swallowed_at_the_end() {
        let version = Version::new(2, 0, 1);
        let mut view = view(Phase::Launched { version: version.clone() });
        let what = Incident::Conflicts { version, files: Vec::new() };
        view.incidents.push(Notice { when: jiff::Timestamp::UNIX_EPOCH, what });
        assert_eq!(face(&view, true), Err(NotificationEnd::Details));
    }

    #[test]
    fn steps_are_counted_from_what_there_is_to_do() {
        let places = |fetches| {
            [
                StripStep::Preparing,
                StripStep::Downloading,
                StripStep::Installing,
                StripStep::Swapping,
            ]
            .map(|step| step.place(fetches))
        };
        assert_eq!(places(true), [(1, 3), (1, 3), (2, 3), (3, 3)]);
        assert_eq!(
            [StripStep::Preparing, StripStep::Installing, StripStep::Switching]
                .map(|step| step.place(false)),
            [(1, 2), (1, 2), (2, 2)]
        );
    }

    #[test]
    fn details_are_of_what_is_going_on() {
        let english = Texts::new(Language::English);
        let mut view = view(Phase::Downloading { version: Version::new(2, 0, 1) });
        assert_eq!(StripStep::Downloading.detail(&english, &view), "Connecting…");
        view.progress.total = 1_200_000;
        view.progress.done = 500_000;
        view.progress.speed = 2_500_000.0;
        assert_eq!(StripStep::Downloading.detail(&english, &view), "500 KB of 1.2 MB • 2.5 MB/s");
        assert_eq!(StripStep::Downloading.fraction(&view), Some(5.0 / 12.0));
        view.phase = Phase::Installing { version: Version::new(2, 0, 1) };
        (view.progress.files_done, view.progress.files_total) = (643, 1532);
        assert_eq!(StripStep::Installing.detail(&english, &view), "File 644 of 1,532");
    }
}
