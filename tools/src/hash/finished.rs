//! Which files are through: pieces come in any order, and a file is done when its last one is.

use weightless::torrent::Layout;

/// The pieces that are still missing of every file.
pub struct Finished<'a> {
    layout: &'a Layout,
    left: Vec<u64>,
}

impl<'a> Finished<'a> {
    /// Nothing is through yet.
    pub fn new(layout: &'a Layout, files: usize) -> Self {
        let pieces = |file| {
            let pieces = layout.pieces_of(file);
            pieces.end - pieces.start
        };
        Self { layout, left: (0..files).map(pieces).collect() }
    }

    /// Takes a piece, each only once, and calls `tell` for every file that it was the last one of.
    pub fn piece(&mut self, piece: u64, mut tell: impl FnMut(usize)) {
        for segment in self.layout.segments(self.layout.piece(piece)) {
            let Some(left) = self.left.get_mut(segment.file) else { continue };
            *left = left.saturating_sub(1);
            if *left == 0 {
                tell(segment.file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weightless::torrent::Kind;

    #[test]
    fn every_file_with_bytes_is_told_once_after_its_last_piece() {
        let lengths = [20000, 0, 5, 3, 16385, 262_145];
        for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
            let layout = Layout::plan(kind, 16384, lengths);
            let mut finished = Finished::new(&layout, lengths.len());
            let mut told = Vec::new();
            for piece in (0..layout.piece_count()).rev() {
                finished.piece(piece, |file| told.push(file));
            }
            told.sort_unstable();
            assert_eq!(told, [0, 2, 3, 4, 5], "{kind:?}");
        }
    }
}
