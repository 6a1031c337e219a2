//! A patch pack as signed metadata describes it: the custom part of a pack's TUF target. A pack
//! turns the files of one release into those of another. The launcher verifies the result against
//! the release's own manifest, so a bad pack can waste bytes but never change a file.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::pieces::{InvalidPieceTable, PieceTable};
use super::platform::ContainerId;

/// Ending of the name of every pack's target; the role that signs packs may sign nothing else.
pub const PACK_SUFFIX: &str = ".kuzpatch";
/// Packs up to this size, bytes, are one piece: their digest is signed anyway, and metadata is
/// fetched with every check.
pub const MAX_SINGLE_PIECE_BYTES: u64 = 1 << 20;

/// Smallest and largest piece of a pack, bytes.
const MIN_PIECE_BYTES: u32 = 256 << 10;
const MAX_PIECE_BYTES: u32 = 4 << 20;
/// The approximate maximum of pieces: each costs 67 bytes of metadata for every client, also for
/// clients that need no pack.
const WANTED_PIECES: u64 = 32;

/// The description of one pack. The publisher writes it, and the role for patches signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The container it starts from.
    pub from: ContainerId,
    /// The container it makes.
    pub to: ContainerId,
    /// Digest of `from`'s manifest.
    pub base_manifest: Digest,
    /// Digest of `to`'s manifest.
    pub target_manifest: Digest,
    /// How many files are cloned unchanged.
    pub cloned: u64,
    /// How many files are made from another file and a difference.
    pub patched: u64,
    /// How many files the pack contains whole.
    pub added: u64,
    /// How many files of `from` are not in `to`.
    pub removed: u64,
    /// Bytes of new files that applying it writes.
    pub written: u64,
    /// Bytes of memory that applying it needs at most.
    pub memory: u64,
    /// When the pack was made.
    pub created: jiff::Timestamp,
    /// Whether a running app must restart to use the changes.
    pub requires_restart: bool,
    /// How many of the changed files a running app can take over.
    pub hot_swappable: u64,
    /// Bytes a piece; 0 if the pack is one piece.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub piece_size: u32,
    /// One hash a piece, in order; empty if the pack is one piece, whose hash is the target's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Digest>,
}

// The form that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A description that contradicts itself or its target.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPatch {
    /// Its name is that of another pack.
    #[error("it describes {expected}")]
    Name {
        /// The name according to the description.
        expected: String,
    },
    /// It leads from one app or platform to another, or from a release to itself.
    #[error("it leads from {from} to {to}")]
    Pair {
        /// Where it starts.
        from: Box<ContainerId>,
        /// What it makes.
        to: Box<ContainerId>,
    },
    /// Its pieces do not make up the pack.
    #[error(transparent)]
    Pieces(#[from] InvalidPieceTable),
    /// The pack has no bytes.
    #[error("it is empty")]
    Empty,
}

impl Patch {
    /// Name of the TUF target: `{to}.from-{version of from}.kuzpatch`. There is one pack for each
    /// pair.
    pub fn target_name(&self) -> String {
        format!("{}.from-{}{PACK_SUFFIX}", self.to, self.from.version)
    }

    /// The piece size for a pack of `length` bytes: a power of two, or 0 for a pack that is one
    /// piece.
    pub fn piece_size_for(length: u64) -> u32 {
        if length <= MAX_SINGLE_PIECE_BYTES {
            return 0;
        }
        let mut size = MIN_PIECE_BYTES;
        while size < MAX_PIECE_BYTES && length / u64::from(size) > WANTED_PIECES {
            size *= 2;
        }
        size
    }
}

/// A pack with its signed length and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPatch {
    /// Name of the TUF target: [`Patch::target_name`].
    pub target: String,
    /// Bytes of the pack.
    pub length: u64,
    /// Digest of the pack.
    pub hash: Digest,
    /// The signed description.
    pub patch: Patch,
}

impl SignedPatch {
    /// Where nodes serve the pack, relative to their base address.
    pub fn location(&self) -> String {
        format!("targets/{}.{}", self.hash, self.target)
    }

    /// How the pack is cut for download. Valid if [`SignedPatch::check`] succeeds.
    pub fn piece_table(&self) -> PieceTable {
        if self.patch.piece_size == 0 && self.patch.pieces.is_empty() {
            let piece_size = u32::try_from(self.length).unwrap_or(u32::MAX);
            return PieceTable { piece_size, length: self.length, hashes: vec![self.hash] };
        }
        PieceTable {
            piece_size: self.patch.piece_size,
            length: self.length,
            hashes: self.patch.pieces.clone(),
        }
    }

    /// Refuses a description that contradicts itself or its target; call it on every pack from
    /// outside.
    pub fn check(&self) -> Result<(), InvalidPatch> {
        let Patch { from, to, .. } = &self.patch;
        let expected = self.patch.target_name();
        if self.target != expected {
            return Err(InvalidPatch::Name { expected });
        }
        if from.app != to.app || from.platform != to.platform || from.version == to.version {
            return Err(InvalidPatch::Pair {
                from: Box::new(from.clone()),
                to: Box::new(to.clone()),
            });
        }
        if self.length == 0 {
            return Err(InvalidPatch::Empty);
        }
        Ok(self.piece_table().check()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pack() -> SignedPatch {
        let patch = json!({
            "from": "sample_1.0.0_Linux_x86_64", "to": "sample_1.1.0_Linux_x86_64",
            "base_manifest": Digest::of(b"old").to_string(), "target_manifest": Digest::of(b"new").to_string(),
            "cloned": 5, "patched": 2, "added": 1, "removed": 0, "written": 1000, "memory": 33_554_432,
            "created": "2026-01-01T00:00:00Z", "requires_restart": true, "hot_swappable": 0,
        });
        SignedPatch {
            target: "sample_1.1.0_Linux_x86_64.from-1.0.0.kuzpatch".to_owned(),
            length: 1000,
            hash: Digest::of(b"pack"),
            patch: serde_json::from_value(patch).unwrap(),
        }
    }

    #[test]
    fn a_small_pack_is_one_piece_and_says_nothing_of_pieces() {
        let pack = pack();
        pack.check().unwrap();
        assert_eq!(
            pack.piece_table(),
            PieceTable { piece_size: 1000, length: 1000, hashes: vec![pack.hash] }
        );
        let text = serde_json::to_string(&pack.patch).unwrap();
        assert!(!text.contains("piece"), "{text}");
        assert_eq!(serde_json::from_str::<Patch>(&text).unwrap(), pack.patch);
        assert_eq!(
            pack.location(),
            format!(
                "targets/{}.sample_1.1.0_Linux_x86_64.from-1.0.0.kuzpatch",
                Digest::of(b"pack")
            )
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let with = |change: &dyn Fn(&mut SignedPatch)| {
            let mut pack = pack();
            change(&mut pack);
            pack.check()
        };
        let version = |text: &str| text.parse().unwrap();
        assert!(matches!(with(&|pack| pack.target.push('x')), Err(InvalidPatch::Name { .. })));
        assert!(matches!(
            with(&|pack| pack.patch.from.version = version("0.9.0")),
            Err(InvalidPatch::Name { .. })
        ));
        assert!(matches!(
            with(&|pack| pack.patch.from.app = "other".parse().unwrap()),
            Err(InvalidPatch::Pair { .. })
        ));
        assert!(matches!(
            with(&|pack| pack.patch.from.platform = "Linux_aarch64".parse().unwrap()),
            Err(InvalidPatch::Pair { .. })
        ));
        let to_itself = with(&|pack| {
            pack.patch.from.version = pack.patch.to.version.clone();
            pack.target = pack.patch.target_name();
        });
        assert!(matches!(to_itself, Err(InvalidPatch::Pair { .. })));
        assert!(matches!(with(&|pack| pack.length = 0), Err(InvalidPatch::Empty)));
        // More bytes than one piece may have, fewer pieces than the length needs, a size without
        // pieces, pieces without a size.
        assert!(matches!(with(&|pack| pack.length = 65 << 20), Err(InvalidPatch::Pieces(_))));
        assert!(matches!(
            with(&|pack| (pack.patch.piece_size, pack.patch.pieces) = (999, vec![Digest::of(b"")])),
            Err(InvalidPatch::Pieces(_))
        ));
        assert!(matches!(with(&|pack| pack.patch.piece_size = 1000), Err(InvalidPatch::Pieces(_))));
        assert!(matches!(
            with(&|pack| pack.patch.pieces = vec![pack.hash]),
            Err(InvalidPatch::Pieces(_))
        ));
        with(&|pack| (pack.patch.piece_size, pack.patch.pieces) = (500, vec![Digest::of(b""); 2]))
            .unwrap();
    }

    #[test]
    fn pieces_are_few() {
        assert_eq!(Patch::piece_size_for(1), 0);
        assert_eq!(Patch::piece_size_for(1 << 20), 0);
        assert_eq!(Patch::piece_size_for((1 << 20) + 1), 256 << 10);
        assert_eq!(Patch::piece_size_for(10 << 20), 512 << 10);
        assert_eq!(Patch::piece_size_for(1 << 30), 4 << 20);
    }
}
