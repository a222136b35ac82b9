//! What a pool of disk threads can be asked, and what it answers.

use crate::failure::{Class, Failure, reason};
use crate::hash::piece::{Node, PieceHashes};
use crate::peer::wire::Block;
use std::io;
use std::path::PathBuf;
use weightless::torrent::merkle::Hash;

/// What a piece must hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its SHA-1, where the kind has one.
    pub sha1: Option<[u8; 20]>,
    /// Its v2 node; `None` where there is none, or it is not known yet.
    pub sha256: Option<Hash>,
    /// What the v2 node stands for.
    pub node: Node,
    /// Whether the block hashes are wanted of a good piece too; those of a bad one always come.
    pub with_leaves: bool,
}

/// Work for a disk thread.
#[derive(Debug)]
pub enum Job {
    /// A whole piece, as long as the layout says, zeros where there are pads: hashed, and written if it is good.
    Store {
        /// Which piece.
        piece: u32,
        /// Its bytes.
        bytes: Vec<u8>,
        /// What they must hash to.
        expected: Expected,
    },
    /// A run of whole blocks of a piece too large to be held: written at once, its hashes kept for [`Job::Check`].
    Write {
        /// Which piece.
        piece: u32,
        /// Where the run begins in it: a multiple of the block size.
        begin: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Judges a piece that lies on the disk, using what [`Job::Write`] has hashed already and reading the rest.
    Check {
        /// Which piece.
        piece: u32,
        /// What it must hash to.
        expected: Expected,
    },
    /// Blocks for a peer, all of pieces that are there.
    Read {
        /// Comes back with the answer.
        ticket: u64,
        /// The blocks, in the order of the answer.
        blocks: Vec<Block>,
    },
    /// The block hashes of a piece that is there.
    Leaves {
        /// Comes back with the answer.
        ticket: u64,
        /// Which piece.
        piece: u32,
    },
    /// The bytes of a piece as they lie on the disk, verified or not: to compare with what somebody else sent.
    #[cfg(test)]
    Load {
        /// Which part of which piece; the length is not bounded by that of a peer's block.
        block: Block,
    },
    /// Makes progress durable: data first, then the resume file that tells of it.
    Checkpoint {
        /// The verified pieces, as on the wire. A piece may be in here once its `Stored` or `Checked` has come back.
        bits: Vec<u8>,
        /// Bytes uploaded so far.
        uploaded: u64,
        /// Whether this is the end of the run: nothing will be written after it.
        clean: bool,
    },
    /// Hashes files once more, from the disk: the last look before [`Job::Finish`]. For kinds with SHA-1.
    Reread {
        /// Which files.
        files: Vec<usize>,
    },
    /// Gives files their final names, made durable before. Every piece touching them must be stored. Many at once cost
    /// little more than one.
    Finish {
        /// Which files.
        files: Vec<usize>,
    },
    /// After the last file is finished: directories to the disk, then the resume file away.
    Close,
    /// Which files no longer look as they did when they were opened: a seeder must not offer them.
    Inspect,
}

/// What came of a job.
#[derive(Debug)]
pub enum Outcome {
    /// Of [`Job::Store`].
    Stored {
        /// Which piece.
        piece: u32,
        /// The buffer, to be used again.
        bytes: Vec<u8>,
        /// Whether it was what was expected, and is written.
        verdict: Verdict,
        /// What it hashed to.
        hashes: PieceHashes,
        /// The hashes of its blocks: v2 and hybrid, when asked for or bad.
        leaves: Vec<Hash>,
    },
    /// Of [`Job::Write`].
    Written {
        /// Which piece.
        piece: u32,
        /// The buffer, to be used again.
        bytes: Vec<u8>,
        /// Whether they are written.
        result: Result<(), Trouble>,
    },
    /// Of [`Job::Check`].
    Checked {
        /// Which piece.
        piece: u32,
        /// Whether it is what was expected.
        verdict: Verdict,
        /// What it hashed to.
        hashes: PieceHashes,
        /// The hashes of its blocks, when asked for or bad; of v1 too, where they only tell blocks apart.
        leaves: Vec<Hash>,
    },
    /// Of [`Job::Read`]: `piece` messages, heads included, ready for the socket.
    Read {
        /// Of the job.
        ticket: u64,
        /// The messages.
        result: Result<Vec<u8>, Trouble>,
    },
    /// Of [`Job::Leaves`].
    Leaves {
        /// Of the job.
        ticket: u64,
        /// The hashes; none in a v1-only torrent.
        result: Result<Vec<Hash>, Trouble>,
    },
    /// Of [`Job::Load`].
    #[cfg(test)]
    Loaded {
        /// The bytes.
        result: Result<Vec<u8>, Trouble>,
    },
    /// Of [`Job::Checkpoint`].
    Checkpointed(Result<(), Trouble>),
    /// Of [`Job::Reread`].
    Reread {
        /// The files of the job.
        files: Vec<usize>,
        /// The pieces that are not what they should be.
        result: Result<Vec<u32>, Trouble>,
    },
    /// Of [`Job::Finish`]. After trouble some of them may have their names already; asking again is harmless.
    Finished {
        /// The files of the job.
        files: Vec<usize>,
        /// Whether all have their names.
        result: Result<(), Trouble>,
    },
    /// Of [`Job::Close`].
    Closed(Result<(), Trouble>),
    /// Of [`Job::Inspect`].
    Inspected {
        /// The files that changed or are gone.
        changed: Vec<usize>,
    },
}

/// What the hashes say about a piece.
#[derive(Debug)]
pub enum Verdict {
    /// It is what was expected.
    Good,
    /// It is not, or nothing is known that it could be compared with.
    Bad,
    /// One of SHA-1 and SHA-256 matches and the other does not: the torrent describes no data at all.
    Contradiction,
    /// The disk would not take it, or would not give it back.
    Failed(Trouble),
}

/// What the disk refused.
#[derive(Debug)]
pub struct Trouble {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Trouble {
    /// Trouble with a file.
    pub fn new(path: PathBuf, error: impl Into<io::Error>) -> Self {
        Self { path, error: error.into() }
    }

    /// The failure of a transfer that still needs `missing` bytes.
    pub fn during_transfer(self, missing: u64) -> Failure {
        if !self.is_full() {
            return self.into_failure();
        }
        let (path, needs) = (self.path.display(), crate::show_size::size(missing));
        Failure::new(Class::Storage, format!("{path}: no space left (need {needs} more); progress saved"))
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        matches!(self.error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// As a failure of the command.
    pub fn into_failure(self) -> Failure {
        let path = self.path.display();
        match self.error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::AlreadyExists => {
                Failure::new(Class::Storage, format!("{path}: {}", reason(&self.error)))
            }
            _ => Failure::writing(&self.path, &self.error),
        }
    }
}

impl Verdict {
    /// Compares what came out with what was expected.
    pub fn of(expected: &Expected, hashes: &PieceHashes) -> Self {
        let sha1 = expected.sha1.map(|sha1| hashes.sha1 == Some(sha1));
        let sha256 = expected.sha256.map(|sha256| hashes.sha256 == Some(sha256));
        match (sha1, sha256) {
            (Some(v1), Some(v2)) if v1 != v2 => Self::Contradiction,
            (Some(true), _) | (None, Some(true)) => Self::Good,
            _ => Self::Bad,
        }
    }
}
