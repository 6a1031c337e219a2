//! Messages through `org.freedesktop.Notifications`, the interface of all desktops on Linux and its
//! relatives.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use egui::ColorImage;
use futures_util::StreamExt;
use zbus::zvariant::Value;
use zbus::{Connection, MatchRule, Message as Signal, MessageStream};

use super::messenger::{Message, MessageAnswer, Messenger};
use super::picture;
use crate::gui::WindowError;
use crate::threads;

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// How long the desktop may take to answer at the beginning.
const DESKTOP_TIMEOUT: Duration = Duration::from_secs(2);
/// The action of a click on the message itself.
const PRESSED: &str = "default";
/// Why a message closed, by the specification's numbers: it expired; the user dismissed it; its
/// program took it back.
const EXPIRED: u32 = 1;
const PUT_AWAY: u32 = 2;
const TAKEN_BACK: u32 = 3;

/// The desktop's messages.
pub(super) struct NotificationService {
    bus: Connection,
    app_name: String,
    /// The app's picture, as the hint `image-data`.
    picture: Value<'static>,
    /// The id of the shown message; 0 if there is none.
    shown: u32,
    answers: Receiver<(u32, MessageAnswer)>,
}

impl NotificationService {
    /// Asks the desktop whether it can show messages with buttons.
    pub(super) fn connect(app_name: &str, icon: ColorImage) -> Result<Self, WindowError> {
        let (sender, connected) = channel();
        let prepare = move || {
            // After the timeout nobody receives this.
            let _ = sender.send(pollster::block_on(prepare()));
        };
        threads::spawn("desktop", prepare).map_err(|error| refused(&error))?;
        let answered = connected
            .recv_timeout(DESKTOP_TIMEOUT)
            .map_err(|_| refused(&"the desktop does not answer"))?;
        let (bus, signals) = answered.map_err(|error| refused(&error))?;
        let (sender, answers) = channel();
        let listen = move || pollster::block_on(listen(signals, &sender));
        threads::spawn("answers", listen).map_err(|error| refused(&error))?;
        let (app_name, picture) = (app_name.to_owned(), picture::hint(icon));
        Ok(Self { bus, app_name, picture, shown: 0, answers })
    }

    fn call<B>(&self, method: &str, body: &B) -> zbus::Result<Signal>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        pollster::block_on(self.bus.call_method(Some(SERVICE), PATH, Some(SERVICE), method, body))
    }
}

/// The connection and its signals, if the desktop's messages can have buttons.
async fn prepare() -> zbus::Result<(Connection, MessageStream)> {
    let bus = Connection::session().await?;
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface(SERVICE)?
        .path(PATH)?
        .build();
    // The program subscribes before it shows anything, so that it misses no answer.
    let signals = MessageStream::for_match_rule(rule, &bus, None).await?;
    let reply = bus.call_method(Some(SERVICE), PATH, Some(SERVICE), "GetCapabilities", &()).await?;
    let capabilities: Vec<String> = reply.body().deserialize()?;
    if capabilities.iter().any(|capability| capability == "actions") {
        Ok((bus, signals))
    } else {
        Err(zbus::Error::Failure("this desktop's messages have no buttons".to_owned()))
    }
}

/// Passes answers on until the connection closes or the receiver has gone.
async fn listen(mut signals: MessageStream, answers: &Sender<(u32, MessageAnswer)>) {
    while let Some(Ok(signal)) = signals.next().await {
        if let Some(answer) = answer(&signal)
            && answers.send(answer).is_err()
        {
            return;
        }
    }
}

fn answer(signal: &Signal) -> Option<(u32, MessageAnswer)> {
    let body = signal.body();
    match signal.header().member()?.as_str() {
        "ActionInvoked" => {
            let (id, name): (u32, String) = body.deserialize().ok()?;
            let answer = if name == PRESSED {
                MessageAnswer::Clicked
            } else {
                MessageAnswer::Button(name.parse().ok()?)
            };
            Some((id, answer))
        }
        "NotificationClosed" => match body.deserialize().ok()? {
            (id, PUT_AWAY) => Some((id, MessageAnswer::PutAway)),
            // The launcher itself took the message back.
            (_, TAKEN_BACK) => None,
            // The specification's fourth is "undefined".
            (id, EXPIRED | _) => Some((id, MessageAnswer::Expired)),
        },
        _ => None,
    }
}

fn refused(error: &dyn std::fmt::Display) -> WindowError {
    WindowError::NoNotifications(error.to_string())
}

impl Messenger for NotificationService {
    fn show(&mut self, message: &Message) -> Result<(), WindowError> {
        let numbers: Vec<String> =
            (0..message.buttons.len()).map(|number| number.to_string()).collect();
        let mut actions: Vec<&str> = Vec::new();
        for (number, (_, name)) in numbers.iter().zip(&message.buttons) {
            actions.extend([number.as_str(), name]);
        }
        if !actions.is_empty() {
            // Desktops that know this action do not show its name.
            actions.extend([PRESSED, &message.title]);
        }
        // Ordinary urgency: the message respects quiet hours, and appears on the screen and not
        // only in a list.
        let (urgency, category) = (Value::from(1_u8), Value::from("device"));
        let hints = HashMap::from([
            ("urgency", &urgency),
            ("category", &category),
            ("image-data", &self.picture),
        ]);
        // -1: the desktop chooses how long it shows the message.
        let body = (
            self.app_name.as_str(),
            self.shown,
            // No icon of the desktop's own: the picture says which app speaks.
            "",
            message.title.as_str(),
            message.text.as_str(),
            actions,
            hints,
            -1_i32,
        );
        let reply = self.call("Notify", &body).map_err(|error| refused(&error))?;
        self.shown = reply.body().deserialize().map_err(|error| refused(&error))?;
        Ok(())
    }

    fn answer(&mut self, limit: Duration) -> Option<MessageAnswer> {
        let end = Instant::now() + limit;
        loop {
            match self.answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                // After a button the desktop closes the message as well; the button's signal came
                // first.
                Ok((id, answer)) if id == self.shown => return Some(answer),
                // This signal belongs to another program's message.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return None,
                // The desktop has gone, and the message with it.
                Err(RecvTimeoutError::Disconnected) => return Some(MessageAnswer::Expired),
            }
        }
    }

    fn withdraw(&mut self) {
        let shown = std::mem::take(&mut self.shown);
        if shown != 0 {
            // The message may have closed already.
            let _ = self.call("CloseNotification", &(shown,));
        }
    }
}

impl Drop for NotificationService {
    fn drop(&mut self) {
        // This also ends the listening thread.
        let _ = pollster::block_on(self.bus.clone().close());
    }
}
