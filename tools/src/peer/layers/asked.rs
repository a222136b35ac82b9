//! Requests for hashes that are under way: with whom, since when, and those whose time is over but whose answers may
//! still come.

use crate::peer::limits::{HASH_REQUESTS_LATE_MAX, HASH_REQUESTS_MAX};
use crate::peer::wire::HashRange;
use std::collections::BTreeMap;
use weightless::base::Millis;

/// All that is asked for one purpose.
#[derive(Debug, Default)]
pub(super) struct Asked {
    by_peer: BTreeMap<u64, Vec<Request>>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    range: HashRange,
    since: Millis,
    is_late: bool,
}

impl Asked {
    /// How many more requests a peer may get.
    pub fn room(&self, peer: u64) -> usize {
        let open = self.by_peer.get(&peer).map_or(0, |all| all.iter().filter(|one| !one.is_late).count());
        HASH_REQUESTS_MAX.saturating_sub(open)
    }

    pub fn ask(&mut self, now: Millis, peer: u64, range: HashRange) {
        let of_peer = self.by_peer.entry(peer).or_default();
        of_peer.retain(|one| one.range != range);
        of_peer.push(Request { range, since: now, is_late: false });
    }

    /// Whether this was asked of the peer; from now on it is not. `Some(true)`: its time was over.
    pub fn take(&mut self, peer: u64, range: &HashRange) -> Option<bool> {
        let of_peer = self.by_peer.get_mut(&peer)?;
        let at = of_peer.iter().position(|one| one.range == *range)?;
        let taken = of_peer.remove(at);
        if of_peer.is_empty() {
            self.by_peer.remove(&peer);
        }
        Some(taken.is_late)
    }

    /// The requests whose time is over now.
    pub fn time_out(&mut self, now: Millis) -> Vec<(u64, HashRange)> {
        let mut over = Vec::new();
        for (peer, requests) in &mut self.by_peer {
            for request in requests.iter_mut().filter(|one| !one.is_late && one.since + ANSWER_MS <= now) {
                request.is_late = true;
                over.push((*peer, request.range));
            }
            while requests.iter().filter(|one| one.is_late).count() > HASH_REQUESTS_LATE_MAX {
                let Some(oldest) = requests.iter().position(|one| one.is_late) else { break };
                requests.remove(oldest);
            }
        }
        over
    }

    /// The peer is gone; what it had still time to answer.
    pub fn gone(&mut self, peer: u64) -> Vec<HashRange> {
        let requests = self.by_peer.remove(&peer).unwrap_or_default();
        requests.iter().filter(|one| !one.is_late).map(|one| one.range).collect()
    }

    /// How many answers may still come from each peer, late ones too.
    pub fn unanswered(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.by_peer.iter().map(|(peer, requests)| (*peer, requests.len() as u32))
    }

    /// When the next request's time is over.
    pub fn next_due(&self) -> Option<Millis> {
        let open = self.by_peer.values().flatten().filter(|one| !one.is_late);
        open.map(|one| one.since + ANSWER_MS).min()
    }
}

const ANSWER_MS: Millis = 10_000;
