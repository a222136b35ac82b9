//! Which names may hold a text, by the parts they are cut into. Parts that stand in many names are kept once, each with a
//! list of those names; the other parts of each name are kept under its number. A text is then looked for in the frequent
//! parts and in the short rests, not in all names.
//!
//! Names are numbered as they come and only added: whoever replaces one knows which numbers still count.

use super::pieces::{Piece, parts};
use super::postings::Postings;
use super::sightings::Sightings;
use super::texts::Texts;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// The parts of numbered names.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Each frequent part once.
    frequent: Texts,
    /// For each of them, the names it stands in, but for some of the first ones: those have it in their rest.
    postings: Vec<Postings>,
    /// The frequent parts by their text.
    numbers: HashTable<u32>,
    hasher: RandomState,
    /// For each name its parts that were not frequent when it came. Side by side they look like one name, cut at the same
    /// places: a text of one piece is in one of them or in none.
    rests: Texts,
    sightings: Sightings,
}

/// Where a piece of a text may be: the names of some frequent parts, and whatever has it in its rest.
pub(super) struct Place<'a> {
    piece: Piece<'a>,
    frequent: Vec<usize>,
    /// Names with those parts, one that has several counted as often.
    postings: usize,
}

impl Place<'_> {
    /// How many names must be gone through at least.
    pub fn names(&self) -> usize {
        self.postings
    }
}

impl Index {
    /// Adds the next name.
    pub fn add(&mut self, name: &[u8]) {
        let record = self.rests.len() as u32;
        let Self { frequent, postings, numbers, hasher, rests, sightings } = self;
        rests.push(parts(name).filter(|part| {
            let hash = hasher.hash_one(part);
            let is_it = |number: &u32| frequent.text(*number as usize) == *part;
            if let Some(number) = numbers.find(hash, is_it) {
                postings[*number as usize].push(record);
                return false;
            }
            if sightings.see(hash) < SIGHTINGS_OF_FREQUENT {
                return true;
            }
            let number = postings.len() as u32;
            frequent.push([*part]);
            postings.push(Postings::default());
            postings[number as usize].push(record);
            let rehash = |number: &u32| hasher.hash_one(frequent.text(*number as usize));
            numbers.insert_unique(hash, number, rehash);
            false
        }));
    }

    /// Where these pieces may be, the rarest first.
    pub fn places<'a>(&self, pieces: Vec<Piece<'a>>) -> Vec<Place<'a>> {
        let mut places: Vec<_> = pieces.into_iter().map(|piece| self.place(piece)).collect();
        places.sort_by_key(|place| place.postings);
        places
    }

    /// Tells the number of every name that has a fitting part, in no order, and some of them more than once. Of names that
    /// have it in their rest also those where it does not fit.
    pub fn each(&self, place: &Place<'_>, mut found: impl FnMut(u32)) {
        for part in &place.frequent {
            self.postings[*part].each(&mut found);
        }
        self.rests.each_holding(place.piece.bytes, |record| found(record as u32));
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.frequent.shrink();
        self.postings.iter_mut().for_each(Postings::shrink);
        self.postings.shrink_to_fit();
        self.rests.shrink();
    }

    fn place<'a>(&self, piece: Piece<'a>) -> Place<'a> {
        let mut frequent = Vec::new();
        self.frequent.each_holding(piece.bytes, |number| {
            if piece.fits(self.frequent.text(number)) {
                frequent.push(number);
            }
        });
        let postings = frequent.iter().map(|part| self.postings[*part].len()).sum();
        Place { piece, frequent, postings }
    }
}

/// From so many names on a part gets a list of its own, which costs as much as some rests.
const SIGHTINGS_OF_FREQUENT: u8 = 8;
