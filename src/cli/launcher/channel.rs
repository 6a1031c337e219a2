//! `channel`: which channel this installation follows, among those that the publisher offers.
//!
//! In: the typed arguments. Out: the user's choice in the home's state; with `--back` a return to the
//! channel's newest version. Never: an older version without that word.

use serde_json::json;

use super::invocation::Invocation;
use crate::app::{Ending, terminal};
use crate::engine::driver;
use crate::messages::language::Setup;
use crate::messages::problem;
use crate::messages::protocol::{CheckTrigger, Command, NoUpdate, Phase};
use crate::model::{ContainerId, Version};
use crate::store::{StoreError, rollback};

impl Invocation<'_> {
    pub(super) fn channel(&self, name: Option<&str>, back: bool) -> Result<Ending, StoreError> {
        let (environment, texts) = (self.environment(), &self.output.texts);
        let channels = &environment.settings.channels;
        let before = environment.channel();
        let all = channels.join(", ");
        if let Some(name) = name
            && name != before
            && !environment.choose_channel(name)?
        {
            let unknown = [("channel", name), ("channels", all.as_str())];
            self.output.say(&match channels.is_empty() {
                true => texts.get("channel-fixed"),
                false => texts.with("channel-unknown", &unknown),
            });
            self.tell_channel("nothing_to_do", &before);
            return Ok(Ending::NothingToDo);
        }
        let now = environment.channel();
        self.output.say(&texts.with("channel-is", &[("channel", &now)]));
        if back {
            return Ok(self.back_to_channel());
        }
        self.output.say(&match channels.is_empty() {
            true => texts.get("channel-fixed"),
            false => texts.with("channel-choices", &[("channels", &all)]),
        });
        let is_same = name.is_some() && now == before;
        self.tell_channel(if is_same { "nothing_to_do" } else { "done" }, &now);
        Ok(if is_same { Ending::NothingToDo } else { Ending::Done })
    }

    fn tell_channel(&self, status: &str, channel: &str) {
        let channels = &self.environment().settings.channels;
        self.output.result(json!({ "status": status, "channel": channel, "channels": channels }));
    }

    /// Goes back to the newest version of the channel, if the active one is newer than all of it: with
    /// the files as they were where it was left, else with the present ones.
    fn back_to_channel(&self) -> Ending {
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(Command::Check(CheckTrigger::Person));
        let ending = terminal::follow(&handle, self.output, |phase| match phase {
            Phase::UpToDate { reason, .. } => {
                let NoUpdate::AheadOfChannel { newest } = reason.of_newer() else {
                    return Some(Ending::NothingToDo);
                };
                handle.send(match self.point_of(newest) {
                    Ok(Some(id)) => Command::RollBack(Some(id)),
                    Ok(None) => Command::StartVersion(newest.clone()),
                    Err(error) => {
                        return Some(self.output.problem(&problem::of_store(&error)));
                    }
                });
                None
            }
            Phase::Offered { offer } if offer.replaces_newer().is_none() => Some(Ending::Done),
            Phase::RolledBack { .. } | Phase::Ready { .. } => Some(Ending::Done),
            Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
            _ => None,
        });
        driver::quit(&handle, thread);
        ending
    }

    /// The container of this version, if a rollback can return to it.
    fn point_of(&self, version: &Version) -> Result<Option<ContainerId>, StoreError> {
        let points = rollback::points(&self.place.home)?;
        let mut found = points.into_iter().map(|point| point.container);
        Ok(found.find(|container| container.version == *version))
    }
}
