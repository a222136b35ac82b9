//! About how often a word was seen, in one byte for each word seen so far: enough to tell words worth a list of their
//! own from those that stand in one name. Words that share a byte are taken for more frequent than they are; that costs
//! a list, never a match.

/// Counts by hash.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    /// A power of two of them.
    counts: Vec<u8>,
    seen: usize,
}

impl Sightings {
    /// Counts a sighting of the word of this hash. Returns how many there were, this one included.
    pub fn see(&mut self, hash: u64) -> u8 {
        if self.seen >= self.counts.len() {
            self.grow();
        }
        self.seen += 1;
        let at = hash as usize & (self.counts.len() - 1);
        self.counts[at] = self.counts[at].saturating_add(1);
        self.counts[at]
    }

    /// Twice as many counts, so that few words share one. Which word each count is of is not known: both of the new ones
    /// get half of it, so that they stay small.
    fn grow(&mut self) {
        if self.counts.is_empty() {
            self.counts = vec![0; COUNTS_MIN];
            return;
        }
        self.counts.iter_mut().for_each(|count| *count /= 2);
        self.counts.extend_from_within(..);
    }
}

const COUNTS_MIN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_seen_once_stay_rare_and_frequent_ones_show() {
        let (mut sightings, mut most) = (Sightings::default(), 0);
        for word in 0..200_000_u64 {
            most = most.max(sightings.see(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20));
        }
        assert!(most < 8, "{most}");
        assert!((1..=10).any(|_| sightings.see(7) >= 8));
        assert_eq!(sightings.counts.len(), 262_144);
    }
}
