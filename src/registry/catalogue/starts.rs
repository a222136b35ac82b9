//! Where each of many texts begins in memory, in four bytes each. What four bytes cannot hold is the same for all texts but
//! for a few places where it grows by one, so only those places are kept.

/// Ascending places by number.
#[derive(Debug, Default)]
pub(super) struct Starts<const BITS: u32 = 32> {
    /// The lower bits of each place.
    low: Vec<u32>,
    /// The number of the first place from which on the upper part is one more; the same number as often as it grows there.
    steps: Vec<usize>,
}

impl<const BITS: u32> Starts<BITS> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.low.len()
    }

    /// Adds one that is not smaller than the last.
    pub fn push(&mut self, start: usize) {
        let (high, low) = ((start as u64 >> BITS) as usize, start as u64 & ((1 << BITS) - 1));
        self.steps.resize(high, self.low.len());
        self.low.push(low as u32);
    }

    /// One by its number, if there is one.
    #[inline]
    pub fn at(&self, number: usize) -> Option<usize> {
        let low = u64::from(*self.low.get(number)?);
        let high = self.steps.partition_point(|step| *step <= number) as u64;
        Some((high << BITS | low) as usize)
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.low.shrink_to_fit();
        self.steps.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_however_far_apart_they_are() {
        let places = [0, 3, 3, 15, 16, 17, 31, 80, 80, 95, 96, 1000];
        let mut starts = Starts::<4>::default();
        places.iter().for_each(|place| starts.push(*place));
        let back: Vec<_> = (0..starts.len()).map_while(|number| starts.at(number)).collect();
        assert_eq!((&back[..], starts.at(places.len())), (&places[..], None));
    }
}
