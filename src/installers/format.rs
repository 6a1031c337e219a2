//! The kinds of installers: which system each is for, and how its file is named.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::InstallerError;
use super::product::Product;
use super::windows;
use crate::model::Platform;
use crate::model::made_file::MadeFile;
use crate::named_file;

/// The architecture of a program for both processors of macOS, as Python names it.
pub(crate) const UNIVERSAL: &str = "universal2";

/// A kind of installer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// A package for Debian, Ubuntu and their relatives.
    Deb,
    /// A package for Fedora, openSUSE and their relatives.
    Rpm,
    /// A script with the files inside, for one user of any Linux, without root.
    Run,
    /// An installer for Windows.
    Setup,
    /// A folder for Windows that needs no installation.
    Portable,
    /// An application bundle for macOS, in an archive.
    App,
    /// The same in a disk image.
    Dmg,
}

/// A format that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("not a format: {0:?}")]
pub(crate) struct UnknownFormat(String);

impl Format {
    /// All of them, in the order in which they are made.
    pub(crate) const ALL: [Self; 7] =
        [Self::Deb, Self::Rpm, Self::Run, Self::Setup, Self::Portable, Self::App, Self::Dmg];

    /// Those that packages of tools have.
    pub(crate) const OF_TOOLS: [Self; 4] = [Self::Deb, Self::Rpm, Self::Setup, Self::Portable];

    /// As it is typed.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
            Self::Run => "run",
            Self::Setup => "setup",
            Self::Portable => "portable",
            Self::App => "app",
            Self::Dmg => "dmg",
        }
    }

    /// The operating system that it is for, as in [`Platform::os`].
    pub(crate) const fn system(self) -> &'static str {
        match self {
            Self::Deb | Self::Rpm | Self::Run => "Linux",
            Self::Setup | Self::Portable => "Windows",
            Self::App | Self::Dmg => "Darwin",
        }
    }

    /// Whether there is such an installer for the platform. NSIS makes programs for x64, and the
    /// icon is put into programs for 64-bit processors.
    pub(crate) fn fits(self, platform: &Platform) -> bool {
        let processor = platform.architecture.as_str();
        platform.os == self.system()
            && match self {
                Self::Setup => matches!(processor, "AMD64" | "x86_64"),
                Self::Portable => matches!(processor, "AMD64" | "x86_64" | "ARM64"),
                _ => true,
            }
    }

    /// Looks for the programs that make this format.
    ///
    /// # Errors
    /// [`InstallerError::NoTool`] with the way to get the missing one.
    pub(crate) fn check_tools(self) -> Result<(), InstallerError> {
        if self == Self::Setup { windows::check_compiler() } else { Ok(()) }
    }

    /// Whether a package manager owns the installed files: then it brings the next launcher too,
    /// and the launcher leaves its own executable alone.
    pub(crate) const fn is_managed(self) -> bool {
        matches!(self, Self::Deb | Self::Rpm)
    }

    /// The kind of its file.
    const fn made_file(self) -> MadeFile {
        match self {
            Self::Deb => MadeFile::DebianPackage,
            Self::Rpm => MadeFile::RpmPackage,
            Self::Run => MadeFile::InstallScript,
            Self::Setup => MadeFile::WindowsProgram,
            Self::Portable | Self::App => MadeFile::Zip,
            Self::Dmg => MadeFile::DiskImage,
        }
    }

    /// Refuses a place where a file of another kind stands.
    ///
    /// # Errors
    /// [`InstallerError::Place`] with the file that stands there.
    pub(crate) fn check_place(self, path: &Path) -> Result<(), InstallerError> {
        Ok(named_file::check(path, self.made_file())?)
    }

    /// The name of the installer's file.
    pub(crate) fn file_name(self, product: &Product, platform: &Platform) -> String {
        let (name, version) = (product.package_name(), &product.version);
        match self {
            Self::Deb => {
                format!("{name}_{}_{}.deb", tilde(product), debian_architecture(platform))
            }
            Self::Rpm => format!("{name}-{}-1.{}.rpm", tilde(product), rpm_architecture(platform)),
            Self::Run => format!("{name}-{version}-linux-{}.run", rpm_architecture(platform)),
            Self::Setup => {
                format!("{name}-{version}-windows-{}-setup.exe", common_architecture(platform))
            }
            Self::Portable => {
                format!("{name}-{version}-windows-{}-portable.zip", common_architecture(platform))
            }
            Self::App => format!("{name}-{version}-macos-{}.zip", common_architecture(platform)),
            Self::Dmg => format!("{name}-{version}-macos-{}.dmg", common_architecture(platform)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| UnknownFormat(text.chars().take(40).collect()))
    }
}

/// The version as package managers of Linux order it: a pre-release comes before its release.
pub(super) fn tilde(product: &Product) -> String {
    let text = product.version.to_string();
    let (numbers, rest) = text.split_at(text.find('+').unwrap_or(text.len()));
    numbers.replacen('-', "~", 1).replace('-', ".") + &rest.replace('-', ".")
}

/// The architecture as Debian names it.
pub(super) fn debian_architecture(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" | "i686" => "i386",
        "arm" | "armv7l" => "armhf",
        "powerpc64le" | "ppc64le" => "ppc64el",
        other => other,
    }
}

/// The architecture as RPM names it.
pub(super) fn rpm_architecture(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "x86" => "i686",
        "arm" | "armv7l" => "armv7hl",
        "powerpc64le" => "ppc64le",
        other => other,
    }
}

/// The architecture as people look for it on a download page.
fn common_architecture(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "AMD64" | "x86_64" => "x64",
        "ARM64" => "arm64",
        UNIVERSAL => "universal",
        other => other,
    }
}
