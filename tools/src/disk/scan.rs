//! Hashing what is on the disk already, on several threads: which of some pieces are good. Can be interrupted between
//! pieces.

use super::root::Access;
use super::storage::Storage;
use super::trust::Step;
use crate::failure::{Class, Failure};
use crate::hash::judge::Judge;
use crate::hash::piece::{Node, PieceHasher, PieceHashes};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What was found.
pub struct Scanned {
    /// For every piece of the torrent whether it was hashed and is good.
    pub good: Vec<bool>,
    /// Pieces whose file has no layer yet: once there is one, only they need hashing.
    pub open: Vec<u32>,
}

/// Why there is no result.
pub enum NotScanned {
    /// Somebody asked to stop.
    Interrupted,
    /// The torrent is at fault.
    Failed(Failure),
}

/// Bytes read at once: whole blocks, few enough for the second cache.
const READ_BYTES: u64 = 256 * 1024;
/// How often the progress is told while nothing arrives.
const TICK: Duration = Duration::from_millis(200);
/// Pieces whose hashes may wait for the one who compares them.
const WAITING: usize = 1024;

/// Hashes `pieces`, each with its step: pieces of [`Step::HashData`] only where there is data. `progress` is told how
/// many bytes are done, and of how many.
pub fn scan(
    storage: &Storage,
    pieces: &[(u32, Step)],
    threads: usize,
    stop: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Scanned, NotScanned> {
    let content = &storage.content;
    let total = pieces.iter().map(|&(piece, _)| u64::from(content.piece_bytes(piece))).sum();
    let mut good = vec![false; content.piece_count() as usize];
    let mut judge = content.metainfo().map(Judge::new);
    let (next, done, halt) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        for _ in 0..threads.clamp(1, pieces.len().max(1)) {
            let (sender, next, done, halt) = (sender.clone(), &next, &done, &halt);
            scope.spawn(move || Scanner::new(storage, done).work(pieces, next, halt, &sender));
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(TICK) {
                Ok((piece, hashes)) => {
                    let judged = match &mut judge {
                        Some(judge) => judge.piece(u64::from(piece), &hashes),
                        None => hashes.sha1.is_some() && content.piece_sha1(piece) == hashes.sha1,
                    };
                    if let Some(slot) = good.get_mut(piece as usize) {
                        *slot = judged;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if stop.load(Ordering::Relaxed) || judge.as_ref().is_some_and(Judge::is_contradicted) {
                halt.store(true, Ordering::Relaxed);
            }
            progress(done.load(Ordering::Relaxed), total);
        }
    });
    let open = judge.as_mut().map_or_else(Vec::new, |judge| judge.prove(&mut good));
    if judge.is_some_and(|judge| judge.is_contradicted()) {
        let why = "v1 and v2 hashes describe different data";
        return Err(NotScanned::Failed(Failure::new(Class::Verification, why)));
    }
    if stop.load(Ordering::Relaxed) {
        return Err(NotScanned::Interrupted);
    }
    let open = open.into_iter().filter_map(|piece| u32::try_from(piece).ok()).collect();
    Ok(Scanned { good, open })
}

/// One thread's hasher and buffer.
struct Scanner<'a> {
    storage: &'a Storage,
    hasher: PieceHasher,
    buffer: Vec<u8>,
    /// The file that was read last.
    file: Option<usize>,
    done: &'a AtomicU64,
}

impl<'a> Scanner<'a> {
    fn new(storage: &'a Storage, done: &'a AtomicU64) -> Self {
        let piece_length = u32::try_from(storage.content.layout().piece_length()).unwrap_or(u32::MAX);
        let hasher = PieceHasher::new(storage.content.kind(), piece_length);
        Self { storage, hasher, buffer: Vec::new(), file: None, done }
    }

    fn work(
        mut self,
        pieces: &[(u32, Step)],
        next: &AtomicUsize,
        halt: &AtomicBool,
        sender: &SyncSender<(u32, PieceHashes)>,
    ) {
        while !halt.load(Ordering::Relaxed)
            && let Some(&(piece, step)) = pieces.get(next.fetch_add(1, Ordering::Relaxed))
        {
            // A piece that cannot be read is not there.
            let hashes = match step == Step::Hash || self.has_data(piece) {
                true => self.piece(piece),
                false => None,
            };
            self.done.fetch_add(u64::from(self.storage.content.piece_bytes(piece)), Ordering::Relaxed);
            // The receiver is only gone when the program is ending.
            if hashes.is_some_and(|hashes| sender.send((piece, hashes)).is_err()) {
                return;
            }
        }
    }

    fn piece(&mut self, piece: u32) -> Option<PieceHashes> {
        let content = &self.storage.content;
        let range = content.layout().piece(u64::from(piece));
        let node = content.piece_node(piece).map_or(Node::LayerEntry, |node| node.node);
        let mut at = range.start;
        let mut read = true;
        for segment in content.layout().segments(range.clone()) {
            self.hasher.padding(segment.at - at);
            at = segment.at + segment.length;
            self.expect_order(segment.file);
            read &= self.feed(segment.at, at);
        }
        self.hasher.padding(range.end - at);
        let hashes = self.hasher.finish(node);
        read.then_some(hashes)
    }

    fn feed(&mut self, mut from: u64, to: u64) -> bool {
        while from < to {
            let length = (to - from).min(READ_BYTES);
            self.buffer.resize(length as usize, 0);
            if self.storage.read(from, &mut self.buffer).is_err() {
                return false;
            }
            self.hasher.data(&self.buffer);
            from += length;
        }
        true
    }

    /// Tells the system that a file is about to be read from front to back.
    fn expect_order(&mut self, file: usize) {
        if self.file != Some(file) {
            self.file = Some(file);
            self.storage.expect_order(file);
        }
    }

    fn has_data(&self, piece: u32) -> bool {
        let layout = self.storage.content.layout();
        layout.segments(layout.piece(u64::from(piece))).any(|segment| self.storage.has_data(&segment))
    }
}

impl Storage {
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    fn expect_order(&self, file: usize) {
        if let Ok(file) = self.open(file, Access::Read) {
            // Only a hint.
            let _ = rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::Sequential);
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    fn expect_order(&self, _: usize) {}
}
