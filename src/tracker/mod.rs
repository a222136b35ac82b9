//! The tracker: where both wires meet. It decides who is tracked, who is in a swarm and who is offered to whom.
//!
//! It is told the time, holds no socket, thread or file, and speaks no wire format. `Tracker::announce` reads in the
//! order of the checks of the specification.

pub mod block;
pub mod connection;
pub mod counters;
mod invariants;
pub mod leaves;
pub mod rate;
pub mod slice;
pub mod slot;
pub mod snapshot;
pub mod swarm;
pub mod table;
pub mod tick;
pub mod upkeep;
pub mod whitelist;

use crate::base::{InfoHashes, Now, PeerId, Rng, SwarmKey};
use crate::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal, ScrapeStats};
use block::{Peer, bits};
use slice::EntryRef;
use slot::flags;
use std::net::{IpAddr, SocketAddr};
use swarm::{Context, Offer, Swarm, Wish};
use table::{Found, Table};
use tick::Lifetimes;
use upkeep::Upkeep;

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
        let bits = role_of(request) | found.identity;
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

    /// Registered entries, by primary key, with their seeders: where the number has changed since the last call.
    pub fn take_seeder_changes(&mut self) -> Vec<(SwarmKey, u32)> {
        self.table.take_reranked()
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

/// One client's visit to one swarm.
struct Visit {
    event: Event,
    identity: u8,
    /// Whether a new client may come in.
    room: bool,
    wish: Option<(Offer, Reach)>,
}

impl Visit {
    /// Updates the client's own family, then picks peers: of that family, and of the other as far as there is room.
    /// Returns whether a download was completed.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call site for each family; a struct would only rename them"
    )]
    fn pay<const N: usize, const M: usize>(
        &self,
        own: &mut Swarm<N>,
        other: Option<&mut Swarm<M>>,
        peer: &Peer<N>,
        few: bool,
        context: &Context<'_>,
        rng: &mut Rng,
        out: (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<bool, Refusal> {
        if self.event == Event::Stopped {
            self.leave(own, peer, context);
            return Ok(false);
        }
        let finished = self.enter(own, peer, few, context)?;
        if let Some((offer, reach)) = self.wish {
            let wish =
                Wish { offer, identity: self.identity, limit: reach.peers_max, except: Some(&peer.address) };
            let taken = own.pick(&wish, context, rng, out.0);
            if let (Families::Both, Some(other)) = (reach.families, other) {
                let wish =
                    Wish { offer, identity: self.identity, limit: reach.peers_max - taken, except: None };
                other.pick(&wish, context, rng, out.1);
            }
        }
        Ok(finished)
    }

    fn enter<const N: usize>(
        &self,
        swarm: &mut Swarm<N>,
        peer: &Peer<N>,
        few: bool,
        context: &Context<'_>,
    ) -> Result<bool, Refusal> {
        let is_over = |peer: &Peer<N>| context.lifetimes.over(context.now, peer.seen, peer.bits);
        let mut known = swarm.find(&peer.address, context);
        let came_back = known.as_ref().is_some_and(is_over);
        if came_back {
            // A large swarm may hold it still; all the same it is new, except that it fills its own seat.
            swarm.remove(&peer.address, context);
            known = None;
        }
        let (mut kept, mut was_leecher) = (0, false);
        let mut recall = |earlier: &Peer<N>| {
            if is_over(earlier) {
                return;
            }
            kept |= earlier.bits & (bits::IDENTITIES | bits::COUNTED);
            was_leecher |= earlier.bits & bits::SEEDER == 0;
        };
        match &known {
            // Another peer id at the same address is a restarted client: its record is written anew.
            Some(known) if known.tag == peer.tag => recall(known),
            Some(_) => {}
            None if !self.room && !came_back => return Err(Refusal::Full),
            None => {
                while few && let Some(former) = swarm.former_self(peer) {
                    swarm.remove(&former.address, context);
                    recall(&former);
                }
            }
        }
        let is_seeder = peer.bits & bits::SEEDER != 0;
        let finished =
            kept & bits::COUNTED == 0 && (self.event == Event::Completed || was_leecher && is_seeder);
        let counted = if finished { bits::COUNTED } else { 0 };
        swarm.put(known.as_ref(), &Peer { bits: peer.bits | kept | counted, ..*peer }, context);
        Ok(finished)
    }

    /// Takes back the identity that was announced; the record goes when none is left.
    fn leave<const N: usize>(&self, swarm: &mut Swarm<N>, peer: &Peer<N>, context: &Context<'_>) {
        let Some(known) = swarm.find(&peer.address, context) else { return };
        let left = known.bits & !self.identity;
        if self.identity == 0 || left & bits::IDENTITIES == 0 {
            swarm.remove(&peer.address, context);
        } else {
            swarm.put(Some(&known), &Peer { bits: left, ..known }, context);
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

/// The role a client has after this announce.
fn role_of(request: &AnnounceRequest) -> u8 {
    match (request.event, request.left) {
        (Event::Completed, _) | (_, Some(0)) => bits::SEEDER,
        (Event::Paused, _) => bits::PARTIAL,
        _ => 0,
    }
}

/// Whom a client is offered after this announce, if anybody.
fn offer_to(request: &AnnounceRequest) -> Option<Offer> {
    match (request.event, request.left) {
        (Event::Stopped, _) => None,
        (Event::Paused | Event::Completed, _) | (_, Some(0)) => Some(Offer::LeechersOnly),
        _ => Some(Offer::SeedersFirst),
    }
}

/// Announces looked ahead at together.
pub const FORESEEN_MAX: usize = 16;

fn compact<const I: usize, const N: usize>(ip: [u8; I], port: u16) -> [u8; N] {
    let mut address = [0; N];
    address[..I].copy_from_slice(&ip);
    address[I..].copy_from_slice(&port.to_be_bytes());
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{V1Hash, V2Hash};

    const NOW: Now = Now { mono: 10_000_000, unix: 1_700_000_000 };
    const HTTP: Reach = Reach { peers_max: 50, families: Families::Both };

    fn tracker(access: Access) -> Tracker {
        let policy = Policy {
            access,
            peer_ttl_s: 3600,
            idt_peer_ttl_s: 900,
            flush_interval_s: 10,
            total_peers_max: 0,
        };
        Tracker::new(policy, 42, 7)
    }

    fn request(hash: AnnouncedHash, id: u8, left: u64) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: hash,
            peer_id: PeerId([id; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left: Some(left),
            event: Event::None,
            peers_wanted: None,
        }
    }

    fn from(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 6881))
    }

    #[test]
    fn looking_ahead_changes_nothing_whatever_is_asked() {
        let mut tracker = tracker(Access::Open);
        let mut response = AnnounceResponse::default();
        let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
        for n in 0..100 {
            let served = tracker.announce(NOW, from(n), &request(hash, n, 1), HTTP, &mut response);
            assert_eq!(served, Ok(()));
        }
        let before = *tracker.totals();
        let v6 = SocketAddr::from(([0x2001, 0, 0, 0, 0, 0, 0, 1], 6881));
        for count in [0, 1, FORESEEN_MAX, FORESEEN_MAX + 1] {
            let known = std::iter::repeat_n((SwarmKey([9; 20]), from(1)), count);
            tracker.foresee(known.chain([(SwarmKey([8; 20]), from(2)), (SwarmKey([9; 20]), v6)]));
        }
        assert_eq!(*tracker.totals(), before);
    }

    #[test]
    fn a_hybrid_is_one_swarm_with_two_lists() {
        let mut tracker = tracker(Access::Registered);
        let (v1, v2) = (V1Hash([0x11; 20]), V2Hash([0xee; 32]));
        let (a1, a2) = (AnnouncedHash::Short(v1.key()), AnnouncedHash::Full(v2));
        let mut answer = AnnounceResponse::default();
        let refused = tracker.announce(NOW, from(1), &request(a1, 1, 5), HTTP, &mut answer);
        assert_eq!(refused, Err(Refusal::Unregistered));
        tracker.register(NOW, InfoHashes::Hybrid(v1, v2), None, 0);
        for (who, hash) in [(1, a1), (1, a2), (2, a1), (3, a2)] {
            tracker.announce(NOW, from(who), &request(hash, who, 5), HTTP, &mut answer).expect("registered");
        }
        assert_eq!((answer.complete, answer.incomplete), (0, 3));
        assert_eq!(answer.peers4, [192, 0, 2, 1, 0x1a, 0xe1], "the v2 client gets the one that announced v2");
        tracker.announce(NOW, from(1), &request(a1, 1, 5), HTTP, &mut answer).expect("registered");
        assert_eq!(answer.peers4, [192, 0, 2, 2, 0x1a, 0xe1]);
        let stop = AnnounceRequest { event: Event::Stopped, ..request(a1, 1, 5) };
        tracker.announce(NOW, from(1), &stop, HTTP, &mut answer).expect("registered");
        assert_eq!(answer.incomplete, 3, "its v2 identity is still here");
        let other = AnnouncedHash::Full(V2Hash(std::array::from_fn(|i| if i < 20 { 0xee } else { 0 })));
        let refused = tracker.announce(NOW, from(1), &request(other, 1, 5), HTTP, &mut answer);
        assert_eq!(refused, Err(Refusal::Unregistered), "the first 20 bytes are not enough");
    }

    #[test]
    fn a_download_is_counted_once_however_it_is_told() {
        let mut tracker = tracker(Access::Open);
        let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
        let mut answer = AnnounceResponse::default();
        for (left, event) in
            [(5, Event::Started), (0, Event::Completed), (0, Event::None), (0, Event::Completed)]
        {
            let request = AnnounceRequest { event, ..request(hash, 1, left) };
            tracker.announce(NOW, from(1), &request, HTTP, &mut answer).expect("open");
        }
        tracker.announce(NOW, from(2), &request(hash, 2, 0), HTTP, &mut answer).expect("open");
        let stats = tracker.scrape(NOW, &hash).expect("open");
        assert_eq!((stats.downloaded, stats.complete, stats.incomplete), (1, 2, 0));
    }

    #[test]
    fn a_restart_brings_the_swarm_back_and_forgets_the_old() {
        let mut before = tracker(Access::Open);
        let hash = AnnouncedHash::Short(SwarmKey([9; 20]));
        let mut answer = AnnounceResponse::default();
        for n in 0..200 {
            let late = Now { mono: NOW.mono + u64::from(n) * 1000, ..NOW };
            before
                .announce(late, from(n), &request(hash, n, u64::from(n % 2)), HTTP, &mut answer)
                .expect("open");
        }
        let now = Now { mono: NOW.mono + 200_000, ..NOW };
        let steps = before.flush_all(now);
        let mut after = tracker(Access::Open);
        let later = Now { mono: 500, unix: NOW.unix + 3500 };
        for step in &steps {
            if let upkeep::FlushStep::Slice(slice) = step {
                assert!(after.restore(later, slice));
                let mut damaged = slice.clone();
                damaged.bytes[30] ^= 1;
                assert!(!tracker(Access::Open).restore(later, &damaged));
            }
        }
        let stats = after.scrape(later, &hash).expect("open");
        assert_eq!(stats.complete + stats.incomplete, 100, "those who were last seen 3,600 s ago or less");
    }

    #[test]
    fn the_sweep_frees_who_has_gone_and_then_sleeps() {
        let mut tracker = tracker(Access::Open);
        let mut answer = AnnounceResponse::default();
        for n in 0..100 {
            let hash = AnnouncedHash::Short(SwarmKey([n; 20]));
            tracker.announce(NOW, from(n), &request(hash, n, 1), HTTP, &mut answer).expect("open");
        }
        let mut now = NOW;
        while let Some(due) = tracker.next_deadline() {
            now.mono = due;
            tracker.sweep(now);
            while tracker.flush(now).is_some() {}
            assert!(now.mono < NOW.mono + 3_700_000, "freed within a minute after the last lifetime");
        }
        assert_eq!(tracker.totals(), &table::Totals::default());
    }
}
