//! HTTP announces in a closed loop: each connection has one request under way.

use crate::args::Args;
use crate::process::Look;
use crate::report;
use crate::udp::Swarms;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a connection is made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// One request after another.
    KeepAlive,
    /// One request.
    Close,
}

struct Client {
    stream: TcpStream,
    asked: bool,
    /// The answer so far.
    answer: Vec<u8>,
}

/// Runs for a while with so many connections.
pub fn run(args: &Args) -> Result<(), String> {
    let swarms = Swarms::of(args)?;
    let (address, pid) = (args.address()?, args.pid()?);
    let count = args.number("connections", 32)?.clamp(1, 10_000) as usize;
    let seconds = args.number("seconds", 5)?.min(600);
    let style = if args.has("close") { Style::Close } else { Style::KeepAlive };
    let mut load = Load::new(address, swarms, style, count).map_err(|error| format!("{address}: {error}"))?;
    // The first second brings the torrents in and is not counted.
    load.drive(Duration::from_secs(1)).map_err(|error| error.to_string())?;
    (load.answers, load.bytes, load.failed) = (0, 0, 0);
    let (before, began) = (Look::at(pid), Instant::now());
    load.drive(Duration::from_secs(seconds)).map_err(|error| error.to_string())?;
    report::closed_loop(load.answers, load.bytes, load.failed, began.elapsed(), before, Look::at(pid));
    Ok(())
}

struct Load {
    poll: Poll,
    address: SocketAddr,
    swarms: Swarms,
    style: Style,
    clients: Vec<Client>,
    rng: fastrand::Rng,
    request: Vec<u8>,
    answers: u64,
    bytes: u64,
    failed: u64,
}

impl Load {
    fn new(address: SocketAddr, swarms: Swarms, style: Style, count: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let rng = fastrand::Rng::with_seed(2);
        let (clients, request) = (Vec::new(), Vec::new());
        let mut load =
            Self { poll, address, swarms, style, clients, rng, request, answers: 0, bytes: 0, failed: 0 };
        for at in 0..count {
            let client = load.connect(at)?;
            load.clients.push(client);
        }
        Ok(load)
    }

    fn connect(&self, at: usize) -> io::Result<Client> {
        let mut stream = TcpStream::connect(self.address)?;
        self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Client { stream, asked: false, answer: Vec::new() })
    }

    fn drive(&mut self, time: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let began = Instant::now();
        while began.elapsed() < time {
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                let at = event.token().0;
                if self.step(at).is_err() {
                    self.failed += 1;
                    self.clients[at] = self.connect(at)?;
                }
            }
        }
        Ok(())
    }

    /// Asks, or reads; a finished connection is made anew.
    fn step(&mut self, at: usize) -> io::Result<()> {
        if !self.clients[at].asked {
            self.ask(at)?;
        }
        let mut buffer = [0; 4096];
        loop {
            match self.clients[at].stream.read(&mut buffer) {
                Ok(0) if self.style == Style::Close => {
                    self.count(at);
                    self.clients[at] = self.connect(at)?;
                    return Ok(());
                }
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.clients[at].answer.extend_from_slice(&buffer[..bytes]);
                    if self.style == Style::KeepAlive && is_whole(&self.clients[at].answer) {
                        self.count(at);
                        self.ask(at)?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let good = client.answer.starts_with(b"HTTP/1.1 200") || client.answer.starts_with(b"HTTP/1.0 200");
        self.answers += u64::from(good);
        self.failed += u64::from(!good);
        self.bytes += client.answer.len() as u64;
        client.answer.clear();
    }

    fn ask(&mut self, at: usize) -> io::Result<()> {
        let peer = self.rng.u64(0..self.swarms.peers);
        self.request.clear();
        self.request.extend_from_slice(b"GET /announce?info_hash=");
        for byte in self.swarms.key(self.swarms.torrent_of(peer)).0 {
            write!(self.request, "%{byte:02X}")?;
        }
        let (_, port) = self.swarms.place_of(peer, 1);
        let close =
            if self.style == Style::Close { "Connection: close\r\n" } else { "Connection: keep-alive\r\n" };
        write!(
            self.request,
            "&peer_id=-BN0001-{peer:012}&port={port}&uploaded=0&downloaded=0&left={}&compact=1&numwant={} HTTP/1.1\r\n\
             Host: tracker.example\r\nUser-Agent: bench/1\r\nAccept-Encoding: gzip\r\n{close}\r\n",
            if peer.is_multiple_of(4) { 1000 } else { 0 },
            self.swarms.want
        )?;
        let client = &mut self.clients[at];
        match client.stream.write(&self.request) {
            Ok(_) => {
                client.asked = true;
                Ok(())
            }
            // Not connected yet: the poll will tell.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether an answer has its whole body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let length = answer[..head].split(|byte| *byte == b'\n').find_map(|line| {
        let value = line.to_ascii_lowercase();
        std::str::from_utf8(value.strip_prefix(b"content-length:")?).ok()?.trim().parse::<usize>().ok()
    });
    answer.len() >= head + 4 + length.unwrap_or(0)
}
