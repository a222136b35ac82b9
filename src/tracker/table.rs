//! The swarm table: every torrent that is tracked, registered or blocked, found by 20 bytes in one lookup.
//!
//! Only the reactor's thread can name it; it holds no lock and allocates nothing for an announce of a known client.

use super::ranks::{RANKS, Ranks};
use super::slice::{EntryRef, Lead, Slice};
use super::slot::{FamilyCounts, Slot, flags};
use super::swarm::Context;
use super::tick::{Lifetimes, Tick};
use crate::base::limits::TABLE_SLICES;
use crate::base::{InfoHashes, SwarmKey, V1Hash};
use crate::tracker::block::bits;
use crate::wire::announce::AnnouncedHash;

/// The table.
#[derive(Debug)]
pub struct Table {
    slices: Vec<Slice>,
    /// The key of every hash of a swarm key or an address.
    seed: u64,
    lifetimes: Lifetimes,
    totals: Totals,
    /// Registered entries whose count of seeders has changed since the registry was last told.
    pub(super) ranks: Ranks,
}

/// What the whole table holds, kept as it changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Seeders over IPv4.
    pub seeders4: u64,
    /// Leechers over IPv4.
    pub leechers4: u64,
    /// Seeders over IPv6.
    pub seeders6: u64,
    /// Leechers over IPv6.
    pub leechers6: u64,
    /// Torrents with at least one peer.
    pub swarms: u64,
    /// Registered torrents.
    pub registered: u64,
    /// Blocked keys.
    pub blocked: u64,
    /// Torrents nobody is in, kept for their count of completed downloads alone.
    pub ghosts: u64,
}

impl Totals {
    /// Peers of both families.
    #[inline]
    pub fn peers(&self) -> u64 {
        self.seeders4 + self.leechers4 + self.seeders6 + self.leechers6
    }
}

/// An entry, and as which of its identities it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The entry.
    pub entry: EntryRef,
    /// `bits::V1` or `bits::V2` in a hybrid, else 0.
    pub identity: u8,
    /// False when all 32 bytes of a v2 hash were given and only the first 20 are the entry's.
    pub exact: bool,
}

impl Table {
    /// An empty table. `seed` must not be guessable from outside.
    pub fn new(seed: u64, lifetimes: Lifetimes) -> Self {
        let slices = (0..TABLE_SLICES).map(|_| Slice::default()).collect();
        Self { slices, seed, lifetimes, totals: Totals::default(), ranks: Ranks::default() }
    }

    /// What it holds.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What a key leads to.
    pub(super) fn lead(&self, key: &SwarmKey) -> Option<Lead> {
        self.slices[slice_of(key)].find(self.hash(key), key)
    }

    /// The key of every hash in it.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// How long peers live in it.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// The entry of an announced hash.
    #[inline]
    pub fn find(&self, hash: &AnnouncedHash) -> Option<Found> {
        let key = hash.key();
        let (entry, aliased) = match self.slices[slice_of(&key)].find(self.hash(&key), &key)? {
            Lead::Slot(slot) => (EntryRef { slice: key.0[0], slot }, false),
            Lead::Alias(target) => (target, true),
        };
        let slot = self.slot(entry);
        let identity = match (slot.is(flags::HYBRID), aliased) {
            (true, true) => bits::V1,
            (true, false) => bits::V2,
            (false, _) => 0,
        };
        let exact = match hash {
            AnnouncedHash::Short(_) => true,
            AnnouncedHash::Full(full) => {
                !slot.is(flags::REGISTERED)
                    || self.registration(entry).and_then(|hashes| hashes.v2()) == Some(*full)
            }
        };
        Some(Found { entry, identity, exact })
    }

    /// The torrent at `entry`.
    #[inline]
    pub fn slot(&self, entry: EntryRef) -> &Slot {
        self.slices[entry.slice as usize].slot(entry.slot)
    }

    /// The slot that a key most likely leads to, by its hash alone.
    #[inline]
    pub fn likely(&self, key: &SwarmKey) -> Option<u32> {
        self.slices[slice_of(key)].likely(self.hash(key))
    }

    /// Reads a byte of a slot.
    #[inline]
    pub fn peek(&self, entry: EntryRef) -> u8 {
        self.slices[entry.slice as usize].peek(entry.slot).map_or(0, |slot| slot.flags)
    }

    /// Reads some of what an announce of the peer at `address` will need of a slot's swarm.
    #[inline]
    pub fn foresee(&self, entry: EntryRef, address: &[u8; 6]) -> u8 {
        let slot = self.slices[entry.slice as usize].peek(entry.slot);
        slot.map_or(0, |slot| slot.v4.foresee(address, self.seed))
    }

    /// The hashes `entry` is registered with.
    pub fn registration(&self, entry: EntryRef) -> Option<InfoHashes> {
        self.slices[entry.slice as usize].registration(entry.slot)
    }

    /// Changes a torrent, keeping the totals and the marks of change true.
    #[inline]
    pub fn change<R>(
        &mut self,
        entry: EntryRef,
        now: Tick,
        f: impl FnOnce(&mut Slot, &Context<'_>) -> R,
    ) -> R {
        let context = Context { now, lifetimes: &self.lifetimes, seed: self.seed };
        let slice = &mut self.slices[entry.slice as usize];
        slice.changed = true;
        let slot = slice.slot_mut(entry.slot);
        let before = Standing::of(slot);
        let result = f(slot, &context);
        let after = Standing::of(slot);
        self.totals.apply(&before, &after);
        if before.counts.seeders() != after.counts.seeders() && slot.flags & RANKS == flags::REGISTERED {
            self.note_rank(entry);
        }
        result
    }

    /// One entry's slot, for what changes neither its peers nor its standing.
    pub(super) fn slot_mut(&mut self, entry: EntryRef) -> &mut Slot {
        self.slices[entry.slice as usize].slot_mut(entry.slot)
    }

    /// Makes an entry for a key that leads nowhere.
    pub fn insert(&mut self, key: SwarmKey) -> EntryRef {
        let (hash, seed) = (self.hash(&key), self.seed);
        let slot = self.slices[slice_of(&key)].insert(hash, key, |key| hash_key(key, seed));
        EntryRef { slice: key.0[0], slot }
    }

    /// Forgets an entry if nothing would be lost. A count of completed downloads alone is kept as long as there are
    /// not too many such entries.
    pub fn forget_if_idle(&mut self, entry: EntryRef) -> bool {
        let slot = self.slot(entry);
        let idle = slot.is_forgettable() && (slot.completed == 0 || self.totals.ghosts > GHOSTS_MAX);
        if idle {
            self.remove(entry);
        }
        idle
    }

    /// Registers a torrent, or changes how it is registered. Swarms that its hashes had already are joined. A hash
    /// that is another entry's stays with that one.
    pub fn register(&mut self, hashes: InfoHashes, before: Option<InfoHashes>, completions: u64, now: Tick) {
        let key = hashes.primary_key();
        if let Some(former) = before.map(|before| before.primary_key()).filter(|former| *former != key)
            && let Some(Lead::Slot(slot)) = self.slices[slice_of(&former)].find(self.hash(&former), &former)
        {
            let former = EntryRef { slice: former.0[0], slot };
            self.end_registration(former, now);
            self.forget_if_idle(former);
        }
        let Some(entry) = self.own_entry(key) else { return };
        let before = self.registration(entry);
        if before == Some(hashes) {
            return;
        }
        self.end_registration(entry, now);
        let hybrid = matches!(hashes, InfoHashes::Hybrid(..));
        let completions = completions.min(u64::from(u32::MAX)) as u32;
        self.change(entry, now, |slot, context| {
            // What has been completed since the last flush is not in the database yet.
            let newer = if before.is_some() { slot.completed } else { 0 };
            slot.completed = completions.max(newer);
            slot.flags |= flags::REGISTERED | if hybrid { flags::HYBRID } else { 0 };
            slot.rewrite_identities(context, |_| Some(if hybrid { bits::V2 } else { 0 }));
        });
        self.slices[entry.slice as usize].set_registration(entry.slot, Some(hashes));
        if let InfoHashes::Hybrid(v1, _) = hashes {
            self.join_v1(v1, key, now);
        }
        self.rank_anew(key, before.is_some());
    }

    /// A registration that begins with seeders, or goes on with others, is news for the registry.
    fn rank_anew(&mut self, key: SwarmKey, was_registered: bool) {
        let Some(Found { entry, .. }) = self.find(&AnnouncedHash::Short(key)) else { return };
        let slot = self.slot(entry);
        if slot.flags & RANKS == flags::REGISTERED && (was_registered || slot.counts().seeders() > 0) {
            self.note_rank(entry);
        }
    }

    /// Ends the registration of `entry`, if it has one. The peers stay, as those of an unregistered torrent: with the
    /// identity of the key they are under, so that those known by the v1 hash alone go.
    fn end_registration(&mut self, entry: EntryRef, now: Tick) {
        if let Some(InfoHashes::Hybrid(v1, _)) = self.registration(entry) {
            let (v1, seed) = (v1.key(), self.seed);
            self.slices[slice_of(&v1)]
                .remove_alias(hash_key(&v1, seed), &v1, entry, |key| hash_key(key, seed));
        }
        self.slices[entry.slice as usize].set_registration(entry.slot, None);
        self.change(entry, now, |slot, context| {
            if slot.is(flags::HYBRID) {
                slot.rewrite_identities(context, |identities| (identities & bits::V2 != 0).then_some(0));
            }
            slot.flags &= !(flags::REGISTERED | flags::HYBRID | flags::COUNTED | flags::RERANKED);
        });
    }

    /// Refuses a key from now on; its swarm, and the registration it belongs to, are gone.
    pub fn block(&mut self, key: SwarmKey, now: Tick) {
        if let Some(found) = self.find(&AnnouncedHash::Short(key)) {
            self.end_registration(found.entry, now);
            self.forget_if_idle(found.entry);
        }
        let Some(entry) = self.own_entry(key) else { return };
        self.change(entry, now, |slot, _| {
            *slot = Slot { flags: flags::BLOCKED, ..Slot::new(key) };
        });
    }

    /// Lifts a block.
    pub fn unblock(&mut self, key: SwarmKey, now: Tick) {
        let Some(Found { entry, .. }) = self.find(&AnnouncedHash::Short(key)) else { return };
        self.change(entry, now, |slot, _| slot.flags &= !flags::BLOCKED);
        self.forget_if_idle(entry);
    }

    /// One of the 256 slices.
    pub fn slice(&self, slice: u8) -> &Slice {
        &self.slices[slice as usize]
    }

    /// Marks a slice as in need of a snapshot, or not.
    pub fn mark(&mut self, slice: u8, changed: bool) {
        self.slices[slice as usize].changed = changed;
    }

    /// Runs `f` with what a change outside of `change` needs to know.
    pub fn context(&self, now: Tick) -> Context<'_> {
        Context { now, lifetimes: &self.lifetimes, seed: self.seed }
    }

    /// The entry whose own key this is; made if it is not there. `None`: it is the v1 key of a hybrid.
    fn own_entry(&mut self, key: SwarmKey) -> Option<EntryRef> {
        match self.slices[slice_of(&key)].find(self.hash(&key), &key) {
            Some(Lead::Slot(slot)) => Some(EntryRef { slice: key.0[0], slot }),
            Some(Lead::Alias(_)) => None,
            None => Some(self.insert(key)),
        }
    }

    /// Makes the v1 key of a hybrid lead to its entry, with the peers that had announced it alone.
    fn join_v1(&mut self, v1: V1Hash, primary: SwarmKey, now: Tick) {
        let v1 = v1.key();
        let slice = slice_of(&v1);
        let former = match self.slices[slice].find(self.hash(&v1), &v1) {
            Some(Lead::Alias(_)) => return,
            Some(Lead::Slot(slot))
                if self.slices[slice].slot(slot).is(flags::REGISTERED | flags::BLOCKED) =>
            {
                return;
            }
            Some(Lead::Slot(slot)) => Some(self.remove(EntryRef { slice: v1.0[0], slot })),
            None => None,
        };
        // Looked up again: taking the former swarm out may have moved the entry.
        let Some(entry) = self.own_entry(primary) else { return };
        let (hash, seed) = (self.hash(&v1), self.seed);
        self.slices[slice].insert_alias(hash, v1, entry, |key| hash_key(key, seed));
        if let Some(mut former) = former {
            self.change(entry, now, |slot, context| {
                former.rewrite_identities(context, |_| Some(bits::V1));
                slot.absorb(former, context);
            });
        }
    }

    /// Takes an entry out. If another moves into its place, the alias of that one follows.
    fn remove(&mut self, entry: EntryRef) -> Slot {
        let seed = self.seed;
        let hash = hash_key(&self.slot(entry).key, seed);
        let before = Standing::of(self.slot(entry));
        let (slot, moved) =
            self.slices[entry.slice as usize].remove(hash, entry.slot, |key| hash_key(key, seed));
        self.slices[entry.slice as usize].changed = true;
        if let Some(InfoHashes::Hybrid(v1, _)) = moved {
            let v1 = v1.key();
            self.slices[slice_of(&v1)].move_alias(hash_key(&v1, seed), &v1, entry);
        }
        self.totals.apply(&before, &Standing::default());
        slot
    }

    #[inline]
    fn hash(&self, key: &SwarmKey) -> u64 {
        hash_key(key, self.seed)
    }
}

/// What one slot adds to the totals.
#[derive(Default)]
struct Standing {
    counts: FamilyCounts,
    flags: u8,
    ghost: bool,
}

impl Standing {
    #[inline]
    fn of(slot: &Slot) -> Self {
        let counts = slot.counts();
        let ghost = slot.flags == 0 && slot.completed > 0 && counts.peers() == 0;
        Self { counts, flags: slot.flags, ghost }
    }
}

impl Totals {
    #[inline]
    fn apply(&mut self, before: &Standing, after: &Standing) {
        let shift = |total: &mut u64, before: u32, after: u32| {
            *total = *total - u64::from(before) + u64::from(after);
        };
        let (old, new) = (&before.counts, &after.counts);
        shift(&mut self.seeders4, old.v4.seeders, new.v4.seeders);
        shift(&mut self.leechers4, old.v4.leechers, new.v4.leechers);
        shift(&mut self.seeders6, old.v6.seeders, new.v6.seeders);
        shift(&mut self.leechers6, old.v6.leechers, new.v6.leechers);
        shift(&mut self.swarms, u32::from(old.peers() > 0), u32::from(new.peers() > 0));
        shift(&mut self.ghosts, u32::from(before.ghost), u32::from(after.ghost));
        let flag = |flags: u8, wanted: u8| u32::from(flags & wanted != 0);
        for (total, wanted) in
            [(&mut self.registered, flags::REGISTERED), (&mut self.blocked, flags::BLOCKED)]
        {
            shift(total, flag(before.flags, wanted), flag(after.flags, wanted));
        }
    }
}

impl Table {
    /// Looks for expired peers from `cursor` on, `budget` peers and torrents at most. Returns where to go on, `None`
    /// when the whole table has been seen.
    pub fn sweep(&mut self, mut cursor: Cursor, mut budget: usize, now: Tick) -> Option<Cursor> {
        while budget > 0 {
            let slice = &self.slices[cursor.slice as usize];
            if cursor.slot as usize >= slice.len() {
                cursor = Cursor { slice: cursor.slice.checked_add(1)?, ..Cursor::default() };
                budget = budget.saturating_sub(1);
                continue;
            }
            let peers = slice.slot(cursor.slot).len() as usize;
            if peers == 0 {
                budget -= 1;
                cursor.slot += 1;
                continue;
            }
            budget = budget.saturating_sub(1 + peers.min(SWEEP_LEAVES * 64));
            let entry = EntryRef { slice: cursor.slice, slot: cursor.slot };
            let was_changed = self.slices[cursor.slice as usize].changed;
            let (from, to) = (cursor.leaf, cursor.leaf + SWEEP_LEAVES);
            let more = self.change(entry, now, |slot, context| slot.expire_leaves(from, to, context));
            let gone = peers - self.slot(entry).len() as usize;
            self.slices[cursor.slice as usize].changed = was_changed || gone > 0;
            if more {
                cursor.leaf = to;
            } else if self.slot(entry).is_empty() && self.forget_if_idle(entry) {
                // Another torrent has moved into this place: it is next.
                cursor.leaf = 0;
            } else {
                cursor = Cursor { slot: cursor.slot + 1, leaf: 0, ..cursor };
            }
        }
        Some(cursor)
    }
}

/// How far a sweep has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    slice: u8,
    slot: u32,
    leaf: usize,
}

#[inline]
fn slice_of(key: &SwarmKey) -> usize {
    key.0[0] as usize
}

/// A keyed hash of a swarm key: info hashes are chosen by strangers, who must not be able to make them collide.
#[inline]
fn hash_key(key: &SwarmKey, seed: u64) -> u64 {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&key.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let first = fold(word(0) ^ seed, word(8) ^ seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15);
    fold(first ^ word(12), seed ^ 0xd6e8_feb8_6659_fd93)
}

/// Leaves of a large swarm looked at in one step of a sweep.
const SWEEP_LEAVES: usize = 64;

/// Entries kept for nothing but their count of completed downloads: 16 MiB of them.
const GHOSTS_MAX: u64 = 262_144;
