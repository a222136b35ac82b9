//! SHA-1 of every chunk of one small file, in order and in bounded memory.

use sha1::{Digest, Sha1};
use std::io::{self, Read};

/// Reads `reader` to its end in chunks of `chunk_bytes`, of which only the last may be shorter, and hands over the
/// number, the hash and the length of each. Returns how many bytes there were.
pub fn hash(
    mut reader: impl Read,
    chunk_bytes: u32,
    mut each: impl FnMut(u64, [u8; 20], u32),
) -> io::Result<u64> {
    let mut chunk = vec![0; chunk_bytes as usize];
    let (mut index, mut total) = (0, 0);
    loop {
        let bytes = fill(&mut reader, &mut chunk)?;
        if bytes == 0 {
            return Ok(total);
        }
        let read = chunk.get(..bytes).unwrap_or_default();
        each(index, Sha1::digest(read).into(), bytes as u32);
        index += 1;
        total += bytes as u64;
    }
}

/// Reads until the buffer is full or the end comes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (Some((first, rest)), Some(place)) = (self.0.split_first(), buffer.first_mut()) else {
                return Ok(0);
            };
            (*place, self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[test]
    fn chunks_do_not_depend_on_how_the_bytes_come() {
        let bytes: Vec<u8> = (0..2500).map(|at| (at % 251) as u8).collect();
        let of = |reader: &mut dyn Read| {
            let mut chunks = Vec::new();
            let total = hash(reader, 1024, |index, hash, bytes| chunks.push((index, hash, bytes))).unwrap();
            (chunks, total)
        };
        let (chunks, total) = of(&mut bytes.as_slice());
        assert_eq!((chunks.len(), chunks[2].2, total), (3, 452, 2500));
        assert_eq!(chunks[1].1, <[u8; 20]>::from(Sha1::digest(&bytes[1024..2048])));
        assert_eq!(of(&mut Slow(&bytes)), (chunks, total));
        assert_eq!(of(&mut &bytes[..0]), (Vec::new(), 0));
    }
}
