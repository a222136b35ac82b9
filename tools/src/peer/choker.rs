//! Upload slots (BEP 3): who may ask us for pieces.
//!
//! Every ten seconds the best interested peers get the slots but one, which goes to somebody by chance for thirty: that
//! is how newcomers begin and better partners are found. Between rounds only free slots are given away. While no more
//! peers are interested than there are slots, nobody is choked.

use super::limits::UPLOAD_SLOTS_MAX;
use std::cmp::Reverse;
use weightless::base::{Millis, Rng};

/// A peer that might be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// Its connection.
    pub peer: u64,
    /// It wants something of us.
    pub interested: bool,
    /// Bytes a second it sends us.
    pub rate_to_us: u64,
    /// Bytes a second we send it.
    pub rate_from_us: u64,
    /// Bytes it has had of us.
    pub served: u64,
    /// It sent nothing for 60 s while we wanted data.
    pub snubbed: bool,
    /// It may ask at the moment.
    pub unchoked: bool,
    /// Since when it is there.
    pub connected_at: Millis,
}

/// How many slots there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// By the bytes a second that `--up` allows: the square root of KB/s, at least 4.
    ByRate(u64),
    /// 4, and one more every ten seconds while the upload grows, at most 50.
    Auto,
    /// So many.
    Fixed(u32),
}

/// What a good partner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One that sends us much.
    Leeching,
    /// One that takes much, or one that has had little.
    Seeding,
}

/// Decides for one swarm.
#[derive(Debug)]
pub struct Choker {
    slots: Slots,
    auto_slots: u32,
    /// The fastest upload of any round so far, in bytes a second.
    peak: u64,
    next_round: Millis,
    /// Who has the slot that goes by chance, and since when.
    optimistic: Option<(u64, Millis)>,
    rng: Rng,
}

impl Choker {
    /// All slots are free.
    pub fn new(slots: Slots, rng: Rng) -> Self {
        Self { slots, auto_slots: SLOTS_MIN, peak: 0, next_round: 0, optimistic: None, rng }
    }

    /// Who is choked (`false`) and unchoked (`true`) now: changes only, chokes first. To be called when
    /// [`Choker::next_due`] has come, and when somebody's interest changes or an unchoked peer goes.
    pub fn decide(
        &mut self,
        now: Millis,
        mode: Mode,
        upload_bytes_per_s: u64,
        contenders: &[Contender],
    ) -> Vec<(u64, bool)> {
        let interested: Vec<&Contender> = contenders.iter().filter(|peer| peer.interested).collect();
        let is_round = now >= self.next_round;
        if is_round {
            self.next_round = now + ROUND_MS;
            self.grow(upload_bytes_per_s, interested.len());
        }
        let slots = self.slots() as usize;
        let chosen = if interested.len() <= slots {
            interested.iter().map(|peer| peer.peer).collect()
        } else if is_round {
            self.round(now, mode, slots, interested)
        } else {
            self.fill(slots, &interested)
        };
        // Between rounds somebody who has lost interest keeps its place: it often comes back at once.
        let stays = |peer: &Contender| !is_round && !peer.interested;
        let mut changes: Vec<(u64, bool)> = contenders
            .iter()
            .filter(|peer| !stays(peer))
            .map(|peer| (peer, chosen.contains(&peer.peer)))
            .filter(|(peer, unchoke)| peer.unchoked != *unchoke)
            .map(|(peer, unchoke)| (peer.peer, unchoke))
            .collect();
        changes.sort_by_key(|(_, unchoke)| *unchoke);
        changes
    }

    /// When the next round is.
    pub fn next_due(&self) -> Millis {
        self.next_round
    }

    fn slots(&self) -> u32 {
        match self.slots {
            Slots::ByRate(up) => {
                let root = (up / 1000).isqrt();
                let root = if root * root * 1000 < up { root + 1 } else { root };
                u32::try_from(root).unwrap_or(u32::MAX).max(SLOTS_MIN)
            }
            Slots::Auto => self.auto_slots,
            Slots::Fixed(slots) => slots,
        }
    }

    fn grow(&mut self, upload: u64, interested: usize) {
        // A slot that nobody waits for would not have made the upload grow.
        if upload > self.peak && interested > self.auto_slots as usize && self.auto_slots < UPLOAD_SLOTS_MAX {
            self.auto_slots += 1;
        }
        self.peak = self.peak.max(upload);
    }

    /// More want a slot than there are.
    fn round(&mut self, now: Millis, mode: Mode, slots: usize, mut interested: Vec<&Contender>) -> Vec<u64> {
        let regular = slots.saturating_sub(1);
        let mut chosen = Vec::with_capacity(slots);
        // Equal ones are not always taken in the same order.
        shuffle(&mut interested, &mut self.rng);
        let mut take = |count: usize, key: &dyn Fn(&Contender) -> Reverse<u64>| {
            let mut open: Vec<&&Contender> =
                interested.iter().filter(|peer| !peer.snubbed && !chosen.contains(&peer.peer)).collect();
            open.sort_by_key(|peer| key(peer));
            chosen.extend(open.iter().take(count).map(|peer| peer.peer));
        };
        match mode {
            Mode::Leeching => take(regular, &|peer| Reverse(peer.rate_to_us)),
            Mode::Seeding => {
                // By speed alone the first ones would keep their slots for ever.
                take(regular.div_ceil(2), &|peer| Reverse(peer.rate_from_us));
                take(regular / 2, &|peer| Reverse(u64::MAX - peer.served));
            }
        }
        let rest: Vec<&Contender> =
            interested.into_iter().filter(|peer| !chosen.contains(&peer.peer)).collect();
        if slots > 0 {
            chosen.extend(self.by_chance(now, &rest));
        }
        chosen
    }

    /// Who has the slot that goes by chance: the same peer for thirty seconds, then another one.
    fn by_chance(&mut self, now: Millis, rest: &[&Contender]) -> Option<u64> {
        if let Some((peer, since)) = self.optimistic {
            let is_there = rest.iter().any(|other| other.peer == peer);
            if is_there && now < since + OPTIMISTIC_MS {
                return Some(peer);
            }
        }
        let current = self.optimistic.map(|(peer, _)| peer).filter(|_| rest.len() > 1);
        let lots = |peer: &Contender| {
            if Some(peer.peer) == current {
                0
            } else if now.saturating_sub(peer.connected_at) < NEW_MS {
                NEW_LOTS
            } else {
                1
            }
        };
        let all: u32 = rest.iter().map(|peer| lots(peer)).sum();
        let mut lot = if all > 0 { self.rng.below(all) } else { return None };
        for peer in rest {
            if lot < lots(peer) {
                self.optimistic = Some((peer.peer, now));
                return Some(peer.peer);
            }
            lot -= lots(peer);
        }
        None
    }

    /// Between rounds: whoever has a slot keeps it, free ones go to those that are not snubbed.
    fn fill(&mut self, slots: usize, interested: &[&Contender]) -> Vec<u64> {
        let mut chosen: Vec<u64> = interested.iter().filter(|p| p.unchoked).map(|p| p.peer).collect();
        let free = slots.saturating_sub(chosen.len());
        let mut waiting: Vec<&Contender> =
            interested.iter().filter(|peer| !peer.unchoked && !peer.snubbed).copied().collect();
        shuffle(&mut waiting, &mut self.rng);
        chosen.extend(waiting.iter().take(free).map(|peer| peer.peer));
        chosen
    }
}

fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for at in (1..items.len()).rev() {
        let other = rng.below(u32::try_from(at + 1).unwrap_or(u32::MAX)) as usize;
        items.swap(at, other);
    }
}

const SLOTS_MIN: u32 = 4;
const ROUND_MS: Millis = 10_000;
const OPTIMISTIC_MS: Millis = 30_000;
/// A peer is new for so long, and then three times as likely to get the slot that goes by chance.
const NEW_MS: Millis = 60_000;
const NEW_LOTS: u32 = 3;

#[cfg(test)]
mod tests;
