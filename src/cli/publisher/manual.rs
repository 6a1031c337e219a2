//! Shell completions and man pages of both programs, made from the programs' own definitions of
//! their arguments.
//!
//! In: the name of a shell, or a folder. Out: a completion script on standard output, or one man
//! page for each verb. Never: a file outside of that folder. The publisher's program also writes
//! the pages of the launcher, so that the launcher stays small.

use std::io;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use serde_json::json;

use super::shared::output::Say;
use crate::app::Ending;
use crate::app::streams::write_line;
use crate::model::made_file::MadeFile;
use crate::named_file::{self, OutputError};

pub(super) const COMPLETIONS_HELP: &str = "\
Example: kuzflow completions bash > ~/.local/share/bash-completion/completions/kuzflow
         kuzflow completions zsh kuzflow-launcher > ~/.zfunc/_kuzflow-launcher";

pub(super) const MANUAL_HELP: &str = "Example: kuzflow manual /usr/local/share/man/man1";

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// Whose commands the script completes at the prompt.
    shell: Shell,
    /// The program that is typed.
    #[arg(value_enum, default_value = "kuzflow")]
    program: Program,
}

#[derive(Debug, Args)]
pub(super) struct ManualArguments {
    /// The folder for the pages; it is made if it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// The two programs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Program {
    /// The publisher's program.
    Kuzflow,
    /// The program on users' computers.
    KuzflowLauncher,
}

impl Program {
    fn command(self, publisher: fn() -> Command) -> Command {
        match self {
            Self::Kuzflow => publisher(),
            Self::KuzflowLauncher => crate::cli::launcher::Arguments::command(),
        }
    }
}

/// Why the pages cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManualError {
    #[error("cannot write the man pages into {}", folder.display())]
    File { folder: PathBuf, source: io::Error },
    /// A file that is no such page has its name.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// `publisher` gives the commands of `kuzflow`.
pub(super) fn completions(arguments: &CompletionsArguments, publisher: fn() -> Command) -> Ending {
    let mut command = arguments.program.command(publisher);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    write_line(String::from_utf8_lossy(&script).trim_end());
    Ending::Done
}

/// `publisher` gives the commands of `kuzflow`.
pub(super) fn manual(
    arguments: &ManualArguments,
    publisher: fn() -> Command,
    say: &Say,
) -> Result<Ending, ManualError> {
    let folder = &arguments.folder;
    let failed = |source| ManualError::File { folder: folder.clone(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Beside their places, so that each page appears in one step.
    let new = tempfile::Builder::new().prefix(".kuzflow-").tempdir_in(folder).map_err(failed)?;
    for program in Program::value_variants() {
        clap_mangen::generate_to(program.command(publisher), new.path()).map_err(failed)?;
    }
    let pages = std::fs::read_dir(new.path()).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let pages = pages.map_err(failed)?;
    for page in &pages {
        named_file::check(&folder.join(page.file_name()), MadeFile::ManualPage)?;
    }
    for page in &pages {
        std::fs::rename(page.path(), folder.join(page.file_name())).map_err(failed)?;
    }
    say.line(&format!("man pages of both programs are in {}", folder.display()));
    say.result(json!({ "status": "done", "folder": folder }));
    Ok(Ending::Done)
}
