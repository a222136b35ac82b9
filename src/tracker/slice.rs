//! One of the 256 parts of the table: all keys that begin with one byte. A resize, a sweep or a snapshot touches one
//! slice, so no turn ever pays for the whole table.

use super::slot::{NO_REGISTRATION, Slot};
use crate::base::{InfoHashes, SwarmKey};
use hashbrown::HashTable;

/// Where a torrent stands. Good until the next change of its slice's membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryRef {
    /// The slice: the first byte of the entry's own key.
    pub slice: u8,
    /// The slot in it.
    pub slot: u32,
}

/// The v1 key of a registered hybrid, which lives under its v2 key, mostly in another slice.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    pub(super) key: SwarmKey,
    /// The entry it stands for.
    pub target: EntryRef,
}

/// What a key leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lead {
    /// A slot of this slice.
    Slot(u32),
    /// An entry that has this key besides its own.
    Alias(EntryRef),
}

/// All torrents whose keys begin with one byte.
#[derive(Default, Debug)]
pub struct Slice {
    /// Positions by key: of a slot, or with `ALIAS` set of an alias.
    index: HashTable<u32>,
    slots: Slots,
    aliases: Vec<Alias>,
    registrations: Vec<InfoHashes>,
    free_registrations: Vec<u32>,
    /// Whether anything changed since its last snapshot.
    pub changed: bool,
}

impl Slice {
    /// What `key` leads to.
    #[inline]
    pub fn find(&self, hash: u64, key: &SwarmKey) -> Option<Lead> {
        let at = *self.index.find(hash, |&at| self.key_at(at) == key)?;
        Some(match at & ALIAS {
            0 => Lead::Slot(at),
            _ => Lead::Alias(self.aliases[(at & !ALIAS) as usize].target),
        })
    }

    /// The position that a hash leads to, whatever its key.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<u32> {
        self.index.find(hash, |_| true).copied()
    }

    /// The slot at `at`, if there is one.
    #[inline]
    pub fn peek(&self, at: u32) -> Option<&Slot> {
        self.slots.0.get(at as usize / CHUNK)?.get(at as usize % CHUNK)
    }

    /// All slots.
    pub fn slots(&self) -> impl Iterator<Item = &Slot> + Clone {
        self.slots.0.iter().flatten()
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All aliases.
    pub(super) fn aliases(&self) -> &[Alias] {
        &self.aliases
    }

    /// How many keys lead somewhere.
    pub(super) fn indexed(&self) -> usize {
        self.index.len()
    }

    /// One slot.
    #[inline]
    pub fn slot(&self, at: u32) -> &Slot {
        self.slots.at(at)
    }

    /// One slot, to be changed.
    #[inline]
    pub fn slot_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots.0[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// Adds a torrent whose key leads nowhere yet.
    pub fn insert(&mut self, hash: u64, key: SwarmKey, hash_of: impl Fn(&SwarmKey) -> u64) -> u32 {
        let at = self.slots.len() as u32;
        self.slots.push(Slot::new(key));
        self.index_insert(hash, at, hash_of);
        at
    }

    /// Takes a torrent out; the last one takes its place. Returns it, and the torrent that moved, if one did.
    pub fn remove(
        &mut self,
        hash: u64,
        at: u32,
        hash_of: impl Fn(&SwarmKey) -> u64,
    ) -> (Slot, Option<InfoHashes>) {
        self.index_remove(hash, at);
        let slot = self.slots.swap_remove(at);
        if slot.registration != NO_REGISTRATION {
            self.free_registrations.push(slot.registration);
        }
        let from = self.slots.len() as u32;
        if at == from {
            return (slot, None);
        }
        let moved = self.slots.at(at);
        if let Ok(entry) = self.index.find_entry(hash_of(&moved.key), |&known| known == from) {
            *entry.into_mut() = at;
        }
        (slot, self.registration(at))
    }

    /// Makes `key` lead to `target`. The key must lead nowhere yet.
    pub fn insert_alias(
        &mut self,
        hash: u64,
        key: SwarmKey,
        target: EntryRef,
        hash_of: impl Fn(&SwarmKey) -> u64,
    ) {
        let at = self.aliases.len() as u32 | ALIAS;
        self.aliases.push(Alias { key, target });
        self.index_insert(hash, at, hash_of);
    }

    /// Points the alias `key` at where its entry is now.
    pub fn move_alias(&mut self, hash: u64, key: &SwarmKey, target: EntryRef) {
        let Some(&at) = self.index.find(hash, |&at| at & ALIAS != 0 && self.key_at(at) == key) else {
            return;
        };
        self.aliases[(at & !ALIAS) as usize].target = target;
    }

    /// Makes `key` lead nowhere, if it is an alias of `target`.
    pub fn remove_alias(
        &mut self,
        hash: u64,
        key: &SwarmKey,
        target: EntryRef,
        hash_of: impl Fn(&SwarmKey) -> u64,
    ) {
        let Some(&at) = self.index.find(hash, |&at| at & ALIAS != 0 && self.key_at(at) == key) else {
            return;
        };
        if self.aliases[(at & !ALIAS) as usize].target != target {
            return;
        }
        self.index_remove(hash, at);
        self.aliases.swap_remove((at & !ALIAS) as usize);
        let from = self.aliases.len() as u32 | ALIAS;
        if let Some(moved) = self.aliases.get((at & !ALIAS) as usize)
            && let Ok(entry) = self.index.find_entry(hash_of(&moved.key), |&known| known == from)
        {
            *entry.into_mut() = at;
        }
    }

    /// The hashes a slot is registered with.
    pub fn registration(&self, at: u32) -> Option<InfoHashes> {
        self.registrations.get(self.slot(at).registration as usize).copied()
    }

    /// Remembers the hashes a slot is registered with, or that it no longer is.
    pub fn set_registration(&mut self, at: u32, hashes: Option<InfoHashes>) {
        let known = self.slot(at).registration;
        let registration = match (hashes, known) {
            (None, NO_REGISTRATION) => NO_REGISTRATION,
            (None, known) => {
                self.free_registrations.push(known);
                NO_REGISTRATION
            }
            (Some(hashes), NO_REGISTRATION) => match self.free_registrations.pop() {
                Some(free) => {
                    self.registrations[free as usize] = hashes;
                    free
                }
                None => {
                    self.registrations.push(hashes);
                    self.registrations.len() as u32 - 1
                }
            },
            (Some(hashes), known) => {
                self.registrations[known as usize] = hashes;
                known
            }
        };
        self.slot_mut(at).registration = registration;
    }

    #[inline]
    fn key_at(&self, at: u32) -> &SwarmKey {
        match at & ALIAS {
            0 => &self.slots.at(at).key,
            _ => &self.aliases[(at & !ALIAS) as usize].key,
        }
    }

    fn index_insert(&mut self, hash: u64, at: u32, hash_of: impl Fn(&SwarmKey) -> u64) {
        let Self { index, slots, aliases, .. } = self;
        index.insert_unique(hash, at, |&at| {
            hash_of(match at & ALIAS {
                0 => &slots.at(at).key,
                _ => &aliases[(at & !ALIAS) as usize].key,
            })
        });
    }

    fn index_remove(&mut self, hash: u64, at: u32) {
        if let Ok(entry) = self.index.find_entry(hash, |&known| known == at) {
            entry.remove();
        }
    }
}

/// Slots in chunks of one size, all but the last full: growing copies nothing and leaves no holes in the heap, of
/// which 256 slices that grow side by side would leave many.
#[derive(Default, Debug)]
struct Slots(Vec<Vec<Slot>>);

impl Slots {
    fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    #[inline]
    fn at(&self, at: u32) -> &Slot {
        &self.0[at as usize / CHUNK][at as usize % CHUNK]
    }

    fn push(&mut self, slot: Slot) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(slot),
            // The first chunk grows as it is needed, because most tables are small.
            None => self.0.push(vec![slot]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(slot);
                self.0.push(chunk);
            }
        }
    }

    /// Takes out the slot at `at`; the last one takes its place.
    fn swap_remove(&mut self, at: u32) -> Slot {
        let last = self.0.last_mut().and_then(Vec::pop).expect("`at` is the place of a slot");
        if self.0.last().is_some_and(Vec::is_empty) {
            self.0.pop();
        }
        match self.0.get_mut(at as usize / CHUNK).and_then(|chunk| chunk.get_mut(at as usize % CHUNK)) {
            Some(place) => std::mem::replace(place, last),
            None => last,
        }
    }
}

/// Slots in a chunk: 2 KiB.
const CHUNK: usize = 32;

/// Marks a position in the index as one of an alias.
const ALIAS: u32 = 1 << 31;
