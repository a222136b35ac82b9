//! One machine, its clock, and a shell around it that does what the contract of `server` asks.

use crate::accounts::{Accounts, SECRET};
use crate::datagrams::Sources;
use crate::http::{Line, Request};
use crate::pick;
use crate::store::Store;
use std::net::SocketAddr;
use weightless::base::{InfoHashes, Now, Rng, V1Hash, V2Hash};
use weightless::mailbox::{Loaded, StoredSession, Ticket, ToWriter};
use weightless::server::{Conn, Mail, Next, ProcessStats, Server, Settings, Shed};
use weightless::tracker::{Access, Policy};

pub struct World {
    pub rng: Rng,
    pub server: Server,
    pub now: Now,
    pub lines: Vec<Line>,
    pub store: Store,
    pub sources: Sources,
    pub accounts: Accounts,
    settings: Settings,
    seed: u64,
    /// Whether requests may be refused for their number.
    pub limited: bool,
    connections_max: u32,
    next_tag: u32,
}

/// A turn leaves no more behind than this many turns at the same moment take up.
const TURNS_MAX: u32 = 600;
/// Nothing is kept open longer without a sign of life.
const SILENCE_MS_MAX: u64 = 60_000;
/// What is kept of a client: what was read behind a request that waits, or a body (short ones here).
const INPUT_BYTES_MAX: usize = 2 * 8192 + 4;
/// What is kept for a client: so many bytes of answers, and the one that went beyond.
const OUTPUT_BYTES_MAX: usize = 64 * 1024 + 32 * 1024;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let limited = rng.below(3) == 0;
        let connections_max = pick(&mut rng, &[1, 3, 10, 100]);
        let settings = Settings {
            policy: Policy {
                access: pick(&mut rng, &[Access::Open, Access::Open, Access::Registered]),
                peer_ttl_s: pick(&mut rng, &[60, 900, 3600]),
                idt_peer_ttl_s: 900,
                flush_interval_s: pick(&mut rng, &[1, 10]),
                total_peers_max: pick(&mut rng, &[0, 20]),
            },
            peers_max: 50,
            udp_peers_max: pick(&mut rng, &[1, 200]),
            interval_s: 1800,
            rate: if limited { (5, 10) } else { (0, 0) },
            udp_rate: pick(&mut rng, &[(0, 0), (50, 100), (1, 2)]),
            trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
            trust_ip_param: rng.below(2) == 0,
            origins: Default::default(),
            public_url: None,
            udp_port: None,
            registry_key: None,
            tracker_secret: (rng.below(2) == 0).then(|| SECRET.to_vec()),
            connection_id_secret: b"ids".to_vec(),
            connections_max,
            whitelist: Default::default(),
            process: ProcessStats::default,
            version: ("0", "none"),
        };
        let now = Now { mono: 86_400_000, unix: 1_700_000_000 };
        let registered = vec![(InfoHashes::Hybrid(V1Hash([1; 20]), V2Hash([2; 32])), 0)];
        let loaded = Loaded { registered, blocked: vec![V1Hash([3; 20]).key()], ..Loaded::default() };
        let server = Server::new(settings.clone(), seed, &loaded, now);
        let entries = loaded.registered.iter().map(|(hashes, _)| *hashes).collect();
        let blocked = loaded.blocked.iter().copied().collect();
        let store = Store::holding(entries, blocked);
        let (lines, sources) = (Vec::new(), Sources::default());
        let accounts = Accounts::new(settings.policy.peer_ttl_s);
        Self {
            rng,
            server,
            now,
            lines,
            store,
            sources,
            accounts,
            settings,
            seed,
            limited,
            connections_max,
            next_tag: 100,
        }
    }

    /// Another machine in the place of the one that is gone, with what the disk has (swarms left out).
    pub fn begin_again(&mut self, sessions: Vec<StoredSession>) {
        let (registered, blocked) = self.store.rows();
        let loaded = Loaded { registered, blocked, sessions, ..Loaded::default() };
        self.server = Server::new(self.settings.clone(), self.seed, &loaded, self.now);
        self.lines.clear();
        self.store.forget_questions();
        self.sources.forget();
    }

    pub fn uses_passkeys(&self) -> bool {
        self.settings.tracker_secret.is_some()
    }

    /// A number no other request has.
    pub fn tag(&mut self) -> u32 {
        self.next_tag += 1;
        self.next_tag
    }

    pub fn time_passes(&mut self) {
        let ms = match self.rng.below(20) {
            0..12 => self.rng.below(50),
            12..17 => self.rng.below(3_000),
            17..19 => self.rng.below(40_000),
            _ => self.rng.below(4_000_000),
        };
        // A long sleep is not one: the poll wakes at every deadline.
        let end = self.now.mono + u64::from(ms);
        let mut wakes = 0;
        while let Some(due) = self.server.next_deadline().filter(|due| *due < end) {
            self.at(due.max(self.now.mono));
            self.turn();
            wakes += 1;
            assert!(wakes < 20_000, "the machine wakes without end");
        }
        self.at(end);
        if self.rng.below(30) == 0 {
            // Somebody sets the clock.
            self.now.unix = self.now.unix.saturating_add_signed(i64::from(self.rng.below(7200)) - 3600);
        }
    }

    fn at(&mut self, mono: u64) {
        self.now.unix += mono / 1000 - self.now.mono / 1000;
        self.now.mono = mono;
    }

    /// A client connects. In a full house somebody who wants less has to leave, else the newcomer.
    pub fn connect(&mut self) {
        let peer: SocketAddr = SocketAddr::from(([192, 0, 2, self.rng.below(4) as u8], 40_000));
        let conn = self.server.opened(self.now, peer);
        assert!(self.lines.iter().all(|line| line.conn != conn), "a number that is in use");
        self.server.stay(conn);
        let is_slow = self.rng.below(3) == 0;
        self.lines.push(Line::new(conn, self.now.mono, is_slow));
        if !self.server.is_overfull() {
            return;
        }
        match self.server.least_wanted(self.now) {
            Some(other) => {
                let at = self.line_of(other);
                assert!(self.lines[at].is_idle(), "closed to make room, but busy");
                self.close(at);
            }
            None => {
                let mut out = Vec::new();
                self.server.shed(self.now, Shed::Limit, &mut out);
                assert!(out.starts_with(b"HTTP/1.1 503 "));
                self.close(self.lines.len() - 1);
            }
        }
    }

    /// A client writes one more request, or several.
    pub fn ask(&mut self) {
        let Some(at) = self.any_line() else { return };
        for _ in 0..1 + self.rng.below(4) / 3 * self.rng.below(20) {
            let request = Request::any(self);
            self.lines[at].ask(request);
        }
    }

    /// The network brings some of what a client wrote.
    pub fn deliver(&mut self) {
        let Some(at) = self.any_line() else { return };
        let most = self.lines[at].to_send.len().min(8192) as u32;
        if self.rng.below(200) == 0 {
            // Some of it never comes: what follows has lost its meaning.
            self.lines[at].to_send.drain(..most as usize / 2);
            self.lines[at].is_broken = true;
        }
        let most = self.lines[at].to_send.len().min(8192) as u32;
        let bytes = match self.rng.below(3) {
            0 => most,
            _ => self.rng.below(most + 1),
        };
        self.deliver_to(at, bytes as usize);
    }

    fn deliver_to(&mut self, at: usize, bytes: usize) {
        let conn = self.lines[at].conn;
        if bytes == 0 || self.lines[at].next != Next::Read || !self.server.output(conn).is_empty() {
            return;
        }
        let sent: Vec<u8> = self.lines[at].to_send.drain(..bytes).collect();
        let mut out = Vec::new();
        let next = self.server.received(self.now, conn, &sent, &mut out);
        self.write(at, &out, next);
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, at: usize, out: &[u8], next: Next) {
        assert!(out.len() <= OUTPUT_BYTES_MAX, "{} bytes at once", out.len());
        let line = &mut self.lines[at];
        line.next = next;
        line.alive_at = self.now.mono;
        let taken = if line.is_slow { self.rng.below(out.len() as u32 + 1) as usize } else { out.len() };
        line.received.extend_from_slice(&out[..taken]);
        if taken < out.len() {
            self.server.unsent(self.now, line.conn, &out[taken..]);
            let kept = self.server.output(line.conn).len();
            assert!(kept <= OUTPUT_BYTES_MAX, "{kept} bytes kept");
            self.server.stay(line.conn);
            return;
        }
        self.written(at);
    }

    /// Everything is written: what the machine said is next.
    fn written(&mut self, at: usize) {
        self.lines[at].read_answers(self.limited);
        match self.lines[at].next {
            Next::Close { .. } => self.close(at),
            _ => self.server.stay(self.lines[at].conn),
        }
    }

    /// A socket has room again.
    pub fn drain(&mut self) {
        let Some(at) = self.any_line() else { return };
        let waiting = self.server.output(self.lines[at].conn).len() as u32;
        let bytes = self.rng.below(waiting + 1) as usize;
        self.drain_from(at, bytes);
    }

    fn drain_from(&mut self, at: usize, bytes: usize) {
        let conn = self.lines[at].conn;
        if bytes == 0 {
            return;
        }
        let output = self.server.output(conn)[..bytes].to_vec();
        self.lines[at].received.extend_from_slice(&output);
        self.lines[at].alive_at = self.now.mono;
        if self.server.sent(self.now, conn, bytes) {
            self.written(at);
        }
    }

    pub fn client_leaves(&mut self) {
        if let Some(at) = self.any_line() {
            self.close(at);
        }
    }

    fn close(&mut self, at: usize) {
        let line = self.lines.swap_remove(at);
        self.server.closed(line.conn);
    }

    fn any_line(&mut self) -> Option<usize> {
        let count = self.lines.len() as u32;
        (count > 0).then(|| self.rng.below(count) as usize)
    }

    fn line_of(&self, conn: Conn) -> usize {
        self.lines.iter().position(|line| line.conn == conn).expect("an open connection")
    }

    /// What the shell does at the end of each turn, until nothing is left to do at this moment.
    pub fn turn(&mut self) {
        for turns in 0.. {
            assert!(turns < TURNS_MAX, "the machine does not come to rest");
            self.server.woke(self.now);
            self.close_overdue();
            self.go_on();
            self.post();
            self.go_on();
            if self.server.next_deadline().is_none_or(|due| due > self.now.mono) {
                break;
            }
        }
        assert_eq!(self.server.connections() as usize, self.lines.len());
        assert!(self.lines.len() <= self.connections_max as usize);
        for line in &self.lines {
            let (input, output) = self.server.held_bytes(line.conn);
            assert!(input <= INPUT_BYTES_MAX, "{input} bytes of a client are kept");
            assert!(output <= OUTPUT_BYTES_MAX, "{output} bytes for a client are kept");
            let silent = self.now.mono - line.alive_at;
            assert!(silent <= SILENCE_MS_MAX, "{:?} was silent for {silent} ms", line.conn);
        }
    }

    fn close_overdue(&mut self) {
        loop {
            let mut out = Vec::new();
            let Some(conn) = self.server.overdue(self.now, &mut out) else { return };
            let at = self.line_of(conn);
            let line = &mut self.lines[at];
            assert!(self.now.mono >= line.opened_at + 1_000, "closed before its time");
            if !out.is_empty() {
                let told = String::from_utf8_lossy(&out);
                let ill = told.starts_with("HTTP/1.1 503 ") && told.ends_with("Database unreachable");
                assert!(told.starts_with("HTTP/1.1 408 ") || ill, "{told:?}");
            }
            self.close(at);
        }
    }

    fn go_on(&mut self) {
        while let Some(conn) = self.server.ready() {
            let Some(at) = self.lines.iter().position(|line| line.conn == conn) else { continue };
            let mut out = Vec::new();
            let next = self.server.resume(self.now, conn, &mut out);
            self.write(at, &out, next);
        }
    }

    /// Everything that is under way arrives, every answer is given and read: nobody may be left waiting.
    pub fn settle(&mut self) {
        self.store.is_full = false;
        for round in 0.. {
            assert!(round < 10_000, "this does not end");
            self.turn();
            while self.store.answer_one(&mut self.server, self.now) {}
            self.go_on();
            let mut quiet = true;
            for at in (0..self.lines.len()).rev() {
                self.lines[at].is_slow = false;
                let waiting = self.server.output(self.lines[at].conn).len();
                let unsent = self.lines[at].to_send.len();
                quiet &= waiting == 0 && (unsent == 0 || self.lines[at].next != Next::Read);
                if waiting > 0 {
                    self.drain_from(at, waiting);
                } else {
                    self.deliver_to(at, unsent.min(8192));
                }
            }
            self.turn();
            if quiet && self.store.is_quiet() {
                break;
            }
        }
        for line in &self.lines {
            // Everybody who asks for `/health` waits for one answer, which has a ticket of its own.
            let concerns = |ticket: &Ticket| [line.conn.0, u32::MAX].contains(&ticket.connection);
            let lost = self.store.never.iter().any(concerns);
            assert!(lost || line.is_satisfied(), "left waiting: {line:?}");
        }
    }

    /// The daemon ends: what it still hands over is bounded, and the last word is to stop.
    pub fn end(&mut self) {
        self.server.stopping();
        for conn in self.server.owed_nothing() {
            let at = self.line_of(conn);
            assert!(self.lines[at].is_satisfied(), "closed although an answer is owed: {:?}", self.lines[at]);
            self.close(at);
        }
        self.datagram();
        self.server.stop(self.now, true);
        let mail: Vec<_> = std::iter::from_fn(|| self.server.next_mail()).collect();
        assert!((2..=600).contains(&mail.len()), "{} messages", mail.len());
        for mail in mail {
            if let Mail::Write(ToWriter::Usage(cut)) = mail {
                self.accounts.cut(self.now, cut);
            }
        }
        self.accounts.ended();
    }
}
