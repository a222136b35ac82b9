//! All names in one piece of memory, so that looking for a text in a million of them is one run of a vectorised
//! substring search. Names are separated by a byte that no UTF-8 text holds, so no match spans two of them.

use super::signatures::Signatures;
use memchr::memmem::Finder;

/// Folded names by slot.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Name, separator, name, separator...
    bytes: Vec<u8>,
    /// Where each record begins in `bytes`, ascending.
    starts: Vec<usize>,
    /// Whose name each record is; `GONE` for a name that was replaced or removed.
    owners: Vec<u32>,
    /// The record of each slot; `GONE` if it has none.
    records: Vec<u32>,
    /// Bytes in records that are gone.
    wasted_bytes: usize,
    /// Where not to look.
    signatures: Signatures,
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
        if self.wasted_bytes > WASTE_BYTES_MIN && self.wasted_bytes > self.bytes.len() / 3 {
            self.rebuild();
        }
    }

    /// The slots whose name holds `text`, which must not be empty, in the order in which the names came.
    pub fn containing(&self, text: &[u8]) -> Vec<u32> {
        let (finder, mut slots) = (Finder::new(text), Vec::new());
        for records in self.signatures.may_hold(text) {
            let (mut record, mut from) = (records.start, self.starts[records.start]);
            let bytes = &self.bytes[..self.starts.get(records.end).copied().unwrap_or(self.bytes.len())];
            while let Some(at) = finder.find(&bytes[from..]) {
                record = self.record_at(record, from + at);
                if self.owners[record] != GONE {
                    slots.push(self.owners[record]);
                }
                from = self.end(record);
            }
        }
        slots
    }

    /// Those of these slots whose name holds `text`.
    pub fn of_these(&self, mut slots: Vec<u32>, text: &[u8]) -> Vec<u32> {
        let finder = Finder::new(text);
        slots.retain(|slot| self.name(*slot).is_some_and(|name| finder.find(name).is_some()));
        slots
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.owners.shrink_to_fit();
        self.records.shrink_to_fit();
        self.signatures.shrink();
    }

    /// The record that holds the byte at `at`, which lies in `from` or later. Looks at the next ones, then where it would
    /// be if all names were of one length, then twice as far each time: names are of much the same length.
    fn record_at(&self, from: usize, at: usize) -> usize {
        let near =
            (from..from + NEAR).find(|record| self.starts.get(record + 1).is_none_or(|next| *next > at));
        if let Some(record) = near {
            return record;
        }
        let length = (self.bytes.len() / self.starts.len()).max(1);
        let guess = (from + (at - self.starts[from]) / length).min(self.starts.len() - 1);
        let (mut low, mut high, mut step) = (guess, guess + 1, 1);
        while self.starts[low] > at {
            high = low;
            low = low.saturating_sub(step).max(from);
            step *= 2;
        }
        while self.starts.get(high).is_some_and(|start| *start <= at) {
            low = high;
            high += step;
            step *= 2;
        }
        let high = high.min(self.starts.len());
        low + self.starts[low..high].partition_point(|start| *start <= at) - 1
    }

    /// Where a record ends, its separator included.
    fn end(&self, record: usize) -> usize {
        self.starts.get(record + 1).copied().unwrap_or(self.bytes.len())
    }

    fn name(&self, slot: u32) -> Option<&[u8]> {
        let record = *self.records.get(slot as usize)?;
        if record == GONE {
            return None;
        }
        let record = record as usize;
        Some(&self.bytes[self.starts[record]..self.end(record) - 1])
    }

    fn append(&mut self, slot: u32, name: &[u8]) {
        if self.records.len() <= slot as usize {
            self.records.resize(slot as usize + 1, GONE);
        }
        self.records[slot as usize] = self.owners.len() as u32;
        self.signatures.add(self.owners.len(), name);
        self.starts.push(self.bytes.len());
        self.owners.push(slot);
        self.bytes.extend_from_slice(name);
        self.bytes.push(SEPARATOR);
    }

    /// Copies the names that are left to new memory, without the gaps.
    fn rebuild(&mut self) {
        let old = std::mem::take(self);
        for record in 0..old.owners.len() {
            if old.owners[record] != GONE {
                self.append(old.owners[record], &old.bytes[old.starts[record]..old.end(record) - 1]);
            }
        }
    }
}

/// Records looked at one by one, before any is guessed.
const NEAR: usize = 4;
const SEPARATOR: u8 = 0xff;
const GONE: u32 = u32::MAX;
const WASTE_BYTES_MIN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_replaced_and_removed() {
        let mut names = Names::default();
        for (slot, name) in ["alpha", "beta", "", "alphabet"].iter().enumerate() {
            names.set(slot as u32, name);
        }
        assert_eq!(names.containing(b"alpha"), [0, 3]);
        assert_eq!(names.containing(b"bet"), [1, 3]);
        names.set(0, "gamma");
        names.clear(3);
        names.clear(9);
        assert_eq!(names.containing(b"alpha"), [0; 0]);
        assert_eq!(names.containing(b"a"), [1, 0]);
    }

    /// Names of every length in any order: each is found by its own text, and by itself.
    #[test]
    fn a_name_is_found_wherever_it_stands() {
        let mut names = Names::default();
        let name = |slot: u32| {
            let filler = slot.wrapping_mul(0x9e37_79b9) >> 23;
            format!(
                "{}#{slot}#",
                "x".repeat(if slot.is_multiple_of(100) { 10 * filler } else { filler / 10 } as usize)
            )
        };
        (0..3000).for_each(|slot| names.set(slot, &name(slot)));
        for slot in (0..3000).step_by(7) {
            assert_eq!(names.containing(format!("#{slot}#").as_bytes()), [slot]);
        }
        assert_eq!(names.containing(b"0#").len(), 300);
        assert_eq!(names.containing(b"#").len(), 3000);
    }

    #[test]
    fn no_match_spans_two_names() {
        let mut names = Names::default();
        names.set(0, "ab");
        names.set(1, "cd");
        assert!(names.containing(b"bc").is_empty());
    }

    #[test]
    fn replacing_names_over_and_over_does_not_grow_without_bound() {
        let mut names = Names::default();
        for turn in 0..100_000 {
            names.set(turn % 10, &format!("name number {turn}"));
        }
        assert!(names.bytes.len() < 4 * WASTE_BYTES_MIN, "{} bytes", names.bytes.len());
        assert_eq!(names.containing(b"name number 9999").len(), 10);
    }
}
