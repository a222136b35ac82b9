//! Every message between threads. Nothing else is shared: no locks, no atomics on the request path.
//!
//! Reactor to store: `ToWriter` and `ToReader`. Store to reactor: `FromStore`. All channels are bounded by
//! `STORE_QUEUE_MAX`; a full one is an honest 503, never a wait. Between the store and the hub's thread: `ToHub` and
//! `FromHub`.

use crate::base::{InfoHashes, SwarmKey, UnixSeconds};
use crate::registry::catalogue::Change;
use crate::registry::{Answer, HashText, Question};
pub use crate::tracker::snapshot::{FormerPeer, SliceSnapshot};
pub use crate::tracker::usage::{Base, Cut, CutRow, StoredSession};

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
    /// Bytes counted for users since the last cut, and what their sessions are measured against from now on: all of it
    /// in one commit, with `Flush` or with an earlier one.
    Usage(Cut),
    /// What the hub's thread has to say.
    Hub(FromHub),
    /// Everything of one flush has been handed over: commit it, and say so by `Flushed`.
    Flush,
    /// Commit what is waiting, then end. The last message.
    Stop {
        /// Whether there is time for one more request to the hub.
        last_send: bool,
    },
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
            Self::Snapshot(_) | Self::Completions(_) | Self::Usage(_) => None,
            Self::Hub(_) | Self::Flush | Self::Stop { .. } => None,
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
        /// How many cuts of usage were in it.
        cuts: u32,
        /// Those cuts, when it did not go through.
        lost: Vec<Cut>,
        /// False: keep them marked as changed, and try again.
        durable: bool,
    },
    /// The accounts on disk have changed, or the hub has answered.
    Usage(UsageReport),
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
    /// A batch for the hub: made, or done with.
    Usage,
}

/// Mail to the thread that speaks with the hub. At most one batch is with it at any time.
#[derive(PartialEq, Eq, Debug)]
pub enum ToHub {
    /// Send this until there is an answer that ends it.
    Batch(UsageBatch),
    /// The daemon ends: what waits is to be tried once more, now; what is sent from now on is tried once.
    Last,
}

/// A sealed batch: bytes of users under an id, which never means anything else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageBatch {
    /// 32 lower-case hex digits.
    pub sync_id: String,
    /// In the order of their user ids.
    pub items: Vec<UsageItem>,
    /// The hub has refused it before: one try, then it waits for the next hour.
    pub is_rejected: bool,
}

/// What one user is credited with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageItem {
    /// Who.
    pub user: String,
    /// Bytes uploaded, at most `BATCH_ITEM_BYTES_MAX`.
    pub uploaded: u64,
    /// Bytes downloaded, likewise.
    pub downloaded: u64,
}

/// Mail from the hub's thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromHub {
    /// Whether there is a hub to send to: at start, and after every reload.
    On(bool),
    /// What came of one request.
    Answered {
        /// Of which batch.
        sync_id: String,
        /// What it means.
        verdict: HubVerdict,
        /// The status; 0 when there was no answer.
        status: u16,
        /// When.
        at: UnixSeconds,
    },
    /// It is time to try the rejected batches again.
    TryRejected,
    /// Nothing will be tried now, although the daemon ends: the hub does not take our key.
    NotNow,
}

/// What the hub's answer to a batch means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HubVerdict {
    /// It is applied.
    Applied,
    /// Nobody knows: the hub's thread will try again.
    Retry,
    /// The key is wrong: the same, after a long while.
    Forbidden,
    /// The hub will not have it.
    Rejected,
}

/// The accounts on disk and the hub's answers, for the metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsageReport {
    /// Bytes not in a batch yet: up, down.
    pub backlog: [u64; 2],
    /// Bytes in batches, rejected ones too: up, down.
    pub batched: [u64; 2],
    /// Rejected batches.
    pub rejected: u64,
    /// Answers since start, by `HubVerdict`.
    pub answers: [u64; 4],
    /// When the hub last said 200; 0 for never.
    pub last_success: UnixSeconds,
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
    /// What the sessions of accounting were last measured against.
    pub sessions: Vec<StoredSession>,
    /// What the accounts hold.
    pub usage: UsageReport,
    /// The key of the peer-id digests inside the slices, kept so that they still mean the same.
    pub tag_key: u64,
}
