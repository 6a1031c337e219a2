//! `kuzflow audit`: who did what with the store of reports, and whether that list is whole.

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use crate::app::Ending;
use crate::fleet::{Place, Store};
use crate::threads;

pub(super) const HELP: &str = "\
Each entry has a hash that covers the entry before it, so nothing earlier can change without the last hash changing. Write the last hash down elsewhere, and give it to --known later.
Status 1: the list is not whole. Status 3: there is no entry.

Example: kuzflow audit --data reports
         kuzflow audit --verify --known HASH --data reports";

/// The arguments of `kuzflow audit`.
#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    /// Print no entries, only whether their list is whole, and the last hash.
    #[arg(long)]
    verify: bool,
    /// A hash that was written down earlier: fail if no entry has it any more.
    #[arg(long, value_name = "HASH")]
    known: Option<String>,
    /// The folder or the PostgreSQL that the server was given with --data; it may be running.
    #[arg(long, value_name = "DIR|URL")]
    data: Place,
}

/// Walks the list and prints it.
pub(super) fn audit(arguments: &AuditArguments, say: &Say) -> Result<Ending, VerbError> {
    let audit = threads::runtime(1)?
        .block_on(async { Store::read(&arguments.data).await?.audit().await })?;
    if !arguments.verify {
        for entry in &audit.entries {
            let time = Timestamp::from_second(entry.at).map(|time| time.to_string());
            say.line(&format!(
                "{:>6}  {}  {:<24} {:<14} {:<32} {}",
                entry.number,
                time.unwrap_or_default(),
                entry.who,
                entry.what,
                entry.subject,
                entry.hash.get(..12).unwrap_or_default(),
            ));
        }
    }
    let known = arguments.known.as_deref().map(|hash| hash.trim().to_ascii_lowercase());
    audit.verify(known.as_deref())?;
    let last = audit.last();
    say.line(&match last {
        Some(last) => {
            let what = if last.number == 1 { "entry" } else { "entries" };
            format!("{} {what}, nothing was changed; the last hash: {}", last.number, last.hash)
        }
        None => "there are no entries".to_owned(),
    });
    let ending = if last.is_some() { Ending::Done } else { Ending::NothingToDo };
    let status = if last.is_some() { "done" } else { "nothing_to_do" };
    let shown = (!arguments.verify).then_some(&audit.entries);
    say.result(json!({
        "status": status,
        "count": audit.entries.len(),
        "last": last.map(|entry| &entry.hash),
        "entries": shown,
    }));
    Ok(ending)
}
