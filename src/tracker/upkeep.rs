//! The tracker's own errands, in small steps between requests: forgetting who has gone, and handing changed slices to
//! whoever stores them. With nothing to do there is no deadline, so an idle tracker sleeps.

use super::slot::flags;
use super::snapshot::{self, FormerPeer, Reading, SliceSnapshot, StoredEntry};
use super::table::{Cursor, Found};
use super::usage::Cut;
use super::visit::compact;
use super::{Access, Tracker, slot};
use crate::base::limits::TABLE_SLICES;
use crate::base::{InfoHashes, Millis, Now, SwarmKey};
use crate::tracker::block::{Peer, bits};
use crate::wire::announce::AnnouncedHash;
use std::net::IpAddr;

/// Where the errands stand.
#[derive(Debug)]
pub struct Upkeep {
    flush_interval: Millis,
    sweep: Cursor,
    sweep_due: Option<Millis>,
    flush: Flush,
    /// Registered entries whose count of completed downloads is newer than the database's.
    completed: Vec<SwarmKey>,
}

/// The state of storing what has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flush {
    /// Nothing has changed.
    Idle,
    /// Something has; the next flush begins then.
    Due(Millis),
    /// Going through the slices: how many have been looked at, and when the next one is.
    Under(u16, Millis),
}

/// One step of a flush.
#[derive(Debug)]
pub enum FlushStep {
    /// A slice to be stored.
    Slice(SliceSnapshot),
    /// New totals of completed downloads of registered entries.
    Completions(Vec<(InfoHashes, u64)>),
    /// What has been counted for users since the last cut.
    Usage(Cut),
    /// All of this flush has been handed over.
    Done,
}

impl Upkeep {
    pub(super) fn new(flush_interval_s: u32) -> Self {
        let flush_interval = Millis::from(flush_interval_s) * 1000;
        Self {
            flush_interval,
            sweep: Cursor::default(),
            sweep_due: None,
            flush: Flush::Idle,
            completed: Vec::new(),
        }
    }

    /// Something has changed: there is something to store and somebody to forget one day.
    #[inline]
    pub(super) fn wake(&mut self, now: Millis) {
        if self.flush == Flush::Idle {
            self.flush = Flush::Due(now + self.flush_interval);
        }
        if self.sweep_due.is_none() {
            self.sweep_due = Some(now + SWEEP_PASS_MS);
        }
    }

    /// The next flush should not wait for its time.
    pub(super) fn hurry(&mut self, now: Millis) {
        if !matches!(self.flush, Flush::Under(..)) {
            self.flush = Flush::Due(now);
        }
    }
}

impl Tracker {
    /// When the tracker next wants to be woken.
    pub fn next_deadline(&self) -> Option<Millis> {
        let flush = match self.upkeep.flush {
            Flush::Idle => None,
            Flush::Due(at) | Flush::Under(_, at) => Some(at),
        };
        [flush, self.upkeep.sweep_due].into_iter().flatten().min()
    }

    /// When the next look for expired clients is due.
    pub fn sweep_due(&self) -> Option<Millis> {
        self.upkeep.sweep_due
    }

    /// Forgets expired clients, as many as a turn may take. A pass over the whole table takes 30 s, however large it
    /// is.
    pub fn sweep(&mut self, now: Now) {
        let Some(due) = self.upkeep.sweep_due.filter(|due| *due <= now.mono) else { return };
        let tick = self.table.lifetimes().tick(now.mono);
        let totals = self.table.totals();
        let sessions = self.usage.as_ref().map_or(0, |usage| usage.sessions());
        let work = (totals.peers() + totals.registered + totals.swarms + totals.ghosts + sessions) as usize;
        let budget = (work / SWEEP_TURNS_MAX).max(SWEEP_BUDGET);
        let turns = work.div_ceil(budget).max(1) as u64;
        let next = self.table.sweep(self.upkeep.sweep, budget, tick);
        self.upkeep.sweep = next.unwrap_or_default();
        if let Some(usage) = &mut self.usage {
            usage.sweep(now.mono, budget);
            if usage.is_changed() {
                self.upkeep.wake(now.mono);
            }
        }
        // With nobody left there is nothing to wait for; the next announce sets a new date.
        let counted = self.usage.as_ref().is_some_and(|usage| !usage.is_empty());
        let empty = next.is_none() && self.table.totals().peers() == 0 && !counted;
        self.upkeep.sweep_due = (!empty).then(|| due.max(now.mono) + SWEEP_PASS_MS / turns);
    }

    /// The next step of storing what has changed, if one is due.
    pub fn flush(&mut self, now: Now) -> Option<FlushStep> {
        let from = match self.upkeep.flush {
            Flush::Due(at) if at <= now.mono => 0,
            Flush::Under(slice, at) if at <= now.mono => slice,
            _ => return None,
        };
        let tick = self.table.lifetimes().tick(now.mono);
        let mut slices = (0..=u8::MAX).skip(from.into());
        if let Some(slice) = slices.find(|slice| self.table.slice(*slice).changed) {
            let bytes = snapshot::encode(slice, self.table.slice(slice), tick, self.table.lifetimes());
            self.table.mark(slice, false);
            self.upkeep.flush = Flush::Under(u16::from(slice) + 1, now.mono + FLUSH_STEP_MS);
            return Some(FlushStep::Slice(SliceSnapshot { slice, taken_at: now.unix, bytes }));
        }
        if !self.upkeep.completed.is_empty() {
            self.upkeep.flush = Flush::Under(from.max(TABLE_SLICES as u16), now.mono);
            return Some(FlushStep::Completions(self.take_completions()));
        }
        // Once in a flush, after everything else: bytes and bases must not be parted.
        if from <= TABLE_SLICES as u16
            && let Some(cut) = self.usage.as_mut().and_then(|usage| usage.cut(false))
        {
            self.upkeep.flush = Flush::Under(TABLE_SLICES as u16 + 1, now.mono);
            return Some(FlushStep::Usage(cut));
        }
        let counted = self.usage.as_ref().is_some_and(|usage| usage.is_changed());
        let more = counted || (0..=u8::MAX).any(|slice| self.table.slice(slice).changed);
        self.upkeep.flush = match more {
            true => Flush::Due(now.mono + self.upkeep.flush_interval),
            false => Flush::Idle,
        };
        Some(FlushStep::Done)
    }

    /// A flush has not reached the disk: what was in it is to be stored again. One that is under way is given up until
    /// the next is due, because whoever takes no more now will not take more in a moment.
    pub fn flush_failed(&mut self, now: Now, slices: &[u8], completed: &[InfoHashes]) {
        slices.iter().for_each(|slice| self.table.mark(*slice, true));
        completed.iter().for_each(|hashes| self.mark_completed(hashes.primary_key()));
        if let Flush::Under(..) = self.upkeep.flush {
            self.upkeep.flush = Flush::Due(now.mono + self.upkeep.flush_interval);
        }
        self.upkeep.wake(now.mono);
    }

    /// Everything that has changed, at once: for the last flush before the end.
    pub fn flush_all(&mut self, now: Now) -> Vec<FlushStep> {
        self.upkeep.flush = Flush::Due(now.mono);
        let mut steps = Vec::with_capacity(TABLE_SLICES + 2);
        loop {
            if let Flush::Under(_, at) = &mut self.upkeep.flush {
                *at = now.mono;
            }
            match self.flush(now) {
                Some(FlushStep::Done) | None => break,
                Some(step) => steps.push(step),
            }
        }
        // Nobody announces any more, so that each session is in one of these cuts.
        if let Some(usage) = &mut self.usage {
            steps.extend(std::iter::from_fn(|| usage.cut(true)).map(FlushStep::Usage));
        }
        steps.push(FlushStep::Done);
        steps
    }

    /// Puts a stored slice back. Torrents that are not served any more are left out. Returns false when the slice
    /// was not readable (or only in part).
    pub fn restore(&mut self, now: Now, stored: &SliceSnapshot) -> bool {
        let lifetimes = *self.table.lifetimes();
        let tick = lifetimes.tick(now.mono);
        let reading = Reading { taken_at: stored.taken_at, unix: now.unix, now: tick, lifetimes: &lifetimes };
        let whole =
            snapshot::decode(stored.slice, &stored.bytes, reading, |entry| self.restore_entry(entry, now));
        self.upkeep.wake(now.mono);
        whole.is_some()
    }

    /// Puts a client of another tracker's file into its swarm, if that is served and the client is still alive.
    pub fn take_in(&mut self, now: Now, former: &FormerPeer) {
        let lifetimes = *self.table.lifetimes();
        let tick = lifetimes.tick(now.mono);
        let seen = lifetimes.tick_of_age(tick, now.unix.saturating_sub(former.seen));
        let bits = if former.complete { bits::SEEDER } else { 0 };
        if lifetimes.over(tick, seen, bits) {
            return;
        }
        let (tag, port) = (self.tag(&former.peer_id), former.address.port());
        let mut entry = StoredEntry { key: former.key, ..StoredEntry::default() };
        match former.address.ip() {
            IpAddr::V4(ip) => {
                entry.v4.push(Peer { address: compact(ip.octets(), port), tag, seen, bits });
            }
            IpAddr::V6(ip) => {
                entry.v6.push(Peer { address: compact(ip.octets(), port), tag, seen, bits });
            }
        }
        self.restore_entry(entry, now);
        self.upkeep.wake(now.mono);
    }

    fn restore_entry(&mut self, stored: StoredEntry, now: Now) {
        let found = match self.admit(&AnnouncedHash::Short(stored.key)) {
            Err(_) => return,
            Ok(Some(found)) => found,
            Ok(None) if self.policy.access == Access::Open => {
                Found { entry: self.table.insert(stored.key), identity: 0, exact: true }
            }
            Ok(None) => return,
        };
        let tick = self.table.lifetimes().tick(now.mono);
        self.table.change(found.entry, tick, |slot, context| {
            for peer in stored.v4.iter().filter_map(|peer| with_identity(peer, found.identity)) {
                slot::join(&mut slot.v4, &peer, context);
            }
            for peer in stored.v6.iter().filter_map(|peer| with_identity(peer, found.identity)) {
                slot::join(slot.v6.get_or_insert_default(), &peer, context);
            }
            slot.drop_empty_family();
            if !slot.is(flags::REGISTERED) {
                slot.completed = slot.completed.max(stored.completed);
            }
        });
        self.table.forget_if_idle(found.entry);
    }

    pub(super) fn note_completion(&mut self, found: Found) {
        self.mark_completed(self.table.slot(found.entry).key);
    }

    fn mark_completed(&mut self, key: SwarmKey) {
        let Some(found) = self.table.find(&AnnouncedHash::Short(key)) else { return };
        if !self.table.slot(found.entry).is(flags::REGISTERED) {
            return;
        }
        let tick = super::tick::Tick::default();
        let fresh = self.table.change(found.entry, tick, |slot, _| {
            let fresh = !slot.is(flags::COUNTED);
            slot.flags |= flags::COUNTED;
            fresh
        });
        if fresh {
            self.upkeep.completed.push(key);
        }
    }

    fn take_completions(&mut self) -> Vec<(InfoHashes, u64)> {
        let keys = std::mem::take(&mut self.upkeep.completed);
        keys.into_iter()
            .filter_map(|key| {
                let found = self.table.find(&AnnouncedHash::Short(key))?;
                let hashes = self.table.registration(found.entry)?;
                let (slice, tick) = (found.entry.slice, super::tick::Tick::default());
                let changed = self.table.slice(slice).changed;
                let completed = self.table.change(found.entry, tick, |slot, _| {
                    slot.flags &= !flags::COUNTED;
                    slot.completed
                });
                self.table.mark(slice, changed);
                Some((hashes, u64::from(completed)))
            })
            .collect()
    }
}

/// A stored peer as a member of the entry it comes back to, which may have become a hybrid since, or stopped being
/// one: then those that had announced v1 alone stay away.
fn with_identity<const N: usize>(peer: &Peer<N>, identity: u8) -> Option<Peer<N>> {
    let identities = match (identity, peer.bits & bits::IDENTITIES) {
        (0, bits::V1) => return None,
        (0, _) => 0,
        (_, 0) => identity,
        (_, known) => known,
    };
    Some(Peer { bits: peer.bits & !bits::IDENTITIES | identities, ..*peer })
}

/// A pass over the whole table takes this long, so that a client is freed within a minute of its end.
const SWEEP_PASS_MS: Millis = 30_000;
/// Peers and torrents looked at in one turn at least.
const SWEEP_BUDGET: usize = 4096;
/// Turns in a pass at most.
const SWEEP_TURNS_MAX: usize = 600;
/// Between two slices of one flush: the announces' turn.
const FLUSH_STEP_MS: Millis = 2;
