//! The work that the machine's effects begin: looks for releases, fetches and repairs versions,
//! chooses and removes them.
//!
//! In: the driver. Out: tasks, whose outcomes come in as inputs. Never: waits for one of them.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::Driver;
use crate::engine::installed::disk_use;
use crate::fetch::RunState;
use crate::messages::language::{MachineInput, SwitchTo};
use crate::messages::problem;
use crate::messages::protocol::Event;
use crate::model::{ContainerId, Offer, Version};
use crate::reports;
use crate::session::switching::{self, choose};
use crate::store::{maintenance, recall, remove, snapshots};
use crate::trust::Freshness;
use crate::update::check::CheckJob;
use crate::update::install::UpdateJob;
use crate::update::repair::RepairJob;
use crate::update::{from_file, hot_swap};

impl Driver {
    pub(super) fn check(&self, wanted: Option<Version>) {
        let job = CheckJob {
            environment: self.environment(),
            client: self.client.clone(),
            channel: self.session.channel.clone(),
            documents: self.documents.clone(),
            peers: self.peers.clone(),
        };
        self.spawn(job.run(wanted), MachineInput::Checked);
    }

    pub(super) fn check_file(&self, path: PathBuf, accept_expired: bool) {
        let (environment, client) = (self.environment(), self.client.clone());
        let freshness = if accept_expired { Freshness::Waived } else { Freshness::Required };
        let check = async move {
            from_file::check(&environment, &client, path, freshness).await.inspect_err(|problem| {
                tracing::info!(chain = ?problem.chain, "the bundle is not installed");
            })
        };
        self.spawn(check, MachineInput::Checked);
    }

    pub(super) fn update(&mut self, offer: Box<Offer>) {
        self.steer(RunState::Run);
        let job = UpdateJob {
            environment: self.environment(),
            client: self.client.clone(),
            documents: self.documents.clone(),
            peers: self.peers.clone(),
            offer,
            control: self.control.subscribe(),
            emitter: self.emitter.clone(),
            inputs: self.inputs.clone(),
            arrived: OnceLock::new(),
        };
        self.download = Some(self.spawn(job.run(), MachineInput::Updated));
    }

    pub(super) fn repair(&mut self, id: ContainerId) {
        self.steer(RunState::Run);
        let job = RepairJob {
            environment: self.environment(),
            client: self.client.clone(),
            documents: self.documents.clone(),
            peers: self.peers.clone(),
            id,
            control: self.control.subscribe(),
            emitter: self.emitter.clone(),
        };
        self.download = Some(self.spawn(job.run(), MachineInput::Repaired));
    }

    pub(super) fn choose(&mut self, to: SwitchTo, at_next_start: bool) {
        let (environment, emitter) = (self.environment(), self.emitter.clone());
        let choose = move || {
            let was_recalled = recall::is_active_recalled(&environment.home);
            let version = to.id.version.clone();
            let chosen = choose(&environment, to, at_next_start, &|event| emitter.emit(event));
            if let Some(happening) = switching::happening(&version, &chosen, was_recalled) {
                reports::record(&environment, &happening);
            }
            chosen
        };
        self.begin(choose, MachineInput::Chosen);
    }

    pub(super) fn swap(&self, offer: Box<Offer>) {
        let (environment, channel) = (self.environment(), self.session.channel.clone());
        let swap = async move {
            Ok(hot_swap::hot_swap(&environment, &channel, &offer.signed.release).await)
        };
        self.spawn(swap, |swapped| {
            MachineInput::Swapped(swapped.unwrap_or_else(|_| Err(Vec::new())))
        });
    }

    pub(super) fn remove(&mut self, id: ContainerId) {
        let environment = self.environment();
        let remove = move || {
            let removed =
                environment.remove_versions(|home, lock| remove::set_aside(home, &id, lock));
            removed.map_err(|error| problem::of_store(&error))
        };
        self.begin(remove, MachineInput::Removed);
    }

    pub(super) fn prune(&mut self) {
        let environment = self.environment();
        let prune = move || {
            let keep = environment.settings.update.keep_versions;
            let pruned =
                environment.remove_versions(|home, lock| maintenance::prune(home, keep, lock));
            // The list is sent again, whatever the outcome.
            pruned.map(drop).map_err(|error| problem::of_store(&error))
        };
        self.begin(prune, MachineInput::Removed);
    }

    pub(super) fn delete_retained(&mut self, folder: PathBuf) {
        let environment = self.environment();
        let delete = move || {
            let deleted = environment
                .lock()
                .and_then(|lock| snapshots::delete(&environment.home, &folder, &lock));
            deleted.map_err(|error| problem::of_store(&error))
        };
        self.begin(delete, MachineInput::Removed);
    }

    pub(super) fn prune_automatically(&mut self) {
        let environment = self.environment();
        let prune = move || {
            switching::prune_automatically(&environment);
            // The list is sent again.
            Ok(())
        };
        self.begin(prune, MachineInput::Removed);
    }

    pub(super) fn measure_disk(&self) {
        let (environment, emitter) = (self.environment(), self.emitter.clone());
        tokio::task::spawn_blocking(move || emitter.emit(Event::DiskUse(disk_use(&environment))));
    }
}
