//! The encoder's side: aligns files with references hidden, and writes the hints.

use std::cell::RefCell;
use std::io;

use super::NativeImages;
use super::blocks::Blocks;
use super::fields;
use super::hints::{self, NewImage};
use super::image::Image;
use super::prediction::Translations;
use super::reference::{self, Origin};
use crate::CopyInstruction;
use crate::align::{AlignOptions, Aligner};
use crate::prediction::ReadAt;

/// The result that the decoder needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aligned {
    /// The instructions that tile the targets.
    pub steps: Vec<CopyInstruction>,
    /// For [`NativePredictor::new`](super::NativePredictor::new).
    pub hints: Vec<u8>,
}

/// The label that replaces a reference.
enum Labels<'a> {
    /// One byte from the target's own first bytes.
    Content,
    /// Two bytes from the new address.
    New,
    /// Two bytes from the new address that the instructions so far give.
    Old(&'a Translations),
}

/// Bytes with references replaced by labels that are independent of positions.
struct Masked<'a> {
    bytes: &'a dyn ReadAt,
    program: &'a NativeImages,
    labels: Labels<'a>,
    blocks: RefCell<Blocks<'a>>,
}

fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 31).wrapping_mul(0x7FB5_D329_728E_A185);
    (value ^ value >> 27).wrapping_mul(0x81DA_DEF4_BC2D_D44D)
}

/// Number of a target's bytes that its label covers.
const CONTENT: usize = 12;

/// A label of the bytes at an address, without their references.
fn content(image: &Image, blocks: &mut Blocks<'_>, target: u64) -> io::Result<u64> {
    let Some(at) = image.layout.position(target).filter(|&at| at + CONTENT as u64 <= image.length)
    else {
        return Ok(0);
    };
    let mut bytes: [u8; CONTENT] = blocks.array(image.from + at)?;
    let start = at.saturating_sub(7) as u32;
    let mut index = image.fields.seek(start);
    while let Some((place, kind)) = image.fields.get(index, start) {
        if u64::from(place) >= at + CONTENT as u64 {
            break;
        }
        for covered in u64::from(place)..u64::from(place) + fields::size(kind) as u64 {
            if let Some(byte) =
                covered.checked_sub(at).and_then(|offset| bytes.get_mut(offset as usize))
            {
                *byte = 0;
            }
        }
        index += 1;
    }
    Ok(bytes.iter().fold(1, |hash, &byte| mix(hash ^ u64::from(byte))))
}

impl<'a> Masked<'a> {
    fn new(bytes: &'a dyn ReadAt, program: &'a NativeImages, labels: Labels<'a>) -> Self {
        Self { bytes, program, labels, blocks: RefCell::new(Blocks::new(bytes)) }
    }

    fn label(&self, old: usize, at: u32, kind: u8) -> io::Result<[u8; 8]> {
        let image = &self.program.images[old];
        let blocks = &mut *self.blocks.borrow_mut();
        let bytes: [u8; 8] = blocks.array(image.from + u64::from(at))?;
        let value = reference::number(kind, &bytes);
        let refers = reference::refer(image, blocks, at, kind, value)?;
        let hash = match &self.labels {
            Labels::Content => {
                let label = match refers.origin {
                    Origin::Length(_) | Origin::File => 0,
                    _ => content(image, blocks, refers.target)?,
                };
                return Ok([(label >> 56) as u8, 0x9D, kind, 0x9D, 0, 0, 0, 0]);
            }
            Labels::New => match refers.origin {
                Origin::Length(_) => value,
                _ => refers.target,
            },
            Labels::Old(translations) => {
                let Some(new) = translations.partner(old) else { return Ok([0; 8]) };
                let pair = translations.pair(old, new);
                let target = translations.translate(pair, refers.target, None).0;
                match refers.origin {
                    Origin::Length(start) => target
                        .wrapping_sub(translations.translate(pair, start, None).0)
                        .wrapping_add(1),
                    _ => target,
                }
            }
        };
        let hash = mix(hash);
        Ok([(hash >> 56) as u8, (hash >> 48) as u8, 0, 0, 0, 0, 0, 0])
    }
}

impl ReadAt for Masked<'_> {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.bytes.read_at(at, buffer)?;
        let end = at + buffer.len() as u64;
        for (number, image) in self.program.images.iter().enumerate() {
            if image.from >= end || image.from + image.length <= at {
                continue;
            }
            let start = at.saturating_sub(image.from).saturating_sub(7) as u32;
            let mut index = image.fields.seek(start);
            let mut hint = start;
            while let Some((place, kind)) = image.fields.get(index, hint) {
                let from = image.from + u64::from(place);
                if from >= end {
                    break;
                }
                let label = self.label(number, place, kind)?;
                for (offset, &byte) in label[..fields::size(kind)].iter().enumerate() {
                    if let Some(slot) = (from + offset as u64)
                        .checked_sub(at)
                        .and_then(|place| buffer.get_mut(place as usize))
                    {
                        *slot = byte;
                    }
                }
                hint = place;
                index += 1;
            }
        }
        Ok(())
    }
}

/// Finds for each target with an image the old image that most of it comes from.
fn resemblance(
    program: &NativeImages,
    new: &NativeImages,
    lengths: &[u64],
    steps: &[CopyInstruction],
) -> Vec<Option<NewImage>> {
    let mut shares = vec![vec![0_u64; program.images.len()]; new.images.len()];
    let mut at = 0;
    for step in steps {
        at += step.literals;
        if let (Some(old), Some(new)) = (program.find(step.old_at), new.find(at)) {
            shares[new][old] += step.length;
        }
        at += step.length;
    }
    let mut from = 0;
    let mut targets = Vec::new();
    for &length in lengths {
        let index = new.images.iter().position(|image| image.from == from && length > 0);
        let partner = index.and_then(|index| {
            let best = shares[index]
                .iter()
                .enumerate()
                .max_by_key(|&(old, &share)| (share, std::cmp::Reverse(old)))?;
            (*best.1 > 0).then_some((index, best.0))
        });
        targets.push(partner.map(|(index, partner)| NewImage {
            from,
            length,
            partner,
            layout: new.images[index].layout.clone(),
        }));
        from += length;
    }
    targets
}

/// Rounds of pricing after the first.
const ROUNDS: usize = 2;

/// Aligns targets with bases; `program` holds the images of the bases. Returns the errors of
/// reading.
pub fn align(
    bases: &dyn ReadAt,
    program: &NativeImages,
    targets: &dyn ReadAt,
    target_lengths: &[u64],
    options: &AlignOptions,
) -> io::Result<Aligned> {
    let new = NativeImages::new(targets, target_lengths)?;
    let old_masked = Masked::new(bases, program, Labels::Content);
    let new_masked = Masked::new(targets, &new, Labels::Content);
    let aligner = Aligner::new(&old_masked, &new_masked, options)?;
    let mut steps = aligner.steps(&old_masked, &new_masked)?;
    for _ in 0..ROUNDS {
        let resembling = resemblance(program, &new, target_lengths, &steps);
        let translations = Translations::new(program, resembling, &steps);
        let old_masked = Masked::new(bases, program, Labels::Old(&translations));
        let new_masked = Masked::new(targets, &new, Labels::New);
        steps = aligner.steps(&old_masked, &new_masked)?;
    }
    let hints = hints::encode(program, &resemblance(program, &new, target_lengths, &steps));
    Ok(Aligned { steps, hints })
}
