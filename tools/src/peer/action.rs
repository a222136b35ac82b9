//! What the engine wants done in the world, and what it has to tell.

use crate::announce::Call;
use crate::disk::{Job, Trouble};
use crate::webseed::Fetch;
use std::net::SocketAddr;

/// Something for the shells to do.
#[derive(Debug)]
pub enum Action {
    /// Connect; the connection is named `key`.
    Dial {
        /// Its name from now on.
        key: u64,
        /// Where to.
        address: SocketAddr,
    },
    /// Close a connection; what waits for it is dropped.
    Close {
        /// Which.
        key: u64,
    },
    /// Something for the disk of a swarm.
    Disk {
        /// Which swarm.
        swarm: usize,
        /// What.
        job: Job,
    },
    /// Ask a tracker.
    Announce {
        /// Which swarm.
        swarm: usize,
        /// What.
        call: Call,
    },
    /// Fetch from a web seed.
    Fetch {
        /// Which swarm.
        swarm: usize,
        /// What.
        fetch: Fetch,
    },
    /// Stop a fetch: its bytes are no longer wanted.
    Drop {
        /// The fetch.
        id: u64,
    },
    /// Something a person or the command may want to know.
    Tell {
        /// Which swarm.
        swarm: usize,
        /// What.
        news: News,
    },
}

/// What happened.
#[derive(Debug)]
pub enum News {
    /// A peer has been greeted.
    PeerGained {
        /// Where it is.
        address: SocketAddr,
        /// What it calls itself; safe to show.
        client: String,
    },
    /// A connection ended.
    PeerLost {
        /// Where it was.
        address: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// Nobody at this address is talked to again.
    Banned {
        /// Where it was.
        address: SocketAddr,
        /// Why.
        why: &'static str,
    },
    /// A web seed is not used any more.
    WebSeedDropped {
        /// Which.
        url: String,
        /// Why.
        why: String,
    },
    /// The info dictionary is complete and hashes to what was asked for.
    Metadata(Vec<u8>),
    /// A file is complete under its final name.
    FileDone {
        /// Its index.
        file: usize,
    },
    /// A tracker has answered, or not.
    Tracker {
        /// Which; without a passkey.
        url: String,
        /// What came of it.
        said: String,
    },
    /// Everything that was wanted is stored, finished and proven.
    Complete,
    /// A checkpoint that was asked for is done.
    Saved,
    /// The transfer cannot go on.
    Failed(Failed),
    /// Pieces of a file that is being seeded are no longer there.
    Withdrawn {
        /// The file.
        file: usize,
    },
}

/// Why a transfer cannot go on.
#[derive(Debug)]
pub enum Failed {
    /// The disk.
    Disk(Trouble),
    /// One piece has come wrong from five peers, each alone.
    NeverMatches {
        /// Which.
        piece: u32,
    },
    /// The file of an idtorrent is wrong on the disk, although its chunks were fetched again.
    FinalCheck {
        /// Its wrong chunks.
        wrong: Vec<u32>,
    },
    /// No file is left to seed.
    NothingLeft,
    /// The torrent's two kinds of hashes do not describe the same data.
    Contradiction,
}
