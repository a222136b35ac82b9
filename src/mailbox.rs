//! Every message between threads. Nothing else is shared: no locks, no atomics on the request path.
//!
//! Reactor to store: `ToWriter` and `ToReader`. Store to reactor: `FromStore`. All channels are bounded by
//! `STORE_QUEUE_MAX`; a full one is an honest 503, never a wait.

use crate::base::{InfoHashes, SwarmKey, UnixSeconds};
use crate::registry::catalogue::Change;
use crate::registry::{Answer, HashText, Question};
pub use crate::tracker::snapshot::{FormerPeer, SliceSnapshot};

/// Names the HTTP request that waits for an answer: a connection and the request's number on it. An answer whose
/// ticket is no longer known (the client left) is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// The connection's slot.
    pub connection: u32,
    /// Which of all requests ever parked.
    pub serial: u64,
}

/// Mail to the thread that owns the database's write connection.
#[derive(Debug)]
pub enum ToWriter {
    /// `POST /api/registry`: the body as it came, to be parsed and checked off the reactor. At most
    /// `LARGE_UPLOAD_BYTES`; larger ones come in parts.
    Register {
        /// Who waits.
        ticket: Ticket,
        /// The whole body.
        body: Vec<u8>,
        /// When it came.
        at: UnixSeconds,
    },
    /// A part of a large body, in its order; at most `UPLOAD_PART_BYTES`. Answered by `UploadTaken`.
    UploadPart {
        /// Whose.
        ticket: Ticket,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// All parts have been sent: `POST /api/registry` of their sum.
    UploadEnd {
        /// Who waits.
        ticket: Ticket,
        /// When it came.
        at: UnixSeconds,
    },
    /// The client left before the end: the parts are of no use.
    UploadGone {
        /// Whose.
        ticket: Ticket,
    },
    /// `DELETE /api/registry`: the entry goes, its hashes are blocked.
    Takedown {
        /// Who waits.
        ticket: Ticket,
        /// Which entry, or a hash that is not registered at all.
        hash: HashText,
        /// Why, at most `TAKEDOWN_REASON_BYTES_MAX` bytes.
        reason: String,
        /// When it came.
        at: UnixSeconds,
    },
    /// `DELETE /api/blocklist`: the hash and the one blocked together with it may be registered again.
    Unblock {
        /// Who waits.
        ticket: Ticket,
        /// Which hash.
        hash: HashText,
    },
    /// `POST /api/registry/verify`: the operator's word for an entry.
    Verify {
        /// Who waits.
        ticket: Ticket,
        /// Which entry.
        hash: HashText,
        /// The word.
        verified: bool,
    },
    /// One slice of the swarm table, to replace what is stored of it: with `Flush`, or with an earlier commit.
    Snapshot(SliceSnapshot),
    /// Completed downloads of registered entries since the last message: entry and the new total.
    Completions(Vec<(InfoHashes, u64)>),
    /// Everything of one flush has been handed over: commit it, and say so by `Flushed`.
    Flush,
    /// Commit what is waiting, then end. The last message.
    Stop,
}

impl ToWriter {
    /// Who waits for an answer, if anybody.
    pub fn ticket(&self) -> Option<Ticket> {
        match self {
            Self::Register { ticket, .. }
            | Self::UploadEnd { ticket, .. }
            | Self::Takedown { ticket, .. }
            | Self::Unblock { ticket, .. }
            | Self::Verify { ticket, .. } => Some(*ticket),
            Self::UploadPart { .. } | Self::UploadGone { .. } => None,
            Self::Snapshot(_) | Self::Completions(_) | Self::Flush | Self::Stop => None,
        }
    }
}

/// Mail to the thread that reads the database.
#[derive(Debug)]
pub enum ToReader {
    /// A lookup, search or download.
    Ask {
        /// Who waits.
        ticket: Ticket,
        /// What is asked.
        question: Question,
    },
    /// Live seeders of registered entries, by primary key, where they changed since the last such message. Searches
    /// rank by them.
    Seeders(Vec<(SwarmKey, u32)>),
    /// What a commit changed of what searches look at. From the writer, before it answers.
    Changed(Vec<Change>),
    /// End. The last message.
    Stop,
}

/// Mail from the store to the reactor.
#[derive(PartialEq, Eq, Debug)]
pub enum FromStore {
    /// A change of what the tracker admits, committed. It comes before the answer to whoever caused it, so that
    /// whoever reads the answer finds the change made.
    Admission(AdmissionChange),
    /// The answer for a parked request.
    Answered {
        /// Who waits.
        ticket: Ticket,
        /// What to say.
        answer: Answer,
    },
    /// A part of a large body was taken: the next one may come.
    UploadTaken {
        /// Whose.
        ticket: Ticket,
    },
    /// A commit of snapshots and completions went through or not.
    Flushed {
        /// The slices that were in it.
        slices: Vec<u8>,
        /// The entries whose completed downloads were in it.
        completed: Vec<InfoHashes>,
        /// False: keep them marked as changed, and try again.
        durable: bool,
    },
    /// A commit went through.
    Committed {
        /// What for.
        kind: CommitKind,
        /// How long it took, in microseconds.
        micros: u64,
    },
    /// The database failed a request or a commit.
    Fault(StoreFault),
    /// Whether the last attempt to write succeeded, sent when that changes. True at start.
    Health {
        /// False: `/health` is 503.
        writable: bool,
    },
}

/// What a commit was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitKind {
    /// Requests, and perhaps parts of a flush.
    Registry,
    /// A flush alone.
    Flush,
}

/// Kinds of failures of the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreFault {
    /// Locked by another program for too long.
    Busy,
    /// Full, read-only, unreadable: the disk's fault, may pass.
    Storage,
    /// Damaged: will not pass.
    Corrupt,
    /// Anything else.
    Other,
}

/// What the tracker must know of a committed write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdmissionChange {
    /// An entry was stored. `before` is what the same row was known by until now.
    Registered {
        /// Its hashes now.
        hashes: InfoHashes,
        /// Its hashes before, when the row is not new.
        before: Option<InfoHashes>,
        /// Completed downloads stored with it.
        completions: u64,
    },
    /// A takedown: the entry is gone and these keys are refused from now on.
    Blocked {
        /// Every key that is refused.
        keys: Vec<SwarmKey>,
    },
    /// A takedown was lifted.
    Unblocked {
        /// Every key that may be registered again.
        keys: Vec<SwarmKey>,
    },
}

/// Everything the tracker had on disk, read once at start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Registered entries with their completed downloads.
    pub registered: Vec<(InfoHashes, u64)>,
    /// Keys that are refused.
    pub blocked: Vec<SwarmKey>,
    /// The stored slices of the swarm table.
    pub slices: Vec<SliceSnapshot>,
    /// The clients of another program's file, the first time it is opened.
    pub former_peers: Vec<FormerPeer>,
    /// The key of the peer-id digests inside the slices, kept so that they still mean the same.
    pub tag_key: u64,
}
