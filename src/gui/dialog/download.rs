//! The screen of a download and of the installation after it. It shows the whole progress, each
//! node's share of the bytes, and the files written.

use egui::{Color32, RichText, Ui};

use super::state::Dialog;
use crate::gui::theme::{self, Palette};
use crate::gui::view_state::{NodeView, step};
use crate::gui::widgets::{self, Bar};
use crate::messages::protocol::{NodeState, Phase};

/// A longer time is not shown as an estimate, seconds.
const MAX_ESTIMATE_SECONDS: u64 = 24 * 60 * 60;

impl Dialog {
    pub(super) fn download(&mut self, ui: &mut Ui) {
        widgets::card(ui, |ui| self.total(ui));
        if self.view.shows_nodes() {
            widgets::card(ui, |ui| self.node_bars(ui));
            self.release_notes_in_the_rest(ui);
        } else if self.view.counts_files() {
            // The user has no choice to make on this screen and has time to read the notes.
            self.release_notes(ui, 0.0);
        }
    }

    /// The progress of the whole update.
    fn total(&self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = 8.0;
        self.percentage_and_bar(ui);
        self.speed_and_status(ui);
        let progress = &self.view.progress;
        let notices = [
            self.texts.fallen_back(progress.fallen_back),
            self.texts.repaired_bases(progress.repaired_bases),
        ];
        for notice in notices.into_iter().flatten() {
            small_line(ui, notice);
        }
    }

    /// How much is done, in figures and as a bar.
    fn percentage_and_bar(&self, ui: &mut Ui) {
        let colours = Palette::of(ui);
        let percent = (self.view.fraction() * 100.0).floor();
        let (amount, name) = self.amount();
        egui::Sides::new().height(40.0).show(
            ui,
            |ui| {
                ui.label(
                    RichText::new(format!("{percent:.0}%"))
                        .font(theme::title(30.0))
                        .line_height(Some(36.0)),
                )
            },
            |ui| ui.label(RichText::new(amount).color(colours.muted)),
        );
        let waits = self.is_paused() || self.view.stands_still();
        widgets::bar(
            ui,
            &Bar {
                fraction: Some(self.view.fraction()),
                height: 10.0,
                colour: if waits { colours.warning } else { colours.accent },
                name: &self.texts.get(name),
            },
        );
    }

    /// What is done and what there is, as steps or as bytes; and the bar's name for screen readers.
    fn amount(&self) -> (String, &'static str) {
        let (texts, progress) = (&self.texts, &self.view.progress);
        if self.view.counts_files() {
            let (step, steps) = step(progress);
            let (done, total) = (texts.number(step), texts.number(steps));
            (
                texts.with("progress-step", &[("done", &done), ("total", &total)]),
                "progress-steps-title",
            )
        } else {
            let (done, total) = (texts.size(progress.done), texts.size(progress.total));
            (texts.with("progress-amount", &[("done", &done), ("total", &total)]), "progress-title")
        }
    }

    /// The speed and the time that is left, and below them what the launcher does. The status takes
    /// the place of the speed while there is none to show.
    fn speed_and_status(&self, ui: &mut Ui) {
        let (texts, progress) = (&self.texts, &self.view.progress);
        let no_speed =
            self.is_paused() || self.is_verifying() || self.view.stands_still() || self.connects();
        let speed = if no_speed { self.status() } else { texts.speed(progress.speed) };
        widgets::line(ui, RichText::new(speed), RichText::new(self.time_left()));
        let status = if no_speed { String::new() } else { self.status() };
        // The launcher writes files of patches only after all bytes have arrived.
        let files = (progress.files_done > 0 && !self.view.counts_files()).then(|| {
            let [done, total] =
                [progress.files_done, progress.files_total].map(|number| texts.number(number));
            texts.with("progress-files", &[("done", &done), ("total", &total)])
        });
        let parts: Vec<String> =
            [Some(status), files].into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            small_line(ui, parts.join("  •  "));
        }
    }

    /// The estimated time until the end, in words.
    fn time_left(&self) -> String {
        let texts = &self.texts;
        match self.view.progress.seconds_left {
            _ if self.is_paused() || self.is_verifying() || self.connects() => String::new(),
            // While no node sends, no end can be estimated.
            _ if self.view.stands_still() => texts.get("progress-waiting"),
            Some(seconds) if seconds > MAX_ESTIMATE_SECONDS => texts.get("progress-left-long"),
            Some(seconds) => {
                texts.with("progress-left", &[("duration", &texts.duration(seconds.max(1)))])
            }
            None => texts.get("progress-left-unknown"),
        }
    }

    /// Whether all bytes are here and the launcher works on them: no time is estimated for that.
    const fn is_verifying(&self) -> bool {
        matches!(self.view.phase, Phase::Installing { .. }) || self.view.has_all_bytes()
    }

    const fn is_paused(&self) -> bool {
        matches!(self.view.phase, Phase::Paused { .. })
    }

    /// Whether the first bytes are still to come: no speed is known yet.
    fn connects(&self) -> bool {
        let nothing_arrives = self.view.active_nodes() == 0 && self.view.progress.speed <= 0.0;
        let waits = self.is_paused() || self.is_verifying() || self.view.stands_still();
        nothing_arrives && !waits
    }

    fn status(&self) -> String {
        let texts = &self.texts;
        let active = self.view.active_nodes();
        match self.view.phase {
            Phase::Paused { .. } => texts.get("status-paused"),
            _ if self.is_verifying() => texts.get("status-verifying"),
            _ if active > 0 => self.senders(active),
            _ if self.view.nodes.iter().any(|node| node.fault.is_some()) => {
                texts.get("status-waiting")
            }
            _ => texts.get("status-connecting"),
        }
    }

    /// Who sends: servers, peers, or both.
    fn senders(&self, active: usize) -> String {
        let peers = self.view.active_peers();
        let count = |name: &str, count: usize| {
            self.texts.count(name, u64::try_from(count).unwrap_or(u64::MAX), &[])
        };
        match (active.saturating_sub(peers), peers) {
            (0, peers) => count("status-downloading-peers", peers),
            (servers, 0) => count("status-downloading", servers),
            (servers, peers) => {
                let servers = count("status-downloading", servers);
                format!("{servers}  •  {}", count("status-peers", peers))
            }
        }
    }

    fn node_bars(&self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = 6.0;
        widgets::card_title(ui, &self.texts.get("nodes-title"));
        for (index, node) in self.view.nodes.iter().enumerate() {
            if index > 0 {
                ui.add_space(2.0);
            }
            self.node_bar(ui, node);
        }
    }

    fn node_bar(&self, ui: &mut Ui, node: &NodeView) {
        let colours = Palette::of(ui);
        let arrives =
            matches!(self.view.phase, Phase::Downloading { .. }) && !self.view.has_all_bytes();
        let halted = !arrives && !self.view.counts_files();
        let (state, colour) = self.node_state(node, &colours, halted);
        let amount = if node.done > 0 { self.texts.size(node.done) } else { String::new() };
        egui::Sides::new().shrink_left().truncate().show(
            ui,
            |ui| self.node_name(ui, node, colour),
            |ui| {
                for text in [
                    RichText::new(state).size(13.0),
                    RichText::new(amount).size(12.5).color(colours.muted),
                ] {
                    if !text.is_empty() {
                        ui.label(text);
                    }
                }
            },
        );
        // The bar of a single node would repeat the bar above it.
        if self.view.nodes.len() == 1 {
            return self.node_fault(ui, node, colour);
        }
        widgets::bar(
            ui,
            &Bar {
                fraction: Some(self.view.share(node)),
                height: 4.0,
                colour,
                name: &self
                    .texts
                    .with("node-bar", &[("name", &self.texts.node(&node.name, node.is_peer()))]),
            },
        );
        self.node_fault(ui, node, colour);
    }

    fn node_fault(&self, ui: &mut Ui, node: &NodeView, colour: Color32) {
        if let Some(fault) = node.fault {
            ui.label(RichText::new(self.texts.fault(fault)).size(12.5).color(colour));
        }
    }

    /// A node's state in words, and its colour.
    fn node_state(&self, node: &NodeView, colours: &Palette, halted: bool) -> (String, Color32) {
        let texts = &self.texts;
        match node.state {
            NodeState::Dropped => (texts.get("node-dropped"), colours.danger),
            NodeState::Waiting if !halted => (texts.get("node-waiting"), colours.warning),
            NodeState::Active if !halted => (texts.speed(node.speed), colours.accent_text),
            _ if halted => (String::new(), colours.muted),
            _ => (texts.get("node-idle"), colours.muted),
        }
    }
}

/// A line in small, quiet letters.
fn small_line(ui: &mut Ui, text: String) {
    let colours = Palette::of(ui);
    ui.label(RichText::new(text).size(13.0).color(colours.muted));
}
