//! UDP announces in a closed loop: a window of them is always under way.

use crate::args::Args;
use crate::process::Look;
use crate::report;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use weightless::base::{PeerId, SwarmKey};
use weightless::wire::udp_tracker as wire;

/// The peers of a run: peer `n` is in torrent `n / per_torrent`.
#[derive(Clone, Copy)]
pub struct Swarms {
    /// All peers.
    pub peers: u64,
    /// Torrents they are in.
    pub torrents: u64,
    /// Peers wanted in each answer.
    pub want: u32,
}

impl Swarms {
    /// From the options.
    pub fn of(args: &Args) -> Result<Self, String> {
        let (peers, torrents) = (args.number("peers", 1_000_000)?, args.number("torrents", 100_000)?);
        Ok(Self {
            peers: peers.max(1),
            torrents: torrents.clamp(1, peers.max(1)),
            want: args.number("want", 30)? as u32,
        })
    }

    /// The key of a torrent: spread over the whole range, the same in every run.
    pub fn key(&self, torrent: u64) -> SwarmKey {
        let mut rng = fastrand::Rng::with_seed(torrent);
        SwarmKey(std::array::from_fn(|_| rng.u8(..)))
    }

    /// Which torrent a peer is in.
    pub fn torrent_of(&self, peer: u64) -> u64 {
        peer % self.torrents
    }

    /// The source a peer announces from, and its port: unlike in one torrent for all of its peers.
    pub fn place_of(&self, peer: u64, sources: usize) -> (usize, u16) {
        let nth = peer / self.torrents;
        ((nth % sources as u64) as usize, 1024 + (nth / sources as u64 % 60_000) as u16)
    }

    /// Writes the announce of a peer.
    pub fn announce(&self, out: &mut Vec<u8>, peer: u64, port: u16, connection_id: u64) {
        let mut rng = fastrand::Rng::with_seed(peer ^ 0x5eed);
        let peer_id = PeerId(std::array::from_fn(|_| rng.u8(..)));
        out.extend_from_slice(&connection_id.to_be_bytes());
        out.extend_from_slice(&wire::action::ANNOUNCE.to_be_bytes());
        out.extend_from_slice(&(peer as u32).to_be_bytes());
        out.extend_from_slice(&self.key(self.torrent_of(peer)).0);
        out.extend_from_slice(&peer_id.0);
        // Three of four have everything, as in real swarms.
        let left: u64 = if peer.is_multiple_of(4) { 1000 } else { 0 };
        for counter in [0, left, 0] {
            out.extend_from_slice(&u64::to_be_bytes(counter));
        }
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(&self.want.to_be_bytes());
        out.extend_from_slice(&port.to_be_bytes());
    }
}

/// A socket with an address of its own and the tracker's leave to announce from it.
pub struct Source {
    /// Connected to the tracker.
    pub socket: UdpSocket,
    /// Given by the tracker.
    pub connection_id: u64,
}

impl Source {
    /// As many sources as asked for, each on another loopback address (all on `::1` over IPv6).
    pub fn open(tracker: SocketAddr, count: usize) -> Result<Vec<Self>, String> {
        (0..count).map(|n| Self::connect(tracker, n).map_err(|error| format!("{tracker}: {error}"))).collect()
    }

    fn connect(tracker: SocketAddr, n: usize) -> std::io::Result<Self> {
        let own = match tracker {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(127, 0, 1 + (n / 250) as u8, 1 + (n % 250) as u8)),
            SocketAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        };
        let socket = UdpSocket::bind((own, 0))?;
        socket.connect(tracker)?;
        socket.set_read_timeout(Some(LOST_AFTER))?;
        let mut request = Vec::new();
        wire::write_connect_request(&mut request, 7);
        let mut answer = [0; 64];
        for _ in 0..50 {
            socket.send(&request)?;
            if let Ok(16) = socket.recv(&mut answer) {
                let id = u64::from_be_bytes(std::array::from_fn(|at| answer[8 + at]));
                return Ok(Self { socket, connection_id: id });
            }
        }
        Err(std::io::Error::other("no answer to a connect"))
    }
}

/// Fills the swarms and announces in a closed loop.
pub fn run(args: &Args) -> Result<(), String> {
    let swarms = Swarms::of(args)?;
    let (address, pid) = (args.address()?, args.pid()?);
    let window = args.number("window", 128)?.clamp(4, 4096) as usize;
    let seconds = args.number("seconds", 5)?.min(600);
    let sources = Source::open(address, SOURCES)?;
    let empty = Look::at(pid);
    let began = Instant::now();
    let mut pump = Pump::new(&sources, swarms, window / LANES);
    let mut next = 0;
    pump.drive(|| {
        next += 1;
        (next <= swarms.peers && began.elapsed() < FILL_MAX).then(|| next - 1)
    });
    report::fill(swarms.peers, began.elapsed(), empty, Look::at(pid));
    if seconds == 0 {
        return Ok(());
    }
    let sources = Source::open(address, SOURCES)?;
    let mut pump = Pump::new(&sources, swarms, window / LANES);
    let mut rng = fastrand::Rng::with_seed(1);
    let (before, began) = (Look::at(pid), Instant::now());
    pump.drive(|| (began.elapsed() < Duration::from_secs(seconds)).then(|| rng.u64(0..swarms.peers)));
    report::closed_loop(pump.answers, pump.bytes, pump.lost, began.elapsed(), before, Look::at(pid));
    Ok(())
}

/// Random bytes, for as long as asked.
pub fn flood(args: &Args) -> Result<(), String> {
    let (address, seconds) = (args.address()?, args.number("seconds", 5)?.min(120));
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.connect(address).map_err(|error| error.to_string())?;
    let mut rng = fastrand::Rng::with_seed(9);
    let mut bytes = [0; 1500];
    let began = Instant::now();
    let mut sent = 0u64;
    while began.elapsed() < Duration::from_secs(seconds) {
        let length = rng.usize(0..bytes.len());
        rng.fill(&mut bytes[..length]);
        sent += u64::from(socket.send(&bytes[..length]).is_ok());
    }
    println!("sent {sent}");
    Ok(())
}

/// Several lanes, each with a batch under way: while one is waited for, the tracker works on the others.
struct Pump<'a> {
    sources: &'a [Source],
    swarms: Swarms,
    batch: usize,
    answers: u64,
    bytes: u64,
    lost: u64,
}

impl<'a> Pump<'a> {
    fn new(sources: &'a [Source], swarms: Swarms, batch: usize) -> Self {
        Self { sources, swarms, batch: batch.max(1), answers: 0, bytes: 0, lost: 0 }
    }

    /// Announces the peers that `next` names until it names none. A batch goes from one source, so peers are put
    /// aside until their source has a batch of them.
    fn drive(&mut self, mut next: impl FnMut() -> Option<u64>) {
        let mut waiting: Vec<Vec<u64>> = vec![Vec::new(); self.sources.len()];
        let mut under_way = std::collections::VecDeque::new();
        while let Some(peer) = next() {
            let (source, _) = self.swarms.place_of(peer, self.sources.len());
            waiting[source].push(peer);
            if waiting[source].len() < self.batch {
                continue;
            }
            let peers = std::mem::take(&mut waiting[source]);
            under_way.push_back((source, self.send(source, &peers)));
            if under_way.len() >= LANES
                && let Some((source, sent)) = under_way.pop_front()
            {
                self.receive(source, sent);
            }
        }
        for (source, peers) in waiting.iter().enumerate().filter(|(_, peers)| !peers.is_empty()) {
            let sent = self.send(source, peers);
            self.receive(source, sent);
        }
        for (source, sent) in under_way {
            self.receive(source, sent);
        }
    }

    fn send(&self, source: usize, peers: &[u64]) -> usize {
        let Source { socket, connection_id } = &self.sources[source];
        let mut packets = Vec::with_capacity(peers.len() * 98);
        for peer in peers {
            let (_, port) = self.swarms.place_of(*peer, self.sources.len());
            self.swarms.announce(&mut packets, *peer, port, *connection_id);
        }
        let slices: Vec<_> = packets.chunks(98).map(|packet| [IoSlice::new(packet)]).collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
        let nowhere: Vec<Option<SockaddrStorage>> = vec![None; slices.len()];
        let sent = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, nowhere, [], MsgFlags::empty());
        sent.map_or(0, |sent| sent.count())
    }

    fn receive(&mut self, source: usize, sent: usize) {
        let mut answer = [0; 2048];
        for _ in 0..sent {
            match self.sources[source].socket.recv(&mut answer) {
                Ok(bytes) => {
                    self.answers += 1;
                    self.bytes += bytes as u64;
                }
                Err(_) => {
                    self.lost += 1;
                    break;
                }
            }
        }
    }
}

/// Loopback addresses that announces come from.
const SOURCES: usize = 32;
/// Batches under way.
const LANES: usize = 4;
/// After this long an answer will not come.
const LOST_AFTER: Duration = Duration::from_millis(200);
/// No fill takes longer.
const FILL_MAX: Duration = Duration::from_secs(300);
