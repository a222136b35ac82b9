//! The HTTP generator (BEP 3): a closed loop over connections that are kept, or with one connection for each request.

use crate::account::Usage;
use crate::peers::{self, Peers, SOURCES};
use crate::report::Outcome;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// A tracker to load over HTTP.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is.
    pub address: SocketAddrV4,
    /// The path of announces.
    pub path: String,
    /// Its process, if it is to be accounted for.
    pub pid: Option<u32>,
    /// Peers asked for.
    pub peers_wanted: u32,
}

/// What happens to a connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// The next request goes over it.
    Alive,
    /// It is closed by the server and another is made.
    Close,
}

/// What the connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Every peer announces once.
    Fill,
    /// Peers that are there announce again, for so long.
    Announce(Duration),
    /// Random bytes, for so long.
    Flood(Duration),
}

/// One place for a connection. It keeps its source address for ever, and announces only peers at that address.
struct Lane {
    fd: Option<OwnedFd>,
    source: u32,
    /// Peers of this source that have announced, in a fill.
    sequence: u32,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    begun: Instant,
}

/// Runs a closed loop over `connections` connections at a time.
pub fn run(
    target: &Target,
    peers: Peers,
    work: Work,
    keep: Keep,
    connections: usize,
    seed: u64,
) -> io::Result<Outcome> {
    if !target.address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only loopback may be loaded"));
    }
    // In a fill every source needs a lane of its own, or its peers would not announce.
    let lanes = if work == Work::Fill { SOURCES as usize } else { connections.clamp(1, CONNECTIONS_MAX) };
    let usage = || target.pid.map(Usage::of).transpose();
    let mut load = Load {
        target,
        peers,
        work,
        keep,
        poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        lanes: (0..lanes).map(|at| Lane::new(at as u32 % SOURCES)).collect(),
        rng: fastrand::Rng::with_seed(seed),
        outcome: Outcome::default(),
        open: true,
    };
    let before = usage()?;
    let begun = Instant::now();
    let deadline = begun
        + match work {
            Work::Fill => crate::udp::LASTS_MAX,
            Work::Announce(lasts) | Work::Flood(lasts) => lasts.min(crate::udp::LASTS_MAX),
        };
    load.work(deadline)?;
    load.outcome.took = begun.elapsed();
    load.outcome.usage = before.zip(usage()?);
    Ok(load.outcome)
}

struct Load<'a> {
    target: &'a Target,
    peers: Peers,
    work: Work,
    keep: Keep,
    poll: OwnedFd,
    lanes: Vec<Lane>,
    rng: fastrand::Rng,
    outcome: Outcome,
    /// Whether new requests are made.
    open: bool,
}

/// How far a lane has come.
enum Progress {
    /// It waits for its socket.
    Waits,
    /// The answer is complete.
    Answered,
    /// The connection broke.
    Broken,
}

impl Load<'_> {
    fn work(&mut self, deadline: Instant) -> io::Result<()> {
        for at in 0..self.lanes.len() {
            self.begin(at)?;
        }
        let mut events = Vec::with_capacity(1024);
        let mut swept = Instant::now();
        while self.lanes.iter().any(|lane| lane.fd.is_some()) {
            events.clear();
            // No sleep: waking the generator would be charged to the server.
            let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&at_once)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                self.progress(event.data.u64() as usize)?;
            }
            let now = Instant::now();
            self.open &= now < deadline;
            if now - swept > Duration::from_millis(500) {
                swept = now;
                self.give_up(now)?;
            }
        }
        Ok(())
    }

    /// Connections that have waited too long are lost.
    fn give_up(&mut self, now: Instant) -> io::Result<()> {
        for at in 0..self.lanes.len() {
            if self.lanes[at].fd.is_some() && now - self.lanes[at].begun > LOST_AFTER {
                self.outcome.lost += 1;
                self.lanes[at].fd = None;
                self.begin(at)?;
            }
        }
        Ok(())
    }

    /// Makes the next request of a lane, over its connection or a new one.
    fn begin(&mut self, at: usize) -> io::Result<()> {
        if !self.write_request(at) {
            self.lanes[at].fd = None;
            return Ok(());
        }
        if self.lanes[at].fd.is_none() {
            let fd = self.connect(self.lanes[at].source)?;
            epoll::add(&self.poll, &fd, EventData::new_u64(at as u64), EventFlags::IN)?;
            self.lanes[at].fd = Some(fd);
        }
        self.progress(at)
    }

    fn progress(&mut self, at: usize) -> io::Result<()> {
        match self.lanes[at].progress(&self.poll, at, self.work)? {
            Progress::Waits => return Ok(()),
            Progress::Broken => {
                // Random bytes are answered, if at all, and closed: that is what is expected.
                if !matches!(self.work, Work::Flood(_)) {
                    self.outcome.lost += 1;
                }
                self.lanes[at].fd = None;
            }
            Progress::Answered => {
                let answer = &self.lanes[at].answer;
                self.outcome.answer_bytes += answer.len() as u64;
                let ok = answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200");
                let failed = !ok || answer.windows(14).any(|window| window == b"failure reason");
                *(if failed { &mut self.outcome.errors } else { &mut self.outcome.answers }) += 1;
                if self.keep == Keep::Close {
                    self.lanes[at].fd = None;
                }
            }
        }
        self.begin(at)
    }

    /// False: there is nothing more to ask.
    fn write_request(&mut self, at: usize) -> bool {
        let lane = &mut self.lanes[at];
        lane.begun = Instant::now();
        lane.sent = 0;
        lane.answer.clear();
        lane.request.clear();
        if !self.open {
            return false;
        }
        let peer = match self.work {
            Work::Fill => {
                let peer = u64::from(lane.sequence) * u64::from(SOURCES) + u64::from(lane.source);
                lane.sequence += 1;
                if peer >= u64::from(self.peers.count) {
                    return false;
                }
                peer as u32
            }
            Work::Announce(_) => self.peers.leecher_at(lane.source, &mut self.rng),
            Work::Flood(_) => {
                lane.request.resize(self.rng.usize(1..2000), 0);
                self.rng.fill(&mut lane.request);
                return true;
            }
        };
        write_announce(&mut lane.request, self.target, self.peers, peer, self.keep);
        true
    }

    fn connect(&self, source: u32) -> io::Result<OwnedFd> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&fd, &SocketAddrV4::new(peers::source_ip(source), 0))?;
        match rustix::net::connect(&fd, &self.target.address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
            Err(error) => Err(error.into()),
        }
    }
}

impl Lane {
    fn new(source: u32) -> Self {
        let (request, answer) = (Vec::with_capacity(2048), Vec::with_capacity(4096));
        Self { fd: None, source, sequence: 0, request, sent: 0, answer, begun: Instant::now() }
    }

    fn progress(&mut self, poll: &OwnedFd, at: usize, work: Work) -> io::Result<Progress> {
        let Some(fd) = &self.fd else { return Ok(Progress::Waits) };
        if self.sent < self.request.len() {
            let waited = self.sent > 0;
            match rustix::net::send(fd, &self.request[self.sent..], SendFlags::NOSIGNAL) {
                Ok(bytes) => self.sent += bytes,
                Err(Errno::AGAIN | Errno::NOTCONN) => {}
                Err(_) => return Ok(Progress::Broken),
            }
            let wanted = if self.sent < self.request.len() {
                EventFlags::IN | EventFlags::OUT
            } else {
                EventFlags::IN
            };
            if waited || wanted != EventFlags::IN {
                epoll::modify(poll, fd, EventData::new_u64(at as u64), wanted)?;
            }
            // The answer cannot be there yet.
            return Ok(Progress::Waits);
        }
        let mut bytes = [0u8; 8192];
        match rustix::io::read(fd, &mut bytes) {
            Ok(0) if self.answer.is_empty() => Ok(Progress::Broken),
            Ok(0) => {
                Ok(if is_complete(&self.answer).is_some() { Progress::Answered } else { Progress::Broken })
            }
            Ok(count) => {
                self.answer.extend_from_slice(&bytes[..count]);
                let random = matches!(work, Work::Flood(_));
                Ok(if !random && is_complete(&self.answer) == Some(true) {
                    Progress::Answered
                } else {
                    Progress::Waits
                })
            }
            Err(Errno::AGAIN | Errno::NOTCONN) => Ok(Progress::Waits),
            Err(_) => Ok(Progress::Broken),
        }
    }
}

/// Whether an answer is all there; `None` when it does not say how long it is.
fn is_complete(answer: &[u8]) -> Option<bool> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let lower = answer[..head].to_ascii_lowercase();
    let name = b"content-length:";
    let at = lower.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = lower[at..].iter().copied().skip_while(|byte| *byte == b' ').take_while(u8::is_ascii_digit);
    let length = digits.fold(0usize, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0').into()));
    Some(answer.len() - head >= length)
}

fn write_announce(out: &mut Vec<u8>, target: &Target, peers: Peers, peer: u32, keep: Keep) {
    let left = if peers.is_leecher(peer) { 1 << 30 } else { 0 };
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.path.as_bytes());
    out.extend_from_slice(b"?info_hash=");
    escape(out, &peers::info_hash(peers.torrent(peer)));
    out.extend_from_slice(b"&peer_id=");
    escape(out, &peers::peer_id(peer));
    let (port, wanted, address) = (peers::port(peer), target.peers_wanted, target.address);
    let tail = format!(
        "&port={port}&uploaded=0&downloaded=0&left={left}&compact=1&numwant={wanted} HTTP/1.1\r\nHost: {address}\r\n"
    );
    out.extend_from_slice(tail.as_bytes());
    let connection = if keep == Keep::Close { "Connection: close\r\n" } else { "Connection: keep-alive\r\n" };
    let _ = out.write_all(connection.as_bytes());
    out.extend_from_slice(b"User-Agent: weightless-bench/0.1\r\n\r\n");
}

/// As clients write it: what is unreserved stays.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            _ => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
/// Connections at a time at most.
const CONNECTIONS_MAX: usize = 20_000;
/// A request without an answer for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
