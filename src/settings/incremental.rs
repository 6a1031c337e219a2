//! Settings for making and using incremental updates: the specification's configuration (its
//! section 7.1), table by table, with its names and defaults. The same tables stand in
//! `kuzflow.toml`, for making packs, and in `launcher.toml`, for using them. Each side reads the
//! values that concern it, so one text serves both.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SettingsError;
use crate::model::HotSwap;
use crate::model::pattern::{AppPatterns, FilePattern, ModulePattern};

/// The table `[incremental_update]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IncrementalUpdate {
    /// Whether patches are made and used.
    pub enabled: bool,
    /// Largest pack that is published or used, bytes. A larger pack saves almost nothing.
    pub max_patch_size: u64,
    /// How many single files are fetched at the same time. Packs are fetched one after another,
    /// each in pieces from all nodes.
    pub parallel_downloads: usize,
    /// Modules that a running app can take over, as dotted names below the app's folder.
    pub hot_swap_modules: Vec<ModulePattern>,
    /// Files that need a restart, whatever `hot_swap_modules` says, as paths below the app's
    /// folder.
    pub critical_files: Vec<FilePattern>,
    /// Days after which a pack is removed from the repository.
    pub patch_retention_days: u32,
    /// From how many earlier releases of the same channel packs are made when a release is
    /// published; 0 for none. Not in the specification, which makes patches on request: a static
    /// host takes no requests.
    pub latest_releases: usize,
    /// Bytes of memory that making a pack may need. Not in the specification: its
    /// `max_memory_usage` concerns the user's computer, not the publisher's.
    pub making_memory: u64,
}

/// The table `[performance]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Performance {
    /// How patches are made.
    pub compression_algorithm: Algorithm,
    /// The specification's block size, bytes: how much its code reads at a time when it hashes a
    /// file. The value is checked, so that a mistake in it is seen, but it has no effect: the hash
    /// is the same for every block size. Files are read and written in blocks of 256 KiB, with a
    /// thirtieth of the system calls of the specification's default. `max_memory_usage` limits the
    /// memory that a pack needs.
    pub chunk_size: u32,
    /// Bytes of memory that applying a pack may need on the user's computer. A pack that needs more
    /// is neither published nor used.
    pub max_memory_usage: u64,
    /// Whether packs are made after the release is published, so that the release is available at
    /// once, instead of before.
    pub background_generation: bool,
}

/// How patches are made. The specification knows only bsdiff4; it remains available, for packs that
/// other programs can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// The smallest result of all algorithms, file by file.
    Auto,
    /// Our own: aligned differences with a model of the file's kind.
    Aligned,
    /// Zstandard with the old file as its dictionary.
    Zstd,
    /// The algorithm of the program of this name.
    Bsdiff4,
}

/// The table `[fallback]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fallback {
    /// Whether the full package is fetched if nothing smaller leads to the release, is cheap
    /// enough, or succeeds. Without it a release that can only be fetched whole is not offered,
    /// unless the publisher made it mandatory or nothing is installed yet.
    pub enable_full_update: bool,
    /// Share of the full package from which on the full package is fetched instead of patches.
    pub fallback_threshold: f64,
    /// Most packs in a row that an update uses.
    pub max_patch_chain_length: usize,
}

impl Default for IncrementalUpdate {
    fn default() -> Self {
        // The specification's examples are patterns, and fit many apps.
        let modules = ["manipulate.*", "ui.components.*", "config.*"];
        let files = ["app.py", "updater_core/*"];
        Self {
            enabled: true,
            max_patch_size: 10 << 20,
            parallel_downloads: 3,
            hot_swap_modules: modules.iter().filter_map(|text| text.parse().ok()).collect(),
            critical_files: files.iter().filter_map(|text| text.parse().ok()).collect(),
            patch_retention_days: 30,
            latest_releases: 3,
            making_memory: 2 << 30,
        }
    }
}

impl Default for Performance {
    fn default() -> Self {
        // The specification has bsdiff4; a smaller pack costs the user less.
        Self {
            compression_algorithm: Algorithm::Auto,
            chunk_size: 8192,
            max_memory_usage: 128 << 20,
            background_generation: true,
        }
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Self { enable_full_update: true, fallback_threshold: 0.7, max_patch_chain_length: 5 }
    }
}

impl IncrementalUpdate {
    /// The two lists of patterns, in the form that a release carries.
    pub fn hot_swap(&self) -> HotSwap {
        HotSwap { modules: self.hot_swap_modules.clone(), critical: self.critical_files.clone() }
    }

    /// The two lists of patterns, for questions about files.
    pub fn patterns(&self) -> AppPatterns<'_> {
        AppPatterns {
            hot_swap_modules: &self.hot_swap_modules,
            critical_files: &self.critical_files,
        }
    }
}

/// The least memory in which any pack can be applied or made, bytes.
const MIN_MEMORY_BYTES: u64 = 32 << 20;

/// Refuses values that make no sense; `path` is the settings file, for messages.
///
/// # Errors
/// [`SettingsError::Value`] for the first wrong value.
pub(crate) fn check(
    path: &Path,
    incremental: &IncrementalUpdate,
    performance: &Performance,
    fallback: &Fallback,
) -> Result<(), SettingsError> {
    let rules: [(&'static str, bool, &str); 9] = [
        (
            "incremental_update.max_patch_size",
            incremental.max_patch_size > 0,
            "expected a number of bytes above 0; for no patches set enabled = false",
        ),
        (
            "incremental_update.parallel_downloads",
            (1..=16).contains(&incremental.parallel_downloads),
            "expected a number from 1 to 16",
        ),
        (
            "incremental_update.patch_retention_days",
            (1..=3650).contains(&incremental.patch_retention_days),
            "expected a number of days from 1 to 3650",
        ),
        (
            "incremental_update.latest_releases",
            incremental.latest_releases <= 100,
            "expected a number from 0 to 100",
        ),
        (
            "incremental_update.making_memory",
            incremental.making_memory >= MIN_MEMORY_BYTES,
            "expected a number of bytes, at least 33554432 (32 MiB)",
        ),
        (
            "performance.chunk_size",
            (4 << 10..=1 << 20).contains(&performance.chunk_size),
            "expected a number of bytes from 4096 (4 KiB) to 1048576 (1 MiB)",
        ),
        (
            "performance.max_memory_usage",
            performance.max_memory_usage >= MIN_MEMORY_BYTES,
            "expected a number of bytes, at least 33554432 (32 MiB)",
        ),
        (
            "fallback.fallback_threshold",
            // This form also refuses not-a-number.
            fallback.fallback_threshold > 0.0 && fallback.fallback_threshold <= 1.0,
            "expected a share above 0 and up to 1, for example 0.7",
        ),
        (
            "fallback.max_patch_chain_length",
            (1..=20).contains(&fallback.max_patch_chain_length),
            "expected a number from 1 to 20",
        ),
    ];
    match rules.into_iter().find(|(_, good, _)| !good) {
        Some((setting, _, reason)) => {
            Err(SettingsError::Value { path: path.to_owned(), setting, reason: reason.to_owned() })
        }
        None => Ok(()),
    }
}

/// For serde: tables with default values are not written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The tables with their defaults, as comments, for the publisher's settings.
pub(crate) const PUBLISHER_EXAMPLE: &str = r#"
# How patches are made: what `publish` puts beside a release, so that installations fetch only what changed.
#[incremental_update]
#enabled = true
#max_patch_size = 10485760     # bytes; a larger pack is not published
#latest_releases = 3           # from how many earlier releases packs are made; 0 for none
#patch_retention_days = 30     # older packs are taken out of the repository
#making_memory = 2147483648    # bytes that making a pack may need here; one very large file needs more
#hot_swap_modules = ["manipulate.*", "ui.components.*", "config.*"] # what a running app can take over
#critical_files = ["app.py", "updater_core/*"] # what always needs a new start
#[performance]
#compression_algorithm = "auto" # the smallest of all, or one of aligned, zstd, bsdiff4
#max_memory_usage = 134217728  # bytes that applying a pack may need on the user's computer
#background_generation = true  # release first, packs after it
#[fallback]
#enable_full_update = true     # what the server's answers assume of the launcher's settings, here and below
#fallback_threshold = 0.7
#max_patch_chain_length = 5
"#;

/// The tables with their defaults, as comments, for the launcher's settings.
pub(crate) const LAUNCHER_EXAMPLE: &str = r#"
# How patches are used.
#[incremental_update]
#enabled = true
#max_patch_size = 10485760     # bytes; a larger pack is not used
#parallel_downloads = 3        # single files fetched at a time
#[performance]
#chunk_size = 8192             # of the specification; has no effect, blocks are 256 KiB
#max_memory_usage = 134217728  # bytes that applying a pack may need
#[fallback]
#enable_full_update = true     # fetch the full package where nothing smaller leads; false: such a release is not offered
#fallback_threshold = 0.7      # or where patches cost more than this share of it
#max_patch_chain_length = 5
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Tables {
        incremental_update: IncrementalUpdate,
        performance: Performance,
        fallback: Fallback,
    }

    fn parse(text: &str) -> Result<Tables, String> {
        let tables: Tables = toml::from_str(text).map_err(|error| error.to_string())?;
        let checked = check(
            Path::new("x.toml"),
            &tables.incremental_update,
            &tables.performance,
            &tables.fallback,
        );
        checked.map(|()| tables).map_err(|error| error.to_string())
    }

    /// The values of the specification's section 7.1, except the algorithm.
    const SPECIFICATION: &str = r#"{
        "incremental_update": {
            "enabled": true, "max_patch_size": 10485760, "parallel_downloads": 3,
            "hot_swap_modules": ["manipulate.*", "ui.components.*", "config.*"],
            "critical_files": ["app.py", "updater_core/*"], "patch_retention_days": 30
        },
        "performance": { "chunk_size": 8192, "max_memory_usage": 134217728, "background_generation": true },
        "fallback": { "enable_full_update": true, "fallback_threshold": 0.7, "max_patch_chain_length": 5 }
    }"#;

    #[test]
    fn the_defaults_are_the_specifications() {
        assert_eq!(serde_json::from_str::<Tables>(SPECIFICATION).unwrap(), Tables::default());
        assert_eq!(parse("").unwrap(), Tables::default());
        let bsdiff4 = parse("[performance]\ncompression_algorithm = 'bsdiff4'").unwrap();
        assert_eq!(bsdiff4.performance.compression_algorithm, Algorithm::Bsdiff4);
    }

    #[test]
    fn the_examples_say_what_is_anyway() {
        for example in [PUBLISHER_EXAMPLE, LAUNCHER_EXAMPLE] {
            let uncommented: String = example
                .lines()
                .filter(|line| !line.starts_with("# "))
                .map(|line| format!("{}\n", line.trim_start_matches('#')))
                .collect();
            assert_eq!(parse(&uncommented).unwrap(), Tables::default());
            assert!(uncommented.contains("max_patch_size"));
        }
    }

    #[test]
    fn mistakes_name_their_key() {
        for (table, line) in [
            ("incremental_update", "max_patch_size = 0"),
            ("incremental_update", "max_patch_size = -1"),
            ("incremental_update", "parallel_downloads = 0"),
            ("incremental_update", "parallel_downloads = 17"),
            ("incremental_update", "patch_retention_days = 0"),
            ("incremental_update", "latest_releases = 101"),
            ("incremental_update", "making_memory = 1000"),
            ("incremental_update", "hot_swap_modules = ['manipulate/*']"),
            ("incremental_update", "critical_files = ['../app.py']"),
            ("incremental_update", "enable = true"),
            ("performance", "chunk_size = 4095"),
            ("performance", "chunk_size = 1048577"),
            ("performance", "max_memory_usage = 33554431"),
            ("performance", "compression_algorithm = 'xdelta'"),
            ("fallback", "fallback_threshold = 0.0"),
            ("fallback", "fallback_threshold = 1.01"),
            ("fallback", "fallback_threshold = nan"),
            ("fallback", "max_patch_chain_length = 0"),
            ("fallback", "max_patch_chain_length = 21"),
        ] {
            let message = parse(&format!("[{table}]\n{line}")).unwrap_err();
            assert!(message.contains(line.split(' ').next().unwrap()), "{line}: {message}");
        }
        parse("[fallback]\nfallback_threshold = 1.0\nmax_patch_chain_length = 20").unwrap();
        parse("[performance]\nchunk_size = 4096\nmax_memory_usage = 33554432").unwrap();
    }
}
