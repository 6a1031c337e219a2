//! `kuzflow stats`: the numbers that follow from reports of launchers.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::token;
use crate::app::Ending;
use crate::fleet::{MOST_DAYS, Place, Statistics, Store, USUAL_DAYS, Window};
use crate::model::platform::AppName;
use crate::model::report::ReportKind;
use crate::model::{Platform, Version};
use crate::{host, https, threads};

/// Largest answer of a server, bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;

pub(super) const HELP: &str = "\
With --server a token is needed: one of `kuzflow token new`, or the one that the server has written into read-token in its folder or the file of --read-token.
Status 3: nothing was reported in these days.

Example: kuzflow stats --data reports --days 7
         kuzflow stats --server https://updates.example.com/ --token read-token --json";

/// The arguments of `kuzflow stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    #[command(flatten)]
    source: Source,
    /// The file with a token of the server.
    #[arg(long, value_name = "FILE", requires = "server")]
    token: Option<PathBuf>,
    /// Of how many days, today included.
    #[arg(long, value_name = "N", default_value_t = USUAL_DAYS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: u32,
    /// Of this app only.
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    /// Of this channel only.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Of this platform only.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Of this version only.
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The folder or the PostgreSQL that the server was given with --data; it may be running.
    #[arg(long, value_name = "DIR|URL")]
    data: Option<Place>,
    /// The server that takes the reports.
    #[arg(long, value_name = "URL")]
    server: Option<url::Url>,
}

/// Prints the numbers.
pub(super) fn stats(arguments: &StatsArguments, say: &Say) -> Result<Ending, VerbError> {
    let runtime = threads::runtime(1)?;
    let all = match (&arguments.source.data, &arguments.source.server) {
        (Some(place), _) => runtime.block_on(async {
            let store = Store::read(place).await?;
            store.statistics(&window(arguments)).await
        })?,
        (None, Some(server)) => runtime.block_on(asked(server, arguments))?,
        (None, None) => return Err("name --data or --server".into()),
    };
    for line in table(&all) {
        say.line(&line);
    }
    let is_empty = all.outcomes.is_empty();
    let status = if is_empty { "nothing_to_do" } else { "done" };
    say.result(json!({ "status": status, "days": arguments.days, "statistics": all }));
    Ok(if is_empty { Ending::NothingToDo } else { Ending::Done })
}

fn window(arguments: &StatsArguments) -> Window {
    let text = |value: Option<String>| value.unwrap_or_default();
    Window {
        since: Window::of_days(host::now().as_second(), arguments.days).since,
        app: text(arguments.app.as_ref().map(ToString::to_string)),
        channel: text(arguments.channel.clone()),
        platform: text(arguments.platform.as_ref().map(ToString::to_string)),
        version: text(arguments.version.as_ref().map(ToString::to_string)),
    }
}

/// The numbers that a server gives.
async fn asked(server: &url::Url, arguments: &StatsArguments) -> Result<Statistics, VerbError> {
    let token = token::read(arguments.token.as_deref())?;
    let mut address = server.clone();
    address.set_path(&format!("{}/api/statistics", server.path().trim_end_matches('/')));
    let Window { app, channel, platform, version, .. } = window(arguments);
    address
        .query_pairs_mut()
        .append_pair("days", &arguments.days.to_string())
        .append_pair("app", &app)
        .append_pair("channel", &channel)
        .append_pair("platform", &platform)
        .append_pair("version", &version);
    let asked = https::get_with_token(address, &token, MAX_ANSWER_BYTES);
    let body = tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .map_err(|_| format!("{server} does not answer"))?
        .map_err(|error| format!("{server} gives no numbers: {error}"))?;
    Ok(serde_json::from_slice(&body)?)
}

/// The numbers for people.
fn table(all: &Statistics) -> Vec<String> {
    if all.outcomes.is_empty() {
        return vec!["nothing was reported in these days".to_owned()];
    }
    let mut lines = funnel(all);
    let details = |kind: ReportKind, head: &str, lines: &mut Vec<String>| {
        let mut rows: Vec<_> = all.outcomes.iter().filter(|row| row.kind == kind.word()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.n));
        if !rows.is_empty() {
            lines.extend([String::new(), head.to_owned()]);
        }
        lines.extend(rows.into_iter().map(|row| {
            let name = format!("{} {} {}", row.app, row.version, row.platform);
            format!("{name:<44} {:<24} {:>9}", row.detail, row.n)
        }));
    };
    details(ReportKind::RolledBack, "rolled back", &mut lines);
    details(ReportKind::Failed, "failed", &mut lines);
    if let Some(day) = all.versions.iter().map(|row| row.day).max() {
        let name = Timestamp::from_second(day).map(|day| day.strftime("%Y-%m-%d").to_string());
        let name = name.unwrap_or_default();
        lines.extend([String::new(), format!("installations on {name} (UTC), by version")]);
        lines.extend(all.versions.iter().filter(|row| row.day == day).map(|row| {
            let name = format!("{} {}", row.app, row.version);
            format!("{name:<44} {:>9}", row.installations)
        }));
    }
    if !all.nodes.is_empty() {
        lines.extend([String::new(), "nodes".to_owned()]);
        lines.extend(all.nodes.iter().map(|row| {
            let name = format!("{} for {}", row.node, row.region);
            format!("{name:<44} {:>16} bytes {:>6} faults", row.bytes, row.faults)
        }));
    }
    if !all.regions.is_empty() {
        lines.extend([String::new(), "downloads by region".to_owned()]);
        lines.extend(all.regions.iter().map(|row| {
            let rate = row.bytes as f64 / (row.milliseconds.max(1) as f64 / 1000.0) / 1e6;
            let saved = (row.full_bytes - row.bytes).max(0);
            format!(
                "{:<44} {:>9} {rate:>8.2} MB/s {saved:>16} bytes saved",
                row.region, row.downloads
            )
        }));
    }
    lines
}

/// Of each version, how many updates reached which step.
fn funnel(all: &Statistics) -> Vec<String> {
    let steps: Vec<&str> = ReportKind::STEPS
        .into_iter()
        .chain([ReportKind::RolledBack, ReportKind::Failed])
        .map(ReportKind::word)
        .collect();
    let cells = |values: Vec<String>| -> String {
        values.iter().map(|value| format!("{value:>12}")).collect()
    };
    let head = steps.iter().map(|step| step.replace('_', " ")).collect();
    if all.funnel.is_empty() {
        return vec!["no update was reported in these days".to_owned()];
    }
    let mut lines = vec![format!("{:<44}{}", "updates that reached a step", cells(head))];
    let mut seen = Vec::new();
    for row in &all.funnel {
        let key = (&row.app, &row.version, &row.channel, &row.platform);
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let reached = |step: &&str| {
            let found = all.funnel.iter().find(|other| {
                (&other.app, &other.version, &other.channel, &other.platform) == key
                    && other.stage == *step
            });
            found.map_or(0, |found| found.n).to_string()
        };
        let name = format!("{} {} {} {}", row.app, row.version, row.platform, row.channel);
        lines.push(format!("{name:<44}{}", cells(steps.iter().map(reached).collect())));
    }
    lines
}
