//! Writes bundles: a release with everything that a client without a network needs, in one file
//! (its form: `trust::bundle`).

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use tough::TargetName;
use tough::schema::Target;

use super::current::Current;
use super::entries::release_of;
use super::error::{PublishError, at};
use super::metadata;
use super::project::Project;
use super::role::KeyRole;
use crate::durable;
use crate::model::digest::Hasher;
use crate::model::made_file::MadeFile;
use crate::model::{ContainerId, Digest, Platform, Version};
use crate::named_file;
use crate::trust::{ReleaseKind, RolePart};

/// The release and platforms that go into a bundle.
#[derive(Clone, Debug)]
pub struct BundleRequest {
    /// The release's version.
    pub version: Version,
    /// Only these platforms; empty for all platforms of the release.
    pub platforms: Vec<Platform>,
    /// If set, a release in another channel is refused.
    pub channel: Option<String>,
}

/// The contents and figures of a bundle that was made.
#[derive(Clone, Debug)]
pub struct Bundled {
    /// The containers of the packages in it.
    pub containers: Vec<ContainerId>,
    /// Bytes of the file.
    pub length: u64,
    /// Until when a client installs it without asking the user: the first expiry of its metadata.
    pub fresh_until: Time,
}

/// The targets of the repository.
type Targets = HashMap<TargetName, Target>;

/// A file of the repository, and its digest from signed metadata.
struct Member {
    folder: &'static str,
    path: PathBuf,
    hash: Option<Digest>,
}

impl Project {
    /// Writes a bundle to `out`, in one step. It needs no key. The same repository gives the same
    /// bytes.
    ///
    /// # Errors
    /// [`PublishError::NoSuchRelease`] if no release fits the request, [`PublishError::Options`] if
    /// a release is halted, since no client would take it, [`PublishError::Damaged`] if a package
    /// in the repository is not the signed one.
    pub fn bundle(&self, request: &BundleRequest, out: &Path) -> Result<Bundled, PublishError> {
        named_file::check(out, MadeFile::Bundle)?;
        // No publisher changes the folder meanwhile, so the documents belong together.
        let _lock = self.lock()?;
        let current = self.current()?;
        let selected = Selected::of(&current.content().targets, request)?;
        let documents = self.documents(&current, &selected);
        let members: Vec<Member> =
            documents.into_iter().chain(selected.files(&self.targets_folder())).collect();
        let length = write(&members, out)?;
        // The bundle leaves out lists of patches, which a whole package does not need, and words: who
        // installs from a file asks for that release.
        let expiries = self
            .expiries()?
            .into_iter()
            .filter(|(role, _)| !matches!(role, KeyRole::Patches | KeyRole::Rollout))
            .map(|(_, expires)| expires);
        let fresh_until = expiries.min().unwrap_or(Time::MIN);
        Ok(Bundled { containers: selected.containers, length, fresh_until })
    }

    /// The signed documents that a reader needs, in the order in which it needs them.
    fn documents(&self, current: &Current, selected: &Selected) -> Vec<Member> {
        let roots = (1..=current.root.signed.signed.version.get())
            .map(|version| format!("{version}.root.json"));
        let snapshot = current.snapshot.signed.signed.version;
        let targets = current.targets.signed.signed.version;
        let others = [
            "timestamp.json".to_owned(),
            format!("{snapshot}.snapshot.json"),
            format!("{targets}.targets.json"),
        ];
        let of_selected = selected
            .kinds
            .iter()
            .flat_map(|kind| [RolePart::Offer, RolePart::History].map(|part| kind.role(part)));
        let roles = of_selected.filter_map(|name| {
            current.roles.get(&name).map(|document| metadata::role_file(&name, document))
        });
        let names = roots.chain(others).chain(roles);
        let path = |name| self.metadata_folder().join(name);
        names.map(|name| Member { folder: "metadata", path: path(name), hash: None }).collect()
    }
}

/// What a request selects among the targets.
#[derive(Default)]
struct Selected {
    containers: Vec<ContainerId>,
    kinds: BTreeSet<ReleaseKind>,
    /// Names and digests of release notes. Several platforms may share theirs.
    notes: BTreeSet<(String, Digest)>,
    packages: BTreeSet<(String, Digest)>,
}

impl Selected {
    fn of(targets: &Targets, request: &BundleRequest) -> Result<Self, PublishError> {
        let mut selected = Self::default();
        for (name, target) in targets {
            let Some(release) = release_of(target)
                .filter(|release| request.fits(&release.container, &release.channel))
            else {
                continue;
            };
            if release.halted {
                let what = format!(
                    "{} is halted, no client would install it; resume it with kuzflow rollout first",
                    release.container
                );
                return Err(PublishError::Options(what));
            }
            selected.packages.extend(named_digest(name, target));
            let notes = targets
                .iter()
                .filter(|(note, _)| release.notes.values().any(|name| name == note.raw()));
            selected.notes.extend(notes.filter_map(|(note, target)| named_digest(note, target)));
            selected.kinds.insert(ReleaseKind::of(&release));
            selected.containers.push(release.container);
        }
        if selected.containers.is_empty() {
            return Err(nothing_fits(targets, request));
        }
        selected.containers.sort();
        Ok(selected)
    }

    /// The files of the release, the large ones last.
    fn files(&self, folder: &Path) -> impl Iterator<Item = Member> {
        self.notes.iter().chain(&self.packages).map(|(name, hash)| Member {
            folder: "targets",
            path: folder.join(format!("{hash}.{name}")),
            hash: Some(*hash),
        })
    }
}

fn named_digest(name: &TargetName, target: &Target) -> Option<(String, Digest)> {
    let hash = <[u8; 32]>::try_from(&target.hashes.sha256[..]).ok()?;
    Some((name.raw().to_owned(), Digest::from(hash)))
}

/// Why there is nothing to bundle: the version is published for others only, or not at all.
fn nothing_fits(targets: &Targets, request: &BundleRequest) -> PublishError {
    let releases = targets.values().filter_map(release_of);
    let others = releases.filter(|release| release.container.version == request.version);
    let mut others: Vec<String> = others
        .map(|release| format!("{} (channel {})", release.container.platform, release.channel))
        .collect();
    others.sort();
    if others.is_empty() {
        return PublishError::NoSuchRelease { version: request.version.clone() };
    }
    PublishError::Options(format!(
        "{} is published for {} only",
        request.version,
        others.join(", ")
    ))
}

impl BundleRequest {
    fn fits(&self, container: &ContainerId, channel: &str) -> bool {
        container.version == self.version
            && (self.platforms.is_empty() || self.platforms.contains(&container.platform))
            && self.channel.as_deref().is_none_or(|wanted| wanted == channel)
    }
}

/// Writes a tar of `members`; returns its length.
fn write(members: &[Member], out: &Path) -> Result<u64, PublishError> {
    let file = durable::temporary(out).map_err(at(out))?;
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(1 << 20, file));
    for member in members {
        append(&mut tar, member, out)?;
    }
    let file = tar
        .into_inner()
        .and_then(|buffered| buffered.into_inner().map_err(io::IntoInnerError::into_error));
    let mut file = file.map_err(at(out))?;
    file.flush().map_err(at(out))?;
    let length = file.as_file().metadata().map_err(at(out))?.len();
    durable::persist(file, out).map_err(at(out))?;
    Ok(length)
}

fn append(
    tar: &mut tar::Builder<impl io::Write>,
    member: &Member,
    out: &Path,
) -> Result<(), PublishError> {
    let path = &member.path;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let file = File::open(path).map_err(at(path))?;
    let length = file.metadata().map_err(at(path))?.len();
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_mtime(0);
    // Exactly as many bytes as the header says, even if the file changes meanwhile.
    let mut source = Hashed { file: file.take(length), hasher: Hasher::default(), read: 0 };
    tar.append_data(&mut header, format!("{}/{name}", member.folder), &mut source)
        .map_err(at(out))?;
    let damaged =
        |reason: &str| PublishError::Damaged { file: name.clone(), reason: reason.to_owned() };
    if source.read != length {
        return Err(damaged("it has changed while it was read"));
    }
    match member.hash {
        Some(hash) if source.hasher.finish() != hash => {
            Err(damaged("it is not the file that was signed"))
        }
        _ => Ok(()),
    }
}

/// Hashes the bytes that are read.
struct Hashed {
    file: io::Take<File>,
    hasher: Hasher,
    read: u64,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;
        Ok(count)
    }
}
