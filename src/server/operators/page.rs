//! The page as a whole: with numbers, without reports, and the door to it.
//!
//! In: what is shown, who looks, what was asked for. Out: HTML without a script. Never: a number in
//! the door; a text of a request or a report that is not escaped.

use super::parts;
use super::question::{OFFERED_DAYS, PAGE, Question};
use super::view::View;
use super::words::{Language, Words};
use crate::fleet::{Choices, LOGIN};
use crate::server::html::escaped;

/// The page's style sheet.
pub(super) const STYLE: &str = include_str!("style.css");
/// Where it is.
pub(super) const STYLE_ADDRESS: &str = "/fleet/style.css";
/// Where the door's form goes.
const LOG_IN: &str = "/fleet/login";
/// Where the button for leaving goes.
const LOG_OUT: &str = "/fleet/logout";

/// Who looks at what.
pub(super) struct Visit<'a> {
    pub(super) question: &'a Question,
    pub(super) language: Language,
    /// The name of the token, or of the person.
    pub(super) name: &'a str,
    /// Whether the login ends here; one at a proxy ends there.
    pub(super) leaves_here: bool,
    /// Where launchers reach this server.
    pub(super) address: &'a str,
    /// The section of rollouts; empty if there are none.
    pub(super) rollouts: &'a str,
    /// The sections that follow the numbers.
    pub(super) beside: &'a str,
}

fn document(language: Language, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{}</title>\n<link rel=\"stylesheet\" href=\"{STYLE_ADDRESS}\">\n</head>\n<body>\n<div class=\"page\">\n{content}</div>\n</body>\n</html>\n",
        language.tag(),
        language.words().title,
    )
}

fn other_language(question: &Question, language: Language) -> String {
    let other = language.other();
    format!(
        "<a href=\"{}\" lang=\"{}\">{}</a>",
        escaped(&question.with_language(other).address()),
        other.tag(),
        language.words().other_language
    )
}

/// A field that a form sends along unseen.
pub(super) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value))
}

fn language_field(question: &Question) -> String {
    question.language.map(|language| hidden("lang", language.tag())).unwrap_or_default()
}

/// The door: a form for the token, and why the last one was not taken.
pub(super) fn door(question: &Question, language: Language, alert: Option<&str>) -> String {
    let words = language.words();
    let alert = alert.map(|text| format!("<p class=\"alert\" role=\"alert\">{text}</p>\n"));
    let content = format!(
        "<main class=\"door\">\n<div class=\"card\">\n<h1>{}</h1>\n{}<form method=\"post\" action=\"{LOG_IN}\">\n\
         <label>{}<input type=\"password\" name=\"token\" required autofocus autocomplete=\"off\" spellcheck=\"false\"></label>\n\
         {}<button class=\"main\">{}</button>\n</form>\n</div>\n<p class=\"hint\">{}</p>\n\
         <pre>kuzflow token new --name NAME --role read --data …</pre>\n<footer>{}</footer>\n</main>\n",
        words.title,
        alert.unwrap_or_default(),
        words.token,
        language_field(question),
        words.log_in,
        words.token_hint,
        other_language(question, language),
    );
    document(language, &content)
}

/// One sentence that stands out.
pub(super) fn alert(text: &str) -> String {
    format!("<div class=\"card\"><p class=\"alert\" role=\"alert\">{text}</p></div>\n")
}

/// A page that says one thing.
pub(super) fn notice(question: &Question, language: Language, text: &str) -> String {
    let words = language.words();
    let content = format!(
        "<main class=\"door\">\n<div class=\"card\"><h1>{0}</h1>\n<p class=\"alert\" role=\"alert\">{text}</p>\n\
         <p><a href=\"{1}\">{0}</a></p></div>\n</main>\n",
        words.title,
        escaped(&question.address()),
    );
    document(language, &content)
}

/// The page with numbers.
pub(super) fn numbers(visit: &Visit<'_>, view: &View, choices: &Choices) -> String {
    let words = visit.language.words();
    let asked = format!(
        "<nav class=\"card\">\n{}{}</nav>\n",
        windows(visit.question, words),
        filters(visit, choices)
    );
    let shown = if view.is_empty {
        let all = visit.question.unfiltered().address();
        let link = visit.question.is_filtered().then(|| {
            format!("<p><a href=\"{}\">{}</a></p>\n", escaped(&all), words.without_filters)
        });
        format!(
            "<div class=\"card\"><p>{}</p>\n{}</div>\n",
            words.nothing_found,
            link.unwrap_or_default()
        )
    } else {
        [
            parts::tiles(view, words),
            parts::versions(view, words),
            parts::funnel(&view.funnel, words),
            format!(
                "<div class=\"pair\">\n{}{}</div>\n",
                parts::rollbacks(&view.rollbacks, visit.language),
                parts::failures(&view.failures, visit.language)
            ),
            parts::regions(&view.regions, words),
            parts::nodes(&view.nodes, words),
        ]
        .concat()
    };
    let content = format!(
        "{}<main>\n{}{asked}{shown}{}</main>\n<footer>{}</footer>\n",
        header(visit),
        visit.rollouts,
        visit.beside,
        words.utc
    );
    document(visit.language, &content)
}

/// The page of a store to which nobody has reported yet.
pub(super) fn without_reports(visit: &Visit<'_>) -> String {
    let words = visit.language.words();
    let address = escaped(visit.address);
    let content = format!(
        "{}<main>\n{}<div class=\"card\">\n<h2>{}</h2>\n<p>{}</p>\n<p class=\"hint\">{}</p>\n<pre>[reports]\nurl = \"{address}\"</pre>\n\
         <p class=\"hint\">{}</p>\n<pre>[client.reports]\nurl = \"{address}\"</pre>\n<p>{}</p>\n</div>\n{}</main>\n",
        header(visit),
        visit.rollouts,
        words.no_reports,
        words.how_to,
        words.how_to_new,
        words.how_to_installed,
        words.how_to_then,
        visit.beside,
    );
    document(visit.language, &content)
}

fn header(visit: &Visit<'_>) -> String {
    let words = visit.language.words();
    let leave = format!(
        "<form method=\"post\" action=\"{LOG_OUT}\">{}<button>{}</button></form>",
        language_field(visit.question),
        words.log_out,
    );
    format!(
        "<header><h1>{}</h1><div class=\"who\">{}<span>{}</span>{}</div></header>\n",
        words.title,
        other_language(visit.question, visit.language),
        escaped(visit.name.strip_prefix(LOGIN).unwrap_or(visit.name)),
        if visit.leaves_here { leave.as_str() } else { "" },
    )
}

/// Links to windows of time.
fn windows(question: &Question, words: &Words) -> String {
    let links: String = OFFERED_DAYS
        .into_iter()
        .map(|days| {
            let current = if days == question.days { " aria-current=\"true\"" } else { "" };
            let address = escaped(&question.with_days(days).address());
            let text = match days {
                1 => words.one_day.to_owned(),
                days => words.days.replace("{}", &days.to_string()),
            };
            format!("<li><a href=\"{address}\"{current}>{text}</a></li>")
        })
        .collect();
    format!("<ul class=\"windows\">{links}</ul>\n")
}

/// A form with what can be chosen.
fn filters(visit: &Visit<'_>, choices: &Choices) -> String {
    let words = visit.language.words();
    let question = visit.question;
    let names = [words.app, words.channel, words.platform, words.version];
    let values = [&choices.apps, &choices.channels, &choices.platforms, &choices.versions];
    let fields: String = question
        .filters()
        .into_iter()
        .zip(names)
        .zip(values)
        .map(|(((name, chosen), text), values)| {
            let missing = Some(chosen).filter(|it| !it.is_empty() && !values.iter().any(|v| v == it));
            let values = values.iter().map(String::as_str).filter(|value| !value.is_empty());
            let options: String = missing
                .into_iter()
                .chain(values)
                .map(|value| {
                    let selected = if value == chosen { " selected" } else { "" };
                    let value = escaped(value);
                    format!("<option value=\"{value}\"{selected}>{value}</option>")
                })
                .collect();
            format!(
                "<label>{text}<select name=\"{name}\"><option value=\"\">{}</option>{options}</select></label>\n",
                words.all
            )
        })
        .collect();
    let clear = question.is_filtered().then(|| {
        let address = escaped(&question.unfiltered().address());
        format!("<a href=\"{address}\">{}</a>\n", words.clear)
    });
    format!(
        "<form class=\"filters\" method=\"get\" action=\"{PAGE}\">\n{fields}{}{}<button>{}</button>\n{}</form>\n",
        hidden("days", &question.days.to_string()),
        language_field(question),
        words.show,
        clear.unwrap_or_default(),
    )
}
