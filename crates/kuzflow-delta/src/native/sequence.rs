//! Tables in order: predicts an entry's target from the actual target of the entry before.
//!
//! Lists of functions, relocations and symbols continue in constant steps, even where an entry is
//! new. For each kind of field the code learns whether this order predicts better than the
//! translation.

use super::fields::kind;

/// Functions begin at multiples of this if they did so before.
const FUNCTION: u64 = 16;
/// A success counts for much below this and for little above it. Both records move by a sixteenth
/// of the distance.
const SCALE: u32 = 1 << 12;

/// The last entry of a kind, and the record of the two predictions of the next entry.
#[derive(Clone, Copy, Default)]
struct Last {
    known: bool,
    old: u64,
    new: u64,
    translated: u32,
    followed: u32,
}

/// The last entries, by kind.
pub(super) struct Sequences([Last; 32]);

/// Whether fields of a kind stand in tables.
fn in_table(kind: u8) -> bool {
    matches!(
        kind,
        kind::DISTANCE
            | kind::DATA
            | kind::RELATIVE
            | kind::POINTER
            | kind::PLACE
            | kind::ADDEND
            | kind::VALUE
            | kind::NAME
            | kind::NUMBER
    )
}

impl Sequences {
    /// Has learned nothing.
    pub(super) fn new() -> Self {
        Self([Last::default(); 32])
    }

    /// The order's prediction of an entry, if it has one.
    pub(super) fn follow(&self, kind: u8, target: u64) -> Option<u64> {
        let last = self.0.get(usize::from(kind)).filter(|last| last.known && in_table(kind))?;
        let next = last.new.wrapping_add(target.wrapping_sub(last.old));
        Some(if kind == kind::DISTANCE && target.is_multiple_of(FUNCTION) {
            next.checked_next_multiple_of(FUNCTION).unwrap_or(next)
        } else {
            next
        })
    }

    /// Whether the order predicted better than the translation recently.
    pub(super) fn better(&self, kind: u8) -> bool {
        self.0.get(usize::from(kind)).is_some_and(|last| last.followed > last.translated)
    }

    /// Records that an entry was at `found`; `translated` is the translation's prediction.
    pub(super) fn settle(&mut self, kind: u8, target: u64, translated: u64, found: u64) {
        let followed = self.follow(kind, target);
        let Some(last) = self.0.get_mut(usize::from(kind)).filter(|_| in_table(kind)) else {
            return;
        };
        let move_to = |record: &mut u32, right: bool| {
            *record = *record - *record / 16 + if right { SCALE / 16 } else { 0 }
        };
        if let Some(followed) = followed {
            move_to(&mut last.translated, translated == found);
            move_to(&mut last.followed, followed == found);
        }
        (last.known, last.old, last.new) = (true, target, found);
    }

    /// Records that the last function had `old` bytes and has `new` ones: the next begins behind
    /// it.
    pub(super) fn pass(&mut self, old: u64, new: u64) {
        let last = &mut self.0[usize::from(kind::DISTANCE)];
        last.old = last.old.wrapping_add(old);
        last.new = last.new.wrapping_add(new);
    }
}
