//! What a disk thread does with one job: hash, write, read, judge. Each thread has its own buffers, which it keeps.

use super::job::{Expected, Trouble, Verdict};
use super::large::{Known, lock};
use super::storage::Storage;
use crate::hash::piece::{Node, PieceHasher, PieceHashes};
use crate::peer::wire::{Block, write_piece_head};
use sha1::Digest;
use std::sync::Arc;
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// One thread's tools.
pub struct Bench {
    storage: Arc<Storage>,
    hasher: PieceHasher,
    /// The leaves of the piece at hand; folding them destroys the hasher's own.
    leaves: Vec<Hash>,
    /// What is read back.
    buffer: Vec<u8>,
    /// The head of one `piece` message.
    head: Vec<u8>,
}

/// A piece that was judged.
pub struct Judged {
    pub verdict: Verdict,
    pub hashes: PieceHashes,
    pub leaves: Vec<Hash>,
}

/// Bytes read back at once: whole blocks, few enough for the second cache.
const READ_BYTES: u32 = 256 * 1024;
/// Length prefix, id, index, begin.
const HEAD_BYTES: usize = 13;
const NO_HASHES: PieceHashes = PieceHashes { sha1: None, sha256: None };

impl Bench {
    pub fn new(storage: Arc<Storage>) -> Self {
        let content = storage.content();
        let piece_length = u32::try_from(content.layout().piece_length()).unwrap_or(u32::MAX);
        let hasher = PieceHasher::new(content.kind(), piece_length);
        Self { storage, hasher, leaves: Vec::new(), buffer: Vec::new(), head: Vec::new() }
    }

    /// Hashes a whole piece, and writes it if it is good: the bytes go through the cache once.
    pub fn store(&mut self, piece: u32, bytes: &[u8], expected: &Expected) -> Judged {
        let storage = Arc::clone(&self.storage);
        let range = storage.content.layout().piece(u64::from(piece));
        let hashes = self.hash(piece, bytes, expected.node);
        let mut verdict = Verdict::of(expected, &hashes);
        if matches!(verdict, Verdict::Good)
            && let Err(trouble) = storage.write(range.start, bytes)
        {
            verdict = Verdict::Failed(trouble);
        }
        self.judged(verdict, hashes, expected)
    }

    fn judged(&self, verdict: Verdict, hashes: PieceHashes, expected: &Expected) -> Judged {
        let wanted = expected.with_leaves || matches!(verdict, Verdict::Bad);
        Judged { verdict, hashes, leaves: if wanted { self.leaves.clone() } else { Vec::new() } }
    }

    fn hash(&mut self, piece: u32, bytes: &[u8], node: Node) -> PieceHashes {
        let layout = self.storage.content.layout();
        let range = layout.piece(u64::from(piece));
        let mut at = range.start;
        for segment in layout.segments(range.clone()) {
            let from = (segment.at - range.start) as usize;
            self.hasher.padding(segment.at - at);
            self.hasher.data(bytes.get(from..from + segment.length as usize).unwrap_or_default());
            at = segment.at + segment.length;
        }
        self.hasher.padding(range.end - at);
        self.leaves.clear();
        self.leaves.extend_from_slice(self.hasher.leaves());
        self.hasher.finish(node)
    }

    /// Writes whole blocks of a large piece, and hashes them while they are at hand.
    pub fn write(&mut self, piece: u32, begin: u32, bytes: &[u8]) -> Result<(), Trouble> {
        let content = &self.storage.content;
        let end = begin.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let at = content.layout().piece(u64::from(piece)).start + u64::from(begin);
        let first = (begin / BLOCK_BYTES) as usize;
        let known = self.storage.large.of(piece);
        lock(&known).spoil(begin..end, first..end.div_ceil(BLOCK_BYTES) as usize);
        self.storage.leaves.forget(piece);
        self.storage.write(at, bytes)?;
        if content.kind() != Kind::V1 {
            self.leaves.clear();
            let data = content.layout().segments(at..at + bytes.len() as u64).next();
            let data = data.filter(|data| data.at == at).map_or(0, |data| data.length as usize);
            self.leaves
                .extend(bytes.get(..data).unwrap_or_default().chunks(BLOCK_BYTES as usize).map(merkle::leaf));
        }
        let mut known = lock(&known);
        if content.kind() != Kind::V1 {
            let slots = known.leaves.get_mut(first..).unwrap_or_default();
            slots.iter_mut().zip(&self.leaves).for_each(|(slot, leaf)| *slot = Some(*leaf));
        }
        // In order and without gaps: then the front of the piece grows by these bytes. What another thread overtook is
        // read back in the end.
        if content.kind() != Kind::V2 && known.front_bytes == begin && self.is_solid(at, bytes.len() as u64) {
            known.front.update(bytes);
            known.front_bytes = end;
        }
        Ok(())
    }

    /// Whether files cover all of a range of the stream.
    fn is_solid(&self, at: u64, length: u64) -> bool {
        let segments = self.storage.content.layout().segments(at..at + length);
        segments.map(|segment| segment.length).sum::<u64>() == length
    }

    /// Judges a piece on the disk, reading what was not hashed when it was written.
    pub fn check(&mut self, piece: u32, expected: &Expected) -> Judged {
        let storage = Arc::clone(&self.storage);
        let known = storage.large.of(piece);
        let mut known = lock(&known);
        if let Err(trouble) = self.complete(piece, &mut known) {
            return Judged { verdict: Verdict::Failed(trouble), hashes: NO_HASHES, leaves: Vec::new() };
        }
        self.leaves.clear();
        self.leaves.extend(known.leaves.iter().flatten());
        let hashes = self.fold(&known, expected.node);
        let verdict = Verdict::of(expected, &hashes);
        if matches!(verdict, Verdict::Good) {
            storage.large.forget(piece);
        }
        let compares = expected.with_leaves || matches!(verdict, Verdict::Bad);
        if compares && storage.content.kind() == Kind::V1 {
            match self.blocks_on_disk(piece) {
                Ok(leaves) => self.leaves = leaves,
                Err(trouble) => return self.judged(Verdict::Failed(trouble), hashes, expected),
            }
        }
        self.judged(verdict, hashes, expected)
    }

    fn fold(&self, known: &Known, node: Node) -> PieceHashes {
        let content = &self.storage.content;
        let piece_length = u32::try_from(content.layout().piece_length()).unwrap_or(u32::MAX);
        let kind = content.kind();
        let mut leaves = self.leaves.clone();
        let sha1 = (kind != Kind::V2).then(|| known.front.clone().finalize().into());
        let sha256 = (kind != Kind::V1).then(|| match node {
            Node::WholeFile => merkle::small_file_root(&mut leaves),
            Node::LayerEntry => merkle::piece_hash(&mut leaves, piece_length),
        });
        PieceHashes { sha1, sha256 }
    }

    /// Reads what is missing of a piece's hashes.
    fn complete(&mut self, piece: u32, known: &mut Known) -> Result<(), Trouble> {
        let storage = Arc::clone(&self.storage);
        let (kind, layout) = (storage.content.kind(), storage.content.layout());
        let range = layout.piece(u64::from(piece));
        let length = storage.content.piece_bytes(piece);
        // A file of a v2 tree begins with a piece, so its data is the front of it.
        let data: u64 = layout.segments(range.clone()).map(|segment| segment.length).sum();
        let blocks = if kind == Kind::V1 { 0 } else { data.div_ceil(u64::from(BLOCK_BYTES)) as usize };
        known.leaves.resize(blocks, None);
        for begin in (0..length).step_by(READ_BYTES as usize) {
            let end = begin.saturating_add(READ_BYTES).min(length);
            let window = (begin / BLOCK_BYTES) as usize..(end.div_ceil(BLOCK_BYTES) as usize).min(blocks);
            let slots = known.leaves.get_mut(window).unwrap_or_default();
            let needs_sha1 = kind != Kind::V2 && known.front_bytes < end;
            if !needs_sha1 && slots.iter().all(Option::is_some) {
                continue;
            }
            self.buffer.resize((end - begin) as usize, 0);
            storage.read(range.start + u64::from(begin), &mut self.buffer)?;
            let data = usize::try_from(data.saturating_sub(u64::from(begin))).unwrap_or(usize::MAX);
            let data = self.buffer.get(..data.min(self.buffer.len())).unwrap_or_default();
            for (slot, block) in slots.iter_mut().zip(data.chunks(BLOCK_BYTES as usize)) {
                slot.get_or_insert_with(|| merkle::leaf(block));
            }
            if needs_sha1 {
                let from = known.front_bytes.saturating_sub(begin) as usize;
                known.front.update(self.buffer.get(from..).unwrap_or_default());
                known.front_bytes = end;
            }
        }
        Ok(())
    }

    /// Puts `piece` messages into `out`, one behind the other.
    pub fn read(&mut self, blocks: &[Block], out: &mut Vec<u8>) -> Result<(), Trouble> {
        let bytes = blocks.iter().map(|block| HEAD_BYTES + block.length as usize).sum();
        // A buffer that comes back is as long as the next one mostly: then nothing is filled in vain.
        out.resize(bytes, 0);
        let mut rest = out.as_mut_slice();
        for &block in blocks {
            self.head.clear();
            write_piece_head(&mut self.head, block);
            let (head, behind) = rest.split_at_mut(HEAD_BYTES);
            head.copy_from_slice(&self.head);
            let (data, behind) = behind.split_at_mut(block.length as usize);
            self.storage.read(self.position(block), data)?;
            rest = behind;
        }
        Ok(())
    }

    /// The bytes of a part of a piece.
    #[cfg(test)]
    pub fn load(&self, block: Block) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; block.length as usize];
        self.storage.read(self.position(block), &mut bytes)?;
        Ok(bytes)
    }

    fn position(&self, block: Block) -> u64 {
        self.storage.content.layout().piece(u64::from(block.piece)).start + u64::from(block.begin)
    }

    /// The block hashes of a piece; none in a v1-only torrent.
    pub fn leaves(&mut self, piece: u32) -> Result<Vec<Hash>, Trouble> {
        if self.storage.content.kind() == Kind::V1 {
            return Ok(Vec::new());
        }
        if let Some(leaves) = self.storage.leaves.find(piece) {
            return Ok(leaves.to_vec());
        }
        let leaves = self.blocks_on_disk(piece)?;
        self.storage.leaves.keep(piece, Arc::new(leaves.clone()));
        Ok(leaves)
    }

    /// The hashes of the blocks of a piece as they lie on the disk. For v1 they prove nothing, but tell blocks apart.
    fn blocks_on_disk(&mut self, piece: u32) -> Result<Vec<Hash>, Trouble> {
        let content = &self.storage.content;
        let range = content.layout().piece(u64::from(piece));
        let data: u64 = match content.kind() {
            Kind::V1 => range.end - range.start,
            _ => content.layout().segments(range.clone()).map(|segment| segment.length).sum(),
        };
        let mut leaves = Vec::with_capacity(data.div_ceil(u64::from(BLOCK_BYTES)) as usize);
        let mut done = 0;
        while done < data {
            let part = (data - done).min(u64::from(READ_BYTES));
            self.buffer.resize(part as usize, 0);
            self.storage.read(range.start + done, &mut self.buffer)?;
            leaves.extend(self.buffer.chunks(BLOCK_BYTES as usize).map(merkle::leaf));
            done += part;
        }
        Ok(leaves)
    }
}
