//! The predictor for native code.

use std::io;

use super::NativeImages;
use super::blocks::Blocks;
use super::fields::{self, kind};
use super::hints::{self, NewImage};
use super::image::Layout;
use super::reference::{self, Origin, Reference};
use super::sequence::Sequences;
use super::translation::Translation;
use crate::CopyInstruction;
use crate::prediction::{Chunk, Predictor, ReadAt, UNSURE};

/// Number of places in the memory of recent targets.
const MEMORY: usize = 1 << 16;

/// How much more distant the target of a jump may be than before, on top of twice the distance.
const REACH_BYTES: u64 = 1024;

/// A recent target: its old address and its new one.
#[derive(Clone, Copy, Default)]
struct Memory {
    pair: u32,
    confidence: u32,
    target: u64,
    found: u64,
}

/// A field that was predicted and whose actual value is not known yet.
#[derive(Clone, Copy)]
struct Pending {
    kind: u8,
    pair: usize,
    new: usize,
    here: u64,
    target: u64,
    exact: bool,
    origin: Origin,
    /// The translation's answer.
    translated: u64,
    /// The old value.
    value: u64,
}

/// All translations between old images and targets.
pub(super) struct Translations {
    targets: Vec<Option<NewImage>>,
    images: usize,
    pairs: Vec<Option<Translation>>,
}

impl Translations {
    /// Builds the translations from the instructions.
    pub(super) fn new(
        program: &NativeImages,
        targets: Vec<Option<NewImage>>,
        steps: &[CopyInstruction],
    ) -> Self {
        let images = program.images.len();
        let mut pairs: Vec<Option<Translation>> = Vec::new();
        pairs.resize_with(images.saturating_mul(targets.len()), || None);
        let mut translations = Self { targets, images, pairs };
        let mut new_at: u64 = 0;
        for step in steps {
            new_at = new_at.saturating_add(step.literals);
            translations.add(program, step, new_at);
            new_at = new_at.saturating_add(step.length);
        }
        for (index, pair) in translations.pairs.iter_mut().enumerate() {
            let (new, old) = (index / images, index % images);
            if let (Some(pair), Some(Some(target))) = (pair, translations.targets.get(new)) {
                pair.finish(&program.images[old].layout, &target.layout);
            }
        }
        translations
    }

    /// Adds an instruction, cut at the ends of files.
    fn add(&mut self, program: &NativeImages, step: &CopyInstruction, new_at: u64) {
        let mut done = 0;
        while done < step.length {
            let (old_at, new_at) = (step.old_at.saturating_add(done), new_at.saturating_add(done));
            let mut part = step.length - done;
            let old = program.find(old_at);
            match old {
                Some(old) => {
                    part = part.min(program.images[old].from + program.images[old].length - old_at)
                }
                None => {
                    let next = program.images.partition_point(|image| image.from <= old_at);
                    part = program
                        .images
                        .get(next)
                        .map_or(part, |image| part.min(image.from - old_at));
                }
            }
            let new = self.find(new_at);
            match new.and_then(|new| self.targets[new].as_ref()) {
                Some(target) => part = part.min(target.from + target.length - new_at),
                None => {
                    let next = self
                        .targets
                        .iter()
                        .flatten()
                        .map(|target| target.from)
                        .find(|&from| from > new_at);
                    part = next.map_or(part, |from| part.min(from - new_at));
                }
            }
            if let (Some(old), Some(new)) = (old, new)
                && let Some(target) = &self.targets[new]
            {
                let image = &program.images[old];
                self.pairs[new * self.images + old].get_or_insert_default().add(
                    &image.layout,
                    old_at - image.from,
                    &target.layout,
                    new_at - target.from,
                    part,
                );
            }
            done += part.max(1);
        }
    }

    /// Number of the target that holds a position.
    fn find(&self, at: u64) -> Option<usize> {
        self.targets.iter().position(|target| {
            target.as_ref().is_some_and(|target| at.wrapping_sub(target.from) < target.length)
        })
    }

    /// Where an old address of image `old` is in target `new`, and whether its bytes were copied.
    pub(super) fn translate(&self, pair: usize, address: u64, hint: Option<u64>) -> (u64, bool) {
        self.pairs
            .get(pair)
            .and_then(Option::as_ref)
            .map_or((address, false), |pair| pair.translate(address, hint))
    }

    /// The target that resembles an old image.
    #[cfg(feature = "encoder")]
    pub(super) fn partner(&self, old: usize) -> Option<usize> {
        self.targets
            .iter()
            .position(|target| target.as_ref().is_some_and(|target| target.partner == old))
    }

    /// Number of a pair.
    pub(super) fn pair(&self, old: usize, new: usize) -> usize {
        new * self.images + old
    }

    /// The layout of a target.
    pub(super) fn layout(&self, new: usize) -> Option<&Layout> {
        self.targets.get(new)?.as_ref().map(|target| &target.layout)
    }
}

/// Predicts the old bytes, with references moved to the new places of their targets.
pub struct NativePredictor<'a> {
    blocks: Blocks<'a>,
    program: &'a NativeImages,
    translations: Translations,
    memory: Vec<Memory>,
    sequences: Sequences,
    pending: Option<Pending>,
    /// The old image, the index of its next field, and the position of that search.
    cursor: (usize, usize, u32),
    target: usize,
}

impl<'a> NativePredictor<'a> {
    /// A predictor from the old bytes, the images in them, and the encoder's data: instructions,
    /// and hints about the targets, which have the given lengths. Returns an error if the hints are
    /// invalid.
    pub fn new(
        old: &'a dyn ReadAt,
        program: &'a NativeImages,
        target_lengths: &[u64],
        steps: &[CopyInstruction],
        hints: &[u8],
    ) -> io::Result<Self> {
        let targets = hints::decode(program, target_lengths, hints)?;
        let translations = Translations::new(program, targets, steps);
        Ok(Self {
            blocks: Blocks::new(old),
            program,
            translations,
            memory: vec![Memory::default(); MEMORY],
            sequences: Sequences::new(),
            pending: None,
            cursor: (usize::MAX, 0, 0),
            target: usize::MAX,
        })
    }

    /// The next field at or behind a position in an old image.
    fn field(&mut self, image: usize, at: u32) -> Option<(u32, u8)> {
        let fields = &self.program.images[image].fields;
        let (known, index, hint) = self.cursor;
        if known == image
            && hint <= at
            && let Some((place, kind)) = fields.get(index, hint)
            && at <= place
        {
            self.cursor = (image, index, at);
            return Some((place, kind));
        }
        let index = fields.seek(at);
        self.cursor = (image, index, at);
        fields.get(index, at)
    }

    fn slot(pair: usize, target: u64) -> usize {
        (target.wrapping_add((pair as u64) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48)
            as usize
            % MEMORY
    }

    /// Where a target is, by the memory of recent targets or by the instructions.
    fn translate(&self, pair: usize, target: u64) -> (u64, bool) {
        let memory = &self.memory[Self::slot(pair, target)];
        if memory.pair == pair as u32 + 1 && memory.target == target {
            return (memory.found, true);
        }
        self.translations.translate(pair, target, None)
    }

    /// Where a field at address `here` will point. A jump mostly stays within its function: a
    /// target that is much more distant than before is another copy of the old one.
    fn aim(
        &self,
        pair: usize,
        kind: u8,
        here: u64,
        value: u64,
        reference: &Reference,
    ) -> (u64, bool) {
        let Origin::Here(behind) = reference.origin else {
            return self.translate(pair, reference.target);
        };
        if kind != kind::JUMP && kind != kind::BRANCH {
            return self.translate(pair, reference.target);
        }
        let local = here.wrapping_add(behind).wrapping_add(value);
        let reach = REACH_BYTES + (value as i64).unsigned_abs();
        let likely = |target: u64| target.abs_diff(local) <= reach;
        let (target, exact) = self.translate(pair, reference.target);
        if likely(target) {
            return (target, exact);
        }
        let (target, exact) = self.translations.translate(pair, reference.target, Some(local));
        if likely(target) { (target, exact) } else { (local, false) }
    }

    /// The target that holds a new position.
    fn target(&mut self, at: u64) -> Option<usize> {
        if let Some(Some(target)) = self.translations.targets.get(self.target)
            && at.wrapping_sub(target.from) < target.length
        {
            return Some(self.target);
        }
        self.target = self.translations.find(at)?;
        Some(self.target)
    }
}

impl Predictor for NativePredictor<'_> {
    fn next(&mut self, new_at: u64, old_at: u64, buffer: &mut [u8]) -> io::Result<Chunk> {
        self.pending = None;
        let plain = |this: &mut Self, length: usize, buffer: &mut [u8]| {
            this.blocks.read(old_at, &mut buffer[..length])?;
            Ok(Chunk { length, kind: 0 })
        };
        let Some(old) = self.program.find(old_at) else {
            let next = self.program.images.partition_point(|image| image.from <= old_at);
            let room = self
                .program
                .images
                .get(next)
                .map_or(buffer.len(), |image| buffer.len().min((image.from - old_at) as usize));
            return plain(self, room, buffer);
        };
        let image = &self.program.images[old];
        let at = (old_at - image.from) as u32;
        let room = buffer.len().min((image.length - u64::from(at)) as usize);
        let Some((place, kind)) = self.field(old, at) else { return plain(self, room, buffer) };
        if place > at {
            return plain(self, room.min((place - at) as usize), buffer);
        }
        let size = fields::size(kind);
        let Some(new) = self.target(new_at).filter(|_| size <= room) else {
            return plain(self, room.min(size), buffer);
        };
        self.cursor = (old, self.cursor.1 + 1, at);
        let pair = self.translations.pair(old, new);
        let bytes = &mut buffer[..size];
        self.blocks.read(old_at, bytes)?;
        let value = reference::number(kind, bytes);
        let reference = reference::refer(image, &mut self.blocks, at, kind, value)?;
        let from = self.translations.targets[new].as_ref().map_or(0, |target| target.from);
        let Some(layout) = self.translations.layout(new) else {
            return plain(self, room.min(size), buffer);
        };
        let here = layout.address(new_at - from);
        let (translated, exact) = self.aim(pair, kind, here, value, &reference);
        let followed = self.sequences.follow(kind, reference.target);
        let (target, sure) = match followed {
            Some(followed) if !exact || self.sequences.better(kind) => {
                (followed, followed == translated)
            }
            Some(followed) => (translated, followed == translated || !self.sequences.better(kind)),
            None => (translated, exact),
        };
        let predictor = match reference.origin {
            // A function with an unknown end has the old length.
            Origin::Length(_) if !exact => value,
            origin => reference::value(layout, here, origin, target, |address| {
                self.translate(pair, address).0
            }),
        };
        reference::replace(kind, bytes, predictor);
        self.pending = Some(Pending {
            kind,
            pair,
            new,
            here,
            target: reference.target,
            exact,
            origin: reference.origin,
            translated,
            value,
        });
        Ok(Chunk { length: size, kind: if sure { kind } else { kind | UNSURE } })
    }

    fn settle(&mut self, actual: &[u8]) {
        let Some(pending) = self.pending.take() else { return };
        let value = reference::number(pending.kind, actual);
        let Some(layout) = self.translations.layout(pending.new) else { return };
        let found = reference::target(layout, pending.here, pending.origin, value, |address| {
            self.translate(pending.pair, address).0
        });
        let Some(found) = found else {
            if pending.kind == kind::LENGTH {
                self.sequences.pass(pending.value, value);
            }
            return;
        };
        self.sequences.settle(pending.kind, pending.target, pending.translated, found);
        let memory = &mut self.memory[Self::slot(pending.pair, pending.target)];
        if memory.pair == pending.pair as u32 + 1 && memory.target == pending.target {
            if memory.found == found {
                memory.confidence = (memory.confidence + 1).min(3);
            } else if memory.confidence > 0 {
                memory.confidence -= 1;
            } else {
                memory.found = found;
            }
        } else {
            *memory = Memory {
                pair: pending.pair as u32 + 1,
                confidence: 0,
                target: pending.target,
                found,
            };
        }
        if !pending.exact
            && let Some(Some(pair)) = self.translations.pairs.get_mut(pending.pair)
        {
            pair.learn(pending.target, found);
        }
    }
}
