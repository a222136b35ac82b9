//! A UDP tracker client (BEP 15) that is many clients: announces in a closed loop or at a rate, and noise.
//!
//! A request is known by its transaction: the place it waits in, and how often that place was used before. What is
//! not answered within `ANSWER_MS_MAX` counts as lost. It polls instead of sleeping, so that the server never pays
//! for waking us.

use crate::population::{Population, address};
use crate::sys::UdpPort;
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};
use weightless::wire::passkey::PasskeyKey;
use weightless::wire::tracker_client::write_url_data;
use weightless::wire::udp_tracker::{action, parse_preamble, write_connect_request};

/// What happened since the last `take_tally`.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Announces answered with peers.
    pub answers: u64,
    /// Bytes of those answers.
    pub answer_bytes: u64,
    /// Announces answered with an error.
    pub errors: u64,
    /// Announces not answered in time.
    pub lost: u64,
    /// Datagrams that answer nothing of ours.
    pub strays: u64,
    /// The text of one error.
    pub error_text: Option<String>,
    /// Nanoseconds from when each request was due to its answer, if `Client::timed`.
    pub latencies_ns: Vec<u32>,
}

/// Why a peer announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A regular announce.
    None = 0,
    /// The first one.
    Started = 2,
}

/// A socket, the connection ids of its sources, and the requests under way.
pub struct Client {
    port: UdpPort,
    population: Population,
    peers_wanted: u32,
    /// What follows the announces of each user (BEP 41); nothing when peers have no passkeys.
    options: Vec<Vec<u8>>,
    ids: Vec<u64>,
    ids_from: Instant,
    /// The sources before this one have asked for an id since `ids_from`.
    ids_asked: u32,
    places: Vec<Place>,
    idle: Vec<u32>,
    timed: bool,
    tally: Tally,
    start: Instant,
    next_sweep_ns: u64,
}

#[derive(Clone, Copy, Default)]
struct Place {
    uses: u16,
    busy: bool,
    peer: u32,
    /// Since `Client::start`.
    due_ns: u64,
}

impl Client {
    /// Gets a connection id for each source. `window` requests can be under way at once.
    pub fn connect(
        server: SocketAddrV4,
        population: Population,
        window: u32,
        peers_wanted: u32,
    ) -> io::Result<Self> {
        let window = window.clamp(1, WINDOW_MAX);
        let mut client = Self {
            port: UdpPort::open(server)?,
            population,
            peers_wanted,
            options: Vec::new(),
            ids: vec![0; population.sources as usize],
            ids_from: Instant::now(),
            ids_asked: 0,
            places: vec![Place::default(); window as usize],
            idle: (0..window).rev().collect(),
            timed: false,
            tally: Tally::default(),
            start: Instant::now(),
            next_sweep_ns: 0,
        };
        for _ in 0..CONNECT_TRIES {
            client.connect_missing()?;
            if client.ids.iter().all(|id| *id != 0) {
                return Ok(client);
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to connect"))
    }

    /// From now on peers announce with passkeys of so many users, signed with `secret`, and report counters that grow.
    pub fn with_passkeys(mut self, secret: &str, users: u32) -> Self {
        let key = PasskeyKey::new(secret.as_bytes());
        let option = |user: u32| {
            let passkey = key.sign(&format!("user-{user}")).expect("a user id");
            let mut option = Vec::new();
            write_url_data(&mut option, format!("/announce/{passkey}").as_bytes());
            option
        };
        self.options = (0..users).map(option).collect();
        self
    }

    /// What happened since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Announces every peer once, again until it is answered. An error if that takes longer than `at_most`.
    pub fn fill(&mut self, at_most: Duration) -> io::Result<()> {
        let end = Instant::now() + at_most;
        let mut next = 0;
        let mut again: Vec<u32> = Vec::new();
        loop {
            let now = Instant::now();
            if now > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the fill takes too long"));
            }
            self.keep_ids_fresh(now)?;
            while !self.idle.is_empty() {
                let peer = match again.pop() {
                    Some(peer) => peer,
                    None if next < self.population.peers => {
                        next += 1;
                        next - 1
                    }
                    None => break,
                };
                self.announce(now, peer, Event::Started)?;
            }
            self.port.flush()?;
            self.receive()?;
            self.forget_overdue(now, &mut again);
            if next == self.population.peers && again.is_empty() && self.idle.len() == self.places.len() {
                return Ok(());
            }
        }
    }

    /// Announces peers chosen at random, the next as soon as one is answered.
    pub fn closed_loop(&mut self, chance: &mut fastrand::Rng, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut overdue = Vec::new();
        loop {
            let now = Instant::now();
            if now > end {
                return Ok(());
            }
            self.keep_ids_fresh(now)?;
            while !self.idle.is_empty() {
                let peer = chance.u32(..self.population.peers);
                self.announce(now, peer, Event::None)?;
            }
            self.port.flush()?;
            self.receive()?;
            self.forget_overdue(now, &mut overdue);
            overdue.clear();
        }
    }

    /// Announces peers chosen at random, `per_second` of them with exponential gaps, whatever the server does.
    /// Latencies count from when a request was due, so that a late generator does not flatter the server.
    pub fn fixed_rate(
        &mut self,
        chance: &mut fastrand::Rng,
        per_second: f64,
        duration: Duration,
    ) -> io::Result<()> {
        self.timed = true;
        let begin = self.start.elapsed().as_secs_f64();
        let end = begin + duration.as_secs_f64();
        let mut due = begin;
        let mut overdue = Vec::new();
        loop {
            let now = Instant::now();
            let elapsed = (now - self.start).as_secs_f64();
            if elapsed > end + f64::from(ANSWER_MS_MAX) / 1000.0 {
                break;
            }
            self.keep_ids_fresh(now)?;
            while due <= elapsed.min(end) {
                let peer = chance.u32(..self.population.peers);
                let due_at = self.start + Duration::from_secs_f64(due);
                if !self.announce(due_at, peer, Event::None)? {
                    self.tally.lost += 1;
                }
                due += -(1.0 - chance.f64()).ln() / per_second;
            }
            self.port.flush()?;
            self.receive()?;
            self.forget_overdue(now, &mut overdue);
            overdue.clear();
        }
        self.timed = false;
        Ok(())
    }

    /// Random bytes as fast as they go, half of them behind a header that looks like a request, and one announce in
    /// a thousand; the tally says how many of those were answered. Returns the datagrams of noise.
    pub fn flood(&mut self, chance: &mut fastrand::Rng, duration: Duration) -> io::Result<u64> {
        let end = Instant::now() + duration;
        let mut noise = 0;
        let mut overdue = Vec::new();
        loop {
            let now = Instant::now();
            if now > end {
                return Ok(noise);
            }
            self.keep_ids_fresh(now)?;
            if noise % 1000 < 16 {
                let peer = chance.u32(..self.population.peers);
                self.announce(now, peer, Event::None)?;
            }
            while !self.port.is_full() {
                let source = chance.u32(..self.population.sources);
                let id = self.ids[source as usize];
                self.port.push(address(source), |buffer| write_noise(buffer, chance, id));
                noise += 1;
            }
            self.port.flush()?;
            self.receive()?;
            self.forget_overdue(now, &mut overdue);
            overdue.clear();
        }
    }

    /// Queues an announce that was due at `due`; false if the window is full.
    fn announce(&mut self, due: Instant, peer: u32, event: Event) -> io::Result<bool> {
        let Some(at) = self.idle.pop() else { return Ok(false) };
        let place = &mut self.places[at as usize];
        place.uses = place.uses.wrapping_add(1) & USES_MASK;
        place.busy = true;
        place.peer = peer;
        place.due_ns = (due - self.start).as_nanos() as u64;
        let transaction = at | u32::from(place.uses) << PLACE_BITS;
        let source = self.population.source(peer);
        let id = self.ids[source as usize];
        let (population, wanted) = (&self.population, self.peers_wanted);
        let users = self.options.len().max(1);
        let options = self.options.get(peer as usize % users).map_or(&[][..], Vec::as_slice);
        let uploaded = if options.is_empty() { 0 } else { place.due_ns >> 10 };
        self.port.push(address(source), |buffer| {
            let packet: &mut [u8; 98] = buffer.first_chunk_mut().expect("datagrams are larger");
            write_announce(packet, id, transaction, population, peer, event, wanted);
            packet[72..80].copy_from_slice(&uploaded.to_be_bytes());
            let length = packet.len() + options.len();
            buffer[98..length].copy_from_slice(options);
            length
        });
        if self.port.is_full() {
            self.port.flush()?;
        }
        Ok(true)
    }

    fn receive(&mut self) -> io::Result<()> {
        let (places, idle, tally, ids) = (&mut self.places, &mut self.idle, &mut self.tally, &mut self.ids);
        let (timed, start) = (self.timed, self.start);
        let mut received_ns = None;
        self.port.receive(|datagram| {
            let Some((kind, transaction)) = answer_head(datagram) else {
                tally.strays += 1;
                return;
            };
            if transaction & CONNECT_BIT != 0 {
                let source = (transaction & !CONNECT_BIT) as usize;
                match (ids.get_mut(source), datagram.get(8..16)) {
                    (Some(id), Some(bytes)) if kind == action::CONNECT => {
                        *id = u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
                    }
                    _ => tally.strays += 1,
                }
                return;
            }
            let at = transaction & PLACE_MASK;
            let uses = (transaction >> PLACE_BITS) as u16;
            let Some(place) = places.get_mut(at as usize).filter(|place| place.busy && place.uses == uses)
            else {
                tally.strays += 1;
                return;
            };
            place.busy = false;
            idle.push(at);
            if kind != action::ANNOUNCE || datagram.len() < 20 {
                tally.errors += 1;
                let text = || String::from_utf8_lossy(datagram.get(8..).unwrap_or_default()).into_owned();
                tally.error_text.get_or_insert_with(text);
                return;
            }
            tally.answers += 1;
            tally.answer_bytes += datagram.len() as u64;
            if timed {
                // One look at the clock for the whole batch.
                let now_ns = *received_ns.get_or_insert_with(|| start.elapsed().as_nanos() as u64);
                let latency_ns = now_ns.saturating_sub(place.due_ns);
                tally.latencies_ns.push(u32::try_from(latency_ns).unwrap_or(u32::MAX));
            }
        })?;
        Ok(())
    }

    /// Frees the places whose answer is overdue; their peers go to `overdue`.
    fn forget_overdue(&mut self, now: Instant, overdue: &mut Vec<u32>) {
        let now_ns = (now - self.start).as_nanos() as u64;
        if now_ns < self.next_sweep_ns {
            return;
        }
        self.next_sweep_ns = now_ns + SWEEP_NS;
        for (at, place) in (0u32..).zip(&mut self.places) {
            if place.busy && now_ns > place.due_ns + u64::from(ANSWER_MS_MAX) * 1_000_000 {
                place.busy = false;
                self.idle.push(at);
                self.tally.lost += 1;
                overdue.push(place.peer);
            }
        }
    }

    /// Asks for new connection ids before the old ones end, a batch at a time (BEP 15: ours for one minute).
    fn keep_ids_fresh(&mut self, now: Instant) -> io::Result<()> {
        if now - self.ids_from < ID_AGE_MAX {
            return Ok(());
        }
        if self.ids_asked == self.population.sources {
            self.ids_from = now;
            self.ids_asked = 0;
            return Ok(());
        }
        if !self.port.is_full() {
            self.push_connect(self.ids_asked);
            self.ids_asked += 1;
        }
        if self.port.is_full() { self.port.flush() } else { Ok(()) }
    }

    fn connect_missing(&mut self) -> io::Result<()> {
        for source in 0..self.population.sources {
            if self.ids[source as usize] == 0 {
                self.push_connect(source);
            }
            if self.port.is_full() {
                self.port.flush()?;
                self.receive()?;
            }
        }
        self.port.flush()?;
        let end = Instant::now() + Duration::from_millis(u64::from(ANSWER_MS_MAX));
        while Instant::now() < end && self.ids.contains(&0) {
            self.receive()?;
        }
        Ok(())
    }

    fn push_connect(&mut self, source: u32) {
        let mut packet = Vec::with_capacity(16);
        write_connect_request(&mut packet, source | CONNECT_BIT);
        self.port.push(address(source), |buffer| {
            buffer[..packet.len()].copy_from_slice(&packet);
            packet.len()
        });
    }
}

/// Action and transaction of an answer.
fn answer_head(datagram: &[u8]) -> Option<(u32, u32)> {
    let word = |at: usize| Some(u32::from_be_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
    Some((word(0)?, word(4)?))
}

/// The 98 bytes of an announce (BEP 15).
fn write_announce(
    packet: &mut [u8; 98],
    id: u64,
    transaction: u32,
    population: &Population,
    peer: u32,
    event: Event,
    peers_wanted: u32,
) {
    packet[0..8].copy_from_slice(&id.to_be_bytes());
    packet[8..12].copy_from_slice(&action::ANNOUNCE.to_be_bytes());
    packet[12..16].copy_from_slice(&transaction.to_be_bytes());
    packet[16..36].copy_from_slice(&population.info_hash(peer));
    packet[36..56].copy_from_slice(&population.peer_id(peer));
    packet[56..64].fill(0);
    packet[64..72].copy_from_slice(&population.left(peer).to_be_bytes());
    packet[72..80].fill(0);
    packet[80..84].copy_from_slice(&(event as u32).to_be_bytes());
    packet[84..88].fill(0);
    packet[88..92].copy_from_slice(&peer.to_be_bytes());
    packet[92..96].copy_from_slice(&peers_wanted.to_be_bytes());
    packet[96..98].copy_from_slice(&population.port(peer).to_be_bytes());
}

/// Up to 300 random bytes; half of the time a connect's or a verified request's first bytes before them.
fn write_noise(buffer: &mut [u8], chance: &mut fastrand::Rng, id: u64) -> usize {
    let length = chance.usize(0..300);
    chance.fill(&mut buffer[..length]);
    if length >= 16 && chance.bool() {
        let id = if chance.bool() { id } else { weightless::wire::udp_tracker::PROTOCOL_ID };
        buffer[..8].copy_from_slice(&id.to_be_bytes());
        buffer[8..12].copy_from_slice(&chance.u32(0..5).to_be_bytes());
        // Not the transaction of a request of ours: no such place.
        buffer[12..16].copy_from_slice(&(CONNECT_BIT | !CONNECT_BIT).to_be_bytes());
        debug_assert!(parse_preamble(buffer).is_some());
    }
    length
}

/// An answer after this long is none.
const ANSWER_MS_MAX: u32 = 500;
const CONNECT_TRIES: u32 = 6;
const ID_AGE_MAX: Duration = Duration::from_secs(40);
/// Requests under way at most.
pub const WINDOW_MAX: u32 = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 17;
const PLACE_MASK: u32 = WINDOW_MAX - 1;
const USES_MASK: u16 = (1 << (31 - PLACE_BITS)) - 1;
const CONNECT_BIT: u32 = 1 << 31;
/// How often overdue answers are looked for.
const SWEEP_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use weightless::wire::announce;
    use weightless::wire::udp_tracker::parse_announce;

    #[test]
    fn an_announce_says_what_the_tracker_reads() {
        let population = Population::new(1000, 10, 0);
        let mut packet = [0xff; 98];
        write_announce(&mut packet, 7, 8, &population, 123, Event::Started, 30);
        let head = parse_preamble(&packet).unwrap();
        assert_eq!((head.connection_id, head.action, head.transaction), (7, action::ANNOUNCE, 8));
        let request = parse_announce(&packet).unwrap().request;
        assert_eq!(request.port, population.port(123));
        assert_eq!(request.peer_id.0, population.peer_id(123));
        assert_eq!(request.info_hash.key().0, population.info_hash(123));
        assert_eq!((request.uploaded, request.downloaded, request.left), (0, 0, Some(1)));
        assert_eq!((request.event, request.peers_wanted), (announce::Event::Started, Some(30)));
    }
}
