//! What the registry still has to be told of live seeders: it ranks searches by them (registry-api, `sort=seeders`).
//!
//! A list of entries whose number has changed, and when that would become too long, as it does at a start with many
//! swarms, a walk over all entries instead. Nothing is ever left out for good.

use super::slice::EntryRef;
use super::slot::flags;
use super::table::Table;
use crate::base::SwarmKey;
use crate::base::limits::{SEEDER_CHANGES_MAX, SEEDER_CHANGES_TOLD};
use crate::wire::announce::AnnouncedHash;

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    /// Entries whose number has changed; each once.
    changed: Vec<SwarmKey>,
    /// All entries from this slice on are to be told.
    walk: Option<u8>,
}

/// An entry is noted when of these flags only the first is set.
pub(super) const RANKS: u8 = flags::REGISTERED | flags::RERANKED;

impl Table {
    /// Whether so much has changed that it should be told without being asked.
    pub fn has_many_reranked(&self) -> bool {
        self.ranks.walk.is_some() || self.ranks.changed.len() >= SEEDER_CHANGES_TOLD
    }

    /// Some registered entries with their seeders: where the number has changed and was not told yet, at most
    /// `SEEDER_CHANGES_TOLD` of them, or all those of a slice. Empty when there is nothing to tell.
    pub fn take_reranked(&mut self) -> Vec<(SwarmKey, u32)> {
        if self.ranks.changed.is_empty()
            && let Some(slice) = self.ranks.walk
        {
            self.ranks.walk = slice.checked_add(1);
            let registered = self.slice(slice).slots().filter(|slot| slot.is(flags::REGISTERED));
            return registered.map(|slot| (slot.key, slot.counts().seeders())).collect();
        }
        let from = self.ranks.changed.len().saturating_sub(SEEDER_CHANGES_TOLD);
        let keys = self.ranks.changed.split_off(from);
        keys.into_iter()
            .filter_map(|key| {
                let entry = self.find(&AnnouncedHash::Short(key))?.entry;
                let slot = self.slot_mut(entry);
                slot.flags &= !flags::RERANKED;
                let is_its_own = slot.is(flags::REGISTERED) && slot.key == key;
                is_its_own.then(|| (key, slot.counts().seeders()))
            })
            .collect()
    }

    /// What was taken has not been told after all.
    pub fn rerank(&mut self, keys: impl Iterator<Item = SwarmKey>) {
        for key in keys {
            let Some(found) = self.find(&AnnouncedHash::Short(key)) else { continue };
            if self.slot(found.entry).flags & RANKS == flags::REGISTERED {
                self.note_rank(found.entry);
            }
        }
    }

    /// A registered entry that was not noted yet has another number of seeders.
    pub(super) fn note_rank(&mut self, entry: EntryRef) {
        if self.ranks.changed.len() >= SEEDER_CHANGES_MAX {
            self.ranks.walk = Some(0);
            return;
        }
        let slot = self.slot_mut(entry);
        slot.flags |= flags::RERANKED;
        let key = slot.key;
        self.ranks.changed.push(key);
    }
}
