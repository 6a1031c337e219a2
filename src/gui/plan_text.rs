//! A plan in plain words, for the window and the terminal: the strategy, its reason, what becomes
//! of the files, and whether a restart follows.
//!
//! In: [`Plan`], [`Offer`]. Out: text in the catalogue's language. Never: a choice between
//! strategies.

use super::texts::Texts;
use crate::messages::protocol::Repaired;
use crate::model::plan::{FileCounts, Plan, Reason, UpdateStrategy};
use crate::model::{Offer, Version};

impl Texts {
    /// What an offer costs, in one line: `Incremental update • 5.4 KB (full package 82.6 MB)`.
    pub fn price(&self, plan: &Plan) -> String {
        let (size, full) = (self.size(plan.bytes), self.size(plan.full_bytes));
        if plan.is_local() {
            self.with(
                "offer-subtitle",
                &[("way", &self.strategy(plan)), ("size", &self.get("detail-no-download"))],
            )
        } else if plan.is_incremental() {
            self.with("offer-subtitle-incremental", &[("size", &size), ("full", &full)])
        } else {
            self.with("offer-subtitle", &[("way", &self.get("way-full")), ("size", &size)])
        }
    }

    /// The price in very few words: `Small update • 5.4 KB`.
    pub fn short_price(&self, plan: &Plan) -> String {
        if plan.is_local() {
            return self.get(if plan.strategy == UpdateStrategy::File {
                "way-file"
            } else {
                "notification-fetched"
            });
        }
        let strategy = self.get(if plan.is_incremental() { "price-small" } else { "price-whole" });
        self.with("offer-subtitle", &[("way", &strategy), ("size", &self.size(plan.bytes))])
    }

    /// What an offer costs the user, in one line: how much, how long, and whether a restart
    /// follows. The details show the rest.
    pub fn cost(&self, offer: &Offer) -> String {
        let plan = &offer.plan;
        let time =
            offer.seconds().filter(|seconds| *seconds > 0).map(|seconds| self.about(seconds));
        let restart = offer.current.is_some().then(|| self.restart(plan));
        let price = if offer.current.is_none() && !plan.is_local() {
            self.size(plan.bytes)
        } else {
            self.short_price(plan)
        };
        let parts = [Some(price), time, restart].into_iter().flatten();
        parts
            .reduce(|before, next| self.with("cost-list", &[("before", &before), ("next", &next)]))
            .unwrap_or_default()
    }

    /// What is fetched. After an interrupted download the text names what that left; otherwise it
    /// names the saving against the whole package.
    pub fn fetched(&self, plan: &Plan, bytes_to_fetch: u64) -> String {
        if plan.is_local() {
            return self.get("detail-no-download");
        }
        let size = self.size(plan.bytes);
        let already = plan.bytes.saturating_sub(bytes_to_fetch);
        match saving(plan) {
            _ if already > 0 => {
                self.with("detail-already", &[("size", &size), ("done", &self.size(already))])
            }
            Some(saved) => self.with("detail-saved", &[("size", &size), ("percent", &saved)]),
            None => size,
        }
    }

    /// The strategy: `One patch on top of 1.8.5`.
    pub fn strategy(&self, plan: &Plan) -> String {
        let from = plan.from.as_ref().map(Version::to_string);
        match (plan.strategy, from) {
            (UpdateStrategy::Full, _) => self.get("way-full"),
            (UpdateStrategy::Patches, Some(from)) => {
                self.count("way-patches", whole(plan.patches.len()), &[("from", &from)])
            }
            (UpdateStrategy::Patches, None) => self.get("way-incremental"),
            (UpdateStrategy::PatchesAndEntries, Some(from)) => {
                self.with("way-patches-and-entries", &[("from", &from)])
            }
            (UpdateStrategy::PatchesAndEntries, None) => self.get("way-incremental"),
            (UpdateStrategy::Entries, Some(from)) => self.with("way-entries", &[("from", &from)]),
            (UpdateStrategy::Entries, None) => self.get("way-entries-here"),
            (UpdateStrategy::File, _) => self.get("way-file"),
            (UpdateStrategy::Installed, _) => self.get("way-installed"),
        }
    }

    /// Why the whole package is fetched; `None` where less or nothing is fetched, since the saving
    /// is reason enough.
    pub fn reason(&self, plan: &Plan) -> Option<String> {
        let name = match plan.reason {
            _ if plan.is_incremental() || plan.is_local() => return None,
            Reason::Cheapest => "reason-cheapest",
            Reason::Sooner => "reason-sooner",
            Reason::NothingInstalled => "reason-nothing-installed",
            Reason::AboveThreshold => "reason-above-threshold",
            Reason::SwitchedOff => "reason-switched-off",
            Reason::Unknown => "reason-unknown",
        };
        Some(self.get(name))
    }

    /// What becomes of the files: `1,532 files: 1,521 reused, 9 patched, 2 downloaded`. Counts of
    /// zero are left out.
    pub fn files(&self, files: FileCounts) -> String {
        let parts = [
            ("files-cloned", files.cloned),
            ("files-patched", files.patched),
            ("files-fetched", files.fetched),
        ];
        let parts = parts.into_iter().filter(|(_, count)| *count > 0);
        let parts = parts.map(|(name, count)| self.count(name, count, &[]));
        let list = parts
            .reduce(|before, next| self.with("list", &[("before", &before), ("next", &next)]))
            .unwrap_or_default();
        let total = files.cloned.saturating_add(files.patched).saturating_add(files.fetched);
        self.count(if total == 0 { "files-none" } else { "files-all" }, total, &[("list", &list)])
    }

    /// What is on offer, in one sentence: a new version, one in place of a recalled one, or an older
    /// one than the active one.
    pub fn offered(&self, offer: &Offer) -> String {
        let version = offer.version().to_string();
        if let Some(recalled) = &offer.recalled {
            let bad = recalled.version.to_string();
            return self.with("offer-title-recalled", &[("version", &version), ("bad", &bad)]);
        }
        match offer.replaces_newer() {
            Some(current) => {
                let versions = [("version", version.as_str()), ("current", &current.to_string())];
                self.with("offer-title-older", &versions)
            }
            None => self.with("offer-title", &[("version", &version)]),
        }
    }

    /// How long the update takes. For a part of the package it also says whether the app must be
    /// restarted (after a whole package it always must).
    pub fn time(&self, offer: &Offer) -> String {
        let time = offer
            .seconds()
            .map_or_else(|| self.get("detail-time-unknown"), |seconds| self.about(seconds));
        if !offer.plan.is_incremental() {
            return time;
        }
        self.with("list", &[("before", &time), ("next", &self.restart(&offer.plan))])
    }

    /// Whether the app must be restarted, in a few words.
    pub fn restart(&self, plan: &Plan) -> String {
        self.get(if plan.requires_restart { "restart-needed" } else { "restart-not-needed" })
    }

    /// That patches did not fit and files are fetched whole instead; `None` if all patches fit.
    pub fn fallen_back(&self, count: u64) -> Option<String> {
        (count > 0).then(|| self.count("progress-fallen-back", count, &[]))
    }

    /// That installed files were damaged and are fetched again; `None` if no file was damaged.
    pub fn repaired_bases(&self, count: u64) -> Option<String> {
        (count > 0).then(|| self.count("progress-repaired-bases", count, &[]))
    }
}

/// The catalogue's name of the title of a finished repair.
pub(crate) fn repaired_title(repaired: &Repaired) -> &'static str {
    match (repaired.left.is_empty(), repaired.items.is_empty()) {
        (true, true) => "repaired-title-whole",
        (true, false) => "repaired-title",
        (false, _) => "repaired-title-left",
    }
}

/// What the repair restored and what it could not, in a sentence or two.
pub(crate) fn repaired_subtitle(texts: &Texts, repaired: &Repaired) -> String {
    let counts = [("repaired-left", repaired.left.len()), ("repaired-items", repaired.items.len())];
    let reported = counts.into_iter().find(|(_, count)| *count > 0);
    reported.map_or_else(
        || texts.get("repaired-nothing"),
        |(name, count)| texts.count(name, whole(count), &[]),
    )
}

/// How much less than the whole package is fetched, in percent, rounded down: `43%`, and close to
/// everything `99.9%`. `None` if it is less than one percent.
fn saving(plan: &Plan) -> Option<String> {
    let saved = u128::from(plan.full_bytes.saturating_sub(plan.bytes)) * 1000;
    // An update always fetches something, so the saving never reaches 100%.
    let permille = saved.checked_div(u128::from(plan.full_bytes))?.min(999);
    match (permille / 10, permille % 10) {
        (0, _) => None,
        (99, tenths) if tenths > 0 => Some(format!("99.{tenths}%")),
        (percent, _) => Some(format!("{percent}%")),
    }
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::Language;

    fn plan(strategy: UpdateStrategy, bytes: u64) -> Plan {
        let files = FileCounts { cloned: 1521, patched: 9, fetched: 2 };
        let from = Some(Version::new(1, 8, 5));
        Plan {
            strategy,
            bytes,
            from,
            files,
            requires_restart: false,
            ..Plan::full(82_617_013, 1532, Reason::Cheapest)
        }
    }

    #[test]
    fn a_price_names_the_way_and_what_the_whole_package_would_cost() {
        let [chinese, english] = Language::ALL.map(Texts::new);
        let patches = plan(UpdateStrategy::Patches, 5_432);
        assert_eq!(english.price(&patches), "Incremental update • 5.4 KB (full package 82.6 MB)");
        assert_eq!(chinese.price(&patches), "增量更新 • 5.4 KB（完整包 82.6 MB）");
        assert_eq!(english.price(&Plan::full(812, 1, Reason::Unknown)), "Full update • 812 B");
        assert_eq!(english.fetched(&patches, 5_432), "5.4 KB, 99.9% less than the full package");
        assert_eq!(english.fetched(&patches, 5_000), "5.4 KB, 432 B already here");
        assert_eq!(chinese.fetched(&Plan::full(812, 1, Reason::Unknown), 812), "812 B");
    }

    #[test]
    fn a_saving_is_never_stated_greater_than_it_is() {
        let saved = |bytes, full_bytes| {
            saving(&Plan { bytes, ..Plan::full(full_bytes, 1, Reason::Cheapest) })
        };
        assert_eq!(saved(300, 1000).as_deref(), Some("70%"));
        assert_eq!(saved(301, 1000).as_deref(), Some("69%"));
        assert_eq!(saved(10, 1000).as_deref(), Some("99%"));
        assert_eq!(saved(9, 1000).as_deref(), Some("99.1%"));
        assert_eq!(saved(0, u64::MAX).as_deref(), Some("99.9%"));
        assert_eq!(
            [saved(991, 1000), saved(1000, 1000), saved(1001, 1000), saved(0, 0)],
            [None, None, None, None]
        );
    }

    #[test]
    fn every_strategy_and_reason_has_words_in_each_language() {
        for texts in Language::ALL.map(Texts::new) {
            let mut seen = std::collections::BTreeSet::new();
            for strategy in [
                UpdateStrategy::Patches,
                UpdateStrategy::Entries,
                UpdateStrategy::PatchesAndEntries,
            ] {
                for from in [Some(Version::new(1, 8, 5)), None] {
                    seen.insert(texts.strategy(&Plan { from, ..plan(strategy, 1) }));
                    assert_eq!(texts.reason(&plan(strategy, 1)), None);
                }
            }
            let reasons = [
                Reason::Cheapest,
                Reason::Sooner,
                Reason::NothingInstalled,
                Reason::AboveThreshold,
                Reason::SwitchedOff,
                Reason::Unknown,
            ];
            for reason in reasons {
                seen.insert(texts.reason(&Plan::full(1, 1, reason)).unwrap());
            }
            assert_eq!(seen.len(), 11, "{seen:?}");
            assert!(seen.iter().all(|text| !text.contains('-') && !text.contains('{')), "{seen:?}");
        }
    }

    #[test]
    fn nothing_to_fetch_is_no_saving() {
        let english = Texts::new(Language::English);
        let reported = |strategy| {
            let plan = Plan::without_fetching(strategy, 82_617_013);
            (english.price(&plan), english.fetched(&plan, 0), english.reason(&plan))
        };
        let free = "no download".to_owned();
        assert_eq!(
            reported(UpdateStrategy::File),
            ("From a file • no download".to_owned(), free.clone(), None)
        );
        assert_eq!(
            reported(UpdateStrategy::Installed),
            ("Ready on this computer • no download".to_owned(), free, None)
        );
    }

    #[test]
    fn files_are_counted_by_what_becomes_of_them() {
        let [chinese, english] = Language::ALL.map(Texts::new);
        let all = plan(UpdateStrategy::Patches, 1).files;
        assert_eq!(english.files(all), "1,532 files: 1,521 reused, 9 patched, 2 downloaded");
        assert_eq!(chinese.files(all), "共 1,532 个文件：沿用 1,521，打补丁 9，下载 2");
        assert_eq!(
            english.files(FileCounts { fetched: 1, ..FileCounts::default() }),
            "1 file: 1 downloaded"
        );
        assert_eq!(english.files(FileCounts::default()), "No files");
    }

    #[test]
    fn what_did_not_fit_is_reported_without_alarm() {
        let english = Texts::new(Language::English);
        assert_eq!(english.fallen_back(0), None);
        let reported = [1, 1200].map(|count| english.fallen_back(count).unwrap());
        assert_eq!(
            reported[0],
            "One file was downloaded whole, since its patch did not fit. All is well."
        );
        assert!(reported[1].starts_with("1,200 files were downloaded whole"), "{}", reported[1]);
    }
}
