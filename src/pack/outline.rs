//! A pack's outline: the change of the manifest itself, and the source of the content of each file
//! of the target.
//!
//! A manifest of 15,000 files is larger than most updates, and most of what changes in it is
//! hashes. The outline names only files that differ from the base, and contains no hash at all. The
//! client hashes the files that the pack makes and builds the new manifest; its digest must be the
//! one in signed metadata.

use std::collections::BTreeMap;

use super::error::PackError;
use super::numbers::{Numbers, put, put_signed};
use crate::model::manifest::{Entry, Permissions};
use crate::model::{Digest, Manifest, RelativePath};

/// Where the content of a file of the target comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The content of this file of the base.
    Old(RelativePath),
    /// The pack makes it.
    Made(Made),
    /// No content: an empty file.
    Empty,
    /// No content: a symlink with this text.
    Link(String),
}

/// A file that the pack makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its length in bytes.
    pub size: u64,
    /// The file of the base that it is made from, if there is one.
    pub base: Option<RelativePath>,
}

/// The fate of one path of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    pub content: Content,
    pub permissions: Permissions,
    /// Seconds since 1970.
    pub mtime: i64,
}

/// The target, described by its difference from the base.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// The target's manifest without its files.
    pub head: Manifest,
    /// The fate of every path of the target.
    pub fates: BTreeMap<RelativePath, Fate>,
}

/// An outline as three streams that pack well: JSON, names, numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// The target's [`head_of`].
    pub head: Vec<u8>,
    /// New paths and symlinks' targets, each with a line feed behind it.
    pub names: Vec<u8>,
    /// All other data.
    pub numbers: Vec<u8>,
}

/// Kinds of content, in the low bits of a file's first byte.
const SAME_FILE: u8 = 0;
const OTHER_FILE: u8 = 1;
const MADE_FROM_SAME: u8 = 2;
const MADE_FROM_OTHER: u8 = 3;
const MADE_FROM_NOTHING: u8 = 4;
const EMPTY: u8 = 5;
const LINK: u8 = 6;
const KIND: u8 = 7;
/// The permissions differ from the expected ones, and follow.
const OTHER_PERMISSIONS: u8 = 8;
/// The time differs from the expected one, and follows.
const OTHER_TIME: u8 = 16;

/// Writes a manifest without its files as compact JSON.
pub(super) fn head_of(manifest: &Manifest) -> Result<Vec<u8>, PackError> {
    let head = Manifest { file_manifest: BTreeMap::new(), ..manifest.clone() };
    serde_json::to_vec(&head).map_err(|_| PackError::Form("the manifest's head cannot be written"))
}

/// The base's files by number.
struct Numbered<'a> {
    files: Vec<(&'a RelativePath, &'a Entry)>,
    build_time: i64,
}

impl<'a> Numbered<'a> {
    fn new(base: &'a Manifest) -> Self {
        Self {
            files: base.file_manifest.iter().collect(),
            build_time: base.container_info.build_date.as_second(),
        }
    }

    fn number(&self, path: &RelativePath) -> Option<usize> {
        self.files.binary_search_by(|(other, _)| (*other).cmp(path)).ok()
    }

    /// The fate of a path that does not change.
    fn expected(&self, old: Option<(&RelativePath, &Entry)>, build_time: i64) -> Fate {
        match old {
            Some((path, entry)) => Fate {
                content: match &entry.symlink {
                    Some(target) => Content::Link(target.clone()),
                    None if entry.size == 0 => Content::Empty,
                    None => Content::Old(path.clone()),
                },
                permissions: entry.permissions,
                // A build gives all files the time of the build.
                mtime: if entry.mtime == self.build_time { build_time } else { entry.mtime },
            },
            None => {
                Fate { content: Content::Empty, permissions: Permissions::FILE, mtime: build_time }
            }
        }
    }
}

impl Outline {
    /// The files that the pack makes, in the order of their paths.
    pub fn made(&self) -> impl Iterator<Item = (&RelativePath, &Made)> {
        self.fates.iter().filter_map(|(path, fate)| match &fate.content {
            Content::Made(made) => Some((path, made)),
            _ => None,
        })
    }

    /// Writes the outline as streams, for a reader that has `base`.
    pub fn write(&self, base: &Manifest) -> Result<Streams, PackError> {
        let old = Numbered::new(base);
        let build_time = self.head.container_info.build_date.as_second();
        let mut streams = Streams { head: head_of(&self.head)?, ..Streams::default() };
        let mut removed = Vec::new();
        let mut changed = Vec::new();
        for (number, (path, entry)) in old.files.iter().enumerate() {
            match self.fates.get(*path) {
                None => removed.push(number),
                Some(fate) if *fate != old.expected(Some((path, entry)), build_time) => {
                    changed.push(number)
                }
                Some(_) => {}
            }
        }
        for list in [&removed, &changed] {
            put(&mut streams.numbers, list.len() as u64);
            let mut next = 0;
            for number in list {
                put(&mut streams.numbers, (number - next) as u64);
                next = number + 1;
            }
        }
        for number in changed {
            let (path, entry) = old.files[number];
            self.write_fate(&mut streams, &old, (path, Some(entry)), build_time)?;
        }
        let added: Vec<&RelativePath> =
            self.fates.keys().filter(|path| old.number(path).is_none()).collect();
        put(&mut streams.numbers, added.len() as u64);
        for path in added {
            put_name(&mut streams.names, path.as_str())?;
            self.write_fate(&mut streams, &old, (path, None), build_time)?;
        }
        Ok(streams)
    }

    fn write_fate(
        &self,
        streams: &mut Streams,
        old: &Numbered<'_>,
        (path, entry): (&RelativePath, Option<&Entry>),
        build_time: i64,
    ) -> Result<(), PackError> {
        let missing = || PackError::Form("a base is not a file of the base");
        let fate = self.fates.get(path).ok_or_else(missing)?;
        let expected = old.expected(entry.map(|entry| (path, entry)), build_time);
        let same = |other: &RelativePath| entry.is_some() && other == path;
        let kind = match &fate.content {
            Content::Old(other) if same(other) => SAME_FILE,
            Content::Old(_) => OTHER_FILE,
            Content::Made(Made { base: Some(base), .. }) if same(base) => MADE_FROM_SAME,
            Content::Made(Made { base: Some(_), .. }) => MADE_FROM_OTHER,
            Content::Made(Made { base: None, .. }) => MADE_FROM_NOTHING,
            Content::Empty => EMPTY,
            Content::Link(_) => LINK,
        };
        let permissions =
            if fate.permissions == expected.permissions { 0 } else { OTHER_PERMISSIONS };
        let time = if fate.mtime == expected.mtime { 0 } else { OTHER_TIME };
        let numbers = &mut streams.numbers;
        numbers.push(kind | permissions | time);
        match &fate.content {
            Content::Old(other) if kind == OTHER_FILE => {
                put(numbers, old.number(other).ok_or_else(missing)? as u64)
            }
            Content::Made(Made { size, base: Some(base) }) => {
                let number = old.number(base).ok_or_else(missing)?;
                if kind == MADE_FROM_OTHER {
                    put(numbers, number as u64);
                }
                put_signed(numbers, size.wrapping_sub(old.files[number].1.size) as i64);
            }
            Content::Made(Made { size, base: None }) => put(numbers, *size),
            Content::Link(target) => put_name(&mut streams.names, target)?,
            _ => {}
        }
        if permissions != 0 {
            put(numbers, fate.permissions.mode().into());
        }
        if time != 0 {
            put_signed(numbers, fate.mtime);
        }
        Ok(())
    }

    /// Reads the streams of [`Outline::write`] for the same `base`; `numbers` stands behind the
    /// outline afterwards. The bytes of the streams bound the number of paths.
    pub fn read(
        base: &Manifest,
        head: &[u8],
        names: &[u8],
        numbers: &mut Numbers<'_>,
    ) -> Result<Self, PackError> {
        let head: Manifest = serde_json::from_slice(head)
            .map_err(|_| PackError::Form("its manifest's head cannot be read"))?;
        if !head.file_manifest.is_empty() {
            return Err(PackError::Form("its manifest's head has files"));
        }
        let old = Numbered::new(base);
        let build_time = head.container_info.build_date.as_second();
        let count = old.files.len();
        let [removed, changed] = [list(numbers, count)?, list(numbers, count)?];
        let mut names = std::str::from_utf8(names)
            .map_err(|_| PackError::Form("a name is not UTF-8"))?
            .split_terminator('\n');
        let mut fates = BTreeMap::new();
        let mut gone = removed.iter().peekable();
        for (number, (path, entry)) in old.files.iter().enumerate() {
            if gone.next_if(|gone| **gone == number).is_none() {
                fates.insert((*path).clone(), old.expected(Some((path, entry)), build_time));
            }
        }
        for number in changed {
            let (path, entry) = old.files[number];
            let fate = read_fate(&old, (path, Some(entry)), build_time, &mut names, numbers)?;
            if fates.insert(path.clone(), fate).is_none() {
                return Err(PackError::Form("a file is removed and changed"));
            }
        }
        let added = numbers.below(numbers.rest().len() + 1)?;
        for _ in 0..added {
            let name = names.next().ok_or(PackError::Form("a name is missing"))?;
            let path: RelativePath =
                name.parse().map_err(|_| PackError::Form("a name is unsafe"))?;
            let fate = read_fate(&old, (&path, None), build_time, &mut names, numbers)?;
            if fates.insert(path, fate).is_some() {
                return Err(PackError::Form("an added file is there already"));
            }
        }
        let outline = Self { head, fates };
        // Groups add these lengths up.
        let total = outline.made().try_fold(0u64, |sum, (_, made)| sum.checked_add(made.size));
        total.map(|_| outline).ok_or(PackError::Form("all sizes together are beyond all numbers"))
    }

    /// The target's manifest. `made` are the digests of the files that the pack makes, in the order
    /// of [`Outline::made`].
    pub fn manifest(&self, base: &Manifest, made: &[Digest]) -> Result<Manifest, PackError> {
        let mut digests = made.iter();
        let mut manifest = self.head.clone();
        for (path, fate) in &self.fates {
            let (size, hash, symlink) = match &fate.content {
                Content::Old(old) => {
                    let entry = base
                        .file_manifest
                        .get(old)
                        .ok_or(PackError::Form("a base is not a file of the base"))?;
                    (entry.size, entry.hash, None)
                }
                Content::Made(made) => (
                    made.size,
                    *digests.next().ok_or(PackError::Form("a file was not made"))?,
                    None,
                ),
                Content::Empty => (0, Digest::of(b""), None),
                Content::Link(target) => (0, Digest::of(target.as_bytes()), Some(target.clone())),
            };
            let entry =
                Entry { size, mtime: fate.mtime, hash, permissions: fate.permissions, symlink };
            manifest.file_manifest.insert(path.clone(), entry);
        }
        Ok(manifest)
    }
}

fn read_fate<'n>(
    old: &Numbered<'_>,
    (path, entry): (&RelativePath, Option<&Entry>),
    build_time: i64,
    names: &mut impl Iterator<Item = &'n str>,
    numbers: &mut Numbers<'_>,
) -> Result<Fate, PackError> {
    let first = numbers.byte()?;
    if first >= 2 * OTHER_TIME {
        return Err(PackError::Form("a file is of no known kind"));
    }
    let count = old.files.len();
    let same = || match entry {
        Some(entry) if entry.has_bytes() => Ok((path, entry)),
        _ => Err(PackError::Form("a new file has no content of its own in the base")),
    };
    let other = |number: usize| match old.files[number] {
        (path, entry) if entry.has_bytes() => Ok((path, entry)),
        _ => Err(PackError::Form("a base has no content")),
    };
    let sized = |size: u64| {
        if size > 0 { Ok(size) } else { Err(PackError::Form("a file that is made is empty")) }
    };
    let from = |(path, entry): (&RelativePath, &Entry), difference: i64| {
        let size = sized(entry.size.wrapping_add(difference as u64))?;
        Ok::<_, PackError>(Content::Made(Made { size, base: Some(path.clone()) }))
    };
    let content = match first & KIND {
        SAME_FILE => Content::Old(same()?.0.clone()),
        OTHER_FILE => Content::Old(other(numbers.below(count)?)?.0.clone()),
        MADE_FROM_SAME => from(same()?, numbers.signed()?)?,
        MADE_FROM_OTHER => from(other(numbers.below(count)?)?, numbers.signed()?)?,
        MADE_FROM_NOTHING => Content::Made(Made { size: sized(numbers.next()?)?, base: None }),
        EMPTY => Content::Empty,
        LINK => Content::Link(names.next().ok_or(PackError::Form("a name is missing"))?.to_owned()),
        _ => return Err(PackError::Form("a file is of no known kind")),
    };
    let expected = old.expected(entry.map(|entry| (path, entry)), build_time);
    let permissions = match first & OTHER_PERMISSIONS {
        0 => expected.permissions,
        _ => {
            let bits = u32::try_from(numbers.next()?).unwrap_or(u32::MAX);
            Permissions::from_bits(bits).ok_or(PackError::Form("permissions are not allowed"))?
        }
    };
    let mtime = if first & OTHER_TIME == 0 { expected.mtime } else { numbers.signed()? };
    Ok(Fate { content, permissions, mtime })
}

/// A rising list of numbers below `count`.
fn list(numbers: &mut Numbers<'_>, count: usize) -> Result<Vec<usize>, PackError> {
    let length = numbers.below(count + 1)?;
    let mut next = 0;
    let mut list = Vec::with_capacity(length);
    for _ in 0..length {
        let number = next + numbers.below(count - next)?;
        list.push(number);
        next = number + 1;
    }
    Ok(list)
}

fn put_name(names: &mut Vec<u8>, name: &str) -> Result<(), PackError> {
    if name.contains('\n') {
        return Err(PackError::Form("a name has a line feed"));
    }
    names.extend_from_slice(name.as_bytes());
    names.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests;
