//! The UDP generator (BEP 15): a closed loop with a fixed number of requests under way, and random bytes.
//!
//! It never sleeps while a server has answers to give, so that no answer pays for waking it.

use crate::account::Usage;
use crate::batch::{BATCH, BUFFER_BYTES, Batch};
use crate::peers::{self, Peers, SOURCES};
use crate::report::Outcome;
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// A tracker to load, and a connection id of it for every source address.
pub struct Target {
    /// Where it is.
    pub address: SocketAddrV4,
    /// Its process, if it is to be accounted for.
    pub pid: Option<u32>,
    /// Peers asked for in each announce.
    pub peers_wanted: u32,
    pub(crate) batch: Batch,
    pub(crate) ids: Vec<Option<u64>>,
    ids_since: Instant,
}

/// What a closed loop does.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Connects only, for so long.
    Connect(Duration),
    /// Every peer announces once.
    Fill,
    /// Peers that are there announce again, for so long.
    Announce(Duration),
}

/// One place in the window.
#[derive(Clone, Copy)]
struct Slot {
    peer: u32,
    generation: u32,
    pending: bool,
}

impl Target {
    /// A tracker that is not connected to yet.
    pub fn new(address: SocketAddrV4, pid: Option<u32>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only loopback may be loaded"));
        }
        let ids = vec![None; SOURCES as usize];
        Ok(Self { address, pid, peers_wanted: 30, batch: Batch::new()?, ids, ids_since: Instant::now() })
    }

    /// What its process has used so far.
    pub fn usage(&self) -> io::Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }

    /// Gets a fresh connection id for every source address.
    pub fn connect(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        self.ids.fill(None);
        loop {
            let missing: Vec<u32> = (0..SOURCES).filter(|at| self.ids[*at as usize].is_none()).collect();
            if missing.is_empty() {
                self.ids_since = Instant::now();
                return Ok(());
            }
            if begun.elapsed() > CONNECT_WITHIN {
                let text = format!("{} of {SOURCES} connects were not answered", missing.len());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            for chunk in missing.chunks(BATCH) {
                for &source in chunk {
                    self.batch.queue(peers::source_ip(source), |buffer| connect_request(buffer, source));
                }
                self.batch.send(self.address)?;
                let (sent, ids) = (Instant::now(), &mut self.ids);
                while sent.elapsed() < Duration::from_millis(5) {
                    self.batch.receive(|answer| {
                        if let Some((CONNECT, source, rest)) = split(answer)
                            && let (Some(id), Some(known)) =
                                (rest.first_chunk(), ids.get_mut(source as usize))
                        {
                            *known = Some(u64::from_be_bytes(*id));
                        }
                    })?;
                }
            }
        }
    }

    /// Whether an announce of this peer, and its leaving, are answered properly.
    pub fn is_served(&mut self, peers: Peers, peer: u32) -> io::Result<bool> {
        self.connect()?;
        let source = peers::source(peer);
        let id = self.ids[source as usize].unwrap_or_default();
        let mut served = true;
        for event in [2u32, 3] {
            self.batch.queue(peers::source_ip(source), |buffer| {
                let announce = Announce { peers, peer, wanted: self.peers_wanted };
                let length = announce.write(buffer, id, event);
                buffer[80..84].copy_from_slice(&event.to_be_bytes());
                length
            });
            self.batch.send(self.address)?;
            let (sent, mut answered) = (Instant::now(), false);
            while !answered && sent.elapsed() < LOST_AFTER {
                self.batch.receive(|answer| {
                    answered |= split(answer)
                        .is_some_and(|(action, transaction, _)| (action, transaction) == (ANNOUNCE, event));
                })?;
            }
            served &= answered;
        }
        Ok(served)
    }

    /// Runs a closed loop of `window` requests.
    pub fn run(&mut self, peers: Peers, work: Work, window: usize, seed: u64) -> io::Result<Outcome> {
        self.connect()?;
        let window = window.clamp(1, WINDOW_MAX);
        let mut slots = vec![Slot { peer: 0, generation: 0, pending: false }; window];
        let mut free: Vec<u32> = (0..window as u32).collect();
        let mut again: Vec<u32> = Vec::new();
        let mut next = Feed { peers, work, sequence: 0, rng: fastrand::Rng::with_seed(seed) };
        let mut outcome = Outcome::default();
        let before = self.usage()?;
        let begun = Instant::now();
        let deadline = begun + next.lasts();
        let mut heard = begun;
        let mut now = begun;
        loop {
            let open = now < deadline;
            let mut received = self.receive(&mut slots, &mut free, &mut outcome)?;
            // Only so often that the clock costs nothing, and in any case when there is nothing else to do.
            while received > 0 && free.len() < window.div_ceil(4) {
                let more = self.receive(&mut slots, &mut free, &mut outcome)?;
                if more == 0 {
                    break;
                }
                received += more;
            }
            now = Instant::now();
            if received > 0 {
                heard = now;
            } else if now - heard > LOST_AFTER {
                for (at, slot) in slots.iter_mut().enumerate().filter(|(_, slot)| slot.pending) {
                    slot.pending = false;
                    outcome.lost += 1;
                    free.push(at as u32);
                    if matches!(work, Work::Fill) {
                        again.push(slot.peer);
                    }
                }
                heard = now;
            }
            if open && self.ids_since.elapsed() > IDS_LAST && free.len() == window {
                self.connect()?;
            }
            let pause = self.ids_since.elapsed() > IDS_LAST;
            while open && !pause && self.batch.queued() < BATCH {
                let Some(at) = free.pop() else { break };
                let Some(peer) = again.pop().or_else(|| next.peer()) else {
                    free.push(at);
                    break;
                };
                let slot = &mut slots[at as usize];
                *slot = Slot { peer, generation: (slot.generation + 1) & 0xffff, pending: true };
                let transaction = slot.generation << 16 | at;
                self.queue(peers, work, peer, transaction);
            }
            if self.batch.queued() > 0 {
                self.batch.send(self.address)?;
            } else if free.len() == window && !(open && pause) {
                break;
            }
        }
        outcome.took = begun.elapsed();
        outcome.usage = before.zip(self.usage()?);
        Ok(outcome)
    }

    fn receive(
        &mut self,
        slots: &mut [Slot],
        free: &mut Vec<u32>,
        outcome: &mut Outcome,
    ) -> io::Result<usize> {
        self.batch.receive(|answer| {
            let Some((action, transaction, _)) = split(answer) else { return };
            let at = transaction & 0xffff;
            let Some(slot) = slots.get_mut(at as usize) else { return };
            // A late answer to a request that was given up counts as lost and nothing else.
            if !slot.pending || slot.generation != transaction >> 16 {
                return;
            }
            slot.pending = false;
            free.push(at);
            outcome.answer_bytes += answer.len() as u64;
            match action {
                CONNECT | ANNOUNCE => outcome.answers += 1,
                _ => outcome.errors += 1,
            }
        })
    }

    fn queue(&mut self, peers: Peers, work: Work, peer: u32, transaction: u32) {
        let source = peers::source(peer);
        let ip = peers::source_ip(source);
        if matches!(work, Work::Connect(_)) {
            return self.batch.queue(ip, |buffer| connect_request(buffer, transaction));
        }
        let announce = Announce { peers, peer, wanted: self.peers_wanted };
        let id = self.ids[source as usize].unwrap_or_default();
        self.batch.queue(ip, |buffer| announce.write(buffer, id, transaction));
    }

    /// Sends random datagrams for so long, as fast as it goes, and reads what comes back; `answers` counts that.
    /// `lost` counts proper connects, ten a second, that were not answered within a second.
    pub fn flood(&mut self, lasts: Duration, seed: u64) -> io::Result<(u64, Outcome)> {
        let lasts = lasts.min(LASTS_MAX);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut probe = Probe::new(self.address)?;
        let mut outcome = Outcome::default();
        let before = self.usage()?;
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < lasts {
            for _ in 0..FLOOD_BATCH {
                let source = peers::source_ip(rng.u32(..SOURCES));
                let length = rng.usize(..1400);
                self.batch.queue(source, |buffer| {
                    rng.fill(&mut buffer[..length]);
                    length
                });
            }
            self.batch.send(self.address)?;
            sent += FLOOD_BATCH;
            while self.batch.receive(|answer| {
                outcome.answers += 1;
                outcome.answer_bytes += answer.len() as u64;
            })? > 0
            {}
            probe.turn()?;
        }
        outcome.lost = probe.finish()?;
        outcome.took = begun.elapsed();
        outcome.usage = before.zip(self.usage()?);
        Ok((sent, outcome))
    }
}

/// The peers of a loop, in the order in which they announce.
struct Feed {
    peers: Peers,
    work: Work,
    sequence: u32,
    rng: fastrand::Rng,
}

impl Feed {
    fn lasts(&self) -> Duration {
        match self.work {
            Work::Fill => LASTS_MAX,
            Work::Connect(lasts) | Work::Announce(lasts) => lasts.min(LASTS_MAX),
        }
    }

    fn peer(&mut self) -> Option<u32> {
        match self.work {
            Work::Fill => {
                let peer = self.sequence;
                self.sequence += 1;
                (peer < self.peers.count).then_some(peer)
            }
            Work::Connect(_) => Some(self.rng.u32(..SOURCES)),
            Work::Announce(_) => Some(self.peers.leecher(&mut self.rng)),
        }
    }
}

/// One announce.
pub(crate) struct Announce {
    pub peers: Peers,
    pub peer: u32,
    pub wanted: u32,
}

impl Announce {
    /// Writes its 98 bytes.
    pub fn write(&self, buffer: &mut [u8; BUFFER_BYTES], id: u64, transaction: u32) -> usize {
        let (peers, peer) = (self.peers, self.peer);
        let left = if peers.is_leecher(peer) { 1u64 << 30 } else { 0 };
        buffer[..8].copy_from_slice(&id.to_be_bytes());
        buffer[8..12].copy_from_slice(&ANNOUNCE.to_be_bytes());
        buffer[12..16].copy_from_slice(&transaction.to_be_bytes());
        buffer[16..36].copy_from_slice(&peers::info_hash(peers.torrent(peer)));
        buffer[36..56].copy_from_slice(&peers::peer_id(peer));
        buffer[56..98].fill(0);
        buffer[64..72].copy_from_slice(&left.to_be_bytes());
        buffer[88..92].copy_from_slice(&peer.to_be_bytes());
        buffer[92..96].copy_from_slice(&self.wanted.to_be_bytes());
        buffer[96..98].copy_from_slice(&peers::port(peer).to_be_bytes());
        98
    }
}

/// An ordinary client during a flood: a connect every tenth of a second.
struct Probe {
    socket: std::net::UdpSocket,
    sent: Instant,
    sent_count: u64,
    answered: u64,
}

impl Probe {
    fn new(to: SocketAddrV4) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, sent: Instant::now(), sent_count: 0, answered: 0 })
    }

    fn turn(&mut self) -> io::Result<()> {
        if self.sent.elapsed() >= Duration::from_millis(100) {
            let mut buffer = [0; BUFFER_BYTES];
            let length = connect_request(&mut buffer, self.sent_count as u32);
            let _ = self.socket.send(&buffer[..length]);
            self.sent = Instant::now();
            self.sent_count += 1;
        }
        let mut answer = [0; 64];
        while self.socket.recv(&mut answer).is_ok() {
            self.answered += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<u64> {
        std::thread::sleep(Duration::from_secs(1));
        self.sent = Instant::now();
        self.turn()?;
        Ok(self.sent_count.saturating_sub(self.answered))
    }
}

fn connect_request(buffer: &mut [u8; BUFFER_BYTES], transaction: u32) -> usize {
    buffer[..8].copy_from_slice(&PROTOCOL_ID.to_be_bytes());
    buffer[8..12].copy_from_slice(&CONNECT.to_be_bytes());
    buffer[12..16].copy_from_slice(&transaction.to_be_bytes());
    16
}

/// Action, transaction and the rest of an answer.
pub(crate) fn split(answer: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (action, rest) = answer.split_first_chunk()?;
    let (transaction, rest) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*action), u32::from_be_bytes(*transaction), rest))
}

const PROTOCOL_ID: u64 = 0x0417_2710_1980;
const CONNECT: u32 = 0;
pub(crate) const ANNOUNCE: u32 = 1;
/// Requests under way at most: as many as a transaction id tells apart, besides generations.
const WINDOW_MAX: usize = 32_768;
/// Nothing heard for so long: what is under way is lost.
const LOST_AFTER: Duration = Duration::from_millis(250);
/// Connection ids are renewed before a server forgets them.
const IDS_LAST: Duration = Duration::from_secs(55);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// No run lasts longer than this.
pub const LASTS_MAX: Duration = Duration::from_secs(600);
const FLOOD_BATCH: u64 = 64;
