//! A machine without a shell: bytes in, bytes out, and a clock that the tests move.

use std::net::SocketAddr;
use weightless::base::{InfoHashes, Now, V1Hash, V2Hash};
use weightless::mailbox::{FromStore, Loaded, ToReader};
use weightless::registry::{Answer, Question};
use weightless::server::{Conn, Mail, Next, Server, Settings};
use weightless::tracker::{Access, Policy};
use weightless::wire::bencode::{self, Form, Limits, Value};

pub const NOW: Now = Now { mono: 10_000_000, unix: 1_700_000_040 };
pub const PEER: &str = "192.0.2.1:40000";
pub const HOST: &str = "Host: t.example\r\n";

/// A hash of 20 equal bytes, as a query writes it.
pub fn hash(byte: u8) -> String {
    format!("%{byte:02X}").repeat(20)
}

/// The settings of a daemon that nobody configured, but for the secrets and open access.
pub fn settings() -> Settings {
    Settings {
        policy: Policy {
            access: Access::Open,
            peer_ttl_s: 3600,
            idt_peer_ttl_s: 900,
            flush_interval_s: 10,
            total_peers_max: 20_000_000,
        },
        peers_max: 50,
        udp_peers_max: 200,
        interval_s: 1800,
        rate: (5, 10),
        udp_rate: (50, 100),
        trusted_proxies: Vec::new(),
        trust_ip_param: false,
        origins: Default::default(),
        public_url: None,
        udp_port: None,
        registry_key: None,
        tracker_secret: None,
        connection_id_secret: b"a secret for tests".to_vec(),
        connections_max: 1000,
        whitelist: Default::default(),
        process: Default::default,
        version: ("0", "none"),
    }
}

/// One server and its clock.
pub struct Daemon {
    pub server: Server,
    pub now: Now,
}

impl Daemon {
    /// Open to every hash, without a limit of requests.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same, with some settings changed.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::loaded(&Loaded::default(), change)
    }

    /// The same, with something on disk.
    pub fn loaded(loaded: &Loaded, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        settings.rate = (0, 0);
        change(&mut settings);
        Self { server: Server::new(settings, 42, loaded, NOW), now: NOW }
    }

    /// Serves registered torrents only: these.
    pub fn registered(hashes: &[InfoHashes]) -> Self {
        let registered = hashes.iter().map(|hashes| (*hashes, 0)).collect();
        Self::loaded(&Loaded { registered, ..Loaded::default() }, |settings| {
            settings.policy.access = Access::Registered;
        })
    }

    /// Time passes; the machine runs its errands at every deadline of its own.
    pub fn advance(&mut self, ms: u64) {
        let end = self.now.mono + ms;
        while let Some(at) = self.server.next_deadline().filter(|at| *at < end) {
            self.set_clock(at.max(self.now.mono + 1));
            self.server.woke(self.now);
            if self.now.mono >= end {
                break;
            }
            // Connections are watched by the tests themselves: a due timer must not stop the clock.
            if self.server.next_deadline().is_some_and(|next| next <= self.now.mono) {
                break;
            }
        }
        self.set_clock(end);
        self.server.woke(self.now);
    }

    fn set_clock(&mut self, mono: u64) {
        self.now = Now { mono, unix: NOW.unix + (mono - NOW.mono) / 1000 };
    }

    pub fn open(&mut self, peer: &str) -> Conn {
        self.server.opened(self.now, address(peer))
    }

    /// Sends bytes on a connection; what came back, and what the shell is to do.
    pub fn send(&mut self, conn: Conn, bytes: impl AsRef<[u8]>) -> (Vec<u8>, Next) {
        let mut out = Vec::new();
        let next = self.server.received(self.now, conn, bytes.as_ref(), &mut out);
        self.server.stay(conn);
        (out, next)
    }

    /// One request on a connection of its own, answered at once.
    pub fn ask(&mut self, peer: &str, request: impl AsRef<[u8]>) -> Reply {
        self.ask_next(peer, request).0
    }

    /// The same, with what the shell is to do.
    pub fn ask_next(&mut self, peer: &str, request: impl AsRef<[u8]>) -> (Reply, Next) {
        let conn = self.open(peer);
        let is_head = request.as_ref().starts_with(b"HEAD ");
        let (mut out, mut next) = self.send(conn, &request);
        if out.is_empty() && self.store_is_well() {
            (_, out, next) = self.resume().expect("an answer of the store");
        }
        self.server.closed(conn);
        let (reply, rest) = Reply::read(&out, is_head).unwrap_or_else(|| panic!("no reply: {out:?}"));
        assert!(rest.is_empty(), "one reply and no more");
        (reply, next)
    }

    /// The store answers the question whether it is there, if it was asked.
    fn store_is_well(&mut self) -> bool {
        let mail = self.mail();
        let [Mail::Read(ToReader::Ask { ticket, question: Question::Ping })] = mail[..] else { return false };
        let answer = Answer::Json { status: 200, body: Vec::new() };
        self.server.delivered(self.now, FromStore::Answered { ticket, answer });
        true
    }

    /// `GET target` from an address.
    pub fn get(&mut self, peer: &str, target: &str) -> Reply {
        self.ask(peer, format!("GET {target} HTTP/1.1\r\n{HOST}\r\n"))
    }

    /// An announce of the swarm `hash`, with more parameters.
    pub fn announce(&mut self, peer: &str, hash: &str, more: &str) -> Reply {
        let reply = self.get(peer, &announce(hash, more));
        assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/plain")));
        reply
    }

    pub fn datagram(&mut self, from: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut reply = Vec::new();
        self.server.datagram(self.now, address(from), bytes, &mut reply).then_some(reply)
    }

    /// A connection id for this source.
    pub fn connection_id(&mut self, from: &str) -> u64 {
        let reply = self.datagram(from, &connect(7)).expect("a connect is answered");
        u64::from_be_bytes(reply[8..16].try_into().expect("16 bytes"))
    }

    /// The bytes that can be written after mail from the store.
    pub fn resume(&mut self) -> Option<(Conn, Vec<u8>, Next)> {
        let conn = self.server.ready()?;
        let mut out = Vec::new();
        let next = self.server.resume(self.now, conn, &mut out);
        Some((conn, out, next))
    }

    pub fn mail(&mut self) -> Vec<Mail> {
        std::iter::from_fn(|| self.server.next_mail()).collect()
    }

    /// The connection whose time is over, and what it is told.
    pub fn overdue(&mut self) -> Option<(Conn, Vec<u8>)> {
        let mut out = Vec::new();
        let conn = self.server.overdue(self.now, &mut out)?;
        Some((conn, out))
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The target of an announce: a peer id of its own for each hash, port 6881 unless `more` comes first with another.
pub fn announce(hash: &str, more: &str) -> String {
    let port = if more.contains("port=") { "" } else { "&port=6881" };
    let id = if more.contains("peer_id=") { "" } else { "&peer_id=-XX0001-abcdefghijkl" };
    format!("/announce?info_hash={hash}{id}{port}&{more}")
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// The first answer in `bytes`, and what follows it.
    pub fn read(bytes: &[u8], is_head: bool) -> Option<(Self, &[u8])> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("heads are text");
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let mut reply = Self { status, head, body: Vec::new() };
        let length = reply.field("content-length").map_or(0, |text| text.parse().expect("a number"));
        if status != 100 {
            assert_eq!(reply.field("date").map(str::len), Some(29), "every answer is dated");
            let bare = matches!(status, 204 | 304);
            assert_eq!(reply.field("content-length").is_none(), bare, "a length on every answer");
        }
        let length = if is_head { 0 } else { length };
        reply.body = bytes.get(end..end + length)?.to_vec();
        Some((reply, &bytes[end + length..]))
    }

    /// All answers in `bytes`.
    pub fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut replies = Vec::new();
        while !bytes.is_empty() {
            let (reply, rest) = Self::read(bytes, false).expect("whole answers");
            replies.push(reply);
            bytes = rest;
        }
        replies
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The body as text, as far as it is that.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a dictionary with sorted keys.
    pub fn dict(&self) -> Value<'_> {
        bencode::parse(&self.body, &Limits::TRACKER_RESPONSE, Form::Canonical)
            .unwrap_or_else(|error| panic!("{error:?}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.dict().get(key.as_bytes())?.as_bytes()
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        self.dict().get(key.as_bytes())?.as_int()
    }

    pub fn failure(&self) -> Option<&str> {
        self.bytes("failure reason").map(|text| std::str::from_utf8(text).expect("text"))
    }

    /// Seeders and leechers.
    pub fn counts(&self) -> (i64, i64) {
        let count = |key| self.int(key).unwrap_or_else(|| panic!("no {key}: {:?}", self.failure()));
        (count("complete"), count("incomplete"))
    }

    /// The ports of all compact peers, sorted.
    pub fn ports(&self) -> Vec<u16> {
        let port = |tail: &[u8]| u16::from_be_bytes([tail[0], tail[1]]);
        let v4 = self.bytes("peers").unwrap_or_default().chunks_exact(6).map(|peer| port(&peer[4..]));
        let v6 = self.bytes("peers6").unwrap_or_default().chunks_exact(18).map(|peer| port(&peer[16..]));
        let mut ports: Vec<_> = v4.chain(v6).collect();
        ports.sort_unstable();
        ports
    }
}

/// A hybrid torrent of hashes that are easy to write.
pub fn hybrid(v1: u8, v2: u8) -> InfoHashes {
    InfoHashes::Hybrid(V1Hash([v1; 20]), V2Hash([v2; 32]))
}

pub fn connect(transaction: u32) -> Vec<u8> {
    [&0x0417_2710_1980u64.to_be_bytes()[..], &[0; 4], &transaction.to_be_bytes()].concat()
}

/// An announce over UDP, field by field; `Default` is a leecher on port 6881 in the swarm of 20 ones.
#[derive(Clone)]
pub struct UdpAnnounce {
    pub id: u64,
    pub hash: u8,
    pub peer_id: u8,
    pub left: u64,
    pub event: u32,
    pub ip: [u8; 4],
    pub wanted: u32,
    pub port: u16,
    pub options: Vec<u8>,
}

impl Default for UdpAnnounce {
    fn default() -> Self {
        let (ip, options) = ([0; 4], Vec::new());
        Self { id: 0, hash: 1, peer_id: 7, left: 5, event: 0, ip, wanted: u32::MAX, port: 6881, options }
    }
}

impl UdpAnnounce {
    pub fn bytes(&self) -> Vec<u8> {
        let mut packet = Vec::new();
        packet.extend_from_slice(&self.id.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 9]);
        packet.extend_from_slice(&[self.hash; 20]);
        packet.extend_from_slice(&[self.peer_id; 20]);
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&self.left.to_be_bytes());
        packet.extend_from_slice(&[0; 8]);
        packet.extend_from_slice(&self.event.to_be_bytes());
        packet.extend_from_slice(&self.ip);
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(&self.wanted.to_be_bytes());
        packet.extend_from_slice(&self.port.to_be_bytes());
        assert_eq!(packet.len(), 98);
        packet.extend_from_slice(&self.options);
        packet
    }
}

/// A scrape over UDP.
pub fn udp_scrape(id: u64, hashes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut packet = [&id.to_be_bytes()[..], &[0, 0, 0, 2, 0, 0, 0, 9]].concat();
    hashes.into_iter().for_each(|hash| packet.extend_from_slice(&[hash; 20]));
    packet
}

/// The message of an error packet that answers transaction 9.
pub fn udp_error(reply: &[u8]) -> Option<&str> {
    let text = reply.strip_prefix(&[0, 0, 0, 3, 0, 0, 0, 9])?;
    std::str::from_utf8(text).ok()
}

impl Daemon {
    /// Announces with a fresh connection id.
    pub fn udp_announce(&mut self, from: &str, announce: UdpAnnounce) -> Vec<u8> {
        let id = self.connection_id(from);
        self.datagram(from, &UdpAnnounce { id, ..announce }.bytes()).expect("a verified source is answered")
    }
}
