//! Turns the rooms' errors into the problems that a person sees.

use std::path::Path;

use super::protocol::{Problem, ProblemKind};
use crate::container::{ContainerError, Fault};
use crate::desktop::DesktopError;
use crate::fetch::FetchError;
use crate::file_error::{FileError, is_disk_full};
use crate::look;
use crate::model::Release;
use crate::store::StoreError;
use crate::trust::{BundleError, MirrorFaultKind, Repository, TrustError};

pub(crate) fn of_store(error: &StoreError) -> Problem {
    let (kind, subject) = match error {
        error if error.is_disk_full() => (ProblemKind::DiskFull, String::new()),
        StoreError::File(error) => of_file(error),
        StoreError::Damaged { path, .. } => (ProblemKind::DiskError, path.display().to_string()),
        StoreError::Busy { home } => (ProblemKind::Busy, home.display().to_string()),
        StoreError::DiskFull { home, .. } => (ProblemKind::DiskFull, home.display().to_string()),
        StoreError::NotInstalled { id } => (ProblemKind::NotInstalled, id.clone()),
        StoreError::Switched { id } => (ProblemKind::Busy, id.clone()),
        StoreError::InUse { id, .. } => (ProblemKind::VersionInUse, id.clone()),
        StoreError::AnotherProgram { home, .. } => {
            (ProblemKind::HomeOfAnotherProgram, home.display().to_string())
        }
        StoreError::NothingInstalled { home } => {
            (ProblemKind::NothingInstalled, home.display().to_string())
        }
        StoreError::DataTooNew { id, .. } => (ProblemKind::DataTooNew, id.clone()),
        StoreError::Migration { id, .. } | StoreError::MigrationTime { id, .. } => {
            (ProblemKind::MigrationFailed, id.clone())
        }
        StoreError::NoRollbackPoint { id } => (ProblemKind::NoRollbackPoint, id.clone()),
        StoreError::NoPrograms { folder, .. } => {
            (ProblemKind::ProgramsForbidden, folder.display().to_string())
        }
        StoreError::Start { program, source } if look::is_shortage(source) => {
            (ProblemKind::Exhausted, program.display().to_string())
        }
        StoreError::Start { program, .. } => {
            (ProblemKind::LaunchFailed, program.display().to_string())
        }
    };
    Problem::new(kind, subject, error)
}

pub(crate) fn of_container(error: &ContainerError) -> Problem {
    let (kind, subject) = match error {
        error if error.is_disk_full() => (ProblemKind::DiskFull, String::new()),
        ContainerError::File(error) => of_file(error),
        ContainerError::Entry { path, fault: Fault::Read(source) | Fault::Write(source) } => {
            (kind_of(source), path.to_string())
        }
        ContainerError::Entry { path, .. } => (ProblemKind::BadPackage, path.to_string()),
        _ => (ProblemKind::BadPackage, String::new()),
    };
    Problem::new(kind, subject, error)
}

pub(crate) fn of_trust(error: &TrustError) -> Problem {
    let kind = match (error.fault(), error) {
        (Some(MirrorFaultKind::Unreachable), _) => ProblemKind::NoNetwork,
        (Some(MirrorFaultKind::Behind | MirrorFaultKind::Unusable), _) => {
            ProblemKind::NodesUnusable
        }
        (Some(MirrorFaultKind::Expired), _) => ProblemKind::MetadataExpired,
        (Some(MirrorFaultKind::NotTrusted), _) => ProblemKind::NotTrusted,
        (None, TrustError::Root { .. }) => ProblemKind::BadSettings,
        (None, TrustError::File(error)) => kind_of(&error.source),
        (None, _) => ProblemKind::NotTrusted,
    };
    let subject = match error {
        TrustError::File(error) => error.path.display().to_string(),
        TrustError::Root { source } => format!("root.json ({source})"),
        _ => String::new(),
    };
    Problem::new(kind, subject, error)
}

/// For a repository that has releases, but none for this installation. The problem names both
/// sides, since the settings of one of them are wrong.
pub(crate) fn of_others_releases(wanted: [&str; 3], repository: &Repository) -> Option<Problem> {
    let read = repository.releases.iter().map(|signed| audience_of(&signed.release));
    let own: Vec<[String; 3]> = read.chain(repository.others.iter().cloned()).collect();
    // The entry that agrees in the most parts is the most useful: other channels of the right app
    // come before other apps.
    let fitting = |parts: usize| own.iter().filter(move |own| own[..parts] == wanted[..parts]);
    let most = (0..3).rev().find(|parts| fitting(*parts).next().is_some())?;
    if fitting(3).next().is_some() {
        return None;
    }
    let mut found: Vec<String> = fitting(most).map(|own| own.join(", ")).collect();
    found.sort();
    found.dedup();
    let rest = found.len().saturating_sub(MAX_SHOWN);
    let mut shown = found.iter().take(MAX_SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    if rest > 0 {
        shown.push_str(" …");
    }
    let wanted = wanted.join(", ");
    let chain = vec![format!(
        "this launcher is set up for {wanted}; the repository has releases for {}",
        found.join("; ")
    )];
    Some(Problem {
        kind: ProblemKind::NothingForThis,
        subject: [wanted, shown].join(Problem::BOTH_SIDES),
        chain,
    })
}

/// Groups of releases that a message names at most.
const MAX_SHOWN: usize = 4;

fn audience_of(release: &Release) -> [String; 3] {
    [
        release.container.app.to_string(),
        release.channel.clone(),
        release.container.platform.to_string(),
    ]
}

/// For a file that is no bundle, or cannot be read.
pub(crate) fn of_bundle(error: &BundleError) -> Problem {
    match error {
        BundleError::File(error) => of_disk(&error.path, &error.source),
        BundleError::Package { path } => {
            Problem::new(ProblemKind::BundleIsPackage, path.display().to_string(), error)
        }
        BundleError::Form { path, .. } => {
            Problem::new(ProblemKind::BundleDamaged, path.display().to_string(), error)
        }
    }
}

/// For a bundle's metadata.
pub(crate) fn of_judgement(path: &Path, error: &TrustError) -> Problem {
    let kind = match error.fault() {
        None => return of_trust(error),
        // The bundle was opened a moment ago.
        Some(MirrorFaultKind::Unreachable) => ProblemKind::DiskError,
        Some(MirrorFaultKind::Behind | MirrorFaultKind::Unusable) => ProblemKind::BundleDamaged,
        // If a later check would refuse the bundle anyway, the user is not asked to accept it.
        Some(MirrorFaultKind::Expired)
            if error.expired().is_none_or(|expired| !expired.waivable) =>
        {
            ProblemKind::MetadataExpired
        }
        Some(MirrorFaultKind::Expired) => ProblemKind::BundleExpired,
        Some(MirrorFaultKind::NotTrusted) => ProblemKind::BundleNotTrusted,
    };
    let subject = match error.expired() {
        Some(expired) => expired.at.strftime("%Y-%m-%d").to_string(),
        None => path.display().to_string(),
    };
    Problem::new(kind, subject, error)
}

pub(crate) fn of_fetch(error: &FetchError) -> Problem {
    let (kind, subject) = match error {
        FetchError::Disk(error) if error.is_disk_full() => (ProblemKind::DiskFull, String::new()),
        FetchError::Disk(error) => of_file(error),
        FetchError::Thread(source) => (of_system(source).kind, String::new()),
        FetchError::Setup(_) | FetchError::Task(_) | FetchError::Cancelled => {
            (ProblemKind::Internal, String::new())
        }
        FetchError::Address { node, .. } => (ProblemKind::BadSettings, node.clone()),
        FetchError::Pieces(_) => (ProblemKind::BadPackage, String::new()),
        error if error.is_unreachable() => (ProblemKind::NoNetwork, String::new()),
        _ => (ProblemKind::NodesUnusable, String::new()),
    };
    Problem::new(kind, subject, error)
}

pub(crate) fn of_desktop(error: &DesktopError) -> Problem {
    match error {
        DesktopError::Store(error) => of_store(error),
        DesktopError::File(file) => {
            let (kind, subject) = of_file(file);
            Problem::new(kind, subject, error)
        }
        DesktopError::NotUnicode { path } => {
            Problem::new(ProblemKind::DiskError, path.display().to_string(), error)
        }
        DesktopError::NoFolder(_) => {
            Problem::new(ProblemKind::FileMissing, error.to_string(), error)
        }
        DesktopError::System { .. } => {
            Problem::new(ProblemKind::DiskError, error.to_string(), error)
        }
    }
}

/// For errors of threads, runtimes and the like.
pub(crate) fn of_system(error: &std::io::Error) -> Problem {
    let kind =
        if look::is_shortage(error) { ProblemKind::Exhausted } else { ProblemKind::Internal };
    Problem::new(kind, "", error)
}

/// For a file that this program writes.
pub(crate) fn of_disk(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(kind_of(error), path.display().to_string(), error)
}

fn of_file(error: &FileError) -> (ProblemKind, String) {
    (kind_of(&error.source), error.path.display().to_string())
}

/// The kind of problem that the system's error means.
fn kind_of(error: &std::io::Error) -> ProblemKind {
    match error.kind() {
        std::io::ErrorKind::NotFound => ProblemKind::FileMissing,
        std::io::ErrorKind::FileTooLarge => ProblemKind::FileSizeLimit,
        std::io::ErrorKind::CrossesDevices => ProblemKind::AnotherDisk,
        _ if is_disk_full(error) => ProblemKind::DiskFull,
        _ if look::is_shortage(error) => ProblemKind::Exhausted,
        _ => ProblemKind::DiskError,
    }
}
