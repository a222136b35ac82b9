//! Numbers that wait for their turn, one bit each: sessions of accounting with something for the next cut.
//!
//! They are taken in the order of their numbers, round and round, so that neighbours on disk are written together and
//! none waits longer than one round.

/// A set of small numbers.
#[derive(Default, Debug)]
pub(super) struct Marks {
    words: Vec<u64>,
    len: usize,
    /// The word at which the next round goes on.
    cursor: usize,
}

impl Marks {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether this one waits.
    pub fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    /// Adds one; nothing happens if it waits already.
    #[inline]
    pub fn insert(&mut self, number: u32) {
        let at = number as usize / 64;
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let (word, bit) = (&mut self.words[at], 1 << (number % 64));
        self.len += usize::from(*word & bit == 0);
        *word |= bit;
    }

    /// Takes out those that come next, `max` at most.
    pub fn take(&mut self, max: usize) -> Vec<u32> {
        let count = self.len.min(max);
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            if self.cursor >= self.words.len() {
                self.cursor = 0;
            }
            let word = &mut self.words[self.cursor];
            while *word != 0 && taken.len() < count {
                taken.push(self.cursor as u32 * 64 + word.trailing_zeros());
                *word &= *word - 1;
            }
            if *word == 0 {
                self.cursor += 1;
            }
        }
        self.len -= count;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_taken_once_and_in_turn() {
        let mut marks = Marks::default();
        for number in [700, 3, 64, 3, 63] {
            marks.insert(number);
        }
        assert_eq!(
            (marks.len(), marks.contains(3), marks.contains(4), marks.contains(9_999)),
            (4, true, false, false)
        );
        assert_eq!(marks.take(2), [3, 63]);
        // What comes in behind waits for the next round.
        marks.insert(3);
        marks.insert(65);
        assert_eq!(marks.take(3), [64, 65, 700]);
        assert_eq!((marks.len(), marks.take(9)), (1, vec![3]));
        assert!(marks.is_empty() && marks.take(9).is_empty());
    }
}
