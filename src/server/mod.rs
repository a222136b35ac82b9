//! The daemon as one pure machine: fed datagrams, bytes, mail from the store and the time; it writes answers into
//! buffers and puts mail in an outbox. No socket, clock, file, thread or lock.
//!
//! The shell's contract, in this order for everything that happened since the last turn:
//!
//! 1. `datagram` for each datagram: send `reply` back when it says so.
//! 2. `opened` for each new connection; `received` with what came in on one, then write what it appended to `out`;
//!    `unsent` keeps what the socket did not take. Do as the returned `Next` says.
//! 3. `delivered` for each message of the store; then `ready` names the connections that can go on: `resume`.
//! 4. `woke`, at the latest at `next_deadline`; then `overdue` names the connections to close.
//! 5. `next_mail` until there is none.

mod access;
mod address;
mod answers;
mod api;
mod body;
mod cors;
mod health;
mod http;
mod metrics;
mod outbox;
mod pages;
mod passkeys;
mod peer_routes;
mod reply;
mod session;
mod tracker_routes;
mod udp;
mod uploads;
mod web;

pub use cors::Origins;
pub use http::Shed;
pub use metrics::ProcessStats;
pub use outbox::Mail;
pub use session::{Conn, Next};

use crate::base::limits;
use crate::base::{Cidr, Millis, Now, UnixSeconds};
use crate::mailbox::{AdmissionChange, FromStore, Loaded, ToReader, UsageReport};
use crate::registry::Answer;
use crate::tracker::connection::ConnectionIds;
use crate::tracker::counters::Counters;
use crate::tracker::rate::RateLimiter;
use crate::tracker::whitelist::Whitelist;
use crate::tracker::{Policy, Tracker};
use crate::wire::announce::AnnounceResponse;
use crate::wire::http_tracker::{Pace, ScrapeFiles};
use crate::wire::http1::HttpDate;
use crate::wire::passkey::PasskeyKey;
use outbox::Outbox;
use passkeys::KnownPasskeys;
use session::Sessions;

/// What an operator decides about the daemon, as far as the machine needs to know.
#[derive(Clone)]
pub struct Settings {
    /// What the tracker admits and how long it remembers.
    pub policy: Policy,
    /// Most peers in an HTTP answer, and the default of a UDP answer.
    pub peers_max: u32,
    /// Most peers in a UDP answer that asked for a number.
    pub udp_peers_max: u32,
    /// The announce interval that clients are told.
    pub interval_s: u32,
    /// HTTP requests a second and at once, per address.
    pub rate: (u32, u32),
    /// UDP connects a second and at once, per source.
    pub udp_rate: (u32, u32),
    /// Proxies whose word about a client's address is taken.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether clients on private networks may name their address themselves.
    pub trust_ip_param: bool,
    /// What a write to the registry must present, when set.
    pub registry_key: Option<Vec<u8>>,
    /// Web pages of other origins that may use the registry.
    pub origins: Origins,
    /// The URL the world knows us by, without a slash at the end.
    pub public_url: Option<String>,
    /// The UDP port, when there is one.
    pub udp_port: Option<u16>,
    /// The list to begin with, where the policy is to serve listed hashes only.
    pub whitelist: Whitelist,
    /// The key of passkeys; set, every announce needs one.
    pub tracker_secret: Option<Vec<u8>>,
    /// The secret of UDP connection ids.
    pub connection_id_secret: Vec<u8>,
    /// Most open connections.
    pub connections_max: u32,
    /// Asks the system what the process costs; called for the metrics page only.
    pub process: fn() -> ProcessStats,
    /// The version, and the commit it was built from.
    pub version: (&'static str, &'static str),
}

/// The machine.
pub struct Server {
    settings: Settings,
    tracker: Tracker,
    ids: ConnectionIds,
    passkeys: Option<PasskeyKey>,
    known_passkeys: KnownPasskeys,
    rate: RateLimiter,
    udp_rate: RateLimiter,
    counters: Counters,
    sessions: Sessions,
    outbox: Outbox,
    date: (u64, HttpDate),
    started: UnixSeconds,
    turns: metrics::Histogram,
    /// From a request to the store's answer, by route.
    api_times: [metrics::Histogram; metrics::API_ROUTES.len()],
    /// By `CommitKind`.
    commit_times: [metrics::Histogram; 3],
    /// By `StoreFault`.
    faults: [u64; 4],
    /// Requests that the store has not answered.
    waiting: u64,
    /// When a flush was last known to be on disk; at first, when everything came from there.
    flushed_at: Millis,
    health: Health,
    /// The accounts on disk.
    usage: UsageReport,
    pings: health::Pings,
    uploads: uploads::Uploads,
    /// When the registry may be told of changed numbers of seeders: not at once after its mailbox was full.
    ranks_due: Millis,
    /// Bytes of long answers that clients have not taken.
    long_answers_bytes: u64,
    web: web::Web,
    // Buffers that are used again and again, so that answering allocates nothing.
    announced: AnnounceResponse,
    files: ScrapeFiles,
    body: Vec<u8>,
}

/// What `/health` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Health {
    Good,
    /// The last write failed.
    WriteFailed,
    /// The daemon is about to end.
    Stopping,
}

impl Server {
    /// A machine that goes on where `loaded` was written. `seed` must not be guessable from outside.
    pub fn new(mut settings: Settings, seed: u64, loaded: &Loaded, now: Now) -> Self {
        let mut tracker = Tracker::new(settings.policy.clone(), seed, loaded.tag_key);
        // Before the swarms come back: they are let in by it.
        tracker.set_whitelist(now, std::mem::take(&mut settings.whitelist));
        for (hashes, completions) in &loaded.registered {
            tracker.register(now, *hashes, None, *completions);
        }
        tracker.block(now, &loaded.blocked);
        for slice in &loaded.slices {
            if !tracker.restore(now, slice) {
                log::warn!(
                    "stored slice {} of the swarm table is damaged; its clients will come back",
                    slice.slice
                );
            }
        }
        for former in &loaded.former_peers {
            tracker.take_in(now, former);
        }
        tracker.set_accounting(now, settings.tracker_secret.is_some(), &loaded.sessions);
        Self {
            tracker,
            ids: ConnectionIds::new(&settings.connection_id_secret),
            passkeys: settings.tracker_secret.as_deref().map(PasskeyKey::new),
            known_passkeys: KnownPasskeys::new(seed.rotate_left(41)),
            rate: RateLimiter::new(settings.rate.0, settings.rate.1, seed.rotate_left(7)),
            udp_rate: RateLimiter::new(settings.udp_rate.0, settings.udp_rate.1, seed.rotate_left(29)),
            counters: Counters::default(),
            sessions: Sessions::default(),
            outbox: Outbox::default(),
            date: (now.unix, HttpDate::at(now.unix)),
            started: now.unix,
            turns: metrics::Histogram::default(),
            api_times: Default::default(),
            commit_times: Default::default(),
            faults: Default::default(),
            waiting: 0,
            flushed_at: now.mono,
            health: Health::Good,
            usage: loaded.usage,
            pings: health::Pings::default(),
            uploads: uploads::Uploads::default(),
            ranks_due: 0,
            long_answers_bytes: 0,
            web: web::Web::new(&settings),
            announced: AnnounceResponse::default(),
            files: ScrapeFiles::default(),
            body: Vec::new(),
            settings,
        }
    }

    /// Mail from the store. The connections that can go on are then named by `ready`.
    pub fn delivered(&mut self, now: Now, mail: FromStore) {
        match mail {
            FromStore::Admission(change) => self.admission_changed(now, change),
            FromStore::Answered { ticket: health::PING, answer } => {
                self.pinged(now, !matches!(answer, Answer::Error(_)));
            }
            FromStore::Answered { ticket, answer } => self.answered(now, ticket, answer),
            FromStore::UploadTaken { ticket } => self.upload_taken(ticket),
            FromStore::Flushed { slices, completed, cuts, lost, durable } => {
                self.outbox.flushed();
                lost.into_iter().for_each(|cut| self.tracker.cut_failed(now, cut));
                if durable {
                    self.flushed_at = now.mono;
                    self.tracker.cuts_stored(now, cuts);
                } else {
                    self.tracker.flush_failed(now, &slices, &completed);
                }
            }
            FromStore::Usage(report) => self.usage = report,
            FromStore::Committed { kind, micros } => self.commit_times[kind as usize].add(micros),
            FromStore::Fault(fault) => self.faults[fault as usize] += 1,
            FromStore::Health { writable } => self.set_health(writable),
        }
    }

    /// A new whitelist.
    pub fn set_whitelist(&mut self, now: Now, list: Whitelist) {
        self.tracker.set_whitelist(now, list);
    }

    /// What an operator may change while the daemon runs: keys, rates, proxies, origins.
    pub fn reload(&mut self, now: Now, newer: Settings) {
        if self.settings.rate != newer.rate {
            self.rate = RateLimiter::new(newer.rate.0, newer.rate.1, self.rate.seed());
        }
        self.passkeys = newer.tracker_secret.as_deref().map(PasskeyKey::new);
        self.known_passkeys.clear();
        if self.settings.tracker_secret.is_some() != newer.tracker_secret.is_some() {
            self.tracker.set_accounting(now, newer.tracker_secret.is_some(), &[]);
        }
        self.settings.rate = newer.rate;
        self.settings.registry_key = newer.registry_key;
        self.settings.tracker_secret = newer.tracker_secret;
        self.settings.trusted_proxies = newer.trusted_proxies;
        self.settings.origins = newer.origins;
        self.web = web::Web::new(&self.settings);
    }

    /// The machine's own errands.
    pub fn woke(&mut self, now: Now) {
        self.outbox.new_turn();
        self.tracker.sweep(now);
        while self.tracker.has_many_seeder_changes() && now.mono >= self.ranks_due {
            let changes = self.tracker.take_seeder_changes();
            if !changes.is_empty() {
                self.outbox.push(Mail::Read(ToReader::Seeders(changes)));
                break;
            }
        }
        if self.outbox.takes_flush()
            && let Some(step) = self.tracker.flush(now)
        {
            self.outbox.flush_step(step);
        }
    }

    /// When the machine next wants to be woken, if at all.
    pub fn next_deadline(&self) -> Option<Millis> {
        let tracker =
            if self.outbox.takes_flush() { self.tracker.next_deadline() } else { self.tracker.sweep_due() };
        let ranks = self.tracker.has_many_seeder_changes().then_some(self.ranks_due);
        [tracker, self.sessions.next_deadline(), ranks].into_iter().flatten().min()
    }

    /// The next message for the store. The shell gives back with `refused` what a full mailbox did not take.
    pub fn next_mail(&mut self) -> Option<Mail> {
        self.outbox.pop()
    }

    /// A message that the store's full mailbox did not take: an honest 503, or another try later.
    pub fn refused(&mut self, now: Now, mail: Mail) {
        match self.outbox.refused(mail) {
            outbox::Refused::Request(health::PING) => self.pinged(now, false),
            outbox::Refused::Request(ticket) => self.answered(now, ticket, api::busy()),
            outbox::Refused::Slices(slices) => self.tracker.flush_failed(now, &slices, &[]),
            outbox::Refused::Completions(hashes) => self.tracker.flush_failed(now, &[], &hashes),
            outbox::Refused::Usage(cut) => self.tracker.cut_failed(now, cut),
            outbox::Refused::Ranks(changes) => {
                self.tracker.seeder_changes_failed(&changes);
                self.ranks_due = now.mono + RANKS_AGAIN_MS;
            }
            outbox::Refused::Nothing => {}
        }
    }

    /// Whether more connections are open than may stay.
    pub fn is_overfull(&self) -> bool {
        self.sessions.len() > self.settings.connections_max
    }

    /// Connections that may be closed at once when the daemon ends: no request of theirs is under way.
    pub fn owed_nothing(&self) -> Vec<Conn> {
        let idle = |session: &session::Session| {
            !session.has_output() && matches!(session.phase, session::Phase::Idle | session::Phase::Head)
        };
        self.sessions.all().filter(|(_, session)| idle(session)).map(|(conn, _)| conn).collect()
    }

    /// No more announces will be served. `/health` says so; everything that has changed is put in the outbox. With
    /// `last_send` the store may send to the hub once more.
    pub fn stop(&mut self, now: Now, last_send: bool) {
        self.health = Health::Stopping;
        for step in self.tracker.flush_all(now) {
            self.outbox.flush_step(step);
        }
        self.outbox.stop(last_send);
    }

    /// From now on everything is refused: datagrams by silence, connections by closing.
    pub fn stopping(&mut self) {
        self.health = Health::Stopping;
    }

    fn admission_changed(&mut self, now: Now, change: AdmissionChange) {
        match change {
            AdmissionChange::Registered { hashes, before, completions } => {
                self.tracker.register(now, hashes, before, completions);
            }
            AdmissionChange::Blocked { keys } => self.tracker.block(now, &keys),
            AdmissionChange::Unblocked { keys } => self.tracker.unblock(now, &keys),
        }
    }

    fn set_health(&mut self, writable: bool) {
        if self.health != Health::Stopping {
            self.health = if writable { Health::Good } else { Health::WriteFailed };
        }
    }

    fn pace(&self) -> Pace {
        let interval_s = self.settings.interval_s;
        Pace { interval_s, min_interval_s: interval_s.min(limits::MIN_INTERVAL_S_MAX) }
    }

    /// The `Date` field, made anew once a second.
    fn date(&mut self, now: Now) -> HttpDate {
        if self.date.0 != now.unix {
            self.date = (now.unix, HttpDate::at(now.unix));
        }
        self.date.1
    }
}

/// How long to wait with changed numbers of seeders when the store's mailbox was full.
const RANKS_AGAIN_MS: Millis = 1_000;
