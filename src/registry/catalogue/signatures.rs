//! Which names cannot hold a text, without looking at them: for some names that follow each other, a bit for every three
//! bytes that stand side by side in one of them. A text whose threes are not all there is in none of these names.
//!
//! Eight bytes a name, whatever its length. Names that are gone leave their bits, until the names are copied to new memory:
//! then a few are looked at for nothing.

/// One signature for each block of names, in their order.
#[derive(Debug, Default)]
pub(super) struct Signatures(Vec<Signature>);

type Signature = [u64; BITS / 64];

impl Signatures {
    /// Adds the name of the next record, which is `record`.
    pub fn add(&mut self, record: usize, name: &[u8]) {
        let block = record / BLOCK_NAMES;
        if self.0.len() <= block {
            self.0.resize(block + 1, [0; BITS / 64]);
        }
        let signature = &mut self.0[block];
        for bit in bits(name) {
            signature[bit / 64] |= 1 << (bit % 64);
        }
    }

    /// The records that may hold `text`, as ranges that follow each other, neither empty nor touching. The last one may
    /// reach beyond the last record.
    pub fn may_hold(&self, text: &[u8]) -> Vec<std::ops::Range<usize>> {
        let mut wanted: Vec<_> = bits(text).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for (block, signature) in self.0.iter().enumerate() {
            if !wanted.iter().all(|bit| signature[bit / 64] >> (bit % 64) & 1 == 1) {
                continue;
            }
            let records = block * BLOCK_NAMES..(block + 1) * BLOCK_NAMES;
            match ranges.last_mut() {
                Some(last) if last.end == records.start => last.end = records.end,
                _ => ranges.push(records),
            }
        }
        ranges
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// The bits of every three bytes side by side; none of a shorter text.
fn bits(text: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(3).map(|three| {
        let number = u32::from(three[0]) | u32::from(three[1]) << 8 | u32::from(three[2]) << 16;
        (number.wrapping_mul(0x9e37_79b1) >> (32 - BITS.trailing_zeros())) as usize
    })
}

/// Names with one signature: the fewer, the better it tells texts apart and the longer it takes to ask all of them.
const BLOCK_NAMES: usize = 32;
/// A power of two. Names of sixty bytes set a third of them.
const BITS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_hold_the_text_are_named_and_most_others_are_not() {
        let mut signatures = Signatures::default();
        let name =
            |record: usize| format!("name number {:08}", record.wrapping_mul(0x9e37_79b1) % 100_000_000);
        for record in 0..10_000 {
            signatures.add(record, name(record).as_bytes());
        }
        let mut named = 0;
        for record in (0..10_000).step_by(97) {
            let ranges = signatures.may_hold(&name(record).as_bytes()[8..]);
            assert!(ranges.iter().any(|range| range.contains(&record)), "{record}");
            assert!(ranges.iter().zip(ranges.iter().skip(1)).all(|(one, next)| one.end < next.start));
            named += ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
        }
        assert!(named < 103 * 10_000 / 10, "{named}");
        let all = std::iter::once(0..10_000usize.next_multiple_of(BLOCK_NAMES));
        assert!(all.eq(signatures.may_hold(b"name")));
        assert_eq!(signatures.may_hold(b"na"), signatures.may_hold(b"name"), "too short to tell");
        assert!(signatures.may_hold(b"nothing of that").is_empty());
    }
}
