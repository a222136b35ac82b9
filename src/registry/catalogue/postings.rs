//! Where a word stands: ascending numbers in few bytes. What is written is the distance to the number before, seven bits a
//! byte, so a word that stands in one name of a hundred costs a byte for each of them.

/// Ascending numbers.
#[derive(Debug, Default)]
pub(super) struct Postings {
    distances: Vec<u8>,
    /// One more than the number that was added last.
    next: u32,
    count: u32,
}

impl Postings {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Adds a number that is not smaller than any before. The same one again changes nothing.
    pub fn push(&mut self, number: u32) {
        let Some(mut distance) = number.checked_sub(self.next) else { return };
        while distance >= MORE {
            self.distances.push((distance % MORE + MORE) as u8);
            distance /= MORE;
        }
        self.distances.push(distance as u8);
        self.next = number + 1;
        self.count += 1;
    }

    /// Tells all of them, the smallest first.
    #[inline]
    pub fn each(&self, mut found: impl FnMut(u32)) {
        let (mut number, mut distance, mut shift) = (0, 0, 0);
        for byte in self.distances.iter().map(|byte| u32::from(*byte)) {
            distance |= (byte % MORE) << shift;
            if byte >= MORE {
                shift += 7;
                continue;
            }
            number += distance;
            found(number);
            number += 1;
            (distance, shift) = (0, 0);
        }
    }

    /// Gives back the memory that growing left unused.
    pub fn shrink(&mut self) {
        self.distances.shrink_to_fit();
    }
}

/// In a byte with this bit, the distance goes on in the next one.
const MORE: u32 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_added() {
        let numbers = [0, 1, 2, 129, 130, 258, 259, 16_643, 16_644, 2_113_797, 500_000_000, u32::MAX - 1];
        let (mut postings, mut back) = (Postings::default(), Vec::new());
        for number in numbers {
            postings.push(number);
            postings.push(number);
        }
        postings.each(|number| back.push(number));
        assert_eq!((&back[..], postings.len()), (&numbers[..], numbers.len()));
        // Eight of one byte, one of two, of four, and two of five.
        assert_eq!(postings.distances.len(), 8 + 2 + 4 + 2 * 5);
    }
}
