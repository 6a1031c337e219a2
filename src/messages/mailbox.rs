//! Connects an engine with its driver: one queue carries commands in, another carries events out,
//! and a slot holds only the latest progress. A slow window never makes the engine wait and never
//! sees stale progress.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::protocol::{Command, Event, Phase, Progress};

use crate::mutex;

/// The driver's end: a window, the terminal, a test.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<MailboxState>,
}

/// The engine's end.
pub struct EngineEnd {
    /// Commands in the order they were sent.
    pub commands: mpsc::UnboundedReceiver<Command>,
    shared: Arc<MailboxState>,
}

/// The engine's sending half; several tasks may hold one.
#[derive(Clone)]
pub struct Emitter(Arc<MailboxState>);

#[derive(Default)]
struct MailboxState {
    state: Mutex<MailboxContent>,
    arrived: Condvar,
}

type EventListener = Box<dyn Fn(&Event) + Send>;

struct MailboxContent {
    phase: Phase,
    queue: VecDeque<Event>,
    progress: Option<Progress>,
    closed: bool,
    /// The present or next wait must return, even without an event.
    poked: bool,
    waker: Option<Box<dyn Fn() + Send>>,
    /// Receives every event besides the driver.
    listener: Option<EventListener>,
    /// The part of the window that somebody asked for.
    wanted: Option<WindowPart>,
    /// The window could not show it.
    refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowPart {
    /// The part that matters most now.
    Any,
    /// The installed versions and the choices below them.
    Versions,
    /// The outcome of a check that begins now.
    Check,
}

impl Default for MailboxContent {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            queue: VecDeque::new(),
            progress: None,
            closed: false,
            poked: false,
            waker: None,
            listener: None,
            wanted: None,
            refused: false,
        }
    }
}

/// Makes both ends.
pub fn channel() -> (Handle, EngineEnd) {
    let (sender, commands) = mpsc::unbounded_channel();
    let shared = Arc::new(MailboxState::default());
    (Handle { commands: sender, shared: Arc::clone(&shared) }, EngineEnd { commands, shared })
}

impl MailboxState {
    // A panic while the lock was held leaves a queue that is still in order.
    fn lock(&self) -> MutexGuard<'_, MailboxContent> {
        mutex::lock(&self.state)
    }

    fn change(&self, change: impl FnOnce(&mut MailboxContent)) {
        let mut state = self.lock();
        change(&mut state);
        if let Some(wake) = &state.waker {
            wake();
        }
        drop(state);
        self.arrived.notify_all();
    }
}

impl Handle {
    /// Sends a command; without effect once the engine has ended.
    pub fn send(&self, command: Command) {
        // The engine ends only after `Quit` or with the process; a later command has no meaning.
        let _ = self.commands.send(command);
    }

    /// Returns all events since the last call, in order; the newest progress comes last.
    pub fn take(&self) -> Vec<Event> {
        let mut state = self.shared.lock();
        let progress = state.progress.take().map(Event::Progress);
        state.queue.drain(..).chain(progress).collect()
    }

    /// Waits for an event, the end of the engine, or `limit`; then returns as [`Handle::take`]
    /// does.
    pub fn wait(&self, limit: Duration) -> Vec<Event> {
        let end = Instant::now() + limit;
        let mut state = self.shared.lock();
        while state.queue.is_empty()
            && state.progress.is_none()
            && !state.closed
            && !std::mem::take(&mut state.poked)
        {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .shared
                .arrived
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        drop(state);
        self.take()
    }

    /// Ends the present wait, or the next one at once.
    pub fn poke(&self) {
        self.shared.lock().poked = true;
        self.shared.arrived.notify_all();
    }

    /// Asks the driver of this engine to show a part of the window. [`Handle::wanted`] returns
    /// `None` again once the driver shows it.
    pub fn want(&self, part: WindowPart) {
        self.shared.change(|state| (state.wanted, state.poked) = (Some(part), true));
    }

    /// The part of the window that somebody asked for and the driver has not shown yet.
    pub fn wanted(&self) -> Option<WindowPart> {
        self.shared.lock().wanted
    }

    /// Takes the request of [`Handle::wanted`]: the caller shows the part now, or cannot.
    pub fn take_wanted(&self) -> Option<WindowPart> {
        self.shared.lock().wanted.take()
    }

    /// Records that the window cannot show the requested part.
    pub fn refuse_wanted(&self) {
        let mut state = self.shared.lock();
        state.refused = state.wanted.take().is_some();
    }

    /// Whether the last request was refused; resets the answer.
    pub(crate) fn take_refused(&self) -> bool {
        std::mem::take(&mut self.shared.lock().refused)
    }

    /// The engine's present phase; events of earlier phases may still wait in the queue.
    pub fn phase(&self) -> Phase {
        self.shared.lock().phase.clone()
    }

    /// Whether the engine has ended.
    pub fn closed(&self) -> bool {
        self.shared.lock().closed
    }

    /// Calls `wake` at every event from now on, from the engine's threads; a window asks for a
    /// repaint there.
    pub fn on_event(&self, wake: impl Fn() + Send + 'static) {
        self.shared.lock().waker = Some(Box::new(wake));
    }
}

impl EngineEnd {
    /// Calls `listener` with every event as it is emitted, progress included. It must not wait.
    pub fn on_emit(&self, listener: impl Fn(&Event) + Send + 'static) {
        self.shared.lock().listener = Some(Box::new(listener));
    }

    /// Returns another sending half.
    pub fn emitter(&self) -> Emitter {
        Emitter(Arc::clone(&self.shared))
    }
}

impl Drop for EngineEnd {
    fn drop(&mut self) {
        self.shared.change(|state| state.closed = true);
    }
}

impl Emitter {
    /// Queues an event. Progress replaces progress that the driver has not taken. Before a new
    /// phase, the last progress of the old phase is queued, so that the driver sees a download
    /// reach its end.
    pub fn emit(&self, event: Event) {
        self.0.change(|state| {
            if let Some(listener) = &state.listener {
                listener(&event);
            }
            match event {
                Event::Progress(progress) => state.progress = Some(progress),
                event => {
                    if let Event::Phase { phase } = &event {
                        state.phase = phase.clone();
                        state.queue.extend(state.progress.take().map(Event::Progress));
                    }
                    state.queue.push_back(event);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Phase;
    use super::*;

    fn progress(done: u64) -> Event {
        Event::Progress(Progress { done, ..Progress::default() })
    }

    #[test]
    fn only_the_newest_progress_is_seen() {
        let (handle, engine) = channel();
        let emitter = engine.emitter();
        emitter.emit(progress(1));
        emitter.emit(progress(2));
        emitter.emit(Event::Phase { phase: Phase::Cancelled });
        emitter.emit(progress(3));
        assert_eq!(
            handle.take(),
            vec![progress(2), Event::Phase { phase: Phase::Cancelled }, progress(3)]
        );
        assert!(handle.take().is_empty());
    }

    #[test]
    fn a_wish_for_the_window_ends_a_wait_and_holds_until_it_is_taken() {
        let (handle, _engine) = channel();
        let asking = handle.clone();
        let asker = std::thread::spawn(move || asking.want(WindowPart::Versions));
        assert!(handle.wait(Duration::from_secs(60)).is_empty());
        asker.join().unwrap();
        assert_eq!(
            [handle.wanted(), handle.take_wanted(), handle.wanted()],
            [Some(WindowPart::Versions), Some(WindowPart::Versions), None]
        );
    }

    #[test]
    fn waiting_ends_with_the_engine() {
        let (handle, engine) = channel();
        let waiter = std::thread::spawn(move || {
            assert!(handle.wait(Duration::from_secs(60)).is_empty());
            handle.closed()
        });
        drop(engine);
        assert!(waiter.join().unwrap());
    }
}
