//! What an alignment minimises.
//!
//! In: nothing. Out: the costs of bytes and copies, for each kind of data. Never: a look at bytes.

/// What the parts of an alignment cost in the entropy coder, in 1/256 of a bit.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A byte of a copy that equals the prediction.
    pub same: u32,
    /// A byte of a copy that differs, behind one that equals the prediction.
    pub differs: u32,
    /// A byte of a copy that differs, behind another one that differs.
    pub differs_again: u32,
    /// A byte of a copy that differs by the same amount as the last byte that differed: tables
    /// whose entries all grow by the same amount.
    pub repeats: u32,
    /// A literal: a byte without a counterpart in the bases.
    pub literals: u32,
    /// The end of a copy.
    pub leave: u32,
    /// A copy that continues on the diagonal (distance between old and new position) of the copy
    /// that stopped there.
    pub resume: u32,
    /// Any other copy; the logarithm of the change of the diagonal is added to this.
    pub jump: u32,
}

/// Window, shortest match and costs of an alignment.
#[derive(Clone, Copy, Debug)]
pub struct AlignOptions {
    /// The aligner indexes at most this many bytes of the bases at a time, with about 12 bytes of
    /// memory for each, and aligns half as many bytes of the targets with them. It handles larger
    /// inputs in windows: each part of the targets with the part of the bases around the same
    /// relative position.
    pub window: usize,
    /// The aligner ignores matches that are shorter than this, in bytes.
    pub shortest: usize,
    /// The costs whose sum the path minimises.
    pub costs: Costs,
}

/// 64 MiB of old bytes at a time.
const WINDOW: usize = 64 << 20;

impl AlignOptions {
    /// For text. The bytes around its literals predict them well, so a new instruction must save
    /// enough to be worth it.
    pub fn text() -> Self {
        let costs = Costs {
            same: 6,
            differs: 5000,
            differs_again: 4000,
            repeats: 2000,
            literals: 250,
            leave: 2500,
            resume: 3500,
            jump: 6500,
        };
        Self { window: WINDOW, shortest: 6, costs }
    }

    /// For text whose literals stand apart from the old bytes, so that old bytes do not predict
    /// them.
    pub fn text_apart() -> Self {
        let costs = Costs {
            same: 6,
            differs: 3500,
            differs_again: 3000,
            repeats: 2000,
            literals: 560,
            leave: 1000,
            resume: 2200,
            jump: 4000,
        };
        Self { costs, ..Self::text() }
    }

    /// For other data, whose literals the coder codes well.
    pub fn plain() -> Self {
        let costs = Costs {
            same: 6,
            differs: 2300,
            differs_again: 1500,
            repeats: 400,
            literals: 800,
            leave: 800,
            resume: 1800,
            jump: 3600,
        };
        Self { window: WINDOW, shortest: 6, costs }
    }

    /// The same options with instructions that cost `factor` times as much, so that the path uses
    /// fewer.
    pub fn coarser(self, factor: u32) -> Self {
        let Costs { leave, resume, jump, .. } = self.costs;
        let costs = Costs {
            leave: leave * factor,
            resume: resume * factor,
            jump: jump * factor,
            ..self.costs
        };
        Self { costs, ..self }
    }

    /// For native code, where differing bytes are common. An instruction costs more than its own
    /// bytes: it disturbs the predictions behind it, and short copies break up what the shared
    /// streams would find again.
    pub fn native() -> Self {
        let costs = Costs {
            same: 6,
            differs: 1600,
            differs_again: 1100,
            repeats: 700,
            literals: 700,
            leave: 2000,
            resume: 4200,
            jump: 9500,
        };
        Self { window: WINDOW, shortest: 8, costs }
    }
}
