//! Categories, publishers and tags, each distinct text once, so that an entry holds a number for it and a filter
//! compares numbers. Words of entries that are gone stay: there are far fewer words than entries, and a restart
//! forgets them.

use std::collections::HashMap;
use std::sync::Arc;

/// A table of distinct texts. Number 0 is the empty one.
#[derive(Debug)]
pub(super) struct Words {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Default for Words {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self { texts: vec![empty.clone()], numbers: HashMap::from([(empty, 0)]) }
    }
}

impl Words {
    /// The number of a text, which gets one if it has none.
    pub fn number_of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let (number, text) = (self.texts.len() as u32, Arc::<str>::from(text));
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The number of a text that some entry has or had.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.numbers.get(text).copied()
    }

    /// For each word, whether `part` is in it without regard to ASCII case.
    pub fn containing(&self, part: &str) -> Vec<bool> {
        let part = part.to_ascii_lowercase();
        self.texts.iter().map(|text| text.to_ascii_lowercase().contains(&part)).collect()
    }
}
