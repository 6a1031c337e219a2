//! Stores what programs without a terminal write, so that a helper can read what went wrong: an
//! app's standard error (why it did not start), the output of a release's scripts.
//!
//! The program itself appends to a file. A pipe would not do: an app continues after the launcher
//! has ended, and never waits for it. Each version has its files in `<home>/logs`. The launcher
//! cuts a file that is too long down to its end: at a start, and from time to time while the
//! program runs.
//!
//! In: a home, a version. Out: a file for the program, its last lines. Never: touches the user's own
//! `logs`, lets a start fail because the file cannot be opened, holds more than [`MAX_OUTPUT_BYTES`] bytes
//! for long.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Home;
use super::names::{
    OUTPUT_OF_APP, OUTPUT_OF_HOOKS, OUTPUT_OF_MIGRATION, OUTPUT_SUFFIX, version_of_output,
};
use crate::model::ContainerId;
use crate::{durable, look};

/// A file longer than this is cut, bytes.
const MAX_OUTPUT_BYTES: u64 = 256 << 10;
/// The end that remains after a cut, bytes.
const MAX_OUTPUT: u64 = 64 << 10;
/// The part that is read to be shown, bytes.
const SHOWN: u64 = 8 << 10;

/// Who writes into a file. Each version has one file of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writer {
    /// The app: its standard error.
    App,
    /// The hooks of the release.
    Hooks,
    /// The release's own migration.
    Migration,
}

impl Writer {
    /// What the names of its files begin with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::App => OUTPUT_OF_APP,
            Self::Hooks => OUTPUT_OF_HOOKS,
            Self::Migration => OUTPUT_OF_MIGRATION,
        }
    }
}

/// The output of one run.
#[derive(Debug)]
pub(super) struct OutputFile {
    path: PathBuf,
    /// The length of the file before this run, bytes.
    begun: u64,
}

impl OutputFile {
    /// Opens the file of `id`, and a handle for the program.
    pub(super) fn open(home: &Home, writer: Writer, id: &ContainerId) -> io::Result<(Self, File)> {
        durable::create_folders(&home.logs())?;
        remove_output_of_removed(home);
        let path = home.logs().join(format!("{}{id}{OUTPUT_SUFFIX}", writer.prefix()));
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        let output = Self { path, begun: 0 };
        output.cut()?;
        let begun = file.metadata()?.len();
        Ok((Self { begun, ..output }, file))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts the file if it has become too long: the end stays. Output that the program writes
    /// during the cut may be lost.
    pub(super) fn cut(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).append(true).open(&self.path)?;
        if file.metadata()?.len() <= MAX_OUTPUT_BYTES {
            return Ok(());
        }
        let end = end_of(&mut file, MAX_OUTPUT)?;
        file.set_len(0)?;
        file.write_all(&end)
    }

    /// The last lines of this run, at most `most`.
    pub(super) fn last_lines(&self, most: usize) -> Vec<String> {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let length = file.metadata()?.len();
            // The file was cut meanwhile: everything left may belong to this run.
            let own = if length >= self.begun { length - self.begun } else { length };
            end_of(&mut file, own.min(SHOWN))
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Control characters, which a terminal would act on, are removed.
        let clean = |line: &str| {
            line.chars()
                .filter(|c| !c.is_control() || *c == '\t')
                .collect::<String>()
                .trim_end()
                .to_owned()
        };
        let lines: Vec<String> = text.lines().map(clean).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }
}

/// The last bytes of a file.
fn end_of(file: &mut File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end)?;
    Ok(end)
}

/// Deletes the output of versions that are no longer installed.
fn remove_output_of_removed(home: &Home) {
    let of = |path: &Path| version_of_output(path.file_name()?.to_str()?);
    for path in look::entries_if_readable(&home.logs()).into_iter().map(|entry| entry.path()) {
        let folder = of(&path).map(|id| fs::symlink_metadata(home.container(&id)));
        if folder
            .is_some_and(|found| found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
        {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;

    #[test]
    fn the_end_of_what_a_start_wrote_is_retained_and_bounded() {
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[]);
        let (_, mut file) = OutputFile::open(&fixture.home, Writer::App, &id).unwrap();
        file.write_all(b"of an earlier start\n").unwrap();
        let (output, mut file) = OutputFile::open(&fixture.home, Writer::App, &id).unwrap();
        assert!(output.last_lines(5).is_empty());
        file.write_all(b"Traceback:\n\n  \x1b[31mModuleNotFoundError\x1b[0m: no module\r\n")
            .unwrap();
        assert_eq!(output.last_lines(5), ["Traceback:", "  [31mModuleNotFoundError[0m: no module"]);
        assert_eq!(output.last_lines(1).len(), 1);
        for number in 0..40_000 {
            file.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        output.cut().unwrap();
        let length = fs::metadata(&output.path).unwrap().len();
        assert!((1..=MAX_OUTPUT).contains(&length), "{length}");
        // The app continues with the file that it was given.
        file.write_all(b"the last one\n").unwrap();
        assert_eq!(output.last_lines(2), ["line 39999", "the last one"]);
        // The output of a removed version is deleted at the next start of another one.
        let gone = fixture.home.logs().join("app-sample_0.9.0_Linux_x86_64.txt");
        let other = fixture.home.logs().join("app-notes.txt");
        fs::write(&gone, "x").unwrap();
        fs::write(&other, "x").unwrap();
        OutputFile::open(&fixture.home, Writer::App, &id).unwrap();
        assert!(!gone.exists() && other.exists());
    }
}
