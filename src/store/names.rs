//! The names that the launcher gives to items of a home. In the home's folders it deletes nothing
//! else: another item there is somebody's own.
//!
//! In: a folder's and an item's name. Out: whether the launcher gives such a name. Never: looks at
//! the disk.

use crate::durable::TEMPORARY_PREFIX;
use crate::model::launcher::LAUNCHER_SUFFIX;
use crate::model::{ContainerId, Digest};

/// Prefix of the folder of a version that is to be removed, once its user files are in a snapshot.
pub(super) const LEAVING: &str = ".leaving-";
/// Prefix of the folder of a version that is being removed.
pub(super) const REMOVED: &str = ".removed-";
/// Prefix of the folder with the set-aside files of a damaged version.
pub(super) const DAMAGED: &str = ".damaged-";
/// Prefix of the staging folder of a repair.
pub(super) const REPAIR: &str = "repair-";
/// Prefix of the folder of versions that are being uninstalled.
pub(super) const UNINSTALLING: &str = "uninstalling-";
/// Prefix of the folder of retained user data that a new installation has copied.
pub(super) const ADOPTED: &str = "taken-over-";
/// The folder of the user files that are being laid out for a switch.
pub(super) const INCOMING: &str = "incoming";
/// The folder of the retained user data.
pub(super) const USER_DATA: &str = "user-data";
/// Prefix of the file with an app's standard error.
pub(super) const OUTPUT_OF_APP: &str = "app-";
/// Prefix of the file with the output of a version's hooks.
pub(super) const OUTPUT_OF_HOOKS: &str = "hooks-";
/// Prefix of the file with the output of a version's migration.
pub(super) const OUTPUT_OF_MIGRATION: &str = "migrate-";
/// What the names of these files end with.
pub(super) const OUTPUT_SUFFIX: &str = ".txt";

const TRUST: [&str; 5] =
    ["root.json", "metadata.json", "delegated", "launcher-settings.json", "repository-keys.json"];
const LOGS: [&str; 3] = ["launcher.log", "launcher.log.1", "migrate.txt"];

/// Whether the launcher gives such a name to an item of `folder`, one of a home's own folders.
pub(super) fn is_own_name(folder: &str, name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX)
        || match folder {
            "containers" => is_version_name(name),
            "staging" => is_id(name.strip_prefix(REPAIR).unwrap_or(name)),
            "running" => is_id(name.strip_suffix(".d").unwrap_or(name)),
            INCOMING => name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "snapshots" => is_snapshot_name(name.strip_prefix(REMOVED).unwrap_or(name)),
            "neighbours" => is_cached_object(name),
            "own-update" => name.contains(LAUNCHER_SUFFIX),
            "trust" => TRUST.contains(&name),
            "logs" => LOGS.contains(&name) || version_of_output(name).is_some(),
            "hooks" => is_id(name),
            "reports" => is_report_name(name),
            USER_DATA => is_time(name.strip_prefix(ADOPTED).unwrap_or(name)),
            _ => false,
        }
}

/// Whether the launcher gives such a name to a version's folder, at any stage of its life.
pub(super) fn is_version_name(name: &str) -> bool {
    is_id(name) || [LEAVING, REMOVED, DAMAGED].iter().any(|prefix| name.starts_with(prefix))
}

pub(super) fn is_snapshot_name(name: &str) -> bool {
    let Some((time, id)) = name.split_once("Z-") else { return false };
    time.len() == "20260131T235959.000000".len() && is_id(id)
}

/// Whether `name` is a time as folders of retained user data have it.
pub(super) fn is_time(name: &str) -> bool {
    const FORM: &str = "0000-00-00T00-00-00Z";
    let fits =
        |(form, byte): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
    name.len() == FORM.len() && FORM.bytes().zip(name.bytes()).all(fits)
}

fn is_id(name: &str) -> bool {
    name.parse::<ContainerId>().is_ok()
}

/// The version whose program writes into a file of `logs` with this name.
pub(super) fn version_of_output(name: &str) -> Option<ContainerId> {
    let prefixes = [OUTPUT_OF_APP, OUTPUT_OF_HOOKS, OUTPUT_OF_MIGRATION];
    let id = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    id.strip_suffix(OUTPUT_SUFFIX)?.parse().ok()
}

/// `memory.json`, or a time, an id and `.json`.
fn is_report_name(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".json") else { return false };
    let digits = |text: &str, base| text.chars().all(|sign: char| sign.is_digit(base));
    let is_report = |(time, id): (&str, &str)| {
        time.len() == 12 && digits(time, 10) && id.len() == 32 && digits(id, 16)
    };
    stem == "memory" || stem.split_once('-').is_some_and(is_report)
}

fn is_cached_object(name: &str) -> bool {
    let digest = name.strip_suffix(".object").or_else(|| name.strip_suffix(".json"));
    digest.is_some_and(|digest| digest.parse::<Digest>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_launcher_gives_are_its_own() {
        let id = "sample_1.0.0_Linux_x86_64";
        let digest = Digest::of(b"x").to_string();
        let own = [
            ("containers", id.to_owned()),
            ("containers", format!(".damaged-{id}-0a1b2c3d")),
            ("staging", format!("repair-{id}")),
            ("running", format!("{id}.d")),
            (INCOMING, "0a1b2c3d".to_owned()),
            ("snapshots", format!("20260301T120000.000001Z-{id}")),
            ("snapshots", format!(".removed-20260301T120000.000001Z-{id}")),
            ("neighbours", format!("{digest}.object")),
            ("own-update", format!("kuzflow-launcher_1.0.0_Linux_x86_64{LAUNCHER_SUFFIX}")),
            ("trust", ".tmp-12-abc".to_owned()),
            ("logs", format!("app-{id}.txt")),
            ("logs", format!("hooks-{id}.txt")),
            ("logs", format!("migrate-{id}.txt")),
            ("hooks", id.to_owned()),
            ("reports", "memory.json".to_owned()),
            ("reports", format!("001796000000-{}.json", &digest[..32])),
            (USER_DATA, "taken-over-2026-03-01T12-00-00Z".to_owned()),
        ];
        for (folder, name) in &own {
            assert!(is_own_name(folder, name), "{folder}/{name}");
        }
        let foreign = ["draft.txt", "my", "list", "app-notes.txt", "app.log", "deed.pdf", "2026"];
        for (folder, _) in own {
            for name in foreign {
                assert!(!is_own_name(folder, name), "{folder}/{name}");
            }
        }
    }
}
