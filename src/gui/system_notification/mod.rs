//! The system's own notification instead of the launcher's small window. A setting chooses it, and
//! it is the fallback where no window can be put at the edge of the screen.
//!
//! In: events from the mailbox, and which button of the message the user pressed. Out: commands,
//! and how it ended, in the terms of [`super::notification`]. Never: a decision about updates.
//! While work is under way it shows nothing: a system's message cannot show a progress bar.
//!
//! Linux and its relatives: `org.freedesktop.Notifications` over D-Bus. Windows: toasts. macOS lets
//! only signed bundles show notifications with buttons, and the launcher is none; there the small
//! window stays.

#[cfg(all(unix, not(target_os = "macos")))]
mod freedesktop;
mod messenger;
#[cfg(all(unix, not(target_os = "macos")))]
mod picture;
#[cfg(windows)]
mod toast;

use std::time::Duration;

use super::actions::Action;
use super::notification::{Face, NotificationEnd, Notified, done, face};
use super::texts::Texts;
use super::view_state::ViewState;
use super::{WindowError, WindowOptions};
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{ClosingWait, Event, Phase};
use messenger::{Message, MessageAnswer, Messenger};

/// After this time an unanswered question is taken back; the next check asks again.
const STAY: Duration = Duration::from_secs(300);
/// How long one wait for an answer takes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Shows the offer through the system and returns when the user has answered and the update has
/// ended.
///
/// # Errors
/// [`WindowError::NoNotifications`] where the system shows none that can be answered.
pub fn notify_by_system(
    options: &WindowOptions,
    handle: &Handle,
    state: ViewState,
) -> Result<Notified, WindowError> {
    let texts = Texts::new(options.language).of_app(&options.app_name);
    // This function has no window to wake.
    handle.on_event(|| ());
    let mut messenger = connect(options)?;
    converse(&mut messenger, &texts, handle, state)
}

#[cfg(all(unix, not(target_os = "macos")))]
fn connect(options: &WindowOptions) -> Result<freedesktop::NotificationService, WindowError> {
    freedesktop::NotificationService::connect(&options.app_name, options.app_icon())
}

#[cfg(windows)]
fn connect(options: &WindowOptions) -> Result<toast::Toasts, WindowError> {
    toast::Toasts::connect(&options.app_name, options.icon_file.as_deref())
}

#[cfg(target_os = "macos")]
fn connect(_options: &WindowOptions) -> Result<Nobody, WindowError> {
    Err(WindowError::NoNotifications(
        "only a signed bundle can show notifications with buttons".to_owned(),
    ))
}

/// The messenger of a system without notifications.
#[cfg(target_os = "macos")]
enum Nobody {}

#[cfg(target_os = "macos")]
impl Messenger for Nobody {
    fn show(&mut self, _message: &Message) -> Result<(), WindowError> {
        match *self {}
    }

    fn answer(&mut self, _limit: Duration) -> Option<MessageAnswer> {
        match *self {}
    }

    fn withdraw(&mut self) {
        match *self {}
    }
}

/// Shows messages and follows the engine to the end. It counts time in looks, so that it needs no
/// clock.
fn converse(
    messenger: &mut impl Messenger,
    texts: &Texts,
    handle: &Handle,
    mut view: ViewState,
) -> Result<Notified, WindowError> {
    let mut chosen = false;
    let mut shown: Option<Message> = None;
    let mut waited = Duration::ZERO;
    let outcome = loop {
        chosen &= !take(handle.take(), &mut view);
        if handle.closed() {
            break NotificationEnd::EngineEnded;
        }
        if handle.wanted().is_some() {
            break NotificationEnd::Details;
        }
        let face = match face(&view, chosen) {
            Ok(face) => face,
            Err(outcome) => break outcome,
        };
        let Some(message) = message(texts, &view, face) else {
            // Work goes on. A message that still asks an answered question would be wrong.
            if shown.take().is_some() {
                messenger.withdraw();
            }
            chosen &= !take(handle.wait(POLL_INTERVAL), &mut view);
            continue;
        };
        if shown.as_ref() != Some(&message) {
            messenger.show(&message)?;
            waited = Duration::ZERO;
        }
        if message.buttons.is_empty() {
            // This message only reports, and stays as long as the system wants.
            return Ok(Notified { outcome: done(&view), state: view });
        }
        let buttons = message.buttons.clone();
        shown = Some(message);
        let restart = matches!(face, Face::Restart | Face::Waiting);
        let action = match messenger.answer(POLL_INTERVAL) {
            Some(MessageAnswer::Button(number)) => buttons.get(number).map(|(action, _)| *action),
            Some(MessageAnswer::Clicked) => break NotificationEnd::Details,
            Some(MessageAnswer::PutAway) => buttons.last().map(|(action, _)| *action),
            Some(MessageAnswer::Expired) => {
                break if restart { done(&view) } else { NotificationEnd::TimedOut };
            }
            None => None,
        };
        if let Some(command) = action.and_then(Action::command) {
            handle.send(command);
        }
        match action {
            Some(Action::Later) => break NotificationEnd::Declined,
            Some(Action::RestartLater | Action::KeepRunning) => break done(&view),
            Some(Action::Start) => chosen = true,
            // The engine decides what follows: switching, then the app.
            Some(_) => wait_for_another_phase(handle, &mut view),
            None => waited += POLL_INTERVAL,
        }
        if waited >= STAY {
            break if restart { done(&view) } else { NotificationEnd::TimedOut };
        }
    };
    messenger.withdraw();
    Ok(Notified { outcome, state: view })
}

/// Takes events in. Returns whether there is another offer among them, and so another question.
fn take(events: Vec<Event>, view: &mut ViewState) -> bool {
    let mut offered = false;
    for event in events {
        offered |= matches!(&event, Event::Phase { phase: Phase::Offered { .. } });
        view.apply(event);
    }
    offered
}

/// Waits after a restart was requested until the engine has begun it, so that the question is not
/// asked again.
fn wait_for_another_phase(handle: &Handle, view: &mut ViewState) {
    let before = std::mem::discriminant(&view.phase);
    let mut looks = 0;
    while std::mem::discriminant(&view.phase) == before && !handle.closed() && looks < 50 {
        take(handle.wait(POLL_INTERVAL), view);
        looks += 1;
    }
}

/// A face as a message; `None` while work is under way.
fn message(texts: &Texts, view: &ViewState, face: Face) -> Option<Message> {
    match (face, &view.phase) {
        (Face::Offer, Phase::Offered { offer }) => {
            let price = texts.short_price(&offer.plan);
            let hint = (!offer.plan.requires_restart).then(|| texts.get("notification-no-restart"));
            Some(Message {
                title: texts
                    .with("notification-title", &[("version", &offer.version().to_string())]),
                text: [Some(price), hint].into_iter().flatten().collect::<Vec<_>>().join("\n"),
                buttons: vec![
                    (Action::Start, texts.get("notification-now")),
                    (Action::Later, texts.get("action-later")),
                ],
            })
        }
        (Face::Restart, Phase::Ready { version, running }) => {
            let (text, action, name) = if *running {
                ("restart-subtitle", Action::RestartNow, "restart-now")
            } else {
                ("ready-subtitle-stopped", Action::StartNow, "start-now")
            };
            let why = texts.blocker(&view.blockers);
            Some(Message {
                title: texts.with("ready-title", &[("version", &version.to_string())]),
                text: [Some(texts.get(text)), why]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n"),
                buttons: vec![
                    (action, texts.get(name)),
                    (Action::RestartLater, texts.get("action-restart-later")),
                ],
            })
        }
        (Face::Waiting, Phase::Closing { wait, .. }) => {
            let (title, text) = if *wait == ClosingWait::Person {
                ("closing-title-person", "closing-subtitle-person")
            } else {
                ("closing-title-unreachable", "closing-subtitle-unreachable")
            };
            Some(Message {
                title: texts.get(title),
                text: texts.get(text),
                buttons: vec![(Action::KeepRunning, texts.get("action-keep-running"))],
            })
        }
        (Face::Swapped, Phase::Swapped { version, .. }) => Some(Message {
            title: texts.with("swapped-title", &[("version", &version.to_string())]),
            text: texts.get("notification-no-restart"),
            buttons: Vec::new(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::Language;
    use crate::messages::mailbox;
    use crate::messages::protocol::Command;
    use crate::model::Version;

    /// Gives scripted answers, and sends the engine's events on the way.
    struct Script {
        shown: Vec<Message>,
        answers: Vec<Option<MessageAnswer>>,
        withdrawn: usize,
    }

    impl Messenger for Script {
        fn show(&mut self, message: &Message) -> Result<(), WindowError> {
            self.shown.push(message.clone());
            Ok(())
        }

        fn answer(&mut self, _limit: Duration) -> Option<MessageAnswer> {
            if self.answers.is_empty() { None } else { self.answers.remove(0) }
        }

        fn withdraw(&mut self) {
            self.withdrawn += 1;
        }
    }

    fn ready(running: bool) -> ViewState {
        let mut view = ViewState::default();
        view.apply(Event::Phase {
            phase: Phase::Ready { version: Version::new(2, 0, 1), running },
        });
        view
    }

    fn talk(
        answers: Vec<Option<MessageAnswer>>,
        view: ViewState,
    ) -> (Notified, Script, Vec<Command>) {
        let (handle, mut engine) = mailbox::channel();
        let mut script = Script { shown: Vec::new(), answers, withdrawn: 0 };
        let notified =
            converse(&mut script, &Texts::new(Language::English), &handle, view).unwrap();
        let commands = std::iter::from_fn(|| engine.commands.try_recv().ok()).collect();
        (notified, script, commands)
    }

    #[test]
    fn a_restart_can_be_put_off_by_button_or_by_putting_the_message_away() {
        for answer in [MessageAnswer::Button(1), MessageAnswer::PutAway] {
            let (notified, script, commands) = talk(vec![None, Some(answer)], ready(true));
            assert_eq!(
                (notified.outcome, commands),
                (NotificationEnd::Done, vec![Command::RestartLater])
            );
            assert_eq!((script.shown.len(), script.withdrawn), (1, 1));
            assert_eq!(script.shown[0].buttons[0].1, "Restart");
        }
    }

    #[test]
    fn a_press_on_the_message_wants_the_dialog() {
        let (notified, _, commands) = talk(vec![Some(MessageAnswer::Clicked)], ready(true));
        assert_eq!((notified.outcome, commands), (NotificationEnd::Details, vec![]));
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let (notified, script, commands) = talk(Vec::new(), ready(false));
        assert_eq!(
            (notified.outcome, commands, script.withdrawn),
            (NotificationEnd::Done, vec![], 1)
        );
    }

    #[test]
    fn what_is_only_reported_is_not_waited_for() {
        let mut view = ViewState::default();
        view.apply(Event::Phase {
            phase: Phase::Swapped { version: Version::new(2, 0, 1), modules: Vec::new() },
        });
        let (notified, script, _) = talk(Vec::new(), view);
        assert_eq!((notified.outcome, script.withdrawn), (NotificationEnd::Done, 0));
        assert_eq!(
            (script.shown[0].title.as_str(), script.shown[0].text.as_str()),
            ("The app 2.0.1 is in use", "No restart needed")
        );
    }

    #[test]
    fn the_end_of_the_engine_ends_it() {
        let (handle, engine) = mailbox::channel();
        drop(engine);
        let mut script = Script { shown: Vec::new(), answers: Vec::new(), withdrawn: 0 };
        let notified =
            converse(&mut script, &Texts::new(Language::English), &handle, ready(true)).unwrap();
        assert_eq!(notified.outcome, NotificationEnd::EngineEnded);
    }
}
