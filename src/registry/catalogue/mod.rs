//! Everything a search looks at, in memory: names, shelves and the numbers to sort by.
//!
//! Why not an index in the database: a search must give the exact total and rank every match, so its cost is that of
//! all matches, however they are found. Here names are found by lists of the parts they are cut into, and one pass over
//! packed columns costs a few nanoseconds a match; fetching the same rows one by one costs microseconds. It also keeps
//! every registration to few written pages (SD cards) and finds two letters as exactly as ten. The price is about 120
//! bytes and the name for each entry.
//!
//! The store's reader owns it and hears of every committed change before whoever caused it gets an answer.

mod deep;
mod index;
mod names;
mod pieces;
mod postings;
mod scan;
mod sightings;
mod starts;
mod texts;
mod top;
mod words;

use super::question::hashes_of;
use super::search::{Search, fold};
use crate::base::SwarmKey;
use hashbrown::HashTable;
use names::Names;
use scan::{Filter, Want};
use std::hash::{BuildHasher, RandomState};
use top::Top;
use words::Words;

#[cfg(test)]
mod tests;

/// What a search looks at in one entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// The number by which the store finds the row again.
    pub row: i64,
    /// The primary key as stored.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// Its category.
    pub category: String,
    /// Its publisher.
    pub publisher: String,
    /// Its tags.
    pub tags: String,
    /// When it was first registered, in seconds since 1970.
    pub created_at: i64,
    /// Completed downloads.
    pub completions: u64,
}

/// A committed change of what searches look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A row is new or replaced.
    Stored(Listing),
    /// A row is gone.
    Removed {
        /// Which.
        row: i64,
    },
    /// More downloads were completed.
    Completed {
        /// Of which row.
        row: i64,
        /// The new total.
        completions: u64,
    },
}

/// The result of a search.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The rows of the page, in order.
    pub rows: Vec<i64>,
    /// All matches.
    pub total: u64,
}

/// The searchable part of the registry.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// One column for each thing a search reads, so that a pass over one touches nothing else. All of one length.
    rows: Vec<i64>,
    keys: Vec<[u8; 20]>,
    /// What entries are ranked by, in 32 bits: no registry has more downloads or lives beyond 2106, and an odd time of an
    /// old database counts as the nearest that fits.
    created_at: Vec<u32>,
    completions: Vec<u32>,
    seeders: Vec<u32>,
    /// `GONE` for a slot whose entry is gone; it is used again.
    categories: Vec<u32>,
    publishers: Vec<u32>,
    tags: Vec<u32>,
    free: Vec<u32>,
    names: Names,
    words: Words,
    by_row: HashTable<u32>,
    by_key: HashTable<u32>,
    hasher: RandomState,
}

impl Catalogue {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.by_row.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_row.is_empty()
    }

    /// Makes a change. One that was made already, or that speaks of an unknown row, does no harm.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Stored(listing) => self.store(listing),
            Change::Removed { row } => self.remove(*row),
            Change::Completed { row, completions } => self.set_completions(*row, *completions),
        }
    }

    /// Adds an entry, or replaces what is known of its row. Live counts stay.
    pub fn store(&mut self, listing: &Listing) {
        let slot = self.slot_of(listing.row).unwrap_or_else(|| self.add(listing));
        let at = slot as usize;
        self.created_at[at] = listing.created_at.clamp(0, u32::MAX.into()) as u32;
        self.completions[at] = saturated(listing.completions);
        for (column, word) in [
            (&mut self.categories, &listing.category),
            (&mut self.publishers, &listing.publisher),
            (&mut self.tags, &listing.tags),
        ] {
            column[at] = self.words.number_of(word);
        }
        self.names.set(slot, &fold(&listing.name));
    }

    /// Forgets the entry of a row, if there is one.
    pub fn remove(&mut self, row: i64) {
        let Some(slot) = self.slot_of(row) else { return };
        let at = slot as usize;
        for (table, hash) in [
            (&mut self.by_row, self.hasher.hash_one(row)),
            (&mut self.by_key, self.hasher.hash_one(self.keys[at])),
        ] {
            if let Ok(entry) = table.find_entry(hash, |other| *other == slot) {
                entry.remove();
            }
        }
        self.categories[at] = GONE;
        self.names.clear(slot);
        self.free.push(slot);
    }

    /// Sets the completed downloads of a row.
    pub fn set_completions(&mut self, row: i64, completions: u64) {
        if let Some(slot) = self.slot_of(row) {
            self.completions[slot as usize] = saturated(completions);
        }
    }

    /// Sets the live seeders of the entry that announces under this key.
    pub fn set_seeders(&mut self, key: SwarmKey, seeders: u32) {
        let hash = self.hasher.hash_one(key.0);
        if let Some(&slot) = self.by_key.find(hash, |&slot| self.keys[slot as usize] == key.0) {
            self.seeders[slot as usize] = seeders;
        }
    }

    /// Gives back the memory that growing left unused; worth it after the first filling.
    pub fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.created_at.shrink_to_fit();
        self.completions.shrink_to_fit();
        self.seeders.shrink_to_fit();
        self.categories.shrink_to_fit();
        self.publishers.shrink_to_fit();
        self.tags.shrink_to_fit();
        self.names.shrink();
    }

    /// Runs a search: the exact number of matches, and the rows of one page in the order asked for.
    pub fn find(&self, search: &Search) -> Found {
        let mut filter = self.filter(search);
        let mut top = Top::new(search.offset, search.limit);
        let text = fold(&search.text);
        let few = if text.is_empty() { None } else { self.few_admitted(&filter) };
        let total = match few {
            Some(few) => {
                let slots = self.names.of_these(few, text.as_bytes());
                self.rank_these(&slots, &filter, search.sort, &mut top)
            }
            None => {
                filter.names = (!text.is_empty()).then(|| self.names.containing(text.as_bytes()));
                if top.depth() > DEEP {
                    return self.deep_page(&filter, search);
                }
                self.rank_all(&filter, search.sort, &mut top)
            }
        };
        self.found(top, total)
    }

    fn found(&self, top: Top, total: u64) -> Found {
        let page = top.page(|slot| self.tie_break(slot));
        Found { rows: page.into_iter().map(|slot| self.rows[slot as usize]).collect(), total }
    }

    /// What decides between entries of the same second: the hash, the smaller the better. An odd row of an old
    /// database stands where the first bytes of its text put it.
    fn tie_break(&self, slot: u32) -> ([u8; 20], i64) {
        (self.keys[slot as usize], self.rows[slot as usize])
    }

    fn filter(&self, search: &Search) -> Filter {
        let exact = |word: &str| match word {
            "" => Want::Any,
            word => self.words.find(word).map_or(Want::None, Want::Only),
        };
        let tags = (!search.tags.is_empty()).then(|| self.words.containing(&search.tags));
        Filter { names: None, category: exact(&search.category), publisher: exact(&search.publisher), tags }
    }

    fn slot_of(&self, row: i64) -> Option<u32> {
        self.by_row.find(self.hasher.hash_one(row), |&slot| self.rows[slot as usize] == row).copied()
    }

    fn add(&mut self, listing: &Listing) -> u32 {
        let hashes = hashes_of(&listing.info_hash, "");
        let key = hashes.map_or_else(|| first_bytes(&listing.info_hash), |hashes| hashes.primary_key().0);
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let at = slot as usize;
        (self.rows[at], self.keys[at], self.seeders[at]) = (listing.row, key, 0);
        let Self { rows, keys, hasher, by_row, by_key, .. } = self;
        let row_hash = |slot: &u32| hasher.hash_one(rows[*slot as usize]);
        let key_hash = |slot: &u32| hasher.hash_one(keys[*slot as usize]);
        by_row.insert_unique(row_hash(&slot), slot, row_hash);
        if hashes.is_some() {
            by_key.insert_unique(key_hash(&slot), slot, key_hash);
        }
        slot
    }

    fn grow(&mut self) -> u32 {
        let slot = self.rows.len() as u32;
        self.rows.push(0);
        self.keys.push([0; 20]);
        self.created_at.push(0);
        self.completions.push(0);
        self.seeders.push(0);
        self.categories.push(GONE);
        self.publishers.push(0);
        self.tags.push(0);
        slot
    }
}

fn first_bytes(text: &str) -> [u8; 20] {
    let mut key = [0; 20];
    let length = text.len().min(20);
    key[..length].copy_from_slice(&text.as_bytes()[..length]);
    key
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The category of a slot without an entry. No word has this number.
const GONE: u32 = u32::MAX;
/// A page that reaches further down the ranking than this is found by counting.
const DEEP: usize = 1000;
