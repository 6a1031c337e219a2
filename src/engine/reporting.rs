//! Reports of what the engine does: puts them into the queue as things happen, and sends them after
//! each check.
//!
//! In: the engine's events. Out: reports. Never: keeps the engine, or anybody who listens to it,
//! waiting; a report where the publisher wants none, or the user.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::environment::Environment;
use crate::fetch::Client;
use crate::messages::protocol::Event;
use crate::mutex;
use crate::reports::{self, Happening, Observer};

/// How long the end of the engine waits for reports that are on their way.
const TIME_AT_THE_END: Duration = Duration::from_secs(2);

/// How long an app that starts after the engine waits for a disk that is busy. What is not written by
/// then is written beside the app.
const WRITING_BEFORE_THE_APP: Duration = Duration::from_millis(200);

/// What has happened and is not written yet, the oldest first.
type Unwritten = Arc<Mutex<VecDeque<Happening>>>;

enum Message {
    /// There is something unwritten.
    Seen,
    CheckEnded,
    /// Reports on their way have so much time left.
    End(Duration),
}

/// The task that writes and sends.
pub(super) struct Reporting {
    messages: mpsc::UnboundedSender<Message>,
    unwritten: Unwritten,
    task: JoinHandle<()>,
}

impl Reporting {
    /// Begins, if the publisher wants reports. What nobody wants any more is deleted.
    pub(super) fn begin(environment: Arc<Environment>, client: Client) -> Option<Self> {
        let unwanted = Arc::clone(&environment);
        tokio::task::spawn_blocking(move || reports::remove_unwanted(&unwanted));
        if !environment.settings.reports.is_on() {
            return None;
        }
        let (messages, received) = mpsc::unbounded_channel();
        let unwritten = Unwritten::default();
        let task = tokio::spawn(work(environment, client, Arc::clone(&unwritten), received));
        Some(Self { messages, unwritten, task })
    }

    /// Takes events; it does not wait.
    pub(super) fn listener(&self) -> impl Fn(&Event) + Send + 'static {
        let (messages, unwritten) = (self.messages.clone(), Arc::clone(&self.unwritten));
        let observer = Mutex::new(Observer::default());
        move |event| {
            let seen = mutex::lock(&observer).see(event, Instant::now());
            // Once the task has ended there is no receiver.
            if !seen.happenings.is_empty() {
                mutex::lock(&unwritten).extend(seen.happenings);
                let _ = messages.send(Message::Seen);
            }
            if seen.check_ended {
                let _ = messages.send(Message::CheckEnded);
            }
        }
    }

    /// Writes what has happened, and gives reports on their way a little time: none if an app starts
    /// after this, which does not wait for a busy disk either. What is not sent waits for the next
    /// check.
    pub(super) async fn end(self, app_follows: bool) {
        let _ = self.messages.send(Message::End(time_at_the_end(app_follows)));
        if app_follows {
            let _ = tokio::time::timeout(WRITING_BEFORE_THE_APP, self.task).await;
        } else {
            let _ = self.task.await;
        }
    }
}

fn time_at_the_end(app_follows: bool) -> Duration {
    if app_follows { Duration::ZERO } else { TIME_AT_THE_END }
}

/// Writes all that is there; a runtime that ends meanwhile does not interrupt it.
fn write(environment: &Environment, unwritten: &Mutex<VecDeque<Happening>>) {
    let next = || mutex::lock(unwritten).pop_front();
    while let Some(happening) = next() {
        reports::record(environment, &happening);
    }
}

async fn work(
    environment: Arc<Environment>,
    client: Client,
    unwritten: Unwritten,
    mut messages: mpsc::UnboundedReceiver<Message>,
) {
    let mut sending: Option<JoinHandle<()>> = None;
    let mut left = Duration::ZERO;
    while let Some(message) = messages.recv().await {
        match message {
            Message::Seen => {
                let (environment, unwritten) = (Arc::clone(&environment), Arc::clone(&unwritten));
                let write = move || write(&environment, &unwritten);
                // A panic there has been reported, and costs a report.
                let _ = tokio::task::spawn_blocking(write).await;
            }
            // One at a time: what is added meanwhile waits for the next check.
            Message::CheckEnded if sending.as_ref().is_none_or(JoinHandle::is_finished) => {
                let send = reports::send(Arc::clone(&environment), client.clone());
                sending = Some(tokio::spawn(send));
            }
            Message::CheckEnded => {}
            Message::End(time) => {
                left = time;
                break;
            }
        }
    }
    if let Some(mut sending) = sending
        && tokio::time::timeout(left, &mut sending).await.is_err()
    {
        sending.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::ClientOptions;
    use crate::messages::fixture::offer;
    use crate::messages::protocol::Phase;
    use crate::model::Version;
    use crate::threads;

    /// How long a busy computer may take.
    const LIMIT: Duration = Duration::from_secs(60);
    const WANTED: &str = "[reports]\nurl = 'http://127.0.0.1:9/'\n";

    /// Waits for work on another thread.
    fn until(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !holds() {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn an_app_that_follows_does_not_wait_for_a_busy_disk_and_nothing_is_lost() {
        let runtime = threads::runtime(2).unwrap();
        let entered = runtime.enter();
        let folder = tempfile::tempdir().unwrap();
        let environment = Arc::new(reports::tests::environment(folder.path(), WANTED));
        let client = Client::new(&ClientOptions::default()).unwrap();
        let reporting = Reporting::begin(Arc::clone(&environment), client).unwrap();
        let tell = reporting.listener();
        let busy = reports::hold();
        for minor in 0..3 {
            let mut offer = offer();
            offer.signed.release.container.version = Version::new(2, minor, 0);
            tell(&Event::Phase { phase: Phase::Offered { offer } });
        }
        drop(tell);
        let end = reporting.end(true);
        let ended = runtime.block_on(async { tokio::time::timeout(LIMIT, end).await });
        assert!(ended.is_ok() && reports::waiting(&environment.home).is_empty());
        drop(entered);
        runtime.shutdown_background();
        drop(busy);
        until("all are written", || reports::waiting(&environment.home).len() == 3);
    }

    #[test]
    fn what_waits_is_deleted_where_the_publisher_wants_nothing_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = reports::tests::environment(folder.path(), WANTED);
        reports::record(&wanted, &Happening::Active(Version::new(1, 0, 0)));
        assert_eq!(reports::waiting(&wanted.home).len(), 1);
        let runtime = threads::runtime(2).unwrap();
        let _entered = runtime.enter();
        let unwanted = Arc::new(reports::tests::environment(folder.path(), ""));
        let client = Client::new(&ClientOptions::default()).unwrap();
        assert!(Reporting::begin(unwanted, client).is_none());
        until("it is deleted", || reports::waiting(&wanted.home).is_empty());
    }
}
