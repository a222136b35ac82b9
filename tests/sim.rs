//! Random traffic against the machine, 256 seeds of it: requests in pieces, bytes that never arrive, sockets that
//! take little, mailboxes that are full, a store that answers late or not at all, clocks that step.
//!
//! Proves that nothing panics, that each client gets the answers to its own requests in their order, that a source
//! which has not shown a connection id never gets more bytes than it sent, and that what is kept of a client is
//! bounded. A failure names its seed; `SIM_SEED=n` runs that one alone.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use weightless::base::{Now, Rng};
use weightless::mailbox::{FromStore, Loaded, Ticket, ToReader, ToWriter};
use weightless::registry::{Answer, Question};
use weightless::server::{Conn, Mail, Next, Server, Settings, Shed};
use weightless::tracker::{Access, Policy};

const STEPS: u32 = 1_500;
/// A head and what was read behind it, and the largest body that is sent here.
const INPUT_BYTES_MAX: usize = 2 * 8192 + 4 + BODY_BYTES_MAX;
const BODY_BYTES_MAX: usize = 600;
/// Answers to one reading of pipelined requests.
const OUTPUT_BYTES_MAX: usize = 128 * 1024;

#[test]
fn random_traffic() {
    let one = std::env::var("SIM_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let mut done = 0;
    for seed in one.map_or(0..256, |seed: u64| seed..seed + 1) {
        let told = std::panic::catch_unwind(|| Simulation::new(seed).run());
        done += told.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(one.is_some() || done > 30_000, "only {done} answers: the simulation does not do what it is for");
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// A failure that names this length of an info hash.
    Announce(usize),
    /// The store's answer to this number, or a 503.
    Stored(u32),
    /// A page of this status.
    Status(u16),
}

/// One client and the shell's side of its connection.
struct Client {
    to_send: VecDeque<u8>,
    expected: VecDeque<Expected>,
    received: Vec<u8>,
    next: Next,
    /// Bytes were lost on the way: what it sends has lost its meaning.
    is_broken: bool,
    /// Never reads.
    is_stuck: bool,
}

struct Simulation {
    rng: Rng,
    server: Server,
    now: Now,
    clients: HashMap<u32, Client>,
    /// Mail the store has taken.
    mailbox: Vec<Mail>,
    mailbox_max: usize,
    /// Connection ids by source.
    ids: HashMap<SocketAddr, u64>,
    answers: u32,
    number: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let now = Now { mono: rng.u64() % 1_000_000, unix: 1_700_000_000 };
        let some = |rng: &mut Rng, value: u32| if rng.below(2) == 0 { 0 } else { value };
        let policy = Policy {
            access: Access::Open,
            peer_ttl_s: 60 + rng.below(600),
            idt_peer_ttl_s: 60,
            flush_interval_s: 1 + rng.below(30),
            total_peers_max: u64::from(some(&mut rng, 20)),
        };
        let settings = Settings {
            policy,
            peers_max: 1 + rng.below(60),
            udp_peers_max: 1 + rng.below(200),
            interval_s: 1800,
            rate: (0, 0),
            udp_rate: (some(&mut rng, 5), 10),
            trusted_proxies: Vec::new(),
            trust_ip_param: rng.below(2) == 0,
            registry_key: None,
            tracker_secret: None,
            connection_id_secret: b"sim".to_vec(),
            connections_max: 4 + rng.below(12),
            whitelist: Default::default(),
            process: Default::default,
            version: ("0", "sim"),
        };
        let server = Server::new(settings, seed, &Loaded::default(), now);
        let (clients, ids) = (HashMap::new(), HashMap::new());
        let mailbox_max = rng.below(8) as usize;
        Self { rng, server, now, clients, mailbox: Vec::new(), mailbox_max, ids, answers: 0, number: 0 }
    }

    fn run(mut self) -> u32 {
        for _ in 0..STEPS {
            match self.rng.below(16) {
                0 => self.open(),
                1..=6 => self.send(),
                7..=9 => self.write(),
                10 => self.store_answers(),
                11 => self.close_one(),
                12 => self.time_passes(),
                _ => self.datagram(),
            }
            self.turn();
        }
        self.answers
    }

    /// The rest of a shell's turn, in the order of the contract.
    fn turn(&mut self) {
        self.server.woke(self.now);
        self.go_on();
        while let Some(mail) = self.server.next_mail() {
            if self.mailbox.len() >= self.mailbox_max {
                self.server.refused(self.now, mail);
            } else {
                self.mailbox.push(mail);
            }
        }
        self.go_on();
        assert_eq!(self.server.connections() as usize, self.clients.len());
        for number in self.clients.keys() {
            let (input, output) = self.server.held_bytes(Conn(*number));
            assert!(input <= INPUT_BYTES_MAX, "{input} bytes of a client are kept");
            assert!(output <= OUTPUT_BYTES_MAX, "{output} bytes for a client are kept");
        }
    }

    fn go_on(&mut self) {
        while let Some(conn) = self.server.ready() {
            if !self.clients.contains_key(&conn.0) {
                continue;
            }
            let mut out = Vec::new();
            let next = self.server.resume(self.now, conn, &mut out);
            self.answered(conn, next, &out);
        }
    }

    fn open(&mut self) {
        let peer = SocketAddr::from(([192, 0, 2, self.rng.below(200) as u8], 1));
        let conn = self.server.opened(self.now, peer);
        if self.server.is_overfull() {
            match self.server.least_wanted(self.now) {
                Some(other) => self.close(other),
                None => {
                    let mut out = Vec::new();
                    self.server.shed(self.now, Shed::Limit, &mut out);
                    return self.server.closed(conn);
                }
            }
        }
        let mut client = Client {
            to_send: VecDeque::new(),
            expected: VecDeque::new(),
            received: Vec::new(),
            next: Next::Read,
            is_broken: false,
            is_stuck: self.rng.below(8) == 0,
        };
        for _ in 0..self.rng.below(if client.is_stuck { 400 } else { 12 }) {
            self.request(&mut client);
        }
        if self.rng.below(4) == 0 {
            client.to_send.extend(b"rubbish\r\n\r\n");
            client.expected.push_back(Expected::Status(400));
        }
        assert!(self.clients.insert(conn.0, client).is_none(), "a number is not used twice at once");
        self.server.stay(conn);
    }

    fn request(&mut self, client: &mut Client) {
        self.number += 1;
        let (number, host) = (self.number, "Host: x\r\n");
        let body = "x".repeat(self.rng.below(BODY_BYTES_MAX as u32) as usize);
        let with_body = |line: &str, body: &str| {
            format!("{line} HTTP/1.1\r\n{host}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{host}\r\n");
        // A client that never reads asks for the longest answers.
        let kind = if client.is_stuck { 4 } else { self.rng.below(10) };
        let (text, expected) = match kind {
            0..=2 => {
                let length = 33 + number as usize % 200;
                (get(&format!("/announce?info_hash={}", "%01".repeat(length))), Expected::Announce(length))
            }
            3 => {
                let (hash, peer_id, port) = ("%02".repeat(20), "p".repeat(20), 1 + number % 60_000);
                let query = format!("info_hash={hash}&peer_id={peer_id}&port={port}&left={}", number % 2);
                (get(&format!("/announce?{query}")), Expected::Status(200))
            }
            4 => (get("/metrics"), Expected::Status(200)),
            5 => (with_body("GET /x", &body), Expected::Status(404)),
            6 | 7 => (get(&format!("/api/registry?info_hash={number}")), Expected::Stored(number)),
            8 => (with_body("POST /api/registry", &format!("{number} {body}")), Expected::Stored(number)),
            _ => {
                let body = format!("{number} {body}");
                let line = format!("POST /api/registry HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n");
                (format!("{line}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()), Expected::Stored(number))
            }
        };
        client.to_send.extend(text.as_bytes());
        client.expected.push_back(expected);
    }

    fn any_client(&mut self) -> Option<Conn> {
        let mut numbers: Vec<u32> = self.clients.keys().copied().collect();
        numbers.sort_unstable();
        let at = self.rng.below((numbers.len() as u32).max(1)) as usize;
        numbers.get(at).map(|number| Conn(*number))
    }

    /// A piece of what a client sends arrives, if the shell would read now.
    fn send(&mut self) {
        let Some(conn) = self.any_client() else { return };
        if !self.server.output(conn).is_empty() {
            return;
        }
        let most = if self.rng.below(3) == 0 { 8192 } else { 40 };
        let (size, is_lost) = (1 + self.rng.below(most), self.rng.below(200) == 0);
        let client = self.clients.get_mut(&conn.0).expect("an open one");
        if client.next != Next::Read || client.to_send.is_empty() {
            return;
        }
        let size = (size as usize).min(client.to_send.len());
        let piece: Vec<u8> = client.to_send.drain(..size).collect();
        if is_lost {
            client.is_broken = true;
            return;
        }
        let mut out = Vec::new();
        let next = self.server.received(self.now, conn, &piece, &mut out);
        self.answered(conn, next, &out);
    }

    /// What the shell does with an answer: writes what the socket takes, gives back the rest.
    fn answered(&mut self, conn: Conn, next: Next, out: &[u8]) {
        let taken =
            if self.rng.below(3) == 0 { self.rng.below(out.len() as u32 + 1) as usize } else { out.len() };
        let client = self.clients.get_mut(&conn.0).expect("an open one");
        client.next = next;
        let taken = if client.is_stuck { 0 } else { taken };
        client.received.extend_from_slice(&out[..taken]);
        if taken < out.len() {
            self.server.unsent(self.now, conn, &out[taken..]);
        } else if self.server.output(conn).is_empty() && matches!(next, Next::Close { .. }) {
            return self.close(conn);
        }
        self.server.stay(conn);
    }

    fn write(&mut self) {
        let Some(conn) = self.any_client() else { return };
        let waiting = self.server.output(conn).len();
        let client = self.clients.get_mut(&conn.0).expect("an open one");
        if waiting == 0 || client.is_stuck {
            return;
        }
        let taken = self.rng.below(waiting as u32 + 1) as usize;
        client.received.extend_from_slice(&self.server.output(conn)[..taken]);
        let ends = matches!(client.next, Next::Close { .. });
        if self.server.sent(self.now, conn, taken) && ends {
            self.close(conn);
        }
    }

    fn store_answers(&mut self) {
        for _ in 0..self.rng.below(6) {
            if self.mailbox.is_empty() {
                return;
            }
            let at = self.rng.below(self.mailbox.len() as u32) as usize;
            let mail = self.mailbox.swap_remove(at);
            // Now and then the store loses a message.
            if self.rng.below(10) == 0 {
                continue;
            }
            let answer = |ticket: Ticket, text: &str| {
                let number = text.split(' ').next().unwrap_or_default();
                let body = format!("{{\"n\":{number}}}").into_bytes();
                FromStore::Answered { ticket, answer: Answer::Json { status: 200, body } }
            };
            let mail = match mail {
                Mail::Read(ToReader::Ask { ticket, question: Question::Entry(hash) }) => {
                    answer(ticket, &hash.0)
                }
                Mail::Write(ToWriter::Register { ticket, body, .. }) => {
                    answer(ticket, &String::from_utf8_lossy(&body))
                }
                Mail::Write(ToWriter::Flush) => FromStore::Flushed {
                    slices: (0..=255).collect(),
                    completed: Vec::new(),
                    durable: self.rng.below(2) == 0,
                },
                _ => FromStore::Health { writable: self.rng.below(2) == 0 },
            };
            self.server.delivered(self.now, mail);
        }
    }

    fn close_one(&mut self) {
        if self.rng.below(4) == 0
            && let Some(conn) = self.any_client()
        {
            self.close(conn);
        }
    }

    fn time_passes(&mut self) {
        let ms = [1, 300, 5_000, 11_000, 70_000][self.rng.below(5) as usize];
        self.now.mono += u64::from(self.rng.below(ms));
        // The wall clock may step, in either direction.
        self.now.unix = match self.rng.below(6) {
            0 => self.now.unix - u64::from(self.rng.below(5_000)),
            1 => self.now.unix + u64::from(self.rng.below(5_000)),
            _ => self.now.unix + u64::from(ms / 2000),
        };
        self.server.woke(self.now);
        let mut out = Vec::new();
        while let Some(conn) = self.server.overdue(self.now, &mut out) {
            out.clear();
            self.close(conn);
        }
    }

    /// A connection ends: what its client has received must be answers to its requests, in order.
    fn close(&mut self, conn: Conn) {
        self.server.closed(conn);
        let client = self.clients.remove(&conn.0).expect("an open one");
        let mut rest = client.received.as_slice();
        for expected in &client.expected {
            let Some((status, body, then)) = read_reply(rest) else { break };
            rest = then;
            self.answers += 1;
            if client.is_broken {
                continue;
            }
            let text = String::from_utf8_lossy(body);
            let fits = match expected {
                Expected::Announce(length) => text.contains(&format!("or 32 bytes, got {length}8:")),
                Expected::Stored(number) => status == 503 || text == format!("{{\"n\":{number}}}\n"),
                Expected::Status(expected) => status == *expected,
            };
            assert!(fits, "{status} {text:?} is no answer to {expected:?}");
        }
        assert!(client.is_broken || read_reply(rest).is_none(), "more answers than requests");
    }

    fn datagram(&mut self) {
        let from = match self.rng.below(3) {
            0 => SocketAddr::from(([0x20, 1, 0xdb8, 0, 0, 0, 0, self.rng.below(20) as u16], 7)),
            _ => SocketAddr::from(([198, 51, 100, self.rng.below(20) as u8], 7)),
        };
        let known = self.ids.get(&from).copied().filter(|_| self.rng.below(4) != 0);
        let id = known.unwrap_or_else(|| match self.rng.below(2) {
            0 => 0x0417_2710_1980,
            _ => self.rng.u64(),
        });
        let action = if known.is_none() { self.rng.below(5) } else { 1 + self.rng.below(3) };
        let mut packet = [&id.to_be_bytes()[..], &action.to_be_bytes(), &[1, 2, 3, 4]].concat();
        let most = if self.rng.below(20) == 0 { 2032 } else { 160 };
        for _ in 0..self.rng.below(most) {
            packet.push(if self.rng.below(2) == 0 { 1 } else { self.rng.u64() as u8 });
        }
        packet.truncate(if self.rng.below(10) == 0 { self.rng.below(17) as usize } else { packet.len() });
        let mut reply = Vec::new();
        let says = self.server.datagram(self.now, from, &packet, &mut reply);
        assert_eq!(says, !reply.is_empty());
        if says && known.is_none() {
            assert!(reply.len() <= packet.len(), "{} bytes for {}", reply.len(), packet.len());
        }
        assert!(reply.len() <= 1226, "{} bytes", reply.len());
        if says && packet.get(8..12) != Some(&[0; 4][..]) {
            assert_eq!(reply[4..8], [1, 2, 3, 4], "the transaction is echoed");
        } else if says && reply[3] == 0 {
            self.ids.insert(from, u64::from_be_bytes(reply[8..16].try_into().expect("16 bytes")));
        }
    }
}

/// Status, body, and what follows.
fn read_reply(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("heads are text");
    let status = head.strip_prefix("HTTP/1.1 ").expect("a status line")[..3].parse().expect("a status");
    let length = head.split("Content-Length: ").nth(1).expect("a length").split("\r\n").next();
    let length: usize = length.and_then(|text| text.parse().ok()).expect("a number");
    Some((status, bytes.get(end..end + length)?, &bytes[end + length..]))
}
