//! Reports of what the engine does: puts them into the queue as things happen, and sends them after
//! each check.
//!
//! In: the engine's events. Out: reports. Never: keeps the engine, or anybody who listens to it,
//! waiting; a report where the publisher wants none.

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

enum Message {
    Seen(Vec<Happening>),
    CheckEnded,
    /// Reports on their way have so much time left.
    End(Duration),
}

/// The task that writes and sends.
pub(super) struct Reporting {
    messages: mpsc::UnboundedSender<Message>,
    task: JoinHandle<()>,
}

impl Reporting {
    /// Begins, if the publisher wants reports.
    pub(super) fn begin(environment: Arc<Environment>, client: Client) -> Option<Self> {
        if !environment.settings.reports.is_on() {
            return None;
        }
        let (messages, received) = mpsc::unbounded_channel();
        Some(Self { messages, task: tokio::spawn(work(environment, client, received)) })
    }

    /// Takes events; it does not wait.
    pub(super) fn listener(&self) -> impl Fn(&Event) + Send + 'static {
        let (messages, observer) = (self.messages.clone(), Mutex::new(Observer::default()));
        move |event| {
            let seen = mutex::lock(&observer).see(event, Instant::now());
            // Once the task has ended there is no receiver.
            if !seen.happenings.is_empty() {
                let _ = messages.send(Message::Seen(seen.happenings));
            }
            if seen.check_ended {
                let _ = messages.send(Message::CheckEnded);
            }
        }
    }

    /// Writes what has happened, and gives reports on their way a little time: none if an app starts
    /// after this. What is not sent waits for the next check.
    pub(super) async fn end(self, app_follows: bool) {
        let _ = self.messages.send(Message::End(time_at_the_end(app_follows)));
        let _ = self.task.await;
    }
}

fn time_at_the_end(app_follows: bool) -> Duration {
    if app_follows { Duration::ZERO } else { TIME_AT_THE_END }
}

async fn work(
    environment: Arc<Environment>,
    client: Client,
    mut messages: mpsc::UnboundedReceiver<Message>,
) {
    let mut sending: Option<JoinHandle<()>> = None;
    let mut left = Duration::ZERO;
    while let Some(message) = messages.recv().await {
        match message {
            Message::Seen(happenings) => {
                let environment = Arc::clone(&environment);
                let write = move || {
                    happenings.iter().for_each(|one| reports::record(&environment, one));
                };
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
