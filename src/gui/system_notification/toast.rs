//! Messages through Windows: toasts.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use windows::Data::Xml::Dom::XmlDocument;
use windows::Foundation::TypedEventHandler;
use windows::UI::Notifications::{
    ToastActivatedEventArgs, ToastDismissalReason, ToastDismissedEventArgs, ToastNotification,
    ToastNotificationManager, ToastNotifier,
};
use windows::Win32::Foundation::REGDB_E_CLASSNOTREG;
use windows::core::{HSTRING, IInspectable, Interface};

use super::messenger::{Message, MessageAnswer, Messenger};
use crate::gui::WindowError;

/// The sender of the messages in Windows' list of such programs; a program without a package must
/// be in it.
const SHOWN_BY: &str = "Kuzflow.Launcher";
/// The argument of a click on the message itself.
const PRESSED: &str = "default";

/// Why this Windows shows no toasts: a stripped one lacks their classes. It gets none while this
/// process lives, and each question would fill the error output.
static ABSENT: OnceLock<String> = OnceLock::new();

/// Windows' messages.
pub(super) struct Toasts {
    notifier: ToastNotifier,
    /// The shown message, and its number.
    shown: Option<(ToastNotification, u32)>,
    count: u32,
    sender: Sender<(u32, MessageAnswer)>,
    answers: Receiver<(u32, MessageAnswer)>,
}

impl Toasts {
    /// Enters the program into the list, and asks for permission to show messages. A system
    /// without them is asked once.
    pub(super) fn connect(app_name: &str, icon: Option<&Path>) -> Result<Self, WindowError> {
        if let Some(reason) = ABSENT.get() {
            return Err(WindowError::NoNotifications(reason.clone()));
        }
        let name = format!(
            r"{SHOWN_BY}.{}",
            app_name.replace(|letter: char| !letter.is_alphanumeric(), "-")
        );
        let registered = windows_registry::CURRENT_USER
            .create(format!(r"Software\Classes\AppUserModelId\{name}"))
            .and_then(|key| {
                key.set_string("DisplayName", app_name)?;
                // Without it Windows shows a generic picture.
                let icon = icon.and_then(Path::to_str);
                icon.map_or(Ok(()), |icon| key.set_string("IconUri", icon))
            });
        registered.map_err(|error| refused(&error))?;
        let notifier = ToastNotificationManager::CreateToastNotifierWithId(&HSTRING::from(name))
            .map_err(|error| {
                if error.code() == REGDB_E_CLASSNOTREG {
                    ABSENT.get_or_init(|| error.to_string());
                }
                refused(&error)
            })?;
        let (sender, answers) = channel();
        Ok(Self { notifier, shown: None, count: 0, sender, answers })
    }

    fn display(&mut self, message: &Message) -> windows::core::Result<()> {
        self.withdraw();
        let document = XmlDocument::new()?;
        document.LoadXml(&HSTRING::from(document_of(message)))?;
        let toast = ToastNotification::CreateToastNotification(&document)?;
        self.count += 1;
        let number = self.count;
        let pressed = self.sender.clone();
        toast.Activated(&TypedEventHandler::new(
            move |_, arguments: windows::core::Ref<'_, IInspectable>| {
                let arguments =
                    arguments.ok()?.cast::<ToastActivatedEventArgs>()?.Arguments()?.to_string();
                let answer =
                    arguments.parse().map_or(MessageAnswer::Clicked, MessageAnswer::Button);
                // Nobody receives the answer any more.
                let _ = pressed.send((number, answer));
                Ok(())
            },
        ))?;
        let gone = self.sender.clone();
        toast.Dismissed(&TypedEventHandler::new(
            move |_, arguments: windows::core::Ref<'_, ToastDismissedEventArgs>| {
                let answer = match arguments.ok()?.Reason()? {
                    ToastDismissalReason::UserCanceled => MessageAnswer::PutAway,
                    ToastDismissalReason::ApplicationHidden => return Ok(()),
                    _ => MessageAnswer::Expired,
                };
                let _ = gone.send((number, answer));
                Ok(())
            },
        ))?;
        self.notifier.Show(&toast)?;
        self.shown = Some((toast, number));
        Ok(())
    }
}

/// The message in Windows' form.
fn document_of(message: &Message) -> String {
    let mut actions = String::new();
    for (number, (_, name)) in message.buttons.iter().enumerate() {
        actions.push_str(&format!(r#"<action content="{}" arguments="{number}"/>"#, escaped(name)));
    }
    format!(
        r#"<toast launch="{PRESSED}"><visual><binding template="ToastGeneric"><text>{}</text><text>{}</text></binding></visual><actions>{actions}</actions></toast>"#,
        escaped(&message.title),
        escaped(&message.text)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn refused(error: &dyn std::fmt::Display) -> WindowError {
    WindowError::NoNotifications(error.to_string())
}

impl Messenger for Toasts {
    fn show(&mut self, message: &Message) -> Result<(), WindowError> {
        self.display(message).map_err(|error| refused(&error))
    }

    fn answer(&mut self, limit: Duration) -> Option<MessageAnswer> {
        let (number, answer) = self.answers.recv_timeout(limit).ok()?;
        // This answer belongs to an earlier message.
        let current = self.shown.as_ref().is_some_and(|(_, shown)| *shown == number);
        current.then_some(answer)
    }

    fn withdraw(&mut self) {
        if let Some((toast, _)) = self.shown.take() {
            // The message may have closed already.
            let _ = self.notifier.Hide(&toast);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_toasts_is_asked_once_and_is_no_panic() {
        let Err(first) = Toasts::connect("Sample 示例", None) else {
            return assert!(ABSENT.get().is_none());
        };
        let Err(again) = Toasts::connect("Sample 示例", None) else { panic!("{first}") };
        assert_eq!(first.to_string(), again.to_string());
    }
}
