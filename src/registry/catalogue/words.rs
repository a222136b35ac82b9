//! Categories, publishers and tags, each distinct text once, so that an entry holds a number for it and a filter
//! compares numbers. Words of entries that are gone stay: there are far fewer words than entries, and a restart
//! forgets them.

use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// A table of distinct texts. Number 0 is the empty one.
#[derive(Debug)]
pub(super) struct Words {
    texts: Vec<Box<str>>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Default for Words {
    fn default() -> Self {
        let mut words = Self { texts: Vec::new(), numbers: HashTable::new(), hasher: RandomState::new() };
        words.number_of("");
        words
    }
}

impl Words {
    /// The number of a text, which gets one if it has none.
    pub fn number_of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.into());
        let Self { texts, numbers, hasher } = self;
        let hash = |number: &u32| hasher.hash_one(&*texts[*number as usize]);
        numbers.insert_unique(hash(&number), number, hash);
        number
    }

    /// The number of a text that some entry has or had.
    pub fn find(&self, text: &str) -> Option<u32> {
        let is_it = |number: &u32| &*self.texts[*number as usize] == text;
        self.numbers.find(self.hasher.hash_one(text), is_it).copied()
    }

    /// For each word, whether `part` is in it without regard to ASCII case.
    pub fn containing(&self, part: &str) -> Vec<bool> {
        let part = part.to_ascii_lowercase();
        self.texts.iter().map(|text| text.to_ascii_lowercase().contains(&part)).collect()
    }
}
