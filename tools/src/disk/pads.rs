//! Where the bytes of unselected files go when a piece is shared with a selected one (v1 only): one sparse file with a
//! slot of a piece's length for each piece that touches more than one file. Slots do not depend on the selection, so a
//! later run with other files finds them again.

use weightless::torrent::Layout;
use weightless::torrent::layout::Segment;

/// The pieces that have a slot.
pub struct Pads {
    /// Ascending.
    shared: Vec<u64>,
    piece_length: u64,
}

impl Pads {
    /// The slots of a layout.
    pub fn new(layout: &Layout) -> Self {
        let mut shared = Vec::new();
        let mut before: Option<u64> = None;
        let files = (0..).map_while(|file| layout.extent(file));
        for extent in files.filter(|extent| extent.length > 0) {
            let first = extent.start / layout.piece_length();
            if before == Some(first) && shared.last() != Some(&first) {
                shared.push(first);
            }
            before = Some((extent.start + extent.length - 1) / layout.piece_length());
        }
        Self { shared, piece_length: layout.piece_length() }
    }

    /// Where a run of bytes lies in the file; `None` when its piece is not a shared one.
    pub fn offset(&self, segment: &Segment) -> Option<u64> {
        let slot = self.shared.binary_search(&(segment.at / self.piece_length)).ok()?;
        Some(slot as u64 * self.piece_length + segment.at % self.piece_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weightless::torrent::Kind;

    #[test]
    fn pieces_of_several_files_have_slots() {
        let layout = Layout::plan(Kind::V1, 16384, [20000, 0, 5, 3, 12760, 16384, 1]);
        let pads = Pads::new(&layout);
        assert_eq!(pads.shared, [1], "the others end where their piece ends");
        let offsets: Vec<_> = layout.segments(layout.piece(1)).map(|segment| pads.offset(&segment)).collect();
        assert_eq!(offsets, [Some(0), Some(3616), Some(3621), Some(3624)]);
        assert!(layout.segments(layout.piece(0)).all(|segment| pads.offset(&segment).is_none()));
        assert!(Pads::new(&Layout::plan(Kind::Hybrid, 16384, [20000, 5, 3])).shared.is_empty());
    }
}
