//! The folded name of each slot, and which slots have a name that holds a text.
//!
//! A name is never changed in place: a new one is added, and the old record loses its owner. When much is lost, what is
//! left is copied to new memory.

use super::index::{Index, Place};
use super::pieces::{Piece, pieces};
use super::texts::Texts;
use memchr::memmem::Finder;
use std::cmp::Reverse;
use std::hint::black_box;

/// Folded names by slot.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// All names, by record.
    texts: Texts,
    /// Whose name each record is; `GONE` for a name that was replaced or removed.
    owners: Vec<u32>,
    /// The record of each slot; `GONE` if it has none.
    records: Vec<u32>,
    /// Bytes in records that are gone.
    wasted_bytes: usize,
    /// The words of each record.
    index: Index,
}

impl Names {
    /// Gives `slot` this name in place of any other.
    pub fn set(&mut self, slot: u32, name: &str) {
        if self.name(slot) == Some(name.as_bytes()) {
            return;
        }
        self.clear(slot);
        self.append(slot, name.as_bytes());
    }

    /// Takes the name of `slot` away.
    pub fn clear(&mut self, slot: u32) {
        let Some(name_bytes) = self.name(slot).map(<[u8]>::len) else { return };
        let record = std::mem::replace(&mut self.records[slot as usize], GONE);
        self.owners[record as usize] = GONE;
        self.wasted_bytes += name_bytes + 1;
        if self.wasted_bytes > WASTE_BYTES_MIN && self.wasted_bytes > self.texts.bytes() / 3 {
            self.rebuild();
        }
    }

    /// For each slot, whether its name holds `text`, which must not be empty: 1 or 0.
    pub fn containing(&self, text: &[u8]) -> Vec<u8> {
        let mut marks = vec![0; self.records.len()];
        let pieces = pieces(text);
        if pieces.len() < 2 {
            for place in self.index.places(pieces) {
                self.index.each(&place, |record| self.set_mark(record, &mut marks));
            }
            return marks;
        }
        match self.candidates(&self.index.places(longest(pieces)), &mut marks) {
            Some(candidates) => {
                marks.fill(0);
                self.of_these(candidates, text).into_iter().for_each(|slot| marks[slot as usize] = 1);
            }
            None => {
                marks.fill(0);
                self.texts.each_holding(text, |record| self.set_mark(record as u32, &mut marks));
            }
        }
        marks
    }

    /// Those of these slots whose name holds `text`.
    pub fn of_these(&self, mut slots: Vec<u32>, text: &[u8]) -> Vec<u32> {
        let finder = Finder::new(text);
        let mut kept = 0;
        for begin in (0..slots.len()).step_by(AHEAD) {
            let end = slots.len().min(begin + AHEAD);
            // Names lie far apart: their first bytes are read before any is looked through, so that all are waited for
            // together.
            let names = slots[begin..end].iter().map(|slot| self.name(*slot).unwrap_or_default());
            black_box(names.map(|name| name.first().map_or(0, |byte| u32::from(*byte))).sum::<u32>());
            for at in begin..end {
                let slot = slots[at];
                if self.name(slot).is_some_and(|name| finder.find(name).is_some()) {
                    slots[kept] = slot;
                    kept += 1;
                }
            }
        }
        slots.truncate(kept);
        slots
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.texts.shrink();
        self.owners.shrink_to_fit();
        self.records.shrink_to_fit();
        self.index.shrink();
    }

    /// The slots that may hold all pieces, unless they are so many that one run through all names is less work than to look
    /// at each. Each round keeps those of the round before that may hold one more piece, until looking at what is left is
    /// less work. `marks` begins at zero and is of no use afterwards.
    fn candidates(&self, places: &[Place<'_>], marks: &mut [u8]) -> Option<Vec<u32>> {
        let many = marks.len() / MANY;
        let share = |place: &Place<'_>| (place.names() as f64 / marks.len() as f64).min(1.0);
        if places.iter().map(share).product::<f64>() * marks.len() as f64 > many as f64 {
            return None;
        }
        let mut candidates = Vec::new();
        for (round, place) in places.iter().enumerate() {
            if round > 0 && place.names() > candidates.len() * LOOK_COST {
                break;
            }
            candidates.clear();
            self.index.each(place, |record| {
                if self.raise_mark(record, round as u8, marks) {
                    candidates.push(self.owners[record as usize]);
                }
            });
        }
        (candidates.len() <= many).then_some(candidates)
    }

    /// Marks the owner of a record, if it still has one.
    #[inline]
    fn set_mark(&self, record: u32, marks: &mut [u8]) {
        if let Some(mark) = marks.get_mut(self.owners[record as usize] as usize) {
            *mark = 1;
        }
    }

    /// Raises the mark of a record's owner if it is that of the round before. Returns whether it did.
    #[inline]
    fn raise_mark(&self, record: u32, round: u8, marks: &mut [u8]) -> bool {
        match marks.get_mut(self.owners[record as usize] as usize) {
            Some(mark) if *mark == round => {
                *mark = round + 1;
                true
            }
            _ => false,
        }
    }

    fn name(&self, slot: u32) -> Option<&[u8]> {
        let record = *self.records.get(slot as usize)?;
        (record != GONE).then(|| self.texts.text(record as usize))
    }

    fn append(&mut self, slot: u32, name: &[u8]) {
        if self.records.len() <= slot as usize {
            self.records.resize(slot as usize + 1, GONE);
        }
        self.records[slot as usize] = self.owners.len() as u32;
        self.owners.push(slot);
        self.texts.push([name]);
        self.index.add(name);
    }

    /// Copies the names that are left to new memory, without the gaps.
    fn rebuild(&mut self) {
        let old = std::mem::take(self);
        for (record, owner) in old.owners.iter().enumerate().filter(|(_, owner)| **owner != GONE) {
            self.append(*owner, old.texts.text(record));
        }
    }
}

/// The longest pieces: those of few names, mostly.
fn longest(mut pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    pieces.sort_by_key(|piece| Reverse(piece.bytes.len()));
    pieces.truncate(PIECES_MAX);
    pieces
}

const GONE: u32 = u32::MAX;
const WASTE_BYTES_MIN: usize = 64 * 1024;
/// Of a text of more pieces than this, the longest are enough to find candidates. (Texts of strangers may have thousands.)
const PIECES_MAX: usize = 8;
/// To look at a name costs as much as to go through so many of a list.
const LOOK_COST: usize = 10;
/// When one in so many names is left, one run through all of them is less work than to look at each.
const MANY: usize = 16;
/// Names read ahead.
const AHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn containing(names: &Names, text: &str) -> Vec<usize> {
        let marks = names.containing(text.as_bytes());
        marks.iter().enumerate().filter(|(_, mark)| **mark == 1).map(|(slot, _)| slot).collect()
    }

    #[test]
    fn names_are_found_replaced_and_removed() {
        let mut names = Names::default();
        for (slot, name) in ["alpha", "beta", "", "alphabet"].iter().enumerate() {
            names.set(slot as u32, name);
        }
        assert_eq!(containing(&names, "alpha"), [0, 3]);
        assert_eq!(containing(&names, "bet"), [1, 3]);
        names.set(0, "gamma");
        names.clear(3);
        names.clear(9);
        assert_eq!(containing(&names, "alpha"), [0; 0]);
        assert_eq!(containing(&names, "a"), [0, 1]);
    }

    /// Every part of some names, with words of every frequency, is found where a look at each name finds it: parts of
    /// a word, of two, of separators alone, in lists and in rests.
    #[test]
    fn every_part_of_a_name_is_found_in_all_names_that_hold_it() {
        let name = |slot: u32| {
            let word = |of: u32| ["linux", "lin", "inu", "ux", "x"][(slot / of % 5) as usize];
            format!("{} {}-{}.{} [{}_64]", word(1), word(5), slot % 37, slot, word(25))
        };
        let (mut names, all) = (Names::default(), 0..600_u32);
        // Every slot gets another name first, so that no record has the number of its slot.
        all.clone().for_each(|slot| names.set(slot, "another name"));
        all.clone().rev().for_each(|slot| names.set(slot, &name(slot)));
        for probe in [0, 7, 299, 599].map(name) {
            for (begin, end) in (0..probe.len()).flat_map(|a| (a + 1..=probe.len()).map(move |b| (a, b))) {
                let part = &probe[begin..end];
                let expected =
                    all.clone().filter(|slot| name(*slot).contains(part)).map(|slot| slot as usize);
                assert_eq!(containing(&names, part), expected.collect::<Vec<_>>(), "{part:?}");
            }
        }
    }

    #[test]
    fn replacing_names_over_and_over_does_not_grow_without_bound() {
        let mut names = Names::default();
        for turn in 0..100_000 {
            names.set(turn % 10, &format!("name number {turn}"));
        }
        assert!(names.texts.bytes() < 4 * WASTE_BYTES_MIN, "{} bytes", names.texts.bytes());
        assert_eq!(containing(&names, "name number 9999").len(), 10);
    }
}
