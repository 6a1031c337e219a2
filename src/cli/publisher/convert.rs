//! `kuzflow convert-metadata`: gives each app, channel and platform its own list of releases.

use clap::Args;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::project::typed;
use crate::app::Ending;
use crate::host;
use crate::publish::transaction::when_free;
use crate::publish::{Conversion, ConversionStep, MetadataForm};

/// The text below `kuzflow convert-metadata --help`.
pub(super) const HELP: &str = "\
Without --write it tells what it would sign. The first call adds the lists and leaves everything where it was: older launchers go on as
before. With --drop-old, later, the releases leave the old list, and checks become small. That is refused while a launcher that knows
the old list alone may still be installed. It needs the keys of targets, patches, snapshot and timestamp.

Example: kuzflow convert-metadata --repo my-app --keys /media/keys --write
         kuzflow convert-metadata --repo my-app --keys /media/keys --drop-old --write";

/// The arguments of `kuzflow convert-metadata`.
#[derive(Debug, Args)]
pub(super) struct ConvertArguments {
    /// Sign and write; without this nothing changes.
    #[arg(long)]
    write: bool,
    /// Take the releases out of the old list.
    #[arg(long)]
    drop_old: bool,
    /// How long each offered release must have required a launcher that reads the new lists before
    /// --drop-old.
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "drop_old")]
    after_days: u32,
    #[command(flatten)]
    place: RepositoryPlace,
}

impl ConvertArguments {
    /// Whether the report is all that the verb makes.
    pub(super) const fn only_reports(&self) -> bool {
        !self.write
    }
}

/// Converts the repository by one step.
pub(super) fn convert(arguments: &ConvertArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    let step = if arguments.drop_old {
        ConversionStep::DropOld { days: arguments.after_days }
    } else {
        ConversionStep::Add
    };
    let (transaction, conversion) =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.convert(step, &keyring, host::now()))?;
    let changes = !transaction.is_empty();
    if arguments.write {
        transaction.run()?;
    }
    tell(&conversion, arguments.write, say);
    if changes && arguments.write {
        say.next(&format!(
            "copy {} to your web server: metadata, timestamp.json last of it",
            typed(&project.repository())
        ));
    }
    let status = match (changes, arguments.write) {
        (false, _) => "nothing_to_do",
        (true, false) => "dry_run",
        (true, true) => "done",
    };
    let documents = conversion.documents.iter();
    let documents: Vec<_> =
        documents.map(|(role, bytes)| json!({ "role": role, "bytes": bytes })).collect();
    say.result(json!({
        "status": status,
        "before": name(conversion.before),
        "after": name(conversion.after),
        "documents": documents,
    }));
    let ending = if changes { Ending::Done } else { Ending::NothingToDo };
    Ok(super::renew::warn_after(&project, ending))
}

const fn name(form: MetadataForm) -> &'static str {
    match form {
        MetadataForm::Single => "single",
        MetadataForm::Both => "both",
        MetadataForm::Roles => "roles",
    }
}

fn tell(conversion: &Conversion, is_written: bool, say: &Say) {
    let would = if is_written { "" } else { "would be " };
    for (role, bytes) in &conversion.documents {
        say.line(&format!("{role}: {would}signed, {bytes} bytes"));
    }
    if conversion.before == conversion.after {
        say.line("the repository has this form already");
    } else if conversion.after == MetadataForm::Both {
        say.line(
            "older launchers find the releases where they were; newer ones read their own list",
        );
    }
    if !is_written && !conversion.documents.is_empty() {
        say.line("nothing is changed; --write does it");
    }
}
