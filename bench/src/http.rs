//! An HTTP tracker client (BEP 3, BEP 23) that is many clients: announces over connections kept alive, or over one
//! connection each, always with as many under way.
//!
//! Each connection has a source address of its own choosing and announces the peers of that source. It polls instead
//! of sleeping, so that the server never pays for waking us.

use crate::population::{Population, address};
use crate::sys::{Epoll, Trigger, bind_without_port};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How long a connection lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connections {
    /// For as many announces as the server lets it.
    KeptAlive,
    /// For one announce; we ask for `Connection: close` and wait for the server to do so.
    OneEach,
}

/// What happened since the last `take_tally`.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Announces answered with status 200 and no failure reason.
    pub answers: u64,
    /// Bytes of those answers, heads included.
    pub answer_bytes: u64,
    /// Other answers.
    pub errors: u64,
    /// Announces whose connection broke or stood still. A server that ends a connection between two announces
    /// loses none: a client would just connect again.
    pub lost: u64,
    /// Connections opened.
    pub connections: u64,
    /// The beginning of one error.
    pub error_text: Option<String>,
}

/// The connections.
pub struct Client {
    server: SockAddr,
    host: String,
    population: Population,
    peers_wanted: u32,
    mode: Connections,
    epoll: Epoll,
    places: Vec<Place>,
    next_source: u32,
    tally: Tally,
}

struct Place {
    stream: Option<TcpStream>,
    source: u32,
    /// Whether this connection has had an answer.
    reused: bool,
    request: Vec<u8>,
    written: usize,
    answer: Vec<u8>,
    began: Instant,
}

/// What became of a connection after it was looked at.
enum Step {
    Wait,
    Answered,
    Broken,
}

impl Client {
    /// `connections` of them, none opened yet.
    pub fn new(
        server: SocketAddrV4,
        population: Population,
        connections: u32,
        peers_wanted: u32,
        mode: Connections,
    ) -> io::Result<Self> {
        let place = || Place {
            stream: None,
            source: 0,
            reused: false,
            request: Vec::new(),
            written: 0,
            answer: Vec::new(),
            began: Instant::now(),
        };
        Ok(Self {
            server: server.into(),
            host: server.to_string(),
            population,
            peers_wanted,
            mode,
            epoll: Epoll::new()?,
            places: (0..connections.clamp(1, CONNECTIONS_MAX)).map(|_| place()).collect(),
            next_source: 0,
            tally: Tally::default(),
        })
    }

    /// What happened since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Announces peers chosen at random, the next as soon as one is answered.
    pub fn closed_loop(&mut self, chance: &mut fastrand::Rng, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut next_sweep = Instant::now();
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            if now > end {
                return Ok(());
            }
            if now >= next_sweep {
                next_sweep = now + Duration::from_millis(20);
                self.sweep(now, chance)?;
            }
            ready.extend(self.epoll.wait(0)?);
            for token in ready.drain(..) {
                self.look(token as usize, chance)?;
            }
        }
    }

    /// Opens what is closed, and gives up what stands still.
    fn sweep(&mut self, now: Instant, chance: &mut fastrand::Rng) -> io::Result<()> {
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            if place.stream.is_some() && now - place.began > ANSWER_TIME_MAX {
                place.stream = None;
                self.tally.lost += 1;
            }
            if place.stream.is_none() {
                self.open(at, chance)?;
            }
        }
        Ok(())
    }

    fn look(&mut self, at: usize, chance: &mut fastrand::Rng) -> io::Result<()> {
        match self.places[at].step(self.mode) {
            Step::Wait => Ok(()),
            Step::Answered => {
                let place = &mut self.places[at];
                if is_good(&place.answer) {
                    self.tally.answers += 1;
                    self.tally.answer_bytes += place.answer.len() as u64;
                } else {
                    self.tally.errors += 1;
                    let beginning = &place.answer[..place.answer.len().min(200)];
                    self.tally
                        .error_text
                        .get_or_insert_with(|| String::from_utf8_lossy(beginning).into_owned());
                }
                if self.mode == Connections::OneEach || says_close(&place.answer) {
                    return self.open(at, chance);
                }
                self.begin(at, chance);
                self.places[at].reused = true;
                // The edge that said "writable" is past: write now.
                match self.places[at].write() {
                    Ok(()) => Ok(()),
                    Err(_) => self.broken(at, chance),
                }
            }
            Step::Broken => self.broken(at, chance),
        }
    }

    fn broken(&mut self, at: usize, chance: &mut fastrand::Rng) -> io::Result<()> {
        let place = &self.places[at];
        self.tally.lost += u64::from(!place.reused || !place.answer.is_empty());
        self.open(at, chance)
    }

    /// A new connection for a place, its request sent if the handshake ends at once, as it does on loopback.
    fn open(&mut self, at: usize, chance: &mut fastrand::Rng) -> io::Result<()> {
        let source = self.next_source;
        self.next_source = (source + 1) % self.population.sources.min(self.population.peers);
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // The port is chosen by connect, which knows the server: any that is free towards it will do.
        bind_without_port(&socket)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddrV4::new(address(source), 0).into())?;
        match socket.connect(&self.server) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        self.places[at].source = source;
        self.places[at].reused = false;
        self.begin(at, chance);
        let place = &mut self.places[at];
        place.stream = Some(socket.into());
        self.tally.connections += 1;
        let wrote = place.write();
        if let Some(stream) = &place.stream {
            self.epoll.add(stream.as_raw_fd(), at as u64, Trigger::Edge)?;
        }
        // A refused connection shows as an event soon.
        wrote.or(Ok(()))
    }

    fn begin(&mut self, at: usize, chance: &mut fastrand::Rng) {
        let place = &mut self.places[at];
        let peer = self.population.peer_at(place.source, chance.u32(..));
        place.request.clear();
        write_request(&mut place.request, &self.population, peer, self.peers_wanted, self.mode, &self.host);
        place.written = 0;
        place.answer.clear();
        place.began = Instant::now();
    }
}

impl Place {
    fn write(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while self.written < self.request.len() {
            match stream.write(&self.request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if is_pending(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn step(&mut self, mode: Connections) -> Step {
        if self.write().is_err() {
            return Step::Broken;
        }
        let Some(stream) = &mut self.stream else { return Step::Wait };
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) if answer_is_whole(&self.answer).unwrap_or(!self.answer.is_empty()) => {
                    return Step::Answered;
                }
                Ok(0) => return Step::Broken,
                Ok(count) => {
                    self.answer.extend_from_slice(&buffer[..count]);
                    if self.answer.len() > ANSWER_BYTES_MAX {
                        return Step::Broken;
                    }
                    if mode == Connections::KeptAlive && answer_is_whole(&self.answer) == Some(true) {
                        return Step::Answered;
                    }
                }
                Err(error) if is_pending(&error) => return Step::Wait,
                Err(_) => return Step::Broken,
            }
        }
    }
}

fn is_pending(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected | io::ErrorKind::Interrupted
    )
}

/// Whether head and body are there; `None` if only the end of the connection can tell.
fn answer_is_whole(answer: &[u8]) -> Option<bool> {
    let Some(end) = find(answer, b"\r\n\r\n") else { return Some(false) };
    let length = field(&answer[..end], b"\r\ncontent-length:")?;
    Some(answer.len() >= end + 4 + length)
}

fn says_close(answer: &[u8]) -> bool {
    let head = &answer[..find(answer, b"\r\n\r\n").unwrap_or(answer.len())];
    let closes = |window: &[u8]| window.eq_ignore_ascii_case(b"\r\nconnection: close");
    head.starts_with(b"HTTP/1.0") || head.windows(19).any(closes)
}

fn is_good(answer: &[u8]) -> bool {
    let ok = answer.get(8..12) == Some(b" 200");
    ok && find(answer, b"\r\n\r\n").is_some_and(|end| !answer[end + 4..].starts_with(b"d14:failure reason"))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The number in a header field; `name` is lower case with the line end before it and the colon behind.
fn field(head: &[u8], name: &[u8]) -> Option<usize> {
    let at = head.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name))?;
    let digits = head[at + name.len()..].iter().skip_while(|byte| **byte == b' ');
    let mut value = 0usize;
    for byte in digits.take_while(|byte| byte.is_ascii_digit()).take(9) {
        value = value * 10 + usize::from(byte - b'0');
    }
    Some(value)
}

/// An announce as clients send it, in their order and encoding.
fn write_request(
    out: &mut Vec<u8>,
    population: &Population,
    peer: u32,
    peers_wanted: u32,
    mode: Connections,
    host: &str,
) {
    out.extend_from_slice(b"GET /announce?info_hash=");
    for byte in population.info_hash(peer) {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    out.extend_from_slice(b"&peer_id=");
    out.extend_from_slice(&population.peer_id(peer));
    let (port, left) = (population.port(peer), population.left(peer));
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "&port={port}&uploaded=0&downloaded=0&left={left}&compact=1&numwant={peers_wanted} HTTP/1.1\r\n\
         Host: {host}\r\nUser-Agent: weightless-bench\r\n"
    );
    if mode == Connections::OneEach {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 1 << 16;
/// Connections at once at most.
pub const CONNECTIONS_MAX: u32 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_it_says() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nde";
        for cut in 0..whole.len() {
            assert_eq!(answer_is_whole(&whole[..cut]), Some(false), "{cut}");
        }
        assert_eq!(answer_is_whole(whole), Some(true));
        assert_eq!(answer_is_whole(b"HTTP/1.0 200 OK\r\n\r\nd"), None);
        assert!(is_good(whole) && !says_close(whole));
        assert!(!is_good(b"HTTP/1.1 200 OK\r\n\r\nd14:failure reason1:xe"));
        assert!(says_close(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
    }
}
