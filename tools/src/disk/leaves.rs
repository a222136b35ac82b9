//! The block hashes computed last, for peers that ask for a piece's one part after the other.

use std::sync::{Arc, Mutex, PoisonError};
use weightless::torrent::merkle::Hash;

/// Block hashes by piece, the one used last at the end.
#[derive(Default)]
pub struct LeafCache {
    entries: Mutex<Vec<(u32, Arc<Vec<Hash>>)>>,
}

/// Most pieces kept, and most hashes of all of them.
const PIECES_MAX: usize = 64;
const HASHES_MAX: usize = 1 << 17;

impl LeafCache {
    /// The hashes of a piece, if they are kept.
    pub fn find(&self, piece: u32) -> Option<Arc<Vec<Hash>>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|(kept, _)| *kept == piece)?;
        let entry = entries.remove(at);
        let leaves = Arc::clone(&entry.1);
        entries.push(entry);
        Some(leaves)
    }

    /// Keeps the hashes of a piece.
    pub fn keep(&self, piece: u32, leaves: Arc<Vec<Hash>>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(kept, _)| *kept != piece);
        entries.push((piece, leaves));
        let hashes = |entries: &[(u32, Arc<Vec<Hash>>)]| -> usize {
            entries.iter().map(|(_, leaves)| leaves.len()).sum()
        };
        while entries.len() > PIECES_MAX || (entries.len() > 1 && hashes(&entries) > HASHES_MAX) {
            entries.remove(0);
        }
    }

    /// Forgets a piece whose bytes have changed.
    pub fn forget(&self, piece: u32) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).retain(|(kept, _)| *kept != piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ones_used_last_are_kept() {
        let cache = LeafCache::default();
        for piece in 0..64 {
            cache.keep(piece, Arc::default());
        }
        assert!(cache.find(0).is_some());
        cache.keep(64, Arc::default());
        assert!(cache.find(1).is_none() && cache.find(0).is_some() && cache.find(64).is_some());
        let half = Arc::new(vec![[0; 32]; HASHES_MAX / 2]);
        for piece in 100..103 {
            cache.keep(piece, Arc::clone(&half));
        }
        assert!(cache.find(64).is_none() && cache.find(100).is_none());
        assert!(cache.find(101).is_some() && cache.find(102).is_some());
        cache.forget(101);
        assert!(cache.find(101).is_none());
    }
}
