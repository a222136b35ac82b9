//! The tracker: where both wires meet. It decides who is tracked, who is in a swarm and who is offered to whom.
//!
//! It is told the time, holds no socket, thread or file, and speaks no wire format. `Tracker::announce` reads in the
//! order of the checks of the specification.

pub mod block;
pub mod connection;
pub mod counters;
mod invariants;
pub mod large;
pub mod leaves;
pub mod listing;
mod marks;
mod ranks;
pub mod rate;
mod sessions;
pub mod slice;
pub mod slot;
mod small;
pub mod snapshot;
pub mod swarm;
pub mod table;
pub mod tick;
pub mod upkeep;
pub mod usage;
pub mod users;
mod visit;
pub mod whitelist;

use crate::base::{InfoHashes, Now, PeerId, Rng, SwarmKey, UserId};
use crate::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal, ScrapeStats};
use block::{Peer, bits};
use slice::EntryRef;
use slot::flags;
use std::net::{IpAddr, SocketAddr};
use table::{Found, Table};
use tick::Lifetimes;
use upkeep::Upkeep;
use usage::{Cut, Seat, StoredSession, Usage};
use visit::{Visit, compact, offer_to, role_of};

/// Which hashes are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Any that is not blocked.
    Open,
    /// Those in the registry.
    Registered,
    /// Those on the whitelist, and no others.
    Listed,
}

/// What an operator decides about the tracker.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which hashes are served.
    pub access: Access,
    /// How long a client lives without announcing.
    pub peer_ttl_s: u32,
    /// The same for clients of the idtorrent route.
    pub idt_peer_ttl_s: u32,
    /// How often changed slices are stored.
    pub flush_interval_s: u32,
    /// Clients in all swarms together; 0 means no bound.
    pub total_peers_max: u64,
}

/// Which peers a wire can carry, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// At most so many peers, of both families together.
    pub peers_max: usize,
    /// UDP answers carry the requester's own family only.
    pub families: Families,
}

/// The address families of a peer list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    /// The requester's own.
    Own,
    /// The requester's own first, then the other.
    Both,
}

/// How a client came in, which decides how long it stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lease {
    /// By an announce: PEER_TTL.
    Announced,
    /// By the idtorrent route: IDT_PEER_TTL.
    Registered,
}

/// The tracker.
#[derive(Debug)]
pub struct Tracker {
    table: Table,
    policy: Policy,
    rng: Rng,
    /// The key of peer-id digests; survives restarts, because snapshots hold digests.
    tag_key: u64,
    /// Downloads completed since start.
    completions: u64,
    upkeep: Upkeep,
    /// While passkeys are in use, and until the last of it is on disk.
    usage: Option<Box<Usage>>,
    /// Whether passkeys are in use.
    is_accounting: bool,
    /// Empty, and without meaning, unless the policy is to serve listed hashes only.
    whitelist: whitelist::Whitelist,
}

impl Tracker {
    /// A tracker that knows nothing yet. `seed` must not be guessable from outside.
    pub fn new(policy: Policy, seed: u64, tag_key: u64) -> Self {
        let lifetimes = Lifetimes::new(policy.peer_ttl_s, policy.idt_peer_ttl_s);
        let upkeep = Upkeep::new(policy.flush_interval_s);
        let rng = Rng::new(seed.rotate_left(17));
        Self {
            table: Table::new(seed, lifetimes),
            policy,
            rng,
            tag_key,
            completions: 0,
            upkeep,
            usage: None,
            is_accounting: false,
            whitelist: whitelist::Whitelist::default(),
        }
    }

    /// What is in the table.
    pub fn totals(&self) -> &table::Totals {
        self.table.totals()
    }

    /// Keys that something is known of: torrents with peers, registered, blocked or kept for their completions.
    pub fn torrents(&self) -> usize {
        (0..=u8::MAX).map(|slice| self.table.slice(slice).len()).sum()
    }

    /// Downloads completed since start.
    pub fn completions(&self) -> u64 {
        self.completions
    }

    /// Serves one announce of the client at `from`, whose port is the announced one. On a refusal nothing has changed
    /// and `response` is empty.
    pub fn announce(
        &mut self,
        now: Now,
        from: SocketAddr,
        request: &AnnounceRequest,
        reach: Reach,
        response: &mut AnnounceResponse,
    ) -> Result<(), Refusal> {
        self.announce_for(now, from, request, reach, Lease::Announced, response)
    }

    /// The same for a client that came in by another route.
    pub fn announce_for(
        &mut self,
        now: Now,
        from: SocketAddr,
        request: &AnnounceRequest,
        reach: Reach,
        lease: Lease,
        response: &mut AnnounceResponse,
    ) -> Result<(), Refusal> {
        response.complete = 0;
        response.incomplete = 0;
        response.peers4.clear();
        response.peers6.clear();
        let peers_max = self.policy.total_peers_max;
        let has_room = |peers: u64| peers_max == 0 || peers < peers_max;
        let total = self.table.totals().peers();
        let found = match self.admit(&request.info_hash)? {
            Some(found) => found,
            None if request.event == Event::Stopped => return Ok(()),
            None if !has_room(total) => return Err(Refusal::Full),
            None => {
                let entry = self.table.insert(request.info_hash.key());
                Found { entry, identity: 0, exact: true }
            }
        };
        let tick = self.table.lifetimes().tick(now.mono);
        let wish = offer_to(request).map(|offer| (offer, reach));
        let bits = role_of(request) | found.identity | lease.bits();
        let tag = self.tag(&request.peer_id);
        let rng = &mut self.rng;
        let finished = self.table.change(found.entry, tick, |slot, context| {
            let elsewhere = total - u64::from(slot.len());
            slot.expire_some(context, rng);
            let few = slot.len() as usize <= swarm::SMALL_PEERS_MAX;
            let room = has_room(elsewhere + u64::from(slot.len()));
            let visit = Visit { event: request.event, identity: found.identity, room, wish };
            let (out4, out6) = (&mut response.peers4, &mut response.peers6);
            let finished = match from.ip() {
                IpAddr::V4(ip) => {
                    let peer = Peer { address: compact(ip.octets(), from.port()), tag, seen: tick, bits };
                    let other = slot.v6.as_deref_mut();
                    visit.pay(&mut slot.v4, other, &peer, few, context, rng, (out4, out6))
                }
                IpAddr::V6(ip) => {
                    let peer = Peer { address: compact(ip.octets(), from.port()), tag, seen: tick, bits };
                    let own = slot.v6.get_or_insert_default();
                    visit.pay(own, Some(&mut slot.v4), &peer, few, context, rng, (out6, out4))
                }
            };
            slot.drop_empty_family();
            if let Ok(true) = finished {
                slot.completed = slot.completed.saturating_add(1);
            }
            if finished.is_ok() {
                let counts = slot.counts();
                response.complete = counts.seeders();
                response.incomplete = counts.leechers();
            }
            finished
        });
        if finished == Ok(true) {
            self.completions += 1;
            self.note_completion(found);
        }
        if request.event == Event::Stopped || finished.is_err() {
            self.table.forget_if_idle(found.entry);
        }
        self.upkeep.wake(now.mono);
        finished.map(|_| ())
    }

    /// Counts what a served announce reports for the user of its passkey.
    pub fn account(&mut self, now: Now, user: &UserId, from: SocketAddr, request: &AnnounceRequest) {
        let Some(usage) = self.usage.as_mut().filter(|_| self.is_accounting) else { return };
        let found = self.table.find(&request.info_hash);
        let entry = found.map_or(request.info_hash.key(), |found| self.table.slot(found.entry).key);
        let identity = found.map_or(0, |found| found.identity);
        // A registered hybrid may have had a swarm by its v1 hash before.
        let former = found.filter(|found| found.identity != 0).and_then(|found| {
            let v1 = self.table.registration(found.entry)?.v1()?.key();
            let leads_here = self.table.find(&AnnouncedHash::Short(v1))?.entry == found.entry;
            leads_here.then_some(v1)
        });
        let family = if from.is_ipv4() { 0 } else { 3 };
        let bit = match identity {
            bits::V1 => 1 << family,
            bits::V2 => 2 << family,
            _ => 4 << family,
        };
        usage.count(now.mono, user.as_str(), &Seat { entry, former, bit }, request);
        self.upkeep.wake(now.mono);
    }

    /// Begins with accounting where it was left, or ends it. Stored sessions of an accounting that has ended
    /// are forgotten.
    pub fn set_accounting(&mut self, now: Now, is_on: bool, stored: &[StoredSession]) {
        let (ttl_s, sessions_max) = (self.policy.peer_ttl_s, self.policy.total_peers_max);
        let clock = (now.mono, now.unix);
        let seed = self.table.seed().rotate_left(23);
        let begin = || Some(Box::new(Usage::new(seed, ttl_s, sessions_max, clock, stored)));
        if is_on && self.usage.is_none() || !is_on && !stored.is_empty() {
            self.usage = begin();
        }
        if let (Some(usage), false) = (&mut self.usage, is_on) {
            usage.end();
        }
        self.is_accounting = is_on;
        if self.usage.is_some() {
            self.upkeep.wake(now.mono);
        }
    }

    /// So many cuts are on disk.
    pub fn cuts_stored(&mut self, now: Now, cuts: u32) {
        let Some(usage) = &mut self.usage else { return };
        usage.stored(cuts);
        if usage.has_a_full_cut() {
            self.upkeep.hurry(now.mono);
        } else if usage.is_changed() {
            self.upkeep.wake(now.mono);
        } else if !self.is_accounting && usage.is_over() {
            self.usage = None;
        }
    }

    /// A cut has not reached the disk, and will be part of the next one.
    pub fn cut_failed(&mut self, now: Now, cut: Cut) {
        if let Some(usage) = &mut self.usage {
            usage.failed(cut);
            self.upkeep.wake(now.mono);
        }
    }

    /// Bytes counted and not yet on disk, up and down.
    pub fn usage_pending(&self) -> [u64; 2] {
        self.usage.as_ref().map_or([0; 2], |usage| usage.pending())
    }

    /// Sessions that are measured, and announces that found no room for one.
    pub fn usage_sessions(&self) -> (u64, u64) {
        self.usage.as_ref().map_or((0, 0), |usage| (usage.sessions(), usage.turned_away()))
    }

    /// Reads what announces that are about to be served will need, and changes nothing. Looked at one after the other,
    /// each waits for memory several times; looked at together, step by step, they wait at the same time.
    pub fn foresee(&self, announces: impl Iterator<Item = (SwarmKey, SocketAddr)>) {
        let mut places =
            [(EntryRef { slice: 0, slot: u32::MAX }, SocketAddr::from(([0; 4], 0))); FORESEEN_MAX];
        let mut count = 0;
        for (place, (key, from)) in places.iter_mut().zip(announces) {
            let slot = self.table.likely(&key).unwrap_or(u32::MAX);
            *place = (EntryRef { slice: key.0[0], slot }, from);
            count += 1;
        }
        let read = places[..count].iter().fold(0, |read, (entry, _)| read ^ self.table.peek(*entry));
        let read = places[..count].iter().fold(read, |read, (entry, from)| {
            read ^ match from.ip() {
                IpAddr::V4(ip) => self.table.foresee(*entry, &compact(ip.octets(), from.port())),
                IpAddr::V6(_) => 0,
            }
        });
        // Without a use of what was read, nothing would be.
        std::hint::black_box(read);
    }

    /// The same for the accounts: the entry, the client and the user of each.
    pub fn foresee_accounts<'a>(&self, announces: impl Iterator<Item = (SwarmKey, PeerId, &'a str)>) {
        if let Some(usage) = self.usage.as_ref().filter(|_| self.is_accounting) {
            usage.foresee(announces);
        }
    }

    /// The counts of one swarm. `None`: the hash is not served here.
    pub fn scrape(&mut self, now: Now, hash: &AnnouncedHash) -> Option<ScrapeStats> {
        let Some(found) = self.admit(hash).ok()? else { return Some(ScrapeStats::default()) };
        let tick = self.table.lifetimes().tick(now.mono);
        let rng = &mut self.rng;
        let was_changed = self.table.slice(found.entry.slice).changed;
        let gone = self.table.change(found.entry, tick, |slot, context| {
            let before = slot.len();
            slot.expire_some(context, rng);
            slot.drop_empty_family();
            before - slot.len()
        });
        self.table.mark(found.entry.slice, was_changed || gone > 0);
        let stats = stats_of(self.table.slot(found.entry));
        self.table.forget_if_idle(found.entry);
        Some(stats)
    }

    /// Seeders, leechers and completed downloads of a registered entry, for the registry's answers.
    pub fn live(&self, hashes: &InfoHashes) -> ScrapeStats {
        let Some(found) = self.table.find(&AnnouncedHash::Short(hashes.primary_key())) else {
            return ScrapeStats::default();
        };
        stats_of(self.table.slot(found.entry))
    }

    /// Some registered entries, by primary key, with their seeders: where the number has changed and was not told yet.
    /// Empty when there is nothing to tell.
    pub fn take_seeder_changes(&mut self) -> Vec<(SwarmKey, u32)> {
        self.table.take_reranked()
    }

    /// Whether so many numbers of seeders have changed that they should be told now.
    pub fn has_many_seeder_changes(&self) -> bool {
        self.table.has_many_reranked()
    }

    /// What `take_seeder_changes` gave has not been told after all.
    pub fn seeder_changes_failed(&mut self, changes: &[(SwarmKey, u32)]) {
        self.table.rerank(changes.iter().map(|(key, _)| *key));
    }

    /// A torrent was registered, or registered anew with other hashes.
    pub fn register(&mut self, now: Now, hashes: InfoHashes, before: Option<InfoHashes>, completions: u64) {
        let tick = self.table.lifetimes().tick(now.mono);
        self.table.register(hashes, before, completions, tick);
    }

    /// A torrent was taken down: its keys are refused and its clients forgotten.
    pub fn block(&mut self, now: Now, keys: &[SwarmKey]) {
        let tick = self.table.lifetimes().tick(now.mono);
        keys.iter().for_each(|key| self.table.block(*key, tick));
    }

    /// A takedown was lifted.
    pub fn unblock(&mut self, now: Now, keys: &[SwarmKey]) {
        let tick = self.table.lifetimes().tick(now.mono);
        keys.iter().for_each(|key| self.table.unblock(*key, tick));
    }

    /// Steps 5 and 6 of the checks: blocked loses always, then one rule decides. `None`: admitted, but nothing is
    /// known of the hash yet.
    #[inline]
    fn admit(&self, hash: &AnnouncedHash) -> Result<Option<Found>, Refusal> {
        let found = self.table.find(hash);
        let known = found.map_or(0, |found| self.table.slot(found.entry).flags);
        let exact = found.is_none_or(|found| found.exact);
        if known & flags::BLOCKED != 0 {
            return Err(Refusal::Blocked);
        }
        match self.policy.access {
            Access::Listed if !self.is_listed(hash, found) => Err(Refusal::NotListed),
            Access::Registered if known & flags::REGISTERED == 0 || !exact => Err(Refusal::Unregistered),
            _ => Ok(found),
        }
    }

    fn tag(&self, peer_id: &PeerId) -> u32 {
        let mut hash = self.tag_key;
        for chunk in peer_id.0.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let product = u128::from(hash ^ u64::from_le_bytes(word)) * u128::from(self.tag_key | 1);
            hash = product as u64 ^ (product >> 64) as u64;
        }
        (hash >> 16) as u32
    }
}

impl Lease {
    fn bits(self) -> u8 {
        match self {
            Self::Announced => 0,
            Self::Registered => block::bits::IDT,
        }
    }
}

fn stats_of(slot: &slot::Slot) -> ScrapeStats {
    let counts = slot.counts();
    ScrapeStats {
        complete: counts.seeders(),
        downloaded: u64::from(slot.completed),
        incomplete: counts.leechers(),
        downloaders: counts.leechers() - counts.v4.partial - counts.v6.partial,
    }
}

/// Announces looked ahead at together.
pub const FORESEEN_MAX: usize = 16;
