//! A disk in memory that answers jobs as the real one does: it hashes what it is given and writes what is good.

use crate::content::Content;
use crate::disk::{Expected, Job, Outcome, Verdict};
use crate::hash::piece::{PieceHasher, PieceHashes};
use crate::peer::wire::write_piece_head;
use std::collections::BTreeMap;
use std::sync::Arc;
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// The stream of one torrent.
pub struct MemoryDisk {
    content: Arc<Content>,
    stream: Vec<u8>,
    /// How often each piece was found good.
    pub good: BTreeMap<u32, u32>,
    /// The same for bad.
    pub bad: BTreeMap<u32, u32>,
    pub waiting: Vec<Job>,
}

impl MemoryDisk {
    pub fn new(content: &Arc<Content>) -> Self {
        let bytes = content.layout().piece_count() * content.layout().piece_length();
        Self {
            stream: vec![0; bytes as usize],
            content: Arc::clone(content),
            good: BTreeMap::new(),
            bad: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Puts the bytes of a piece where they belong.
    pub fn plant(&mut self, piece: u32, bytes: &[u8]) {
        let at = self.start(piece);
        self.stream[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The bytes of a piece as they lie there.
    pub fn piece(&self, piece: u32) -> &[u8] {
        let at = self.start(piece);
        &self.stream[at..at + self.content.piece_bytes(piece) as usize]
    }

    /// Bytes of buffers that wait here.
    pub fn held_bytes(&self) -> usize {
        let held = |job: &Job| match job {
            Job::Store { bytes, .. } | Job::Write { bytes, .. } => bytes.capacity(),
            _ => 0,
        };
        self.waiting.iter().map(held).sum()
    }

    /// Does the job at `at` of those that wait.
    pub fn work(&mut self, at: usize) -> Outcome {
        match self.waiting.remove(at) {
            Job::Store { piece, bytes, expected } => {
                assert_eq!(bytes.len(), self.content.piece_bytes(piece) as usize, "a whole piece");
                let (verdict, hashes, leaves) = self.judge(piece, &bytes, &expected);
                if matches!(verdict, Verdict::Good) {
                    self.plant(piece, &bytes);
                }
                Outcome::Stored { piece, bytes, verdict, hashes, leaves }
            }
            Job::Write { piece, begin, bytes } => {
                let at = self.start(piece) + begin as usize;
                self.stream[at..at + bytes.len()].copy_from_slice(&bytes);
                Outcome::Written { piece, bytes, result: Ok(()) }
            }
            Job::Check { piece, expected } => {
                let bytes = self.piece(piece).to_vec();
                let (verdict, hashes, leaves) = self.judge(piece, &bytes, &expected);
                Outcome::Checked { piece, verdict, hashes, leaves }
            }
            Job::Read { ticket, blocks } => {
                let mut messages = Vec::new();
                for block in blocks {
                    write_piece_head(&mut messages, block);
                    let at = self.start(block.piece) + block.begin as usize;
                    messages.extend_from_slice(&self.stream[at..at + block.length as usize]);
                }
                Outcome::Read { ticket, result: Ok(messages) }
            }
            Job::Leaves { ticket, piece } => Outcome::Leaves { ticket, result: Ok(self.leaves(piece)) },
            Job::Checkpoint { .. } => Outcome::Checkpointed(Ok(())),
            Job::Finish { files } => Outcome::Finished { files, result: Ok(()) },
            Job::Close => Outcome::Closed(Ok(())),
            Job::Inspect => Outcome::Inspected { changed: Vec::new() },
            Job::Load { .. } | Job::Reread { .. } => unreachable!("not of a torrent"),
        }
    }

    fn judge(&mut self, piece: u32, bytes: &[u8], expected: &Expected) -> (Verdict, PieceHashes, Vec<Hash>) {
        let layout = self.content.layout();
        let piece_length = layout.piece_length() as u32;
        let mut hasher = PieceHasher::new(self.content.kind(), piece_length);
        let range = layout.piece(u64::from(piece));
        let mut at = range.start;
        for segment in layout.segments(range.clone()) {
            let from = (segment.at - range.start) as usize;
            hasher.padding(segment.at - at);
            hasher.data(&bytes[from..from + segment.length as usize]);
            at = segment.at + segment.length;
        }
        hasher.padding(range.end - at);
        let mut leaves = hasher.leaves().to_vec();
        let hashes = hasher.finish(expected.node);
        let verdict = Verdict::of(expected, &hashes);
        let count = if matches!(verdict, Verdict::Good) { &mut self.good } else { &mut self.bad };
        *count.entry(piece).or_default() += 1;
        let wanted = expected.with_leaves || matches!(verdict, Verdict::Bad);
        if wanted && self.content.kind() == Kind::V1 {
            leaves = bytes.chunks(BLOCK_BYTES as usize).map(merkle::leaf).collect();
        }
        (verdict, hashes, if wanted { leaves } else { Vec::new() })
    }

    fn leaves(&self, piece: u32) -> Vec<Hash> {
        let data: u64 = {
            let layout = self.content.layout();
            layout.segments(layout.piece(u64::from(piece))).map(|segment| segment.length).sum()
        };
        let bytes = &self.piece(piece)[..data as usize];
        bytes.chunks(BLOCK_BYTES as usize).map(merkle::leaf).collect()
    }

    fn start(&self, piece: u32) -> usize {
        self.content.layout().piece(u64::from(piece)).start as usize
    }
}
