//! What is on its way to one peer: messages and blocks in the order in which they were decided.
//!
//! Messages are gathered in one buffer until a block comes between them; blocks keep the buffer the disk gave them. So
//! nothing is copied, and a socket is offered all of it at once.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Most bytes that wait for one peer; whoever does not read loses the connection.
pub const WAITING_BYTES_MAX: usize = 1 << 20;
/// A chunk of messages takes no more from here on: its memory comes back only when all of it is sent.
const CHUNK_BYTES: usize = 64 << 10;
/// Slices offered to a socket at once.
pub const SLICES: usize = 16;

/// Bytes for one peer.
#[derive(Default)]
pub struct Outgoing {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are gone.
    sent: usize,
    bytes: usize,
    data_bytes: usize,
}

struct Chunk {
    bytes: Vec<u8>,
    kind: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Messages,
    Blocks,
}

impl Outgoing {
    /// Writes messages with `write`.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let joins = |chunk: &Chunk| chunk.kind == What::Messages && chunk.bytes.len() < CHUNK_BYTES;
        if !self.chunks.back().is_some_and(joins) {
            self.chunks.push_back(Chunk { bytes: Vec::new(), kind: What::Messages });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            let before = chunk.bytes.len();
            write(&mut chunk.bytes);
            self.bytes += chunk.bytes.len() - before;
        }
    }

    /// Adds whole `piece` messages.
    pub fn blocks(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.data_bytes += bytes.len();
        self.chunks.push_back(Chunk { bytes, kind: What::Blocks });
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes of blocks that wait.
    pub fn data_len(&self) -> usize {
        self.data_bytes
    }

    /// The front of what waits, at most `most` bytes; says how many slices are filled.
    pub fn slices<'a>(&'a self, most: usize, into: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut skip, mut left, mut filled) = (self.sent, most, 0);
        for chunk in &self.chunks {
            let bytes = chunk.bytes.get(skip..).unwrap_or_default();
            let bytes = bytes.get(..left).unwrap_or(bytes);
            skip = 0;
            if bytes.is_empty() {
                continue;
            }
            let Some(slot) = into.get_mut(filled) else { break };
            *slot = IoSlice::new(bytes);
            filled += 1;
            left -= bytes.len();
            if left == 0 {
                break;
            }
        }
        filled
    }

    /// The socket took `count` bytes; buffers of blocks that are gone are given to `recycle`.
    pub fn sent(&mut self, count: usize, mut recycle: impl FnMut(Vec<u8>)) {
        debug_assert!(count <= self.bytes);
        self.bytes = self.bytes.saturating_sub(count);
        self.sent += count;
        while let Some(front) = self.chunks.front() {
            if self.sent < front.bytes.len() {
                break;
            }
            self.sent -= front.bytes.len();
            let Some(chunk) = self.chunks.pop_front() else { break };
            if chunk.kind == What::Blocks {
                self.data_bytes -= chunk.bytes.len();
                recycle(chunk.bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(out: &mut Outgoing, step: usize) -> (Vec<u8>, usize) {
        let (mut all, mut recycled) = (Vec::new(), 0);
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = out.slices(step, &mut slices);
            let part: Vec<u8> = slices.iter().take(filled).flat_map(|slice| slice.to_vec()).collect();
            assert!(!part.is_empty() && part.len() <= step);
            out.sent(part.len(), |_| recycled += 1);
            all.extend(part);
        }
        (all, recycled)
    }

    #[test]
    fn everything_comes_out_once_in_order_whatever_the_socket_takes() {
        for step in [1, 2, 3, 5, 100] {
            let mut out = Outgoing::default();
            out.write(|into| into.extend(b"ab"));
            out.write(|into| into.extend(b"c"));
            out.blocks(b"DEFG".to_vec());
            out.blocks(b"H".to_vec());
            out.write(|into| into.extend(b"ij"));
            assert_eq!((out.len(), out.data_len()), (10, 5));
            assert_eq!(drain(&mut out, step), (b"abcDEFGHij".to_vec(), 2));
            assert_eq!((out.len(), out.data_len()), (0, 0));
        }
    }
}
