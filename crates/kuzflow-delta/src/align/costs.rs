//! What an alignment minimises.
//!
//! In: nothing. Out: the costs of bytes and copies, for each kind of data. Never: a look at bytes.

/// What things cost in the entropy coder, in 1/256 of a bit.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A byte of a copy that is as expected.
    pub same: u32,
    /// A byte of a copy that is not, behind one that is.
    pub differs: u32,
    /// A byte of a copy that is not as expected, behind another such byte.
    pub differs_again: u32,
    /// A byte of a copy to which the same is added as to the byte that differed before: tables
    /// whose entries all grow by the same.
    pub repeats: u32,
    /// A byte without a counterpart.
    pub literals: u32,
    /// The end of a copy.
    pub leave: u32,
    /// A copy that goes on where one at the same distance between old and new position stopped.
    pub resume: u32,
    /// Any other copy; the logarithm of the change of that distance comes on top.
    pub jump: u32,
}

/// How to align.
#[derive(Clone, Copy, Debug)]
pub struct AlignOptions {
    /// At most so many bytes of the bases are indexed at a time, with about 12 bytes of memory for
    /// each; half as many bytes of the targets are looked at with them. Larger inputs are handled
    /// in windows: each part of the targets with the part of the bases around the same relative
    /// position.
    pub window: usize,
    /// Shorter matches are not looked at.
    pub shortest: usize,
    /// What to minimise.
    pub costs: Costs,
}

/// 64 MiB of old bytes at a time.
const WINDOW: usize = 64 << 20;

impl AlignOptions {
    /// For text, whose fresh bytes are foretold well by what stands around them, so that a new step
    /// must be worth it.
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

    /// For text whose fresh bytes stand apart from the old ones, which do not foretell them there.
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

    /// For other data that is coded well as fresh bytes.
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

    /// The same with steps that cost `factor` times as much, so that there are fewer.
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

    /// For native code, where differing bytes are common. Steps cost more than their own bytes:
    /// each disturbs what is foretold behind it, and short copies break up what the shared streams
    /// would find again.
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
