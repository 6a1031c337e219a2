//! `kuzflow rotate`: new keys.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::renew;
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::{passwords, upload};
use crate::app::Ending;
use crate::host;
use crate::publish::transaction::when_free;
use crate::publish::{KeyRole, Rotation};

/// The text below `kuzflow rotate --help`.
pub(super) const HELP: &str = "\
It needs the root keys. New keys are put where the ones before lie, and are encrypted if those are. To sign with the same keys for
another year, use `kuzflow renew`.

Example: kuzflow rotate --repo my-app --replace timestamp --replace snapshot
         kuzflow rotate --repo my-app --keys /media/keys --replace root --root-keys 3 --root-threshold 2";

/// The arguments of `kuzflow rotate`.
#[derive(Debug, Args)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// Give this role new keys: root, targets, snapshot, timestamp, patches or rollout. A
    /// repository from before there was the role rollout gets it so.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    replace: Vec<KeyRole>,
    /// How many root keys to make, with `--replace root`; as many as there are if absent.
    #[arg(long, value_name = "N", requires = "replace")]
    root_keys: Option<usize>,
    /// How many of them must sign a new root; as many as now if absent.
    #[arg(long, value_name = "N", requires = "replace")]
    root_threshold: Option<u64>,
    /// Encrypt new root and targets keys, also if the ones before are not.
    #[arg(long)]
    encrypt: bool,
    /// Put new root and targets keys into this folder.
    #[arg(long, value_name = "DIR")]
    keys_out: Option<PathBuf>,
}

fn role(text: &str) -> Result<KeyRole, String> {
    text.parse()
}

/// Makes a new root.
pub(super) fn rotate(arguments: &RotateArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    let keyring = keyring.remembering();
    let mut rotation = Rotation {
        replace: arguments.replace.clone(),
        offline_keys: arguments.keys_out.clone(),
        ..Rotation::default()
    };
    if arguments.root_keys.is_some() || arguments.root_threshold.is_some() {
        if !rotation.replace.contains(&KeyRole::Root) {
            return Err("--root-keys and --root-threshold are for `--replace root`".into());
        }
        let (count, threshold) = project.root_keys()?;
        rotation.root_keys = Some((
            arguments.root_keys.unwrap_or(count),
            arguments.root_threshold.unwrap_or(threshold),
        ));
    }
    let wants_offline = rotation.replace.iter().any(|role| role.is_offline());
    if wants_offline && (arguments.encrypt || project.needs_password(&rotation, &keyring, true)?) {
        rotation.offline_password = Some(passwords::new_password()?.into());
    }
    if project.needs_password(&rotation, &keyring, false)? {
        rotation.online_password = Some(passwords::new_password()?.into());
    }
    let transaction =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.rotate(&rotation, &keyring, host::now()))?;
    let keys = transaction.new_keys();
    transaction.run()?;
    say.line("a new root is published");
    for key in &keys {
        say.line(&format!("  new key  {}", key.display()));
    }
    if !keys.is_empty() {
        say.line("keys of these roles from before sign nothing any more");
    }
    say.line(&format!(
        "new installations need {}",
        project.launcher_folder().join("root.json").display()
    ));
    renew::renew_targets_if_pressing(&project, &keyring, say)?;
    upload::tell_next(&project, say);
    let keys: Vec<_> = keys.iter().map(|key| key.to_string_lossy()).collect();
    say.result(json!({ "status": "done", "new_keys": keys }));
    Ok(renew::warn_after(&project, Ending::Done))
}
