//! One connection: what each side has said, what is on its way, and since when. What to do about it is the swarm's.

use super::bits::Bits;
use super::extended::Hello;
use super::handshake::Offers;
use super::metadata::MetadataQuota;
use super::open::Source;
use super::outgoing::Outgoing;
use super::pex::{PexInbox, PexOutbox};
use super::rate::Rate;
use super::wire::{Block, Bounds, Message, Reader, write};
use std::collections::VecDeque;
use std::net::SocketAddr;
use weightless::base::{Millis, PeerId};

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We did.
    Out,
    /// The peer did.
    In,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The system is connecting.
    Dialling,
    /// The handshake is not complete.
    Greeting,
    /// Messages flow.
    Open,
}

/// What a peer has.
#[derive(Clone, Debug)]
pub enum Has {
    /// Nothing was said yet.
    Unsaid,
    /// Nothing.
    None,
    /// Everything.
    All,
    /// These pieces.
    Some(Bits),
    /// A bitfield that cannot be judged before the metadata is there.
    Raw(Vec<u8>),
}

/// A block that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Which.
    pub block: Block,
    /// When.
    pub at: Millis,
}

/// A block whose bytes are coming in.
#[derive(Clone, Copy, Debug)]
pub struct Arriving {
    /// Which.
    pub block: Block,
    /// Bytes that came.
    pub at: u32,
    /// Of its bytes, those that are not padding: what lies behind them is dropped.
    pub data_bytes: u32,
    /// Whether somebody wants them.
    pub wanted: bool,
}

/// One peer.
pub struct Peer {
    /// Names the connection.
    pub key: u64,
    /// Where it is.
    pub address: SocketAddr,
    /// Who opened it.
    pub direction: Direction,
    /// Whether we open it by the v2 hash alone.
    pub by_v2: bool,
    /// How far it is.
    pub phase: Phase,
    /// The handshake so far.
    pub greeting: Vec<u8>,
    /// How the peer names itself.
    pub peer_id: Option<PeerId>,
    /// Whether both sides speak BEP 6.
    pub fast: bool,
    /// Whether both sides speak BEP 10.
    pub extended: bool,
    /// Whether hash messages are allowed (BEP 52).
    pub v2: bool,
    /// Answers with metadata it has had.
    pub metadata_quota: MetadataQuota,
    /// Pieces of metadata the peer waits for.
    pub metadata_queue: VecDeque<u32>,
    /// What it may tell us of others.
    pub pex_inbox: PexInbox,
    /// How far it was told of others.
    pub pex_outbox: Option<PexOutbox>,
    /// The peer's extension handshake.
    pub hello: Hello,
    /// Reads what comes.
    pub reader: Reader,
    /// What goes.
    pub out: Outgoing,
    /// What the peer has.
    pub has: Has,
    /// Whether a message other than an extension handshake has come: a bitfield may only be the first.
    pub spoke: bool,
    /// How many of its pieces we still want.
    pub useful: u32,
    /// The peer does not serve us.
    pub chokes_us: bool,
    /// We do not serve the peer.
    pub choked: bool,
    /// The peer wants something of us.
    pub interested: bool,
    /// We want something of the peer.
    pub interesting: bool,
    /// Blocks we wait for, in order.
    pub asked: VecDeque<Asked>,
    /// Blocks that were asked for and given up: they may still come.
    excused: VecDeque<Block>,
    /// The block that is coming in.
    pub arriving: Option<Arriving>,
    /// The piece it is working on.
    pub piece: Option<u32>,
    /// Blocks the peer waits for.
    pub queue: VecDeque<Block>,
    /// Blocks of it that are being read from the disk.
    pub reading: u32,
    /// So many answers with hashes may come that nobody waits for any more.
    pub hashes_excused: u32,
    /// Pieces that may be asked for while choked.
    pub allowed: Vec<u32>,
    /// Pieces the peer would like to send.
    pub suggested: VecDeque<u32>,
    /// How many blocks may be on their way.
    pub depth: u32,
    /// Whether the depth still grows with every block.
    pub slow_start: bool,
    /// The time from a request to its first byte, smoothed.
    pub rtt: Millis,
    /// Payload from the peer.
    pub down: Rate,
    /// Payload to the peer.
    pub up: Rate,
    /// Payload in all, from and to the peer.
    pub received_bytes: u64,
    /// Payload from the peer when the pipeline was last measured.
    pub paced_bytes: u64,
    /// Payload in all to the peer.
    pub sent_bytes: u64,
    /// Requests that timed out, one after the other.
    pub timeouts: u32,
    /// Sends nothing although asked.
    pub snubbed: bool,
    /// What is counted against it.
    pub faults: Faults,
    /// When things happened.
    pub times: Times,
}

/// When things happened on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// It was begun.
    pub began: Millis,
    /// Bytes came.
    pub heard: Millis,
    /// Bytes went, or nothing waited to go.
    pub sent: Millis,
    /// A block came.
    pub block: Millis,
    /// The peer let us ask.
    pub unchoked: Millis,
    /// The peer stopped serving us.
    pub choked: Millis,
    /// The peer rejected a request; 0 for never.
    pub rejected: Millis,
    /// The message that is not finished began.
    pub amid: Option<Millis>,
    /// The count of this second began.
    pub second: Millis,
    /// The count of this minute began.
    pub minute: Millis,
    /// The pipeline was last measured.
    pub paced: Millis,
    /// Something waits to go since then and does not move.
    pub stuck: Option<Millis>,
}

/// What is counted against a peer within a minute.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Changes of interest.
    pub flips: u32,
    /// Blocks that nobody asked for.
    pub unasked: u32,
    /// Rejects of what was not asked for.
    pub rejects: u32,
    /// Messages without effect within this second: keep-alives, what was said before.
    pub idle_messages: u32,
    /// Cancels of what does not wait, within this second.
    pub cancels: u32,
    /// Requests beyond what is queued.
    pub refused: u32,
    /// Hash requests that make no sense.
    pub bad_hash_requests: u32,
}

/// The depth of a new peer's pipeline.
pub const DEPTH_FIRST: u32 = 8;

impl Peer {
    /// A connection that has just begun.
    pub fn new(now: Millis, key: u64, address: SocketAddr, direction: Direction, bounds: Bounds) -> Self {
        Self {
            key,
            address,
            direction,
            by_v2: false,
            phase: if direction == Direction::Out { Phase::Dialling } else { Phase::Greeting },
            greeting: Vec::new(),
            peer_id: None,
            fast: false,
            extended: false,
            v2: false,
            metadata_quota: MetadataQuota::default(),
            metadata_queue: VecDeque::new(),
            pex_inbox: PexInbox::default(),
            pex_outbox: None,
            hello: Hello::default(),
            reader: Reader::new(bounds),
            out: Outgoing::default(),
            has: Has::Unsaid,
            spoke: false,
            useful: 0,
            chokes_us: true,
            choked: true,
            interested: false,
            interesting: false,
            asked: VecDeque::new(),
            excused: VecDeque::new(),
            arriving: None,
            piece: None,
            queue: VecDeque::new(),
            reading: 0,
            hashes_excused: 0,
            allowed: Vec::new(),
            suggested: VecDeque::new(),
            depth: DEPTH_FIRST,
            slow_start: true,
            rtt: 0,
            down: Rate::new(now, 5),
            up: Rate::new(now, 5),
            received_bytes: 0,
            paced_bytes: 0,
            sent_bytes: 0,
            timeouts: 0,
            snubbed: false,
            faults: Faults::default(),
            times: Times {
                began: now,
                heard: now,
                sent: now,
                block: now,
                unchoked: now,
                choked: now,
                rejected: 0,
                amid: None,
                second: now,
                minute: now,
                paced: now,
                stuck: None,
            },
        }
    }

    /// Says something.
    pub fn say(&mut self, message: &Message<'_>) {
        self.out.write(|out| write(out, message));
    }

    /// Whether messages can be said.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether the peer has a piece.
    pub fn has(&self, piece: u32) -> bool {
        match &self.has {
            Has::All => true,
            Has::Some(bits) => bits.has(piece),
            Has::Unsaid | Has::None | Has::Raw(_) => false,
        }
    }

    /// Whether the peer has everything.
    pub fn is_seed(&self) -> bool {
        match &self.has {
            Has::All => true,
            Has::Some(bits) => bits.is_full(),
            Has::Unsaid | Has::None | Has::Raw(_) => false,
        }
    }

    /// Who it is when blocks are judged.
    pub fn source(&self) -> Source {
        Source::Peer(self.address)
    }

    /// Whether a block is on its way from the peer.
    pub fn was_asked(&self, block: &Block) -> bool {
        self.asked.iter().any(|asked| asked.block == *block)
    }

    /// The same, whether its padding was asked for or not: a block as it is asked for.
    pub fn asked_at(&self, piece: u32, begin: u32) -> Option<Asked> {
        self.asked.iter().find(|asked| asked.block.piece == piece && asked.block.begin == begin).copied()
    }

    /// Takes a block off the list of those asked for; the front is where it nearly always is.
    pub fn take_asked(&mut self, block: &Block) -> Option<Asked> {
        let at = self.asked.iter().position(|asked| asked.block == *block)?;
        self.asked.remove(at)
    }

    /// A block that was asked for is given up; it may still come, or be rejected.
    pub fn excuse(&mut self, block: Block) {
        const EXCUSED_MAX: usize = 2048;
        if self.excused.len() == EXCUSED_MAX {
            self.excused.pop_front();
        }
        self.excused.push_back(block);
    }

    /// Whether a block was asked for and given up.
    pub fn is_excused(&self, block: &Block) -> bool {
        self.excused.contains(block)
    }

    /// The same, once.
    pub fn take_excused(&mut self, block: &Block) -> bool {
        let at = self.excused.iter().position(|excused| excused == block);
        at.and_then(|at| self.excused.remove(at)).is_some()
    }

    /// A block began to come `passed` after it was asked for.
    pub fn measured(&mut self, passed: Millis) {
        self.rtt = if self.rtt == 0 { passed } else { (7 * self.rtt + passed) / 8 };
    }

    /// Whether it serves us, but less than a block in five seconds: it gets a piece of its own.
    pub fn is_slow(&self) -> bool {
        self.received_bytes > 0 && self.down.per_second() < 16384 / 5
    }

    /// What it calls itself; safe to show.
    pub fn client(&self) -> String {
        if self.hello.client.is_empty() { shown_id(self.peer_id) } else { self.hello.client.clone() }
    }

    /// Whether it is known by the v2 hash.
    pub fn offers(&self) -> Offers {
        if self.by_v2 { Offers::V2 } else { Offers::V1 }
    }

    /// Whether a connection to this address would be a second one to the same peer.
    pub fn is_at(&self, address: &SocketAddr) -> bool {
        self.address == *address || self.dialled_address().as_ref() == Some(address)
    }

    /// Where it can be dialled, if that is known.
    pub fn dialled_address(&self) -> Option<SocketAddr> {
        match self.direction {
            Direction::Out => Some(self.address),
            Direction::In => self.hello.port.map(|port| SocketAddr::new(self.address.ip(), port)),
        }
    }

    /// The most blocks that may be on their way: what the peer queues, and what we dare.
    pub fn depth_max(&self) -> u32 {
        const WITHOUT_WORD: u32 = 250;
        const DARED: u32 = 1024;
        match self.hello.reqq {
            Some(reqq) => reqq.clamp(1, DARED),
            None if self.extended => WITHOUT_WORD,
            // A peer without extensions may be tiny: what the formula asks for, but not hundreds at once.
            None => WITHOUT_WORD,
        }
    }

    /// How long a request may take, from what the peer has done so far.
    pub fn patience(&self) -> Millis {
        const LEAST: Millis = 10_000;
        const MOST: Millis = 60_000;
        if !self.extended {
            return MOST;
        }
        let waiting = self.asked.len() as u64 * 16384;
        let expected = 1000 * waiting / self.down.per_second().max(1);
        (4 * expected).clamp(LEAST, MOST)
    }
}

/// The front of a peer id, where clients put their name and version.
fn shown_id(id: Option<PeerId>) -> String {
    let front = id.map(|id| id.0).unwrap_or_default();
    front.iter().take(8).map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }).collect()
}
