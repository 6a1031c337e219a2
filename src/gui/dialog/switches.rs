//! The user's switches below the installed versions. Each shows how it stands in the system, and
//! changes when the engine has done what it was asked for.

use egui::{Checkbox, RichText, Ui};

use super::state::{Dialog, Page};
use crate::gui::theme::Palette;
use crate::gui::widgets;
use crate::messages::protocol::{Command, LoginStart, OldShortcuts, ShortcutChoice};

/// One switch, with what it means or why it cannot be changed.
struct Switch {
    on: bool,
    can_change: bool,
    label: String,
    explanation: String,
}

impl Switch {
    /// Draws it in a card. Returns what the user wants now.
    fn show(self, ui: &mut Ui) -> Option<bool> {
        let mut wanted = self.on;
        let clicked = widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            let switch = Checkbox::new(&mut wanted, self.label);
            let clicked = ui.add_enabled(self.can_change, switch).clicked();
            let colours = Palette::of(ui);
            ui.label(RichText::new(self.explanation).size(13.0).color(colours.muted));
            clicked
        });
        clicked.then_some(wanted)
    }
}

impl Dialog {
    pub(super) fn switches(&mut self, ui: &mut Ui) {
        self.channel_choice(ui);
        if let Some(state) = self.view.login_start
            && let Some(on) = self.login_start(state).show(ui)
        {
            self.handle.send(Command::StartAtLogin(on));
        }
        if let Some(switch) = self.old_shortcuts_switch()
            && let Some(on) = switch.show(ui)
        {
            let choice = if on { ShortcutChoice::Replace } else { ShortcutChoice::Restore };
            self.handle.send(Command::OldShortcuts(choice));
        }
        if let Some(on) = self.view.sharing
            && let Some(on) = self.sharing(on).show(ui)
        {
            self.handle.send(Command::Share(on));
        }
        if let Some(on) = self.view.reporting
            && let Some(on) = self.reporting(on).show(ui)
        {
            self.handle.send(Command::Report(on));
        }
    }

    /// The channels that the user may choose from, one of them chosen. The check that follows shows
    /// what the new one has.
    fn channel_choice(&mut self, ui: &mut Ui) {
        let Some((channel, channels)) = self.view.channels.clone() else { return };
        let mut wanted = channel.clone();
        widgets::card(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            ui.label(self.texts.get("channel-title"));
            ui.horizontal_wrapped(|ui| {
                for name in &channels {
                    ui.add_enabled_ui(self.view.at_rest(), |ui| {
                        ui.radio_value(&mut wanted, name.clone(), name);
                    });
                }
            });
            let colours = Palette::of(ui);
            let text = RichText::new(self.texts.get("channel-explained"));
            ui.label(text.size(13.0).color(colours.muted));
        });
        if wanted != channel {
            self.handle.send(Command::ChooseChannel(wanted));
            self.page = Page::Update;
        }
    }

    fn login_start(&self, state: LoginStart) -> Switch {
        let explanation = match state {
            LoginStart::On | LoginStart::Off => "login-start-explained",
            LoginStart::OffInSystem => "login-start-off-in-system",
            LoginStart::Unavailable => "login-start-unavailable",
        };
        Switch {
            on: state == LoginStart::On,
            can_change: state.can_change(),
            label: self.texts.get("login-start-switch"),
            explanation: self.texts.get(explanation),
        }
    }

    /// On once no shortcut starts the earlier installation any more.
    fn old_shortcuts_switch(&self) -> Option<Switch> {
        let OldShortcuts { found, replaced, .. } = &self.view.old_shortcuts;
        let (name, count) = match (found.len(), *replaced) {
            (0, 0) => return None,
            (0, replaced) => ("old-shortcuts-gone", replaced),
            (found, _) => ("old-shortcuts-left", found),
        };
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Some(Switch {
            on: found.is_empty(),
            can_change: true,
            label: self.texts.get("old-shortcuts-switch"),
            explanation: self.texts.count(name, count, &[]),
        })
    }

    fn reporting(&self, on: bool) -> Switch {
        Switch {
            on,
            can_change: true,
            label: self.texts.get("reports-switch"),
            explanation: self.texts.get("reports-explained"),
        }
    }

    /// The user's own switch; the publisher's is in the settings.
    fn sharing(&self, on: bool) -> Switch {
        Switch {
            on,
            can_change: true,
            label: self.texts.get("sharing-switch"),
            explanation: self.texts.get("sharing-explained"),
        }
    }
}
