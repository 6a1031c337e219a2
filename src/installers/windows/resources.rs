//! The resources of a Windows program: its icon, its version, its manifest, as Explorer shows them.
//!
//! In: a program's bytes, resources. Out: the program with them, in a section of its own at the
//! end. Never: a change of code or data; a program with a signature, which would be broken.
//!
//! The layout is that of Microsoft's "PE Format": the section table is followed by room up to the
//! first section, into which one more entry fits; the tree has three levels, type, name, language.

use std::collections::BTreeMap;

/// Types of resources.
pub(super) const ICON: u16 = 3;
pub(super) const ICON_GROUP: u16 = 14;
pub(super) const VERSION: u16 = 16;
/// The language of resources for all users: "neutral" has no texts in Explorer, so English (US).
pub(super) const ENGLISH: u16 = 0x0409;

/// Bytes of an entry of the section table.
const SECTION_BYTES: usize = 40;
/// Initialised data that can be read.
const READABLE_DATA: u32 = 0x4000_0040;
/// The entry of the data directory that leads to the resources, and the one that leads to
/// signatures.
const RESOURCE_DIRECTORY: usize = 2;
const SIGNATURE_DIRECTORY: usize = 4;
/// A directory's entry leads to another directory, or names itself by a text.
const HIGH_BIT: u32 = 1 << 31;
/// Most entries that are read: a program's tree has some dozens.
const MAX_ENTRIES: usize = 10_000;

/// What is wrong with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::installers) enum ProgramError {
    /// The bytes are no program, or end too early.
    #[error("it is no program for 64-bit Windows")]
    NoProgram,
    /// The section table has no room.
    #[error("its headers have no room for an icon and a version")]
    NoRoom,
    /// The resources cannot be read.
    #[error("its resources are damaged")]
    Resources,
    /// A change would break the signature.
    #[error("it has a signature already, which an icon and a version would break")]
    Signed,
}

/// How a resource or its type is named. Texts come before numbers, as the format wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// In UTF-16.
    Text(Vec<u16>),
    Number(u16),
}

/// Type, name, language.
type Path = (Key, Key, Key);

/// A program's resources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources(BTreeMap<Path, Vec<u8>>);

impl Resources {
    /// Removes all resources of a type.
    pub(super) fn remove(&mut self, kind: u16) {
        self.0.retain(|(found, ..), _| *found != Key::Number(kind));
    }

    /// Adds a resource, or replaces it.
    pub(super) fn insert(&mut self, kind: u16, id: u16, bytes: Vec<u8>) {
        let path = (Key::Number(kind), Key::Number(id), Key::Number(ENGLISH));
        self.0.insert(path, bytes);
    }

    /// The first resource of a type.
    #[cfg(test)]
    pub(super) fn first(&self, kind: u16) -> Option<&[u8]> {
        let mut of_kind = self.0.iter().filter(|((found, ..), _)| *found == Key::Number(kind));
        of_kind.next().map(|(_, bytes)| bytes.as_slice())
    }
}

/// The headers of a program.
struct Headers {
    /// Where the COFF header begins, behind `PE\0\0`.
    coff: usize,
    /// Offset of the section table.
    sections: usize,
    section_count: usize,
    section_alignment: u32,
    file_alignment: u32,
    header_bytes: usize,
}

/// Offsets in the optional header of 64-bit programs.
const OPTIONAL: usize = 20;
const INITIALISED_DATA: usize = OPTIONAL + 8;
const SECTION_ALIGNMENT: usize = OPTIONAL + 32;
const FILE_ALIGNMENT: usize = OPTIONAL + 36;
const IMAGE_BYTES: usize = OPTIONAL + 56;
const HEADER_BYTES: usize = OPTIONAL + 60;
const CHECKSUM: usize = OPTIONAL + 64;
const DIRECTORY_COUNT: usize = OPTIONAL + 108;
const DIRECTORIES: usize = OPTIONAL + 112;
/// The first two bytes of the optional header of a 64-bit program.
const PE32_PLUS: u16 = 0x20b;

impl Headers {
    fn read(program: &[u8]) -> Result<Self, ProgramError> {
        let none = ProgramError::NoProgram;
        if program.get(..2) != Some(b"MZ") {
            return Err(none);
        }
        let begin = u32_at(program, 0x3c).ok_or(none)? as usize;
        if program.get(begin..begin + 4) != Some(b"PE\0\0") {
            return Err(none);
        }
        let coff = begin + 4;
        let number = |at: usize| u32_at(program, coff + at).ok_or(none);
        let short = |at: usize| u16_at(program, coff + at).ok_or(none);
        if short(OPTIONAL)? != PE32_PLUS || number(DIRECTORY_COUNT)? as usize <= SIGNATURE_DIRECTORY
        {
            return Err(none);
        }
        let headers = Self {
            coff,
            sections: coff + OPTIONAL + usize::from(short(16)?),
            section_count: usize::from(short(2)?),
            section_alignment: number(SECTION_ALIGNMENT)?,
            file_alignment: number(FILE_ALIGNMENT)?,
            header_bytes: number(HEADER_BYTES)? as usize,
        };
        let is_sound = headers.section_alignment.is_power_of_two()
            && headers.file_alignment.is_power_of_two()
            && headers.table_end() <= headers.header_bytes
            && headers.header_bytes <= program.len();
        is_sound.then_some(headers).ok_or(none)
    }

    fn table_end(&self) -> usize {
        self.sections + self.section_count * SECTION_BYTES
    }

    /// Where the entry of a data directory lies.
    fn directory(&self, which: usize) -> usize {
        self.coff + DIRECTORIES + which * 8
    }

    /// Where the entry of a section lies.
    fn section(&self, index: usize) -> usize {
        self.sections + index * SECTION_BYTES
    }

    /// The first address behind all sections.
    fn end_address(&self, program: &[u8]) -> Option<u32> {
        let ends = (0..self.section_count).map(|index| {
            let at = self.section(index);
            let (size, address) = (u32_at(program, at + 8)?, u32_at(program, at + 12)?);
            address.checked_add(size.max(u32_at(program, at + 16)?))
        });
        aligned(ends.collect::<Option<Vec<_>>>()?.into_iter().max()?, self.section_alignment)
    }

    /// Where the bytes at an address lie in the file.
    fn offset_of(&self, program: &[u8], address: u32) -> Option<usize> {
        (0..self.section_count).find_map(|index| {
            let at = self.section(index);
            let begin = u32_at(program, at + 12)?;
            let within = address.checked_sub(begin)?;
            let offset = u32_at(program, at + 20)?.checked_add(within)?;
            (within < u32_at(program, at + 16)?).then_some(offset as usize)
        })
    }
}

/// Whether a program has a signature.
///
/// # Errors
/// [`ProgramError::NoProgram`].
pub(super) fn is_signed(program: &[u8]) -> Result<bool, ProgramError> {
    let headers = Headers::read(program)?;
    let size = u32_at(program, headers.directory(SIGNATURE_DIRECTORY) + 4);
    Ok(size.ok_or(ProgramError::NoProgram)? != 0)
}

/// The resources of a program; none if it has no such section.
///
/// # Errors
/// [`ProgramError::NoProgram`], [`ProgramError::Resources`].
pub(super) fn read(program: &[u8]) -> Result<Resources, ProgramError> {
    let headers = Headers::read(program)?;
    let directory = headers.directory(RESOURCE_DIRECTORY);
    let address = u32_at(program, directory).ok_or(ProgramError::NoProgram)?;
    if address == 0 {
        return Ok(Resources::default());
    }
    let begin = headers.offset_of(program, address);
    let tree = begin.and_then(|begin| program.get(begin..)).ok_or(ProgramError::Resources)?;
    let mut left = MAX_ENTRIES;
    let mut read = || {
        let mut found = BTreeMap::new();
        for (kind, of_kind) in entries(tree, 0, &mut left)? {
            for (name, of_name) in entries(tree, below(of_kind)?, &mut left)? {
                for (language, leaf) in entries(tree, below(of_name)?, &mut left)? {
                    let leaf = leaf as usize;
                    let at = headers.offset_of(program, u32_at(tree, leaf)?)?;
                    let bytes = program.get(at..)?.get(..u32_at(tree, leaf + 4)? as usize)?;
                    found.insert((kind.clone(), name.clone(), language), bytes.to_vec());
                }
            }
        }
        Some(Resources(found))
    };
    read().ok_or(ProgramError::Resources)
}

/// Where the directory below an entry begins; `None` if the entry leads to data.
fn below(entry: u32) -> Option<usize> {
    (entry & HIGH_BIT != 0).then_some((entry & !HIGH_BIT) as usize)
}

/// The entries of the directory at `begin`: how each is named, and where it leads.
fn entries(tree: &[u8], begin: usize, left: &mut usize) -> Option<Vec<(Key, u32)>> {
    let count = usize::from(u16_at(tree, begin + 12)?) + usize::from(u16_at(tree, begin + 14)?);
    *left = left.checked_sub(count)?;
    let entry = |index: usize| {
        let at = begin + 16 + index * 8;
        let (name, leads_to) = (u32_at(tree, at)?, u32_at(tree, at + 4)?);
        let key = match below(name) {
            None => Key::Number(u16::try_from(name).ok()?),
            Some(text) => {
                let length = usize::from(u16_at(tree, text)?);
                let units = (0..length).map(|unit| u16_at(tree, text + 2 + 2 * unit));
                Key::Text(units.collect::<Option<_>>()?)
            }
        };
        Some((key, leads_to))
    };
    (0..count).map(entry).collect()
}

/// The program with these resources in place of its own.
///
/// # Errors
/// [`ProgramError::NoProgram`], [`ProgramError::NoRoom`], [`ProgramError::Signed`].
pub(super) fn replace(program: &[u8], resources: &Resources) -> Result<Vec<u8>, ProgramError> {
    let none = ProgramError::NoProgram;
    let headers = Headers::read(program)?;
    if is_signed(program)? {
        return Err(ProgramError::Signed);
    }
    let entry = headers.table_end();
    let room = program.get(entry..headers.header_bytes).ok_or(none)?;
    if room.len() < SECTION_BYTES || room[..SECTION_BYTES].iter().any(|byte| *byte != 0) {
        return Err(ProgramError::NoRoom);
    }
    let address = headers.end_address(program).ok_or(none)?;
    let tree = tree(resources, address).ok_or(none)?;
    let length = u32::try_from(tree.len()).map_err(|_| none)?;
    let stored = aligned(length, headers.file_alignment).ok_or(none)?;
    let mut changed = program.to_vec();
    pad(&mut changed, headers.file_alignment as usize);
    let offset = u32::try_from(changed.len()).map_err(|_| none)?;
    changed.extend(tree);
    pad(&mut changed, headers.file_alignment as usize);

    rename_resource_sections(&mut changed, &headers);
    let mut section = b".rsrc\0\0\0".to_vec();
    for number in [length, address, stored, offset, 0, 0, 0, READABLE_DATA] {
        section.extend(number.to_le_bytes());
    }
    changed[entry..entry + SECTION_BYTES].copy_from_slice(&section);
    let count = u16::try_from(headers.section_count + 1).map_err(|_| none)?;
    changed[headers.coff + 2..headers.coff + 4].copy_from_slice(&count.to_le_bytes());
    let directory = headers.directory(RESOURCE_DIRECTORY);
    set_u32(&mut changed, directory, address);
    set_u32(&mut changed, directory + 4, length);
    let end = address.checked_add(length).and_then(|end| aligned(end, headers.section_alignment));
    set_u32(&mut changed, headers.coff + IMAGE_BYTES, end.ok_or(none)?);
    let data = u32_at(program, headers.coff + INITIALISED_DATA).ok_or(none)?;
    set_u32(&mut changed, headers.coff + INITIALISED_DATA, data.wrapping_add(stored));
    let checksum = headers.coff + CHECKSUM;
    set_u32(&mut changed, checksum, 0);
    let sum = checksum_of(&changed);
    set_u32(&mut changed, checksum, sum);
    Ok(changed)
}

/// The section of the resources before stays, since sections follow each other without a gap;
/// tools look for the name.
fn rename_resource_sections(program: &mut [u8], headers: &Headers) {
    for index in 0..headers.section_count {
        let at = headers.section(index);
        if program[at..at + 8] == *b".rsrc\0\0\0" {
            program[at..at + 8].copy_from_slice(b".rsrcold");
        }
    }
}

/// One directory while the tree is laid out: its entries, named, lead to directories or leaves.
struct Directory {
    /// How each entry is named, and the index of what it leads to.
    entries: Vec<(Key, usize)>,
    leads_to_leaves: bool,
}

/// The section with the tree: directories, then texts, then leaves, then data.
fn tree(resources: &Resources, address: u32) -> Option<Vec<u8>> {
    let (directories, leaves) = directories(resources);
    let mut at = 0;
    let mut begins = Vec::new();
    for directory in &directories {
        begins.push(at);
        at += 16 + 8 * directory.entries.len();
    }
    let mut texts = Vec::new();
    let texts_begin = at;
    let mut section = Vec::new();
    // The leaves follow the texts, whose length is known once all directories are written.
    let text_bytes: usize = directories.iter().flat_map(|d| &d.entries).map(text_length).sum();
    let leaves_begin = (texts_begin + text_bytes).next_multiple_of(8);
    for directory in &directories {
        let texts_first = directory.entries.iter().filter(|(key, _)| matches!(key, Key::Text(_)));
        let named = u16::try_from(texts_first.count()).ok()?;
        let numbered = u16::try_from(directory.entries.len()).ok()? - named;
        section.extend([0; 12]);
        section.extend(named.to_le_bytes());
        section.extend(numbered.to_le_bytes());
        for (key, target) in &directory.entries {
            let name = match key {
                Key::Number(number) => u32::from(*number),
                Key::Text(units) => {
                    let begin = u32::try_from(texts_begin + texts.len()).ok()?;
                    texts.extend(u16::try_from(units.len()).ok()?.to_le_bytes());
                    texts.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
                    begin | HIGH_BIT
                }
            };
            let leads_to = if directory.leads_to_leaves {
                u32::try_from(leaves_begin + 16 * target).ok()?
            } else {
                u32::try_from(begins[*target]).ok()? | HIGH_BIT
            };
            section.extend(name.to_le_bytes());
            section.extend(leads_to.to_le_bytes());
        }
    }
    section.extend(texts);
    section.resize(leaves_begin, 0);
    let mut data_at = leaves_begin + 16 * leaves.len();
    let mut data = Vec::new();
    for bytes in leaves {
        let begin = address.checked_add(u32::try_from(data_at).ok()?)?;
        for number in [begin, u32::try_from(bytes.len()).ok()?, 0, 0] {
            section.extend(number.to_le_bytes());
        }
        data.extend_from_slice(bytes);
        pad(&mut data, 8);
        data_at = leaves_begin + 16 * resources.0.len() + data.len();
    }
    section.extend(data);
    Some(section)
}

fn text_length((key, _): &(Key, usize)) -> usize {
    match key {
        Key::Text(units) => 2 + 2 * units.len(),
        Key::Number(_) => 0,
    }
}

/// The resources of one name: their languages and bytes.
type Languages<'a> = Vec<(&'a Key, &'a [u8])>;

/// The directories, the root first, and the leaves in their order.
fn directories(resources: &Resources) -> (Vec<Directory>, Vec<&[u8]>) {
    let mut kinds: BTreeMap<&Key, BTreeMap<&Key, Languages>> = BTreeMap::new();
    for ((kind, name, language), bytes) in &resources.0 {
        let names = kinds.entry(kind).or_default();
        names.entry(name).or_default().push((language, bytes));
    }
    // The root, then the directory of each type, then those of each name.
    let mut of_kinds = Vec::new();
    let mut of_names = Vec::new();
    let mut leaves = Vec::new();
    let first_name = 1 + kinds.len();
    let mut root = Vec::new();
    for (kind, names) in kinds {
        root.push((kind.clone(), 1 + of_kinds.len()));
        let mut entries = Vec::new();
        for (name, languages) in names {
            entries.push((name.clone(), first_name + of_names.len()));
            let mut of_languages = Vec::new();
            for (language, bytes) in languages {
                of_languages.push((language.clone(), leaves.len()));
                leaves.push(bytes);
            }
            of_names.push(Directory { entries: of_languages, leads_to_leaves: true });
        }
        of_kinds.push(Directory { entries, leads_to_leaves: false });
    }
    let root = Directory { entries: root, leads_to_leaves: false };
    (std::iter::once(root).chain(of_kinds).chain(of_names).collect(), leaves)
}

/// The checksum of a program whose own field for it is zero: as `CheckSumMappedFile` computes it.
fn checksum_of(program: &[u8]) -> u32 {
    let words = program
        .chunks(2)
        .map(|pair| u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8);
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    sum.wrapping_add(u32::try_from(program.len()).unwrap_or(u32::MAX))
}

fn aligned(number: u32, alignment: u32) -> Option<u32> {
    number.checked_next_multiple_of(alignment)
}

fn pad(bytes: &mut Vec<u8>, alignment: usize) {
    bytes.resize(bytes.len().next_multiple_of(alignment), 0);
}

fn set_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests;
