//! Pieces too large to be held in memory: their blocks are written as they come and hashed while they are at hand. What
//! could not be hashed on the way (a block that came out of order) is read back when the piece is judged.

use sha1::Sha1;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weightless::torrent::merkle::Hash;

/// What is known of every such piece.
#[derive(Default)]
pub struct LargePieces {
    pieces: Mutex<BTreeMap<u32, Arc<Mutex<Known>>>>,
}

/// What is known of one of them.
#[derive(Default)]
pub struct Known {
    /// The hash of each block that was written.
    pub leaves: Vec<Option<Hash>>,
    /// SHA-1 of the front of the piece.
    pub front: Sha1,
    /// How long that front is.
    pub front_bytes: u32,
}

/// Pieces remembered; of one that is forgotten everything is read back. Far more than are open at once.
const PIECES_MAX: usize = 64;

impl LargePieces {
    /// What is known of a piece.
    pub fn of(&self, piece: u32) -> Arc<Mutex<Known>> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.len() >= PIECES_MAX && !pieces.contains_key(&piece) {
            pieces.pop_first();
        }
        Arc::clone(pieces.entry(piece).or_default())
    }

    /// Forgets a piece.
    pub fn forget(&self, piece: u32) {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).remove(&piece);
    }
}

/// What is known of one piece, for one thread at a time.
pub fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// Bytes of the piece are about to change: what was hashed over them is no longer true.
    pub fn spoil(&mut self, range: Range<u32>, blocks: Range<usize>) {
        if range.start < self.front_bytes {
            (self.front, self.front_bytes) = (Sha1::default(), 0);
        }
        if self.leaves.len() < blocks.end {
            self.leaves.resize(blocks.end, None);
        }
        self.leaves.get_mut(blocks).into_iter().flatten().for_each(|leaf| *leaf = None);
    }
}
