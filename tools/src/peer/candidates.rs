//! Addresses of one swarm that can be dialled, from trackers, peers, links and people; whom to try next.
//!
//! Lists can be full of victims or of one attacker's addresses: the pool is bounded, one PEX sender fills at most 30 %
//! of it, tries spread over networks, an IP gets two connections at most, and failures are retried ever more rarely.

use super::address::{folded, is_dialable, is_local, neighbourhood};
use super::handshake::Offers;
use super::limits::{
    CANDIDATES_MAX, CANDIDATES_PER_SENDER_MAX, DIALS_PER_IP_MAX, DIALS_PER_LOCAL_IP_MAX, OWN_ADDRESSES_MAX,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use weightless::base::{Millis, Rng};

/// Who told an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A tracker.
    Tracker,
    /// A peer, by PEX.
    Pex(u64),
    /// `x.pe` of a magnet link.
    Magnet,
    /// A peer that connected to us and said where it listens.
    Incoming,
    /// `--peer`.
    User,
}

/// The pool of one swarm.
#[derive(Debug)]
pub struct Candidates {
    pool: BTreeMap<SocketAddr, Candidate>,
    own: Vec<SocketAddr>,
    rng: Rng,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    origin: Origin,
    offers: Offers,
    state: State,
    was_tried: bool,
    /// Since the last success.
    failures: u32,
    /// Connections that were made and ended.
    closings: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// May be dialled from then on.
    Waits(Millis),
    /// Being dialled, or connected.
    Busy,
}

impl Candidates {
    /// An empty pool.
    pub fn new(rng: Rng) -> Self {
        Self { pool: BTreeMap::new(), own: Vec::new(), rng }
    }

    /// Takes an address; `offers` says whether it comes from an announce by the v2 hash. What is never dialled, known
    /// or too much is left out. Returns whether it is new.
    pub fn add(&mut self, now: Millis, address: SocketAddr, origin: Origin, offers: Offers) -> bool {
        let address = folded(address);
        if !is_dialable(&address) || self.own.contains(&address) {
            return false;
        }
        if let Some(known) = self.pool.get_mut(&address) {
            // Found by both hashes: with the v2 hash the connection is v2 without asking.
            if offers == Offers::V2 {
                known.offers = Offers::V2;
            }
            return false;
        }
        if let Origin::Pex(_) = origin {
            let told = self.pool.values().filter(|candidate| candidate.origin == origin).count();
            if told >= CANDIDATES_PER_SENDER_MAX {
                return false;
            }
        }
        if self.pool.len() >= CANDIDATES_MAX && !self.make_room(origin) {
            return false;
        }
        let state = State::Waits(now);
        let new = Candidate { origin, offers, state, was_tried: false, failures: 0, closings: 0 };
        self.pool.insert(address, new);
        debug_assert!(self.pool.len() <= CANDIDATES_MAX);
        true
    }

    /// The address to dial next, if one is due; it counts as being dialled until one of the calls below.
    pub fn next(
        &mut self,
        now: Millis,
        is_connected: impl Fn(&SocketAddr) -> bool,
    ) -> Option<(SocketAddr, Offers)> {
        let busy = self.pool.iter().filter(|(_, candidate)| candidate.state == State::Busy);
        let busy: Vec<IpAddr> = busy.map(|(address, _)| address.ip()).collect();
        let mut best: Option<(Order, u32, SocketAddr)> = None;
        let mut equal = 0;
        for (address, candidate) in &self.pool {
            let is_due = matches!(candidate.state, State::Waits(from) if from <= now);
            if !is_due || is_full(&busy, address.ip()) || is_connected(address) {
                continue;
            }
            let order = candidate.order(&busy, address.ip());
            // Random among equals, in one walk.
            let chance = match &best {
                Some((known, _, _)) if *known < order => continue,
                Some((known, _, _)) if *known == order => {
                    equal += 1;
                    self.rng.below(equal)
                }
                _ => {
                    equal = 1;
                    0
                }
            };
            if chance == 0 {
                best = Some((order, equal, *address));
            }
        }
        let (_, _, address) = best?;
        let chosen = self.pool.get_mut(&address)?;
        chosen.state = State::Busy;
        chosen.was_tried = true;
        Some((address, chosen.offers))
    }

    /// Dialling failed, or the handshake did. After five failures without a success between them the address is gone.
    pub fn failed(&mut self, now: Millis, address: SocketAddr) {
        let address = folded(address);
        let Some(candidate) = self.pool.get_mut(&address) else { return };
        candidate.failures += 1;
        if candidate.failures >= FAILURES_MAX {
            self.pool.remove(&address);
            return;
        }
        candidate.state = State::Waits(now + backoff(candidate.failures));
    }

    /// The handshake succeeded.
    pub fn connected(&mut self, address: SocketAddr) {
        if let Some(candidate) = self.pool.get_mut(&folded(address)) {
            candidate.failures = 0;
            candidate.was_tried = true;
            candidate.state = State::Busy;
        }
    }

    /// A connection that had succeeded ended. One that ends again and again is dialled ever more rarely.
    pub fn closed(&mut self, now: Millis, address: SocketAddr) {
        if let Some(candidate) = self.pool.get_mut(&folded(address)) {
            candidate.state = State::Waits(now + backoff(candidate.closings));
            candidate.closings = candidate.closings.saturating_add(1);
        }
    }

    /// An address of our own: never dialled again.
    pub fn forget(&mut self, address: SocketAddr) {
        let address = folded(address);
        self.pool.remove(&address);
        if self.own.len() < OWN_ADDRESSES_MAX && !self.own.contains(&address) {
            self.own.push(address);
        }
    }

    /// Drops what peers have told: the torrent turned out to be private.
    pub fn forget_hearsay(&mut self) {
        let told = |candidate: &Candidate| matches!(candidate.origin, Origin::Pex(_));
        self.pool.retain(|_, candidate| candidate.state == State::Busy || !told(candidate));
    }

    /// Leaves out what does not pass: those who were banned.
    pub fn retain(&mut self, keep: impl Fn(&SocketAddr) -> bool) {
        self.pool.retain(|address, _| keep(address));
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Whether there is an address that may be dialled now, those left out that `is_connected` names.
    pub fn has_due(&self, now: Millis, is_connected: impl Fn(&SocketAddr) -> bool) -> bool {
        let is_due = |candidate: &Candidate| matches!(candidate.state, State::Waits(from) if from <= now);
        self.pool.iter().any(|(address, candidate)| is_due(candidate) && !is_connected(address))
    }

    /// When the next address that now has to wait may be dialled.
    pub fn next_due(&self, now: Millis) -> Option<Millis> {
        let waits = |candidate: &Candidate| match candidate.state {
            State::Waits(from) if from > now => Some(from),
            _ => None,
        };
        self.pool.values().filter_map(waits).min()
    }

    /// Drops the worst address that is not in use, for one that may be better: what has failed goes first; hearsay of
    /// peers goes for anything that is not hearsay.
    fn make_room(&mut self, origin: Origin) -> bool {
        let is_hearsay = |origin: Origin| matches!(origin, Origin::Pex(_));
        let idle = self.pool.iter().filter(|(_, candidate)| candidate.state != State::Busy);
        let worst = idle.max_by_key(|(_, candidate)| (candidate.failures, is_hearsay(candidate.origin)));
        let Some((address, worst)) = worst.map(|(address, worst)| (*address, *worst)) else { return false };
        let may_go = worst.failures > 0 || (is_hearsay(worst.origin) && !is_hearsay(origin));
        if may_go {
            self.pool.remove(&address);
        }
        may_go
    }
}

/// What is better comes first: untried, fewest failures, what the user named, fewest connections into its network.
type Order = (bool, u32, bool, usize);

impl Candidate {
    fn order(&self, busy: &[IpAddr], ip: IpAddr) -> Order {
        let network = neighbourhood(ip);
        let neighbours = busy.iter().filter(|other| neighbourhood(**other) == network).count();
        (self.was_tried, self.failures, self.origin != Origin::User, neighbours)
    }
}

/// Whether an IP has as many connections of ours as it may have.
fn is_full(busy: &[IpAddr], ip: IpAddr) -> bool {
    let bound = if is_local(ip) { DIALS_PER_LOCAL_IP_MAX } else { DIALS_PER_IP_MAX };
    busy.iter().filter(|other| **other == ip).count() >= bound
}

/// 30 s x 2^n, at most an hour.
fn backoff(exponent: u32) -> Millis {
    RETRY_MS.saturating_mul(1 << exponent.min(16)).min(RETRY_MS_MAX)
}

const RETRY_MS: Millis = 30_000;
const RETRY_MS_MAX: Millis = 3_600_000;
const FAILURES_MAX: u32 = 5;

#[cfg(test)]
mod tests;
