//! A set of pieces as it travels (BEP 3): one bit for each piece, the high bit of the first byte first.

/// A set of pieces of one torrent. Spare bits behind the last piece are always 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    pieces: u32,
    count: u32,
}

impl Bits {
    /// The empty set among `pieces`.
    pub fn none(pieces: u32) -> Self {
        Self { bytes: vec![0; byte_length(pieces)], pieces, count: 0 }
    }

    /// All of `pieces`.
    #[cfg(test)]
    pub fn all(pieces: u32) -> Self {
        let mut bits = Self { bytes: vec![0xff; byte_length(pieces)], pieces, count: pieces };
        let spare = bits.bytes.len() as u32 * 8 - pieces;
        if let Some(last) = bits.bytes.last_mut() {
            *last <<= spare;
        }
        bits
    }

    /// A set as it came; `None` when it has another length, or a spare bit is set.
    pub fn from_wire(bytes: &[u8], pieces: u32) -> Option<Self> {
        if bytes.len() != byte_length(pieces) {
            return None;
        }
        let spare = bytes.len() as u32 * 8 - pieces;
        if bytes.last().is_some_and(|last| last & !(0xffu8 << spare) != 0) {
            return None;
        }
        let count = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes: bytes.to_vec(), pieces, count })
    }

    /// As it goes.
    pub fn as_wire(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether `piece` is in the set.
    pub fn has(&self, piece: u32) -> bool {
        self.bytes.get(piece as usize / 8).is_some_and(|byte| byte & mask(piece) != 0)
    }

    /// Adds a piece; says whether that changed the set. One that does not exist changes nothing.
    pub fn add(&mut self, piece: u32) -> bool {
        if piece >= self.pieces || self.has(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece as usize / 8) {
            *byte |= mask(piece);
            self.count += 1;
        }
        true
    }

    /// Takes a piece out; says whether it was there.
    pub fn remove(&mut self, piece: u32) -> bool {
        if !self.has(piece) {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(piece as usize / 8) {
            *byte &= !mask(piece);
            self.count -= 1;
        }
        true
    }

    /// How many pieces are in it.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many there could be.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Whether nothing is missing.
    pub fn is_full(&self) -> bool {
        self.count == self.pieces
    }

    /// The pieces in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bytes.iter().enumerate().flat_map(|(at, &byte)| {
            let first = at as u32 * 8;
            (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| first + bit)
        })
    }
}

/// Bytes of a bitfield for `pieces`.
pub fn byte_length(pieces: u32) -> usize {
    pieces.div_ceil(8) as usize
}

fn mask(piece: u32) -> u8 {
    0x80 >> (piece % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_bit_comes_first_and_spare_bits_are_refused() {
        let mut bits = Bits::none(10);
        assert!(bits.add(0) && bits.add(9) && !bits.add(9) && !bits.add(10));
        assert_eq!(bits.as_wire(), [0x80, 0x40]);
        assert_eq!(Bits::from_wire(&[0x80, 0x40], 10), Some(bits.clone()));
        assert_eq!(Bits::from_wire(&[0x80, 0x20], 10), None);
        assert_eq!(Bits::from_wire(&[0x80], 10), None);
        assert_eq!(Bits::from_wire(&[0x80, 0x40, 0], 10), None);
        assert_eq!(bits.iter().collect::<Vec<_>>(), [0, 9]);
        assert!(bits.remove(0) && !bits.remove(0));
        assert_eq!((bits.count(), bits.has(9), bits.has(10)), (1, true, false));
    }

    #[test]
    fn all_is_full_for_every_size() {
        for pieces in 0..40 {
            let all = Bits::all(pieces);
            assert!(all.is_full());
            assert_eq!(all.iter().count() as u32, pieces);
            assert_eq!(Bits::from_wire(all.as_wire(), pieces), Some(all));
        }
    }
}
