//! Where the bytes of a torrent lie: pieces of a stream on one side, files on the other, zeros in between.
//!
//! The stream is the one v1 hashes: all files in order, with the pads of a hybrid. In a v2-only torrent nothing is
//! written between files, but each starts at a piece boundary all the same, so the same arithmetic serves; only its
//! pieces end where their file ends. What no file covers is zeros and never on disk.

use super::Kind;
use std::ops::Range;

/// One file's place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first byte.
    pub start: u64,
    /// Its length; an empty file stands between its neighbours and covers nothing.
    pub length: u64,
}

impl Extent {
    fn end(self) -> u64 {
        self.start + self.length
    }
}

/// A run of bytes of one file inside a range of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index of the file in torrent order, pads not counted.
    pub file: usize,
    /// Where the run begins in the file.
    pub offset: u64,
    /// Where the run begins in the stream.
    pub at: u64,
    /// Its bytes, at least 1.
    pub length: u64,
}

/// The map between pieces and files of one torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    piece_length: u64,
    extents: Vec<Extent>,
    stream: u64,
    kind: Kind,
}

impl Layout {
    /// A layout with known places. `extents` ascend and do not overlap; `stream` is at least the end of the last one.
    pub(super) fn new(kind: Kind, piece_length: u64, extents: Vec<Extent>, stream: u64) -> Self {
        debug_assert!(piece_length > 0);
        debug_assert!(extents.windows(2).all(|pair| pair[0].end() <= pair[1].start));
        Self { piece_length, extents, stream, kind }
    }

    /// The layout of a torrent about to be made, its files given by length in torrent order: hybrids of more than one
    /// file are padded, the last file too; v1 is not; v2 aligns every file.
    pub fn plan(kind: Kind, piece_length: u64, lengths: impl IntoIterator<Item = u64>) -> Self {
        let mut extents: Vec<Extent> = Vec::new();
        let mut at: u64 = 0;
        for length in lengths {
            if kind != Kind::V1 && length > 0 {
                at = at.next_multiple_of(piece_length);
            }
            extents.push(Extent { start: at, length });
            at += length;
        }
        // The pad after a file comes before the empty files that follow it.
        if kind == Kind::Hybrid && extents.len() > 1 {
            at = at.next_multiple_of(piece_length);
            for extent in extents.iter_mut().filter(|extent| extent.length == 0) {
                extent.start = extent.start.next_multiple_of(piece_length);
            }
        }
        Self::new(kind, piece_length, extents, at)
    }

    /// Bytes in one piece.
    pub fn piece_length(&self) -> u64 {
        self.piece_length
    }

    /// Bytes of the stream, pads included.
    pub fn stream_bytes(&self) -> u64 {
        self.stream
    }

    /// Bytes of zeros between and behind the files: what a v1 reader sees as pad files.
    pub fn pad_bytes(&self) -> u64 {
        self.stream - self.extents.iter().map(|extent| extent.length).sum::<u64>()
    }

    /// How many pieces there are.
    pub fn piece_count(&self) -> u64 {
        self.stream.div_ceil(self.piece_length)
    }

    /// The place of one file.
    pub fn extent(&self, file: usize) -> Option<Extent> {
        self.extents.get(file).copied()
    }

    /// The range of the stream that is piece `piece`, as it is hashed and transferred. In a v2-only torrent it ends
    /// with its file.
    pub fn piece(&self, piece: u64) -> Range<u64> {
        let start = piece * self.piece_length;
        let end = (start + self.piece_length).min(self.stream);
        if self.kind != Kind::V2 {
            return start..end;
        }
        let data_end = self.segments(start..end).last().map_or(start, |segment| segment.at + segment.length);
        start..data_end
    }

    /// The pieces that carry bytes of one file; empty for an empty file.
    pub fn pieces_of(&self, file: usize) -> Range<u64> {
        match self.extent(file) {
            Some(extent) if extent.length > 0 => {
                extent.start / self.piece_length..(extent.end() - 1) / self.piece_length + 1
            }
            _ => 0..0,
        }
    }

    /// The runs of file bytes inside a range of the stream, in order. What lies between them is zeros.
    pub fn segments(&self, range: Range<u64>) -> impl Iterator<Item = Segment> + '_ {
        let first = self.extents.partition_point(|extent| extent.end() <= range.start);
        let Range { start, end } = range;
        self.extents
            .iter()
            .enumerate()
            .skip(first)
            .take_while(move |(_, extent)| extent.start < end)
            .filter(|(_, extent)| extent.length > 0)
            .map(move |(file, extent)| {
                let at = extent.start.max(start);
                let length = extent.end().min(end) - at;
                Segment { file, offset: at - extent.start, at, length }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [u64; 6] = [20000, 0, 5, 3, 16385, 262145];

    #[test]
    fn a_hybrid_directory_pads_after_every_file_with_bytes() {
        let layout = Layout::plan(Kind::Hybrid, 16384, LENGTHS);
        assert_eq!(layout.piece_count(), 23);
        assert_eq!(layout.pad_bytes(), 12768 + 16379 + 16381 + 16383 + 16383);
        assert_eq!(layout.extent(1), Some(Extent { start: 32768, length: 0 }));
        assert_eq!(layout.extent(2), Some(Extent { start: 32768, length: 5 }));
        assert_eq!(layout.piece(22), 22 * 16384..23 * 16384);
        assert_eq!(layout.pieces_of(0), 0..2);
        assert_eq!(layout.pieces_of(1), 0..0);
    }

    #[test]
    fn one_file_is_never_padded() {
        for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
            let layout = Layout::plan(kind, 16384, [16385]);
            assert_eq!((layout.stream_bytes(), layout.pad_bytes()), (16385, 0));
            assert_eq!(layout.piece(1), 16384..16385);
        }
    }

    #[test]
    fn v1_pieces_cross_files_and_v2_pieces_end_with_them() {
        let v1 = Layout::plan(Kind::V1, 16384, LENGTHS);
        let runs: Vec<_> = v1.segments(v1.piece(1)).map(|s| (s.file, s.offset, s.length)).collect();
        assert_eq!(runs, [(0, 16384, 3616), (2, 0, 5), (3, 0, 3), (4, 0, 12760)]);
        let v2 = Layout::plan(Kind::V2, 16384, LENGTHS);
        assert_eq!(v2.piece(1), 16384..20000);
        assert_eq!(v2.piece_count(), 23);
        assert_eq!(v2.piece(22), 22 * 16384..22 * 16384 + 1);
    }

    /// Every byte of every file is in exactly one segment of exactly one piece.
    #[test]
    fn pieces_cover_every_file_byte_once() {
        for kind in [Kind::V1, Kind::V2, Kind::Hybrid] {
            let layout = Layout::plan(kind, 16384, LENGTHS);
            let mut next = [0; 6];
            for piece in 0..layout.piece_count() {
                for segment in layout.segments(layout.piece(piece)) {
                    assert_eq!(segment.offset, next[segment.file]);
                    next[segment.file] += segment.length;
                }
            }
            assert_eq!(next, LENGTHS);
        }
    }
}
