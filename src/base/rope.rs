//! A long run of bytes in parts: short ones it owns, long ones it borrows from where they already are. A torrent is mostly
//! hashes, and they should be in memory once, not once for each dictionary around them.

use std::borrow::Cow;
use std::io::{self, Read, Write};

/// Bytes in parts.
#[derive(Clone, Debug, Default)]
pub struct Rope<'a> {
    parts: Vec<Cow<'a, [u8]>>,
    length: u64,
}

/// From this length on a part is borrowed; below, a copy is cheaper than another part.
const LENT_BYTES_MIN: usize = 512;

impl<'a> Rope<'a> {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        match self.parts.last_mut() {
            Some(Cow::Owned(last)) => last.extend_from_slice(bytes),
            _ => self.parts.push(Cow::Owned(bytes.to_vec())),
        }
    }

    /// Adds `bytes` without a copy, if they are long.
    pub fn lend(&mut self, bytes: &'a [u8]) {
        if bytes.len() < LENT_BYTES_MIN {
            return self.copy(bytes);
        }
        self.length += bytes.len() as u64;
        self.parts.push(Cow::Borrowed(bytes));
    }

    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes, part by part.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(AsRef::as_ref)
    }

    /// All of them in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        self.parts.concat()
    }

    /// Whether these are the same bytes.
    pub fn equals(&self, bytes: &[u8]) -> bool {
        let mut rest = Some(bytes);
        self.parts().for_each(|part| rest = rest.and_then(|rest| rest.strip_prefix(part)));
        rest.is_some_and(<[u8]>::is_empty)
    }

    /// Writes all of them.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        self.parts().try_for_each(|part| out.write_all(part))
    }

    /// The bytes as a stream.
    pub fn reader(&self) -> impl Read {
        let mut parts = self.parts();
        Reader { rest: parts.next().unwrap_or_default(), parts }
    }
}

impl From<Vec<u8>> for Rope<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, parts: vec![Cow::Owned(bytes)] }
    }
}

struct Reader<'r, P: Iterator<Item = &'r [u8]>> {
    rest: &'r [u8],
    parts: P,
}

impl<'r, P: Iterator<Item = &'r [u8]>> Read for Reader<'r, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.parts.next() {
                Some(part) => self.rest = part,
                None => return Ok(0),
            }
        }
        self.rest.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rope_is_the_bytes_in_order() {
        let long = [7; 2 * LENT_BYTES_MIN];
        let mut rope = Rope::new();
        rope.copy(b"ab");
        rope.lend(b"c");
        rope.lend(&long);
        rope.copy(b"d");
        let whole = [b"abc".as_slice(), &long, b"d"].concat();
        assert_eq!((rope.to_vec(), rope.length()), (whole.clone(), whole.len() as u64));
        assert_eq!(rope.parts().count(), 3, "short ones join, long ones are not copied");
        let mut read = Vec::new();
        rope.reader().read_to_end(&mut read).unwrap();
        assert_eq!(read, whole);
        assert!(
            rope.equals(&whole) && !rope.equals(&whole[1..]) && !rope.equals(&[&whole[..], b"e"].concat())
        );
        assert!(Rope::new().equals(b"") && Rope::new().reader().read(&mut [0]).unwrap() == 0);
    }
}
