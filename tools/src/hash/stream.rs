//! Hashing bytes that come once and in order, such as a download that is not kept. One thread for each kind of hash
//! gets every chunk; chunks wait in short queues, so memory does not depend on the length.

use super::piece::{Node, PieceHasher, PieceHashes};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use weightless::torrent::Kind;

/// What one file of a torrent is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Which hashes.
    pub kind: Kind,
    /// Bytes of the file.
    pub length: u64,
    /// A power of two of at least a block.
    pub piece_length: u32,
}

/// Bytes handed to the hashing threads at once: whole blocks.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that may wait for a thread.
const CHUNKS_WAITING: usize = 4;

/// Hashes `source`, which should bring `shape.length` bytes, and gives the hashes to `each`: one call for a piece and
/// kind of hash. `tick` gets the number of bytes read so far. Returns how many came; reading stops as soon as there is
/// one too many, and the hashes are worth nothing then.
pub fn hash(
    shape: Shape,
    mut source: impl Read,
    tick: impl FnMut(u64),
    mut each: impl FnMut(u64, &PieceHashes),
) -> io::Result<u64> {
    let kinds: &[Kind] = match shape.kind {
        Kind::Hybrid => &[Kind::V1, Kind::V2],
        Kind::V1 => &[Kind::V1],
        Kind::V2 => &[Kind::V2],
    };
    std::thread::scope(|scope| {
        let (senders, workers): (Vec<_>, Vec<_>) = kinds
            .iter()
            .map(|&kind| {
                let (sender, receiver) = sync_channel(CHUNKS_WAITING);
                (sender, scope.spawn(move || work(Shape { kind, ..shape }, &receiver)))
            })
            .unzip();
        let read = pump(shape.length, &mut source, &senders, tick);
        drop(senders);
        for worker in workers {
            let hashes = worker.join().expect("hashing does not panic");
            (0..).zip(&hashes).for_each(|(piece, hashes)| each(piece, hashes));
        }
        read
    })
}

fn pump(
    length: u64,
    source: &mut impl Read,
    senders: &[SyncSender<Arc<Vec<u8>>>],
    mut tick: impl FnMut(u64),
) -> io::Result<u64> {
    let mut read = 0;
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut filled = 0;
        let mut ended = false;
        while let Some(rest) = chunk.get_mut(filled..).filter(|rest| !rest.is_empty() && !ended) {
            let more = match source.read(rest) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            };
            ended = more == 0;
            filled += more;
            read += more as u64;
            tick(read);
        }
        chunk.truncate(filled);
        let chunk = Arc::new(chunk);
        for sender in senders {
            // A thread only ends when its queue does.
            let _ = sender.send(Arc::clone(&chunk));
        }
        if ended || read > length {
            return Ok(read);
        }
    }
}

fn work(shape: Shape, chunks: &Receiver<Arc<Vec<u8>>>) -> Vec<PieceHashes> {
    let piece_length = shape.piece_length as usize;
    let whole = shape.length <= u64::from(shape.piece_length);
    let node = if whole { Node::WholeFile } else { Node::LayerEntry };
    let mut hasher = PieceHasher::new(shape.kind, shape.piece_length);
    let mut hashes = Vec::new();
    let mut in_piece = 0;
    for chunk in chunks {
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(rest.len().min(piece_length - in_piece));
            hasher.data(part);
            in_piece += part.len();
            rest = behind;
            if in_piece == piece_length {
                hashes.push(hasher.finish(node));
                in_piece = 0;
            }
        }
    }
    if in_piece > 0 {
        hashes.push(hasher.finish(node));
    }
    hashes
}
