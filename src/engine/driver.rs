//! Performs the machine's effects: one thread with its own runtime, that feeds commands and
//! outcomes into the machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::machine::Machine;
use super::starter::{Starter, Watcher};
use super::supervisor;
use crate::fetch::{Client, ClientOptions, Control, RunState};
use crate::host;
use crate::messages::language::{Chosen, Effect, MachineInput, Setup};
use crate::messages::mailbox::{self, Emitter, EngineEnd, Handle};
use crate::messages::problem;
use crate::messages::protocol::{
    Command, DiskUse, Event, FolderUse, InstalledVersion, Phase, Problem, ProblemKind, Progress,
    Repaired, RetainedFiles,
};
use crate::model::incident::{Incident, Notice};
use crate::model::{ContainerId, Version};
use crate::session::app::Expecting;
use crate::session::channel;
use crate::session::closing::CloseControl;
use crate::store::launch::RunningApp;
use crate::store::lock::RunningLock;
use crate::store::switch::{self, SwitchOptions};
use crate::store::{HomeState, StoreError, remove, rollback, snapshots, usage};
use crate::threads;
use crate::trust::Freshness;
use crate::update::context::Context;
use crate::update::{check, from_file, hot_swap, install, peer_service, repair};

/// User files from which on their carrying over is shown, bytes.
pub(crate) const WORTH_A_BAR: u64 = 32 << 20;
/// Starts an engine on a thread of its own. It ends after [`Command::Quit`].
pub(crate) fn spawn(
    context: Context,
    setup: Setup,
) -> Result<(Handle, std::thread::JoinHandle<()>), Problem> {
    context.peer_network.open(&context);
    let client =
        Client::new(&ClientOptions::default()).map_err(|error| problem::of_fetch(&error))?;
    let runtime = threads::runtime(2).map_err(|error| problem::of_system(&error))?;
    let (handle, end) = mailbox::channel();
    let thread = threads::spawn("engine", move || {
        runtime.block_on(Driver::new(context, client, setup, &end).run(end));
        // What is left are downloads that were told to stop, and threads that wait for the app.
        runtime.shutdown_background();
    });
    Ok((handle, thread.map_err(|error| problem::of_system(&error))?))
}

struct Driver {
    context: Arc<Context>,
    client: Client,
    machine: Machine,
    emitter: Emitter,
    inputs: mpsc::UnboundedSender<MachineInput>,
    outcomes: mpsc::UnboundedReceiver<MachineInput>,
    control: watch::Sender<Control>,
    download: Option<tokio::task::JoinHandle<()>>,
    /// Switches, starts and prunings under way: the engine does not end in the middle of one.
    starting: Vec<tokio::task::JoinHandle<()>>,
    /// A start that waits for the end of the app.
    restarting: Option<tokio::task::JoinHandle<()>>,
    /// The app that is closing: what a person decides, and that another start follows.
    closing: Option<(CloseControl, Expecting)>,
    watcher: Watcher,
}

impl Driver {
    fn new(context: Context, client: Client, setup: Setup, end: &EngineEnd) -> Self {
        let (inputs, outcomes) = mpsc::unbounded_channel();
        let control = Control { state: RunState::Run, limit: context.settings.bandwidth_limit() };
        let driver = Self {
            context: Arc::new(context),
            client,
            machine: Machine::new(setup),
            emitter: end.emitter(),
            inputs,
            outcomes,
            control: watch::Sender::new(control),
            download: None,
            starting: Vec::new(),
            restarting: None,
            closing: None,
            watcher: Watcher::default(),
        };
        let happenings = driver.inputs.clone();
        driver.context.app.on_happening(move |what| {
            // Nobody is left to hear it once the engine has ended.
            let _ = happenings
                .send(MachineInput::Incident(Notice { when: host::now(), what: what.clone() }));
        });
        if let Some(app) = driver.context.app.get() {
            driver.watcher.watch(app, &driver.context.app, &driver.inputs);
        }
        driver
    }

    async fn run(mut self, mut end: EngineEnd) {
        self.talk(&end);
        self.list();
        loop {
            let input = tokio::select! {
                command = end.commands.recv() => MachineInput::Command(command.unwrap_or(Command::Quit)),
                Some(outcome) = self.outcomes.recv() => outcome,
            };
            let has_closed = matches!(input, MachineInput::Closed(_));
            for effect in self.machine.step(input) {
                if effect == Effect::Stop {
                    return self.stop().await;
                }
                self.perform(effect);
            }
            // What was to follow the app's end has taken this along, or does not follow.
            if has_closed {
                self.closing = None;
            }
        }
    }

    /// Lets the running app talk to this engine.
    fn talk(&self, end: &EngineEnd) {
        let channel = self.context.channel.clone();
        end.on_emit(move |event| channel.tell(event));
        let inputs = self.inputs.clone();
        let commands = move |command| {
            // Nobody is left to hear it once the engine has ended.
            let _ = inputs.send(MachineInput::Command(command));
        };
        let Context { channel, app, home, .. } = (*self.context).clone();
        tokio::spawn(channel::serve(channel, app, home, commands));
    }

    /// A download is kept as at a pause: it is told to stop, and given the time to note its last
    /// pieces.
    async fn stop(self) {
        self.steer(RunState::Cancel);
        if let Some((control, _)) = &self.closing {
            // Nobody is left who would do what should follow.
            control.take_back();
        }
        if let Some(download) = self.download {
            let _ = tokio::time::timeout(Duration::from_secs(5), download).await;
        }
        for starting in self.starting.into_iter().chain(self.restarting) {
            // A panic there was told by the panic hook.
            let _ = starting.await;
        }
    }

    fn perform(&mut self, effect: Effect) {
        self.starting.retain(|task| !task.is_finished());
        match effect {
            Effect::Emit(event) => {
                log(&event);
                self.emitter.emit(event);
            }
            Effect::Check(wanted) => {
                let (context, client) = (Arc::clone(&self.context), self.client.clone());
                let check = async move {
                    MachineInput::Checked(check::check(&context, &client, wanted).await)
                };
                self.work(check, |bug| MachineInput::Checked(Err(bug)));
            }
            Effect::CheckFile { path, accept_expired } => {
                let (context, client) = (Arc::clone(&self.context), self.client.clone());
                let freshness =
                    if accept_expired { Freshness::Waived } else { Freshness::Required };
                let check = async move {
                    MachineInput::Checked(
                        from_file::check(&context, &client, path, freshness).await,
                    )
                };
                self.work(check, |bug| MachineInput::Checked(Err(bug)));
            }
            Effect::Update(offer) => {
                self.steer(RunState::Run);
                let job = install::UpdateJob {
                    context: Arc::clone(&self.context),
                    client: self.client.clone(),
                    offer,
                    control: self.control.subscribe(),
                    emitter: self.emitter.clone(),
                    inputs: self.inputs.clone(),
                };
                let update = async move { MachineInput::Updated(job.run().await) };
                self.download = Some(self.work(update, |bug| MachineInput::Updated(Err(bug))));
            }
            Effect::Repair(id) => {
                self.steer(RunState::Run);
                let job = repair::RepairJob {
                    context: Arc::clone(&self.context),
                    client: self.client.clone(),
                    id,
                    control: self.control.subscribe(),
                    emitter: self.emitter.clone(),
                };
                let repair = async move {
                    MachineInput::Repaired(job.run().await.map(|repaired| repaired.map(Box::new)))
                };
                self.download = Some(self.work(repair, |bug| MachineInput::Repaired(Err(bug))));
            }
            Effect::Pause => self.steer(RunState::Pause),
            Effect::Resume => self.steer(RunState::Run),
            Effect::Cancel => self.steer(RunState::Cancel),
            Effect::LimitBandwidth(limit) => {
                self.control.send_modify(|control| control.limit = limit)
            }
            Effect::Skip(version) => self.skip(version),
            Effect::SkipNothing => self.remember(|state| state.skipped.clear()),
            Effect::Choose { id, at_next_start } => {
                let emitter = self.emitter.clone();
                let choose = move |context: &Context| {
                    MachineInput::Chosen(choose(context, id, at_next_start, &|event| {
                        emitter.emit(event)
                    }))
                };
                let choosing = self.blocking(choose, |bug| MachineInput::Chosen(Err(bug)));
                self.starting.push(choosing);
            }
            Effect::Swap(offer) => {
                let context = Arc::clone(&self.context);
                let swap = async move {
                    MachineInput::Swapped(hot_swap::hot_swap(&context, &offer.signed.release).await)
                };
                self.work(swap, |_| MachineInput::Swapped(Err(Vec::new())));
            }
            // One at a time: a second wish is the same wish.
            Effect::RestartWhenEnded
                if self.restarting.as_ref().is_none_or(|task| task.is_finished()) =>
            {
                let starter = self.starter();
                // Said now, before anybody looks at the app's end.
                let expected = self.context.app.expect_another();
                let (context, inputs) = (Arc::clone(&self.context), self.inputs.clone());
                self.restarting = Some(tokio::task::spawn_blocking(move || {
                    let started = starter.restart_when_ended(&context);
                    drop(expected);
                    if let Some(started) = started {
                        // Nobody is left to hear it once the engine has ended.
                        let _ = inputs.send(MachineInput::Relaunched(started));
                    }
                }));
            }
            Effect::RestartWhenEnded => {}
            Effect::Close { back } => {
                let control = CloseControl::default();
                // Said now, before anybody looks at the app's end.
                self.closing = Some((control.clone(), self.context.app.expect_another()));
                let starter = self.starter();
                let close = move |context: &Context| {
                    MachineInput::Closed(starter.close(context, back, &control))
                };
                let closing = self.blocking(close, |bug| MachineInput::Closed(Err(bug)));
                self.starting.push(closing);
            }
            Effect::KeepRunning => self.decide(CloseControl::take_back),
            Effect::EndApp => self.decide(CloseControl::force),
            Effect::Restart { switch_to } => {
                let (starter, expected) = (self.starter(), self.closing.take());
                let restart = move |context: &Context| {
                    let started = starter.restart(context, switch_to);
                    drop(expected);
                    MachineInput::Launched(started)
                };
                let starting = self.blocking(restart, |bug| MachineInput::Launched(Err(bug)));
                self.starting.push(starting);
            }
            Effect::RollBack { to, launch } => {
                let (starter, expected) = (self.starter(), self.closing.take());
                let work = move |context: &Context| {
                    let back = starter.roll_back(context, to, launch);
                    drop(expected);
                    MachineInput::RolledBack(back)
                };
                let rolling = self.blocking(work, |bug| MachineInput::RolledBack(Err(bug)));
                self.starting.push(rolling);
            }
            Effect::Pin(version) => self.remember(|state| state.pinned = version),
            Effect::Remove(id) => {
                let remove = move |context: &Context| {
                    let removed =
                        context.lock().and_then(|lock| remove::remove(&context.home, &id, &lock));
                    MachineInput::Removed(removed.map_err(|error| problem::of_store(&error)))
                };
                let removing = self.blocking(remove, |bug| MachineInput::Removed(Err(bug)));
                self.starting.push(removing);
            }
            Effect::Prune => {
                let prune = |context: &Context| {
                    let pruned = context.lock().and_then(|lock| {
                        remove::prune(&context.home, context.settings.update.keep_versions, &lock)
                            .map(drop)
                    });
                    // The list is told anew, whatever came of it.
                    MachineInput::Removed(pruned.map_err(|error| problem::of_store(&error)))
                };
                let pruning = self.blocking(prune, |bug| MachineInput::Removed(Err(bug)));
                self.starting.push(pruning);
            }
            Effect::TidyUp => {
                let tidy = |context: &Context| {
                    tidy_up(context);
                    // The list is told anew.
                    MachineInput::Removed(Ok(()))
                };
                let tidying = self.blocking(tidy, |bug| MachineInput::Removed(Err(bug)));
                self.starting.push(tidying);
            }
            Effect::MeasureDisk => {
                let (context, emitter) = (Arc::clone(&self.context), self.emitter.clone());
                tokio::task::spawn_blocking(move || {
                    emitter.emit(Event::DiskUse(disk_use(&context)))
                });
            }
            Effect::Forget(what) => {
                self.remember(|state| state.notices.retain(|notice| notice.what != *what))
            }
            Effect::Share(on) => {
                self.remember(|state| state.peers_off = !on);
                // Opens it, or closes it, as the user wants it now.
                self.context.peer_network.open(&self.context);
            }
            Effect::List => self.list(),
            Effect::Stop => {}
        }
    }

    /// What a person has decided about the app that is closing.
    fn decide(&self, decision: fn(&CloseControl)) {
        if let Some((control, _)) = &self.closing {
            decision(control);
        }
    }

    fn starter(&self) -> Starter {
        Starter {
            emitter: self.emitter.clone(),
            inputs: self.inputs.clone(),
            watcher: self.watcher.clone(),
        }
    }

    fn steer(&self, state: RunState) {
        self.control.send_modify(|control| control.state = state);
    }

    /// Work whose outcome comes in as an input. A panic in it is an outcome as well, which `failed`
    /// makes: the machine would wait for ever.
    fn work(
        &self,
        work: impl Future<Output = MachineInput> + Send + 'static,
        failed: fn(Problem) -> MachineInput,
    ) -> tokio::task::JoinHandle<()> {
        let inputs = self.inputs.clone();
        let work = tokio::spawn(work);
        tokio::spawn(async move {
            let outcome = work
                .await
                .unwrap_or_else(|panic| failed(Problem::new(ProblemKind::Internal, "", &panic)));
            // Nobody is left to hear it once the engine has ended.
            let _ = inputs.send(outcome);
        })
    }

    /// Work that blocks, on a thread for such; its outcome comes in as an input.
    fn blocking(
        &self,
        work: impl FnOnce(&Context) -> MachineInput + Send + 'static,
        failed: fn(Problem) -> MachineInput,
    ) -> tokio::task::JoinHandle<()> {
        let context = Arc::clone(&self.context);
        // The thread is asked for within the task: where the system has none left, that panics.
        let work = async move {
            tokio::task::spawn_blocking(move || work(&context))
                .await
                .unwrap_or_else(|panic| failed(Problem::new(ProblemKind::Internal, "", &panic)))
        };
        self.work(work, failed)
    }

    fn skip(&self, version: Version) {
        self.remember(|state| {
            if !state.skipped.contains(&version) {
                state.skipped.push(version);
            }
        });
    }

    fn remember(&self, change: impl FnOnce(&mut HomeState)) {
        let result = self.context.home.state().and_then(|mut state| {
            change(&mut state);
            self.context.home.set_state(&state)
        });
        if let Err(error) = result {
            self.emitter.emit(Event::Notice { problem: problem::of_store(&error) });
        }
    }

    fn list(&self) {
        if self.context.settings.peers.enabled {
            self.emitter.emit(Event::Sharing { on: peer_service::in_force(&self.context) });
        }
        match installed(&self.context) {
            Ok(versions) => {
                self.emitter.emit(Event::Installed { versions, retained: retained(&self.context) })
            }
            Err(error) => self.emitter.emit(Event::Notice { problem: problem::of_store(&error) }),
        }
    }
}

/// The installed versions as the version menu shows them.
pub(crate) fn installed(context: &Context) -> Result<Vec<InstalledVersion>, StoreError> {
    let active = context.home.chosen().ok();
    let skipped = context.home.state().map(|state| state.skipped).unwrap_or_default();
    let waits = |id: &ContainerId| {
        active.as_ref().is_some_and(|active| id.version > active.version)
            && !skipped.contains(&id.version)
    };
    let records = context.home.installed()?;
    let points = rollback::points(&context.home)?;
    // Where nothing is installed yet there is no folder to remember anything in.
    let HomeState { failed, pinned, .. } = context.home.state().unwrap_or_default();
    let surplus = remove::surplus(&context.home, context.settings.update.keep_versions)?;
    Ok(records
        .into_iter()
        .map(|record| InstalledVersion {
            active: active.as_ref() == Some(&record.container),
            running: RunningLock::is_held(&context.home, &record.container),
            ready: waits(&record.container),
            folder: context.home.container(&record.container),
            holds_files: usage::holds_user_files(&context.home.container(&record.container)),
            size: record.size,
            installed: record.installed,
            left: points
                .iter()
                .find(|point| point.container == record.container)
                .map(|point| point.left),
            failed: failed.contains(&record.container.version),
            pinned: pinned.is_some() && active.as_ref() == Some(&record.container),
            surplus: surplus.contains(&record.container),
            id: record.container,
        })
        .collect())
}

/// The user's files that are kept of versions that were left.
pub(crate) fn retained(context: &Context) -> Vec<RetainedFiles> {
    let home = &context.home;
    let retained = |snapshot: &snapshots::Snapshot| RetainedFiles {
        version: snapshot.container.version.clone(),
        left: snapshot.left,
        folder: snapshot.place(home),
    };
    // What cannot be looked at now is not shown, nor is what holds nothing.
    let retained =
        snapshots::list(home).unwrap_or_default().iter().map(retained).collect::<Vec<_>>();
    retained.into_iter().filter(|retained| usage::holds_user_files(&retained.folder)).collect()
}

/// The room that the installation takes; looks at every file.
pub(crate) fn disk_use(context: &Context) -> DiskUse {
    let usage::Usage { whole, folders } = usage::measure(&context.home);
    DiskUse {
        whole,
        folders: folders.into_iter().map(|(folder, bytes)| FolderUse { folder, bytes }).collect(),
    }
}

/// Switches to `id`: now, or at the next start while the app is running in another version, whoever
/// started it.
pub(crate) fn choose(
    context: &Context,
    id: ContainerId,
    at_next_start: bool,
    tell: &dyn Fn(Event),
) -> Result<Chosen, Problem> {
    let home = &context.home;
    let result = context.lock().and_then(|lock| {
        let in_use = |active: ContainerId| active != id && RunningLock::is_held(home, &active);
        let at_next_start =
            at_next_start || home.active().is_ok_and(|(active, _)| in_use(active.container));
        if at_next_start {
            switch::switch_at_next_start(home, &id, &lock)?;
        } else {
            let on_progress = |done, total| {
                if total >= WORTH_A_BAR {
                    tell(Event::Progress(Progress { done, total, ..Progress::default() }));
                }
            };
            let (record, migration) =
                match switch::switch(home, &id, options(context, &on_progress), &lock) {
                    // The version that was to be left was started meanwhile: the switch waits for
                    // its end.
                    Err(StoreError::InUse { .. })
                        if home
                            .named()?
                            .is_some_and(|active| active.pending.as_ref() == Some(&id)) =>
                    {
                        return Ok(true);
                    }
                    result => result?,
                };
            migration.log();
            if !migration.conflicts.is_empty() {
                let version = record.container.version.clone();
                let what = Incident::Conflicts { version, files: migration.conflicts };
                tell(Event::Incident { when: host::now(), what });
            }
        }
        Ok(at_next_start)
    });
    result
        .map(|at_next_start| Chosen { id, at_next_start })
        .map_err(|error| problem::of_store(&error))
}

/// Removes what the settings no longer want to keep, once nobody waits for it. The home's lock is
/// held only until the old versions have lost their names; deleting their files takes longer, and
/// keeps nobody from switching. That one of them stays is no reason to fail.
pub(crate) fn tidy_up(context: &Context) {
    let home = &context.home;
    match context.lock().and_then(|lock| {
        remove::set_aside_surplus(home, context.settings.update.keep_versions, &lock)
    }) {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(?removed, "old versions removed"),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "old versions could not be removed"
        ),
    }
    remove::delete_set_aside(home);
}

fn options<'a>(context: &'a Context, on_progress: &'a dyn Fn(u64, u64)) -> SwitchOptions<'a> {
    SwitchOptions {
        variable: &context.variable,
        migration_limit: context.settings.update.migration_limit(),
        on_progress,
    }
}

/// Starts the app and remembers it as the one this launcher started; `tell` hears of a switch on
/// the way.
pub(crate) fn start(
    context: &Context,
    tell: &dyn Fn(Event),
) -> Result<Arc<RunningApp>, StoreError> {
    supervisor::start(context, tell)
}

fn log(event: &Event) {
    match event {
        Event::Phase { phase: Phase::Repaired(repaired) } => {
            let Repaired { version, mended, left, removed, .. } = &**repaired;
            tracing::info!(%version, ?mended, ?left, ?removed, "repaired");
        }
        Event::Phase { phase } => tracing::info!(?phase, "phase"),
        Event::Notice { problem } => tracing::warn!(?problem, "notice"),
        _ => {}
    }
}
