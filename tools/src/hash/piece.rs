//! Both hashes of one piece, fed in order. Each block goes to SHA-1 and SHA-256 one after the other, so the second one
//! finds it in the nearest cache.

use sha1::{Digest, Sha1};
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES, Hash};

/// The hashes of one piece; each is there when the kind has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceHashes {
    /// SHA-1 of the piece with its padding.
    pub sha1: Option<[u8; 20]>,
    /// The Merkle node over the piece's data.
    pub sha256: Option<Hash>,
}

/// What the Merkle node of a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The root of a file of at most one piece.
    WholeFile,
    /// An entry in the layer of a longer file.
    LayerEntry,
}

/// Hashes pieces, one after the other.
pub struct PieceHasher {
    kind: Kind,
    piece_length: u32,
    sha1: Sha1,
    leaves: Vec<Hash>,
}

const ZEROS: [u8; 16384] = [0; 16384];

impl PieceHasher {
    /// A hasher for torrents of `kind`.
    pub fn new(kind: Kind, piece_length: u32) -> Self {
        Self { kind, piece_length, sha1: Sha1::new(), leaves: Vec::new() }
    }

    /// Takes the next bytes of the piece. For v2 every call but the last of a piece brings whole blocks.
    pub fn data(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(BLOCK_BYTES as usize) {
            if self.kind != Kind::V2 {
                self.sha1.update(block);
            }
            if self.kind != Kind::V1 {
                self.leaves.push(merkle::leaf(block));
            }
        }
    }

    /// Takes zeros that no file holds: only v1 sees them.
    pub fn padding(&mut self, mut length: u64) {
        while self.kind != Kind::V2 && length > 0 {
            let part = ZEROS.get(..usize::try_from(length).unwrap_or(usize::MAX)).unwrap_or(&ZEROS);
            self.sha1.update(part);
            length -= part.len() as u64;
        }
    }

    /// The block hashes of the piece so far.
    pub fn leaves(&self) -> &[Hash] {
        &self.leaves
    }

    /// Ends the piece and starts the next.
    pub fn finish(&mut self, node: Node) -> PieceHashes {
        let sha1 = (self.kind != Kind::V2).then(|| self.sha1.finalize_reset().into());
        let sha256 = (self.kind != Kind::V1).then(|| match node {
            Node::WholeFile => merkle::small_file_root(&mut self.leaves),
            Node::LayerEntry => merkle::piece_hash(&mut self.leaves, self.piece_length),
        });
        self.leaves.clear();
        PieceHashes { sha1, sha256 }
    }
}
