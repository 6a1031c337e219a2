//! Performs the machine's effects: one thread with its own runtime that feeds commands and outcomes
//! into the machine.
//!
//! The driver owns everything alive in an engine: the session with the app, the peers, the cached
//! documents of packages, the download. It passes to each piece of work only what that work uses;
//! `work` begins it.

mod work;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::machine::Machine;
use super::menu;
use super::reporting::Reporting;
use crate::backoff::{self, Backoff};
use crate::environment::Environment;
use crate::fetch::{Client, ClientOptions, Control, RunState};
use crate::host;
use crate::messages::language::{Back, Effect, MachineInput, Setup};
use crate::messages::mailbox::{self, Emitter, EngineEnd, Handle};
use crate::messages::problem;
use crate::messages::protocol::{Command, Event, Phase, Problem, ProblemKind, Repaired};
use crate::model::Version;
use crate::model::incident::Notice;
use crate::session::app::Expecting;
use crate::session::app_session::AppSession;
use crate::session::channel;
use crate::session::closing::CloseControl;
use crate::session::restart::{Starter, Watcher};
use crate::store::HomeState;
use crate::threads;
use crate::update::package_documents::DocumentCache;
use crate::update::peer_service::PeerHandle;

/// Pauses between two tries for a person who waits for the network and whose app cannot be started
/// before.
const RETRY_BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(300) };

/// Starts an engine on a new thread. It ends after [`Command::Quit`].
pub(crate) fn spawn(
    session: AppSession,
    setup: Setup,
) -> Result<(Handle, std::thread::JoinHandle<()>), Problem> {
    let peers = PeerHandle::default();
    peers.open(&session.environment);
    let client =
        Client::new(&ClientOptions::default()).map_err(|error| problem::of_fetch(&error))?;
    let runtime = threads::runtime(2).map_err(|error| problem::of_system(&error))?;
    let (handle, end) = mailbox::channel();
    let thread = threads::spawn("engine", move || {
        runtime.block_on(Driver::new(session, peers, client, setup, &end).run(end));
        // Only stopped downloads and threads that wait for the app are left.
        runtime.shutdown_background();
    });
    Ok((handle, thread.map_err(|error| problem::of_system(&error))?))
}

/// Ends an engine and waits for its thread.
pub(crate) fn quit(handle: &Handle, engine: std::thread::JoinHandle<()>) {
    handle.send(Command::Quit);
    // The panic hook has reported a panic of that thread; the outcome stays.
    let _ = engine.join();
}

struct Driver {
    session: AppSession,
    client: Client,
    documents: DocumentCache,
    peers: PeerHandle,
    machine: Machine,
    emitter: Emitter,
    inputs: mpsc::UnboundedSender<MachineInput>,
    outcomes: mpsc::UnboundedReceiver<MachineInput>,
    control: watch::Sender<Control>,
    download: Option<JoinHandle<()>>,
    /// Switches, starts and prunings under way. The engine ends only after them.
    unfinished: Vec<JoinHandle<()>>,
    /// A start that waits for the end of the app.
    restarting: Option<JoinHandle<()>>,
    /// The app that is closing: its control, and the guard that announces another start.
    closing: Option<(CloseControl, Expecting)>,
    watcher: Watcher,
    /// Reports to the publisher, where he wants any.
    reporting: Option<Reporting>,
    /// Whether the app is started with or after this engine.
    launches: bool,
}

impl Driver {
    fn new(
        session: AppSession,
        peers: PeerHandle,
        client: Client,
        setup: Setup,
        end: &EngineEnd,
    ) -> Self {
        let (inputs, outcomes) = mpsc::unbounded_channel();
        let control =
            Control { state: RunState::Run, limit: session.environment.settings.bandwidth_limit() };
        let driver = Self {
            session,
            client,
            documents: DocumentCache::default(),
            peers,
            machine: Machine::new(setup),
            emitter: end.emitter(),
            inputs,
            outcomes,
            control: watch::Sender::new(control),
            download: None,
            unfinished: Vec::new(),
            restarting: None,
            closing: None,
            watcher: Watcher::default(),
            reporting: None,
            launches: setup.launch_when_ready,
        };
        let happenings = driver.inputs.clone();
        driver.session.app.on_happening(move |what| {
            // Once the engine has ended there is no receiver.
            let _ = happenings
                .send(MachineInput::Incident(Notice { when: host::now(), what: what.clone() }));
        });
        if let Some(app) = driver.session.app.get() {
            driver.watcher.watch(app, &driver.session.app, &driver.inputs);
        }
        driver
    }

    async fn run(mut self, mut end: EngineEnd) {
        self.talk(&end);
        menu::report(&self.session, &self.emitter);
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
            // The work that follows the app's end has taken this value, or there is none.
            if has_closed {
                self.closing = None;
            }
        }
    }

    /// Starts the conversation between the running app and this engine.
    fn talk(&mut self, end: &EngineEnd) {
        let channel = self.session.channel.clone();
        self.reporting = Reporting::begin(self.environment(), self.client.clone());
        let reports = self.reporting.as_ref().map(Reporting::listener);
        end.on_emit(move |event| {
            channel.tell(event);
            if let Some(reports) = &reports {
                reports(event);
            }
        });
        let inputs = self.inputs.clone();
        let commands = move |command| {
            // Once the engine has ended there is no receiver.
            let _ = inputs.send(MachineInput::Command(command));
        };
        let AppSession { channel, app, environment, .. } = self.session.clone();
        tokio::spawn(channel::serve(channel, app, environment.home.clone(), commands));
    }

    /// A download stays resumable as after a pause: it is asked to stop, and gets the time to
    /// record its last pieces.
    async fn stop(self) {
        self.steer(RunState::Cancel);
        if let Some((control, _)) = &self.closing {
            // Nothing would perform what should follow.
            control.take_back();
        }
        if let Some(download) = self.download {
            let _ = tokio::time::timeout(Duration::from_secs(5), download).await;
        }
        for unfinished in self.unfinished.into_iter().chain(self.restarting) {
            // The panic hook has logged a panic there.
            let _ = unfinished.await;
        }
        if let Some(reporting) = self.reporting {
            let app_follows = self.launches && self.session.app.get().is_none();
            reporting.end(app_follows).await;
        }
    }

    fn perform(&mut self, effect: Effect) {
        self.unfinished.retain(|task| !task.is_finished());
        match effect {
            Effect::Emit(event) => {
                log(&event);
                self.emitter.emit(event);
            }
            Effect::Check(wanted) => self.check(wanted),
            Effect::CheckFile { path, accept_expired } => self.check_file(path, accept_expired),
            Effect::Update(offer) => self.update(offer),
            Effect::Repair(id) => self.repair(id),
            Effect::Pause => self.steer(RunState::Pause),
            Effect::Resume => self.steer(RunState::Run),
            Effect::Cancel => self.steer(RunState::Cancel),
            Effect::LimitBandwidth(limit) => {
                self.control.send_modify(|control| control.limit = limit);
            }
            Effect::Skip(version) => self.skip(version),
            Effect::SkipNothing => self.remember(|state| state.skipped.clear()),
            Effect::Pin(version) => self.remember(|state| state.pinned = version),
            Effect::RemoveIncident(what) => {
                self.remember(|state| state.notices.retain(|notice| notice.what != *what));
            }
            Effect::Choose { to, at_next_start } => self.choose(to, at_next_start),
            Effect::Swap(offer) => self.swap(offer),
            Effect::RestartWhenEnded => self.restart_when_ended(),
            Effect::Close { back } => self.close(back),
            Effect::KeepRunning => self.decide(CloseControl::take_back),
            Effect::EndApp => self.decide(CloseControl::force),
            Effect::Restart { switch_to } => {
                self.after_closing(
                    move |starter| starter.restart(switch_to),
                    MachineInput::Launched,
                );
            }
            Effect::RollBack { to, launch } => {
                self.after_closing(
                    move |starter| starter.roll_back(to, launch),
                    MachineInput::RolledBack,
                );
            }
            Effect::Remove(id) => self.remove(id),
            Effect::Prune => self.prune(),
            Effect::DeleteRetained(folder) => self.delete_retained(folder),
            Effect::PruneAutomatically => self.prune_automatically(),
            Effect::MeasureDisk => self.measure_disk(),
            Effect::Share(on) => {
                self.remember(|state| state.peers_off = !on);
                // Opens or closes the peer network, as the settings say now.
                self.peers.open(&self.session.environment);
            }
            Effect::Report(on) => menu::turn_reports(&self.session, &self.emitter, on),
            Effect::ChooseChannel(name) => {
                menu::choose_channel(&self.session, &self.emitter, &name);
            }
            Effect::StartAtLogin(on) => menu::start_at_login(&self.session, &self.emitter, on),
            Effect::OldShortcuts(choice) => menu::choose(&self.session, &self.emitter, choice),
            Effect::List => menu::report(&self.session, &self.emitter),
            Effect::RetryLater(failures) => self.retry_later(failures),
            Effect::Stop => {}
        }
    }

    fn environment(&self) -> Arc<Environment> {
        Arc::clone(&self.session.environment)
    }

    /// One at a time: a second request means the same.
    fn restart_when_ended(&mut self) {
        if self.restarting.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let starter = self.starter();
        // Announced now, before anybody looks at the app's end.
        let expected = self.session.app.expect_another();
        let inputs = self.inputs.clone();
        self.restarting = Some(tokio::task::spawn_blocking(move || {
            let started = starter.restart_when_ended();
            drop(expected);
            if let Some(started) = started {
                // Once the engine has ended there is no receiver.
                let _ = inputs.send(MachineInput::Relaunched(started));
            }
        }));
    }

    fn close(&mut self, back: Option<Back>) {
        let control = CloseControl::default();
        // Announced now, before anybody looks at the app's end.
        self.closing = Some((control.clone(), self.session.app.expect_another()));
        let starter = self.starter();
        self.begin(move || starter.close(back.as_ref(), &control), MachineInput::Closed);
    }

    /// Starts the work that follows the end of the closed app. Until it is done another start
    /// counts as expected.
    fn after_closing<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Starter) -> Result<T, Problem> + Send + 'static,
        input: fn(Result<T, Problem>) -> MachineInput,
    ) {
        let (starter, expected) = (self.starter(), self.closing.take());
        let work = move || {
            let outcome = work(&starter);
            drop(expected);
            outcome
        };
        self.begin(work, input);
    }

    /// Applies a person's decision to the app that is closing.
    fn decide(&self, decision: fn(&CloseControl)) {
        if let Some((control, _)) = &self.closing {
            decision(control);
        }
    }

    fn starter(&self) -> Starter {
        Starter {
            session: self.session.clone(),
            emitter: self.emitter.clone(),
            inputs: self.inputs.clone(),
            watcher: self.watcher.clone(),
        }
    }

    fn steer(&self, state: RunState) {
        self.control.send_modify(|control| control.state = state);
    }

    /// Runs work whose outcome comes in as an input. A panic in it is an outcome as well: otherwise
    /// the machine would wait for ever.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
        input: fn(Result<T, Problem>) -> MachineInput,
    ) -> JoinHandle<()> {
        let inputs = self.inputs.clone();
        let work = tokio::spawn(work);
        tokio::spawn(async move {
            let outcome = work
                .await
                .unwrap_or_else(|panic| Err(Problem::new(ProblemKind::Internal, "", &panic)));
            // Once the engine has ended there is no receiver.
            let _ = inputs.send(input(outcome));
        })
    }

    /// The same for blocking work, on a blocking thread. The engine ends only after it.
    fn begin<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
        input: fn(Result<T, Problem>) -> MachineInput,
    ) {
        // The task requests the thread: where the system has none left, that panics.
        let work = async move {
            tokio::task::spawn_blocking(work)
                .await
                .unwrap_or_else(|panic| Err(Problem::new(ProblemKind::Internal, "", &panic)))
        };
        let begun = self.spawn(work, input);
        self.unfinished.push(begun);
    }

    fn retry_later(&self, failures: u32) {
        let inputs = self.inputs.clone();
        let pause = backoff::spread(RETRY_BACKOFF.pause(failures), 0.2, fastrand::f64());
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // Once the engine has ended there is no receiver.
            let _ = inputs.send(MachineInput::RetryDue(failures));
        });
    }

    fn skip(&self, version: Version) {
        self.remember(|state| {
            if !state.skipped.contains(&version) {
                state.skipped.push(version);
            }
        });
    }

    fn remember(&self, change: impl FnOnce(&mut HomeState)) {
        let home = self.session.home();
        let result = home.state().and_then(|mut state| {
            change(&mut state);
            home.set_state(&state)
        });
        if let Err(error) = result {
            self.emitter.emit(Event::Notice { problem: problem::of_store(&error) });
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Phase { phase: Phase::Repaired(repaired) } => {
            let Repaired { version, items, left, removed, .. } = &**repaired;
            tracing::info!(%version, ?items, ?left, ?removed, "repaired");
        }
        Event::Phase { phase } => tracing::info!(?phase, "phase"),
        Event::Notice { problem } => tracing::warn!(?problem, "notice"),
        _ => {}
    }
}
