//! HTTP connections: what each one is doing, and until when it may.
//!
//! A connection that is answered and closed within one turn never gets a timer. One that stays has exactly one entry
//! in the queue of timers, put right lazily when it comes up: a busy connection costs nothing.

use super::health::HEALTH_MS;
use super::metrics::ApiRoute;
use super::reply::Framing;
use crate::base::limits::{REGISTER_BODY_BYTES_MAX, REGISTER_PEER_BODY_BYTES_MAX};
use crate::base::{Millis, UserId};
use crate::mailbox::Ticket;
use crate::tracker::counters::Kind;
use crate::wire::http1::Chunked;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, SocketAddr};

/// Names an open connection. Never used again while the shell still has the old one open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Conn(pub u32);

/// What the shell does next with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Read when there is something to read.
    Read,
    /// Do not read: an answer is being waited for.
    Wait,
    /// Write what there is, then close. After a bad request, read and drop a little first, so that the client gets to
    /// read the answer.
    Close {
        /// Whether bytes of the client may still be on their way.
        linger: bool,
    },
}

/// What a connection is in the middle of.
#[derive(Debug)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// A head has begun.
    Head,
    /// A body that is kept.
    Body(Upload),
    /// A body that is dropped.
    Skip(BodyLeft),
    /// A request waits for the store.
    Parked(Parked),
    /// Nothing more is read.
    Closing,
}

/// How much of a body is still to come.
#[derive(Debug)]
pub enum BodyLeft {
    /// So many bytes.
    Length(u64),
    /// Until the last chunk, and at most so many bytes.
    Chunked(Chunked, u64),
}

/// What a body is kept for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goal {
    /// An entry of the registry: the store's.
    Entry,
    /// A client that comes into a swarm.
    Peer(Registrant),
}

/// Who registers as a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registrant {
    /// Its address.
    pub ip: IpAddr,
    /// Whose passkey it has, where passkeys are in use.
    pub user: Option<UserId>,
}

impl Goal {
    /// The longest body.
    pub fn bytes_max(self) -> u64 {
        match self {
            Self::Entry => REGISTER_BODY_BYTES_MAX,
            Self::Peer(_) => REGISTER_PEER_BODY_BYTES_MAX,
        }
    }

    /// How its request is counted.
    pub fn kind(self) -> Kind {
        match self {
            Self::Entry => Kind::Api,
            Self::Peer(_) => Kind::RegisterPeer,
        }
    }
}

/// A body on its way in.
#[derive(Debug)]
pub struct Upload {
    /// What for.
    pub goal: Goal,
    /// What is still to come.
    pub left: BodyLeft,
    /// What has come.
    pub bytes: Vec<u8>,
    /// How to frame the answer.
    pub framing: Framing,
    /// When it must be complete.
    pub complete_by: Millis,
    /// Under which it will be registered.
    pub ticket: Ticket,
    /// Whether it goes to the store in parts.
    pub is_large: bool,
    /// It is not read, because there is no room for more of it.
    pub waits_for_room: bool,
}

/// A request that waits.
#[derive(Debug)]
pub struct Parked {
    /// Its number.
    pub serial: u64,
    /// How to frame the answer.
    pub framing: Framing,
    /// A body that nobody wants, to be dropped before the next request.
    pub body: Option<BodyLeft>,
    /// What for.
    pub waits_for: WaitsFor,
    /// Since when.
    pub since: Millis,
}

/// What a request waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitsFor {
    /// An answer of the store to a request on this route.
    Answer(ApiRoute),
    /// A sign of life of the store.
    Ping,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// Who is at the other end of the socket.
    pub peer: SocketAddr,
    /// What it is doing.
    pub phase: Phase,
    /// Bytes that have come and not been used: part of a head, or pipelined requests behind a parked one.
    pub input: Vec<u8>,
    /// Bytes the socket has not taken yet.
    pub output: Vec<u8>,
    /// What follows `output`: the body of a long answer, as the store made it.
    pub tail: Vec<u8>,
    /// How many bytes of both have been written.
    pub written: usize,
    /// Pipelined requests wait in `input` until the answers before them have been taken.
    pub is_held_back: bool,
    /// When it will be closed if nothing happens.
    pub deadline: Millis,
    /// When its entry in the queue of timers comes up, if it has one: never later than the deadline. Any other entry
    /// of it is void.
    timed: Option<Millis>,
    /// Tells this connection from earlier ones of the same number.
    generation: u32,
}

impl Session {
    /// Whether an entry in the queue of timers is this connection's.
    fn is_timed(&self, at: Millis, generation: u32) -> bool {
        self.generation == generation && self.timed == Some(at)
    }

    /// Whether it is in the middle of this upload, and not read for want of room.
    pub fn waits_for_room(&self, ticket: Ticket) -> bool {
        matches!(&self.phase, Phase::Body(upload) if upload.ticket == ticket && upload.waits_for_room)
    }

    /// Whether something is still to be written.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty() || !self.tail.is_empty()
    }

    /// The deadline of what the connection begins to do now.
    pub fn fresh_deadline(&self, now: Millis) -> Millis {
        match &self.phase {
            Phase::Head => now + HEAD_MS,
            Phase::Idle => now + IDLE_MS,
            Phase::Body(upload) if upload.waits_for_room => upload.complete_by,
            Phase::Body(upload) => (now + BODY_MS).min(upload.complete_by),
            Phase::Skip(_) => now + BODY_MS,
            Phase::Parked(Parked { waits_for: WaitsFor::Ping, .. }) => now + HEALTH_MS,
            Phase::Parked(_) => now + PARKED_MS,
            Phase::Closing => now + LINGER_MS,
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Sessions {
    slots: Vec<Option<Session>>,
    free: Vec<u32>,
    /// Generations ever given out.
    generations: u32,
    /// Requests ever parked.
    serials: u64,
    timers: BinaryHeap<Reverse<(Millis, u32, u32)>>,
    /// Connections with something to write since the shell last asked.
    pub ready: Vec<Conn>,
    open: u32,
}

impl Sessions {
    /// Adds a connection.
    pub fn open(&mut self, peer: SocketAddr, deadline: Millis) -> Conn {
        self.generations = self.generations.wrapping_add(1);
        let session = Session {
            peer,
            phase: Phase::Head,
            input: Vec::new(),
            output: Vec::new(),
            tail: Vec::new(),
            written: 0,
            is_held_back: false,
            deadline,
            timed: None,
            generation: self.generations,
        };
        self.open += 1;
        match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = Some(session);
                Conn(at)
            }
            None => {
                self.slots.push(Some(session));
                Conn(self.slots.len() as u32 - 1)
            }
        }
    }

    /// Forgets a connection.
    pub fn close(&mut self, conn: Conn) {
        if self.slots.get_mut(conn.0 as usize).and_then(Option::take).is_none() {
            return;
        }
        self.open -= 1;
        self.free.push(conn.0);
        if self.open == 0 {
            // All timers are of connections that are gone.
            self.timers.clear();
        }
    }

    /// One connection.
    pub fn get(&mut self, conn: Conn) -> Option<&mut Session> {
        self.slots.get_mut(conn.0 as usize)?.as_mut()
    }

    /// The connection whose request waits under this ticket, if it still does.
    pub fn parked(&mut self, ticket: Ticket) -> Option<&mut Session> {
        let session = self.get(Conn(ticket.connection))?;
        matches!(&session.phase, Phase::Parked(parked) if parked.serial == ticket.serial).then_some(session)
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.open
    }

    /// Every connection.
    pub fn all(&self) -> impl Iterator<Item = (Conn, &Session)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| slot.as_ref().map(|session| (Conn(at as u32), session)))
    }

    /// A ticket for a request of this connection that is to wait.
    pub fn ticket(&mut self, conn: Conn) -> Ticket {
        self.serials += 1;
        Ticket { connection: conn.0, serial: self.serials }
    }

    /// The connection stays open beyond this turn: from now on its deadline is watched.
    pub fn stay(&mut self, conn: Conn) {
        let Some(session) = self.slots.get_mut(conn.0 as usize).and_then(Option::as_mut) else { return };
        if session.timed.is_none() {
            session.timed = Some(session.deadline);
            self.timers.push(Reverse((session.deadline, conn.0, session.generation)));
        }
    }

    /// Sets when a connection will be closed if nothing happens.
    pub fn set_deadline(&mut self, conn: Conn, deadline: Millis) {
        let Some(session) = self.slots.get_mut(conn.0 as usize).and_then(Option::as_mut) else { return };
        session.deadline = deadline;
        // A deadline that moves back is put right when its entry comes up; one that moves forward would be missed.
        if session.timed.is_some_and(|at| deadline < at) {
            session.timed = Some(deadline);
            self.timers.push(Reverse((deadline, conn.0, session.generation)));
        }
    }

    /// When the first timer comes up. A deadline that has moved is found out then.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next connection whose deadline has passed.
    pub fn overdue(&mut self, now: Millis) -> Option<Conn> {
        while let Some(Reverse((at, number, generation))) = self.timers.peek().copied() {
            if at > now {
                return None;
            }
            self.timers.pop();
            let slot = self.slots.get_mut(number as usize).and_then(Option::as_mut);
            let Some(session) = slot.filter(|session| session.is_timed(at, generation)) else { continue };
            if session.deadline > now {
                session.timed = Some(session.deadline);
                self.timers.push(Reverse((session.deadline, number, generation)));
                continue;
            }
            session.timed = None;
            return Some(Conn(number));
        }
        None
    }

    /// A connection to close so that a new one can stay: one of those that have been idle longest, else one whose head
    /// has been on its way for a while. Looks at a few only, so that a full house does not make every newcomer
    /// expensive.
    pub fn least_wanted(&mut self, now: Millis) -> Option<Conn> {
        let mut seen = Vec::new();
        let (mut idle, mut slow) = (None, None);
        while let Some(Reverse((at, number, generation))) = self.timers.pop() {
            let slot = self.slots.get_mut(number as usize).and_then(Option::as_mut);
            let Some(session) = slot.filter(|session| session.is_timed(at, generation)) else { continue };
            session.timed = Some(session.deadline);
            seen.push(Reverse((session.deadline, number, generation)));
            match session.phase {
                _ if session.has_output() => {}
                Phase::Idle => idle = Some(Conn(number)),
                Phase::Head if session.deadline + SLOW_HEAD_MS <= now + HEAD_MS => {
                    slow = slow.or(Some(Conn(number)));
                }
                _ => {}
            }
            if idle.is_some() || seen.len() >= IDLE_LOOK_MAX {
                break;
            }
        }
        self.timers.extend(seen);
        idle.or(slow)
    }
}

/// Timers looked at to find an idle connection.
const IDLE_LOOK_MAX: usize = 32;

/// A head that has been on its way for this long may have to make room.
const SLOW_HEAD_MS: Millis = 1_000;
/// Time for a head, from its first byte or from the connection's beginning.
pub const HEAD_MS: Millis = 10_000;
/// Time between requests.
pub const IDLE_MS: Millis = 20_000;
/// Time without a byte of a body.
pub const BODY_MS: Millis = 30_000;
/// Time for a whole body.
pub const BODY_TOTAL_MS: Millis = 600_000;
/// Time without a byte of an answer being taken.
pub const WRITE_MS: Millis = 20_000;
/// Time to read and drop what a refused client is still sending.
pub const LINGER_MS: Millis = 1_000;
/// Time the store may take for an answer.
pub const PARKED_MS: Millis = 60_000;
