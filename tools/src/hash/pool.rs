//! Reading and hashing on several threads. Work is handed out in runs of pieces from one counter; every thread reads
//! its run with positioned reads into one buffer of its own, so memory is bounded by the number of threads. A piece's
//! result depends on its bytes alone: the number of threads never shows.

use super::piece::{Node, PieceHasher, PieceHashes};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use weightless::torrent::{Kind, Layout};

/// A file to hash: where it is, how much of it counts. What lies behind `length` is never read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is; `None` for a file known to be missing.
    pub path: Option<PathBuf>,
    /// Its bytes in the torrent.
    pub length: u64,
}

/// Why a piece could not be hashed.
#[derive(Debug)]
pub struct Fault {
    /// Index of the file.
    pub file: usize,
    /// What reading said; `UnexpectedEof` when the file is shorter than expected.
    pub error: io::Error,
}

/// The result for one piece.
pub type Outcome = Result<PieceHashes, Fault>;

/// What is hashed.
pub struct Plan<'a> {
    /// Which hashes.
    pub kind: Kind,
    /// Where pieces lie in files.
    pub layout: &'a Layout,
    /// The files, in torrent order.
    pub sources: &'a [Source],
    /// Threads, at least 1.
    pub threads: usize,
}

/// Bytes read at once. Large enough that system calls do not show, small enough to stay in the second cache.
const READ_BYTES: usize = 256 * 1024;
/// Bytes a thread takes on at a time.
const RUN_BYTES: u64 = 4 << 20;
/// How often `tick` is called while nothing arrives.
const TICK: Duration = Duration::from_millis(200);

/// Hashes every piece and gives each outcome to `each`, in no particular order. `tick` gets the number of payload bytes
/// read so far, several times a second. Returning `false` from `each` stops the work.
pub fn hash(plan: &Plan<'_>, mut tick: impl FnMut(u64), mut each: impl FnMut(u64, Outcome) -> bool) {
    let count = plan.layout.piece_count();
    let run = (RUN_BYTES / plan.layout.piece_length()).clamp(1, 256);
    let (next, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(4 * plan.threads);
        for _ in 0..plan.threads.max(1) {
            let (sender, next, done, stop) = (sender.clone(), &next, &done, &stop);
            scope.spawn(move || work(&mut Worker::new(plan, done), next, run, count, stop, &sender));
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(run) => {
                    let run: Run = run;
                    if !run.into_iter().all(|(piece, outcome)| each(piece, outcome)) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            tick(done.load(Ordering::Relaxed));
        }
    });
}

/// The outcomes of one run of pieces.
type Run = Vec<(u64, Outcome)>;

fn work(
    worker: &mut Worker<'_>,
    next: &AtomicU64,
    run: u64,
    count: u64,
    stop: &AtomicBool,
    sender: &SyncSender<Run>,
) {
    loop {
        let first = next.fetch_add(run, Ordering::Relaxed);
        if first >= count || stop.load(Ordering::Relaxed) {
            return;
        }
        let last = (first + run).min(count);
        worker.run_end = worker.plan.layout.piece(last - 1).end;
        let outcomes = (first..last).map(|piece| (piece, worker.piece(piece))).collect();
        // The receiver is only gone when the program is ending.
        if sender.send(outcomes).is_err() {
            return;
        }
    }
}

/// One thread's hasher, open file and buffer.
struct Worker<'a> {
    plan: &'a Plan<'a>,
    hasher: PieceHasher,
    file: Option<(usize, File)>,
    buffer: Vec<u8>,
    /// What the buffer holds: a range of the open file.
    held: Range<u64>,
    /// The end of the run in the stream: reading ahead stops there.
    run_end: u64,
    done: &'a AtomicU64,
}

impl<'a> Worker<'a> {
    fn new(plan: &'a Plan<'a>, done: &'a AtomicU64) -> Self {
        let piece_length = u32::try_from(plan.layout.piece_length()).unwrap_or(u32::MAX);
        let hasher = PieceHasher::new(plan.kind, piece_length);
        Self { plan, hasher, file: None, buffer: vec![0; READ_BYTES], held: 0..0, run_end: 0, done }
    }

    fn piece(&mut self, piece: u64) -> Outcome {
        let range = self.plan.layout.piece(piece);
        let mut at = range.start;
        let mut node = Node::LayerEntry;
        let plan = self.plan;
        for segment in plan.layout.segments(range.clone()) {
            self.hasher.padding(segment.at - at);
            let length = plan.sources.get(segment.file).map_or(0, |source| source.length);
            if length <= plan.layout.piece_length() {
                node = Node::WholeFile;
            }
            let from = segment.offset;
            let outcome = self.feed(segment.file, from..from + segment.length, segment.at);
            if let Err(error) = outcome {
                // The next piece starts afresh.
                self.hasher.finish(node);
                self.file = None;
                return Err(Fault { file: segment.file, error });
            }
            at = segment.at + segment.length;
        }
        self.hasher.padding(range.end - at);
        Ok(self.hasher.finish(node))
    }

    /// Hashes a range of a file; `at` is where it begins in the stream.
    fn feed(&mut self, file: usize, range: Range<u64>, at: u64) -> io::Result<()> {
        self.open(file)?;
        let mut offset = range.start;
        while offset < range.end {
            if !self.held.contains(&offset) {
                let run_left = self.run_end.saturating_sub(at + (offset - range.start));
                self.fill(file, offset, run_left.max(range.end - offset))?;
            }
            let from = (offset - self.held.start) as usize;
            let to = (range.end.min(self.held.end) - self.held.start) as usize;
            let bytes = self.buffer.get(from..to).unwrap_or_default();
            self.hasher.data(bytes);
            self.done.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    fn open(&mut self, file: usize) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|(open, _)| *open == file) {
            return Ok(());
        }
        self.held = 0..0;
        self.file = None;
        let path = self.plan.sources.get(file).and_then(|source| source.path.as_ref());
        let path = path.ok_or(io::ErrorKind::NotFound)?;
        self.file = Some((file, File::open(path)?));
        Ok(())
    }

    /// Reads the buffer full from `offset` on, at most `wanted` bytes and never past the file's length.
    fn fill(&mut self, file: usize, offset: u64, wanted: u64) -> io::Result<()> {
        let length = self.plan.sources.get(file).map_or(0, |source| source.length);
        let wanted = wanted.min(length.saturating_sub(offset)).min(READ_BYTES as u64) as usize;
        let (Some((_, handle)), Some(buffer)) = (&self.file, self.buffer.get_mut(..wanted)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        self.held = 0..0;
        read_exact_at(handle, buffer, offset)?;
        self.held = offset..offset + wanted as u64;
        Ok(())
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        let read = file.seek_read(buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = buffer.get_mut(read..).unwrap_or_default();
        offset += read as u64;
    }
    Ok(())
}
