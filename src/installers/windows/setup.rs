//! `Setup.exe`: an installer that NSIS makes, on any system.
//!
//! In: a script, the files that it installs. Out: the bytes of the
//! installer. Never: a file outside of a temporary folder; a time other than the given one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::file_error::FileResult as _;
use crate::installers::error::InstallerError;
use crate::installers::payload::Content;
use crate::installers::signing::Signer;

/// NSIS's compiler.
const COMPILER: &str = "makensis";
const INSTALL_ADVICE: &str = "install NSIS 3.08 or newer (Debian and Ubuntu: apt install nsis; macOS: \
                              brew install makensis; Windows: https://nsis.sourceforge.io)";
/// Names in the temporary folder; the script has them too.
const SCRIPT: &str = "setup.nsi";
const INSTALLER: &str = "installer.exe";
const LICENSE: &str = "license.txt";
const ICON: &str = "icon.ico";
const WELCOME: &str = "welcome.bmp";
const UNINSTALLER: &str = "uninstaller.exe";
/// NSIS reads a text as UTF-8 if it begins so.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What an installer is made of.
pub(super) struct Setup<'a> {
    /// The script, as NSIS reads it.
    pub script: String,
    /// The files that the script installs: their names beside the script, their contents.
    pub sources: Vec<(String, &'a Content)>,
    /// The file `icon.ico`.
    pub icon: Vec<u8>,
    /// The picture of the first page.
    pub welcome: Vec<u8>,
    /// Empty: no page asks for consent.
    pub license: &'a str,
    /// The time of all files, in seconds since 1970.
    pub seconds: u64,
}

impl Setup<'_> {
    /// Makes the installer, unsigned; its uninstaller is signed if there is a command for that.
    ///
    /// # Errors
    /// [`InstallerError::NoTool`] without NSIS, [`InstallerError::Tool`] if it fails, those of
    /// signing.
    pub(super) fn make(&self, signer: Option<&Signer>) -> Result<Vec<u8>, InstallerError> {
        let folder = tempfile::tempdir().at("make", Path::new("a temporary folder"))?;
        let folder = folder.path();
        self.write_sources(folder)?;
        if let Some(signer) = signer {
            self.compile(folder, Some(&copy_command("%1", UNINSTALLER)))?;
            signer.sign(&folder.join(UNINSTALLER))?;
            self.compile(folder, Some(&copy_command(UNINSTALLER, "%1")))?;
        } else {
            self.compile(folder, None)?;
        }
        let installer = folder.join(INSTALLER);
        Ok(fs::read(&installer).at("read", &installer)?)
    }

    fn write_sources(&self, folder: &Path) -> Result<(), InstallerError> {
        let license = format!("{BYTE_ORDER_MARK}{}", self.license.replace('\n', "\r\n"));
        let made: [(&str, &[u8]); 4] = [
            (SCRIPT, self.script.as_bytes()),
            (ICON, &self.icon),
            (WELCOME, &self.welcome),
            (LICENSE, license.as_bytes()),
        ];
        for (name, bytes) in made {
            self.write_source(&folder.join(name), bytes)?;
        }
        for (name, content) in &self.sources {
            self.write_source(&folder.join(name), content.open()?)?;
        }
        Ok(())
    }

    /// Writes a file with the time that it gets on the user's computer.
    fn write_source(&self, path: &Path, mut content: impl Read) -> Result<(), InstallerError> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds);
        let mut write = || -> io::Result<()> {
            let mut file = File::create(path)?;
            io::copy(&mut content, &mut file)?;
            file.set_modified(time)
        };
        Ok(write().at("write", path)?)
    }

    /// Runs NSIS in `folder`. `copy` is run on the uninstaller before it is packed.
    fn compile(&self, folder: &Path, copy: Option<&str>) -> Result<(), InstallerError> {
        let mut command = Command::new(COMPILER);
        command.args(["-V2", "-WX", "-NOCONFIG", "-INPUTCHARSET", "UTF8"]);
        if !self.license.is_empty() {
            command.arg("-DWITH_LICENSE");
        }
        if let Some(copy) = copy {
            command.arg(format!("-DUNINSTALLER_COPY={copy}"));
        }
        command.arg(SCRIPT).current_dir(folder).stdin(Stdio::null());
        command.env("SOURCE_DATE_EPOCH", self.seconds.to_string()).env("LC_ALL", "C.UTF-8");
        let output = output_of(&mut command)?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(InstallerError::Tool { tool: COMPILER, output: String::from_utf8_lossy(&text).into() })
    }
}

/// Looks for NSIS.
///
/// # Errors
/// [`InstallerError::NoTool`] if it is not installed.
pub(in crate::installers) fn check_compiler() -> Result<(), InstallerError> {
    output_of(Command::new(COMPILER).arg("-VERSION")).map(drop)
}

fn output_of(command: &mut Command) -> Result<Output, InstallerError> {
    command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            InstallerError::NoTool { tool: COMPILER, advice: INSTALL_ADVICE }
        }
        _ => InstallerError::Start { tool: COMPILER, source: error },
    })
}

/// The command of this computer that copies a file, for a path without blanks or one in quotes.
fn copy_command(from: &str, to: &str) -> String {
    let quoted = |path: &str| if path == "%1" { "\"%1\"".to_owned() } else { path.to_owned() };
    let program = if cfg!(windows) { "copy /y /b" } else { "cp" };
    format!("{program} {} {}", quoted(from), quoted(to))
}
