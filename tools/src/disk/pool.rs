//! A fixed number of threads between two bounded queues. Whoever has work is never kept waiting: a full queue gives the
//! job back. Threads wait instead when nobody takes their outcomes.

use super::job::{Job, Outcome};
use super::storage::Storage;
use super::workers::work;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Disk threads.
pub struct Pool {
    jobs: Sender<Job>,
    outcomes: Receiver<Outcome>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and their owner share.
pub struct Shared {
    /// Called when there is something to take.
    notify: Arc<dyn Fn() + Send + Sync>,
    /// Whether it has been called since outcomes were taken last.
    notified: AtomicBool,
    /// Buffers for what is read.
    buffers: Mutex<Vec<Vec<u8>>>,
}

/// Jobs that may wait for each thread, and outcomes that may wait for their owner.
const JOBS_PER_THREAD: usize = 32;
/// Buffers kept, and the largest that is.
const BUFFERS_MAX: usize = 64;
const BUFFER_BYTES_MAX: usize = 256 * 1024;

impl Pool {
    /// Starts `threads` threads on `storage`. `notify` is called when the first outcome after [`Pool::outcomes`] is
    /// there.
    pub fn start(storage: &Arc<Storage>, threads: usize, notify: Arc<dyn Fn() + Send + Sync>) -> Self {
        let threads = threads.max(1);
        let (jobs, taken) = bounded(JOBS_PER_THREAD * threads);
        let (done, outcomes) = bounded(JOBS_PER_THREAD * threads);
        let shared =
            Arc::new(Shared { notify, notified: AtomicBool::new(false), buffers: Mutex::new(Vec::new()) });
        let threads = (0..threads)
            .map(|number| {
                let (storage, taken, done, shared) =
                    (Arc::clone(storage), taken.clone(), done.clone(), Arc::clone(&shared));
                thread::Builder::new()
                    .name(format!("disk {number}"))
                    .spawn(move || work(storage, &taken, &done, &shared))
                    .expect("a process may have a few threads")
            })
            .collect();
        Self { jobs, outcomes, shared, threads }
    }

    /// Hands a job over; gives it back when too many are waiting.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        match self.jobs.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => Err(job),
        }
    }

    /// The outcomes that are there now.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        // Before the first is taken: what comes after the last one will notify again.
        self.shared.notified.store(false, Ordering::SeqCst);
        self.outcomes.try_iter()
    }

    /// Takes back the buffer of an answered read.
    pub fn recycle(&self, buffer: Vec<u8>) {
        self.shared.recycle(buffer);
    }

    /// Ends the threads after what is queued; what came of it is returned.
    pub fn stop(self) -> Vec<Outcome> {
        let Self { jobs, outcomes, threads, .. } = self;
        drop(jobs);
        // Ends when the last thread has dropped its sender.
        let rest = outcomes.iter().collect();
        for thread in threads {
            // A panic has been reported by then.
            let _ = thread.join();
        }
        rest
    }
}

impl Shared {
    /// Says that there is something to take, unless that was said before.
    pub fn notify(&self) {
        if !self.notified.swap(true, Ordering::SeqCst) {
            (self.notify)();
        }
    }

    /// A buffer of whatever length.
    pub fn buffer(&self) -> Vec<u8> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer for later.
    pub fn recycle(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}
