//! Many short texts in one piece of memory, so that looking for a part in a million of them is one run of a vectorised
//! substring search. They are separated by a byte that no UTF-8 text holds, so no match spans two of them.
//!
//! Texts are only added, never changed: whoever replaces one keeps track of which count.

use super::starts::Starts;
use memchr::memmem::Finder;

/// Texts by number, in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Text, separator, text, separator...
    bytes: Vec<u8>,
    /// Where each text begins in `bytes`, ascending.
    starts: Starts,
}

impl Texts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of all of them, separators included.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a text that is put together from parts.
    pub fn push<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        self.starts.push(self.bytes.len());
        parts.into_iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(SEPARATOR);
    }

    /// A text by its number, which there must be.
    pub fn text(&self, number: usize) -> &[u8] {
        &self.bytes[self.start(number)..self.end(number) - 1]
    }

    /// Tells the number of every text that holds `part`, which must not be empty, in their order.
    pub fn each_holding(&self, part: &[u8], found: impl FnMut(usize)) {
        match part {
            // A letter is so frequent that each start of a search counts.
            [byte] => self.each_at(|bytes| memchr::memchr(*byte, bytes), found),
            part => {
                let finder = Finder::new(part);
                self.each_at(|bytes| finder.find(bytes), found);
            }
        }
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink();
    }

    fn each_at(&self, find: impl Fn(&[u8]) -> Option<usize>, mut found: impl FnMut(usize)) {
        let (mut number, mut from) = (0, 0);
        while let Some(at) = find(&self.bytes[from..]) {
            number = self.number_at(number, from + at);
            found(number);
            from = self.end(number);
        }
    }

    /// The text that holds the byte at `at`, which lies in `from` or later. Looks at the next ones, then where it would
    /// be if all texts were of one length, then twice as far each time: texts are of much the same length.
    fn number_at(&self, from: usize, at: usize) -> usize {
        let near = (from..from + NEAR).find(|number| self.starts.at(number + 1).is_none_or(|next| next > at));
        if let Some(number) = near {
            return number;
        }
        let length = (self.bytes.len() / self.starts.len()).max(1);
        let guess = (from + (at - self.start(from)) / length).min(self.starts.len() - 1);
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while self.start(low) > at {
            high = low;
            low = low.saturating_sub(step).max(from);
            step *= 2;
        }
        while self.starts.at(high).is_some_and(|start| start <= at) {
            low = high;
            high += step;
            step *= 2;
        }
        let mut high = high.min(self.starts.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= at {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Where a text begins, which there must be.
    fn start(&self, number: usize) -> usize {
        self.starts.at(number).expect("the number of a text")
    }

    /// Where a text ends, its separator included.
    fn end(&self, number: usize) -> usize {
        self.starts.at(number + 1).unwrap_or(self.bytes.len())
    }
}

/// Texts looked at one by one, before any is guessed.
const NEAR: usize = 4;
const SEPARATOR: u8 = 0xff;

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(texts: &Texts, part: &str) -> Vec<usize> {
        let mut found = Vec::new();
        texts.each_holding(part.as_bytes(), |number| found.push(number));
        found
    }

    /// Texts of every length in any order: each is found by its own part, and by itself.
    #[test]
    fn a_text_is_found_wherever_it_stands() {
        let mut texts = Texts::default();
        for number in 0..3000_u32 {
            let filler = number.wrapping_mul(0x9e37_79b9) >> 23;
            let length = if number.is_multiple_of(100) { 10 * filler } else { filler / 10 };
            let (filler, number) = ("x".repeat(length as usize), format!("#{number}#"));
            texts.push([filler.as_bytes(), number.as_bytes()]);
        }
        for number in (0..3000).step_by(7) {
            assert_eq!(holding(&texts, &format!("#{number}#")), [number]);
        }
        assert_eq!(holding(&texts, "0#").len(), 300);
        assert_eq!(holding(&texts, "#"), (0..3000).collect::<Vec<_>>());
    }

    #[test]
    fn no_match_spans_two_texts() {
        let mut texts = Texts::default();
        ["ab", "", "cd"].iter().for_each(|text| texts.push([text.as_bytes()]));
        assert!(holding(&texts, "bc").is_empty());
        assert_eq!((holding(&texts, "d"), texts.text(1)), (vec![2], b"".as_slice()));
    }
}
