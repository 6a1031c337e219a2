//! Runs the conversation on the engine's runtime: admits connections by their token, talks to one
//! app at a time, and performs the effects of the pure machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::conversation::{Conversation, ConversationInput, Effect};
use super::wire::{self, Decoder, MAX_GREETING_BYTES, MAX_MESSAGE_BYTES, Message, WireError};
use super::{ChannelHandle, Request, Swapped, socket};
use crate::error_chain;
use crate::messages::protocol::Command;
use crate::model::ContainerId;
use crate::session::app::AppHandle;
use crate::store::Home;
use crate::store::lock::RunningLock;

/// How long a connection may take to show the token.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections that have not shown the token yet.
const MAX_STRANGERS: usize = 8;
/// Most messages that wait to be sent. An app that does not read them counts as gone.
const MAX_UNSENT: usize = 256;
/// Most received messages that wait for the conversation: beyond them the app waits.
const MAX_UNREAD: usize = 16;
/// How long an app may read nothing before it counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failure to accept a connection.
const PAUSE: Duration = Duration::from_millis(200);

/// An input from the present connection, or from one that will replace it.
enum Incoming {
    Connected { hello: Message, sender: mpsc::Sender<Vec<u8>> },
    Message { sender: mpsc::Sender<Vec<u8>>, message: Message },
    Gone { sender: mpsc::Sender<Vec<u8>> },
}

/// Talks to the app until the runtime ends. Returns at once where no endpoint can be opened.
pub(crate) async fn serve(
    handle: ChannelHandle,
    app: AppHandle,
    home: Home,
    commands: impl Fn(Command) + Send + 'static,
) {
    let (requests, mut wanted) = mpsc::unbounded_channel();
    let (listening, places) = {
        let mut shared = handle.lock();
        if shared.places.is_empty() {
            return;
        }
        shared.requests = Some(requests);
        (shared.endpoint().and_then(socket::Endpoint::listen), shared.places.clone())
    };
    let listener = match listening {
        Ok(listener) => listener,
        Err(error) => {
            return tracing::warn!(error = error_chain::line(&error), "nobody listens to the app");
        }
    };
    tokio::task::spawn_blocking(move || socket::remove_left(&places));
    let (incoming, mut came) = mpsc::channel(MAX_UNREAD);
    tokio::spawn(admit(listener, handle.clone(), incoming));
    let mut talk = Talk {
        handle,
        app,
        home,
        commands,
        conversation: Conversation::default(),
        began: Instant::now(),
        connection: None,
        swapping: None,
        ending: Vec::new(),
    };
    loop {
        let due = talk.conversation.due().map(|due| talk.began + due);
        let input = tokio::select! {
            request = wanted.recv() => match request {
                Some(request) => talk.wanted(request),
                None => return,
            },
            Some(incoming) = came.recv() => talk.came(incoming),
            () = sleep_until(due) => Some(ConversationInput::Tick),
        };
        if let Some(input) = input {
            talk.step(input);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

struct Talk<C> {
    handle: ChannelHandle,
    app: AppHandle,
    home: Home,
    commands: C,
    conversation: Conversation,
    began: Instant,
    /// The queue of messages to the connected app.
    connection: Option<mpsc::Sender<Vec<u8>>>,
    swapping: Option<oneshot::Sender<Swapped>>,
    ending: Vec<oneshot::Sender<bool>>,
}

impl<C: Fn(Command)> Talk<C> {
    fn wanted(&mut self, request: Request) -> Option<ConversationInput> {
        match request {
            Request::Tell(event) => Some(ConversationInput::Event(event)),
            // The machine makes one swap at a time. A second one is a mistake, and its outcome has
            // no receiver.
            Request::Swap(swap, done)
                if self.swapping.as_ref().is_none_or(oneshot::Sender::is_closed) =>
            {
                self.swapping = Some(done);
                Some(ConversationInput::Swap(swap))
            }
            Request::Swap(..) => None,
            Request::KeepRunning => Some(ConversationInput::KeepRunning),
            Request::End(heard) => {
                self.ending.push(heard);
                Some(ConversationInput::End)
            }
        }
    }

    fn came(&mut self, incoming: Incoming) -> Option<ConversationInput> {
        let is_current = |sender: &mpsc::Sender<Vec<u8>>| {
            self.connection.as_ref().is_some_and(|own| own.same_channel(sender))
        };
        match incoming {
            Incoming::Connected { hello, sender } => {
                // Dropping the previous sender ends its connection.
                if self.connection.replace(sender).is_some() {
                    self.step(ConversationInput::Gone);
                }
                Some(ConversationInput::Connected(hello))
            }
            Incoming::Message { sender, message } => {
                is_current(&sender).then_some(ConversationInput::Message(message))
            }
            Incoming::Gone { sender } if is_current(&sender) => {
                self.connection = None;
                Some(ConversationInput::Gone)
            }
            Incoming::Gone { .. } => None,
        }
    }

    fn step(&mut self, input: ConversationInput) {
        for effect in self.conversation.step(self.began.elapsed(), input) {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send { id, kind, fields } => {
                let Some(connection) = &self.connection else { return };
                match wire::encode(id, kind, fields) {
                    // A full queue belongs to an app that reads nothing. The write timeout then
                    // ends its connection.
                    Ok(bytes) => drop(connection.try_send(bytes)),
                    Err(error) => tracing::warn!(
                        error = error_chain::line(&error),
                        kind,
                        "a message to the app is too long"
                    ),
                }
            }
            Effect::Command(command) => (self.commands)(command),
            Effect::Up => {
                if let Some(app) = self.app.running() {
                    app.say_up();
                }
            }
            Effect::Runs(containers) => self.runs(containers),
            // The containers of its code stay locked: the app runs on without a connection.
            Effect::Disconnected => self.handle.lock().runs.clear(),
            Effect::Swapped(outcome) => {
                if let Some(swapping) = self.swapping.take() {
                    let _ = swapping.send(outcome);
                }
            }
            Effect::EndRefused => self.handle.lock().refused = true,
            Effect::EndConfirmed(heard) => {
                for ending in self.ending.drain(..) {
                    let _ = ending.send(heard);
                }
            }
        }
    }

    /// Locks the containers whose code the app runs against removal, besides the one that it was
    /// started in.
    fn runs(&self, containers: Vec<ContainerId>) {
        let Some(app) = self.app.running() else { return };
        self.handle.lock().runs.clone_from(&containers);
        let (handle, home) = (self.handle.clone(), self.home.clone());
        // A lock may have to wait for another launcher that is switching.
        tokio::task::spawn_blocking(move || {
            let hold = |container: &ContainerId| {
                let lock = RunningLock::hold(&home, container)
                    .inspect_err(|error| tracing::warn!(error = error_chain::line(&error), %container, "it is not kept from being removed"))
                    .ok()?;
                lock.run_by(app.process());
                Some((container.clone(), lock))
            };
            let others = containers.iter().filter(|container| {
                **container != app.container && home.is_installed(container).unwrap_or(true)
            });
            let locks = others.filter_map(hold).collect();
            let mut shared = handle.lock();
            // An app that has ended meanwhile needs no lock.
            if app.ended().is_none() {
                for (container, lock) in std::mem::replace(&mut shared.locks, locks) {
                    if !containers.contains(&container) {
                        lock.run_no_longer_by(app.process());
                    }
                }
            }
        });
    }
}

/// Accepts connections, and admits those that show the token.
async fn admit(
    mut listener: socket::AppListener,
    handle: ChannelHandle,
    incoming: mpsc::Sender<Incoming>,
) {
    let strangers = Arc::new(Semaphore::new(MAX_STRANGERS));
    loop {
        let stream = match listener.accept().await {
            Ok(Some(stream)) => stream,
            Ok(None) => {
                tracing::warn!("a process of another user tried to talk to this launcher");
                continue;
            }
            Err(error) => {
                tracing::info!(
                    error = error_chain::line(&error),
                    "a connection could not be taken"
                );
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // At the limit of unknown connections: this one is closed.
        let Ok(place) = Arc::clone(&strangers).try_acquire_owned() else { continue };
        let (handle, incoming) = (handle.clone(), incoming.clone());
        tokio::spawn(async move {
            let (mut reading, writing) = tokio::io::split(stream);
            let mut decoder = Decoder::new(MAX_GREETING_BYTES);
            let first =
                tokio::time::timeout(GREETING_TIMEOUT, next(&mut reading, &mut decoder)).await;
            let Ok(Ok(Some(hello))) = first else { return };
            drop(place);
            converse(hello, (reading, writing), decoder, &handle, incoming).await;
        });
    }
}

/// Serves one connection from its first message to its end.
async fn converse(
    hello: Message,
    (mut reading, mut writing): (ReadHalf<socket::AppStream>, WriteHalf<socket::AppStream>),
    mut decoder: Decoder,
    handle: &ChannelHandle,
    incoming: mpsc::Sender<Incoming>,
) {
    if let Err((code, text)) = welcome(&hello, handle) {
        tracing::warn!(code, "somebody who is not this launcher's app tried to talk to it");
        let refusal = serde_json::json!({ "ok": false, "error": { "code": code, "text": text } });
        if let Value::Object(fields) = refusal
            && let Ok(bytes) = wire::encode(hello.id, "answer", fields)
        {
            let _ = tokio::time::timeout(GREETING_TIMEOUT, writing.write_all(&bytes)).await;
        }
        return;
    }
    decoder.allow(MAX_MESSAGE_BYTES);
    let (sender, mut unsent) = mpsc::channel::<Vec<u8>>(MAX_UNSENT);
    let own = sender.downgrade();
    if incoming.send(Incoming::Connected { hello, sender }).await.is_err() {
        return;
    }
    let write = async {
        while let Some(bytes) = unsent.recv().await {
            match tokio::time::timeout(WRITE_TIMEOUT, writing.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                _ => return,
            }
        }
    };
    let read = async {
        loop {
            match next(&mut reading, &mut decoder).await {
                Ok(Some(message)) => {
                    // Another connection has taken this one's place.
                    let Some(sender) = own.upgrade() else { return };
                    if incoming.send(Incoming::Message { sender, message }).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    return tracing::info!(
                        error = error_chain::line(&error),
                        "the app's connection has ended"
                    );
                }
            }
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    if let Some(sender) = own.upgrade() {
        let _ = incoming.send(Incoming::Gone { sender }).await;
    }
}

fn welcome(hello: &Message, handle: &ChannelHandle) -> Result<(), (&'static str, &'static str)> {
    if hello.kind != "hello" {
        return Err(("hello", "the first message is no hello"));
    }
    if hello.protocol != wire::PROTOCOL {
        return Err(("protocol", "another protocol is spoken here"));
    }
    let token = hello.fields.get("token").and_then(Value::as_str).unwrap_or_default();
    if !handle.lock().is_token(token) {
        return Err(("token", "this is not the token of the app that was started last"));
    }
    Ok(())
}

/// The next message; `None` at the end of the connection.
async fn next(
    reading: &mut ReadHalf<socket::AppStream>,
    decoder: &mut Decoder,
) -> Result<Option<Message>, ReadError> {
    let mut buffer = [0; 8192];
    loop {
        if let Some(message) = decoder.next_message()? {
            return Ok(Some(message));
        }
        match reading.read(&mut buffer).await? {
            0 => return Ok(None),
            count => decoder.feed(&buffer[..count]),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    #[error("what came is refused")]
    Wire(#[from] WireError),
}
