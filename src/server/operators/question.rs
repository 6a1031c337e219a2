//! What somebody wants to see: the parameters of the page's address.
//!
//! In: the query of an address. Out: a window for the room `fleet`, and addresses of the same page
//! with one of them changed. Never: an error; what makes no sense counts as absent.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::words::Language;
use crate::fleet::{MOST_DAYS, USUAL_DAYS, Window};

/// The page's address.
pub(super) const PAGE: &str = "/fleet";
/// The windows that the page offers.
pub(super) const OFFERED_DAYS: [u32; 5] = [1, 7, 30, 90, 365];

/// The parameters as they come; a form sends empty ones, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::server) struct Parameters {
    days: String,
    app: String,
    channel: String,
    platform: String,
    version: String,
    lang: String,
}

impl Parameters {
    /// Nothing but a language, as a form names it.
    pub(super) fn in_language(lang: String) -> Self {
        Self { lang, ..Self::default() }
    }
}

/// What is asked for. An empty text means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) days: u32,
    pub(super) app: String,
    pub(super) channel: String,
    pub(super) platform: String,
    pub(super) version: String,
    /// The language, if the address names one.
    pub(super) language: Option<Language>,
}

impl Default for Question {
    fn default() -> Self {
        Self::from(Parameters::default())
    }
}

impl From<Parameters> for Question {
    fn from(parameters: Parameters) -> Self {
        let Parameters { days, app, channel, platform, version, lang } = parameters;
        let days = days.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days));
        let language = Language::of(&lang);
        Self { days: days.unwrap_or(USUAL_DAYS), app, channel, platform, version, language }
    }
}

impl Question {
    /// What the room `fleet` is asked at this time; the same as `kuzflow stats` asks.
    pub(super) fn window(&self, now: i64) -> Window {
        Window {
            since: Window::of_days(now, self.days).since,
            app: self.app.clone(),
            channel: self.channel.clone(),
            platform: self.platform.clone(),
            version: self.version.clone(),
        }
    }

    /// Whether something is left out.
    pub(super) fn is_filtered(&self) -> bool {
        [&self.app, &self.channel, &self.platform, &self.version].iter().any(|it| !it.is_empty())
    }

    /// The address that asks this.
    pub(super) fn address(&self) -> String {
        let mut query = Serializer::new(String::new());
        if self.days != USUAL_DAYS {
            query.append_pair("days", &self.days.to_string());
        }
        for (name, value) in self.filters() {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(language) = self.language {
            query.append_pair("lang", language.tag());
        }
        let query = query.finish();
        if query.is_empty() { PAGE.to_owned() } else { format!("{PAGE}?{query}") }
    }

    /// The filters by their names.
    pub(super) fn filters(&self) -> [(&'static str, &str); 4] {
        [
            ("app", &self.app),
            ("channel", &self.channel),
            ("platform", &self.platform),
            ("version", &self.version),
        ]
    }

    pub(super) fn with_days(&self, days: u32) -> Self {
        Self { days, ..self.clone() }
    }

    pub(super) fn with_language(&self, language: Language) -> Self {
        Self { language: Some(language), ..self.clone() }
    }

    /// The same without filters.
    pub(super) fn unfiltered(&self) -> Self {
        Self { days: self.days, language: self.language, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_asks_what_it_was_made_from() {
        let question = Question {
            days: 7,
            app: "sample".to_owned(),
            channel: String::new(),
            platform: "Linux_x86_64".to_owned(),
            version: "1.0.0-<b>&\"x".to_owned(),
            language: Some(Language::Chinese),
        };
        let address = question.address();
        assert!(!address.contains(['<', '"']), "{address}");
        let (_, query) = address.split_once('?').unwrap();
        let mut parameters = Parameters::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match name.as_ref() {
                "days" => &mut parameters.days,
                "app" => &mut parameters.app,
                "platform" => &mut parameters.platform,
                "version" => &mut parameters.version,
                "lang" => &mut parameters.lang,
                other => panic!("{other}"),
            };
            *place = value.into_owned();
        }
        assert_eq!(Question::from(parameters), question);
        assert_eq!(question.window(8 * 86_400).since, 2 * 86_400);
        assert_eq!(question.unfiltered().address(), "/fleet?days=7&lang=zh-CN");
        assert_eq!(Question::default().address(), "/fleet");
    }

    #[test]
    fn what_makes_no_sense_counts_as_absent() {
        for days in ["", "0", "-1", "401", "99999999999", "x"] {
            let parameters = Parameters { days: days.to_owned(), ..Parameters::default() };
            assert_eq!(Question::from(parameters).days, USUAL_DAYS, "{days}");
        }
        let lang = Parameters { lang: "tlh".to_owned(), ..Parameters::default() };
        assert_eq!(Question::from(lang).language, None);
    }
}
