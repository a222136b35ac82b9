//! Requests to web seeds carried out: each seed has its own queue and up to four threads, each with a connection that
//! it keeps. What comes goes through one short queue, so an engine that is busy slows the download instead of filling
//! memory.

use super::guarded::{Client, Manners};
use super::trackers::{Notify, Setup};
use super::web_answer;
use crate::ssrf::Purpose;
use crate::webseed::{CONNECTIONS_MAX, CONNECTIONS_PER_SEED_MAX, Fetch, WebEvent, WebProblem};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The threads that fetch from web seeds. Requests come from `Webseeds`, which keeps to the numbers of connections.
pub struct WebFetcher {
    setup: Setup,
    lanes: HashMap<usize, Lane>,
    /// Requests that have not been seen to end, and whether each is still wanted.
    wanted: HashMap<u64, Arc<AtomicBool>>,
    events: Receiver<WebEvent>,
    out: Sender<WebEvent>,
    notify: Notify,
}

/// The threads of one seed.
struct Lane {
    jobs: Sender<Job>,
    queue: Receiver<Job>,
    /// Requests that have not ended.
    unfinished: Arc<AtomicUsize>,
    threads: Arc<AtomicUsize>,
}

struct Job {
    fetch: Fetch,
    wanted: Arc<AtomicBool>,
}

struct Worker {
    client: Client,
    queue: Receiver<Job>,
    unfinished: Arc<AtomicUsize>,
    threads: Arc<AtomicUsize>,
    out: Sender<WebEvent>,
    notify: Notify,
}

impl WebFetcher {
    /// No thread runs before the first request. All end when this is dropped, at the latest after [`SILENCE`].
    pub fn new(setup: Setup, notify: Notify) -> Self {
        let (out, events) = bounded(EVENTS_WAITING_MAX);
        Self { setup, lanes: HashMap::new(), wanted: HashMap::new(), events, out, notify }
    }

    /// Begins a request.
    pub fn submit(&mut self, fetch: Fetch) {
        let wanted = Arc::new(AtomicBool::new(true));
        self.wanted.insert(fetch.id, Arc::clone(&wanted));
        let id = fetch.id;
        let lane = self.lanes.entry(fetch.seed).or_insert_with(Lane::new);
        let unfinished = lane.unfinished.fetch_add(1, Ordering::SeqCst) + 1;
        let threads = lane.threads.load(Ordering::SeqCst);
        // Before the job is queued: a thread that leaves for lack of work looks once more at what is unfinished.
        if unfinished > threads && threads < CONNECTIONS_PER_SEED_MAX {
            let worker = Worker {
                client: Client::new(manners(&self.setup)),
                queue: lane.queue.clone(),
                unfinished: Arc::clone(&lane.unfinished),
                threads: Arc::clone(&lane.threads),
                out: self.out.clone(),
                notify: Arc::clone(&self.notify),
            };
            lane.threads.fetch_add(1, Ordering::SeqCst);
            let spawned = std::thread::Builder::new().name("web seed".into()).spawn(move || worker.run());
            if spawned.is_err() {
                lane.threads.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let queued = lane.jobs.send(Job { fetch, wanted }).is_ok();
        debug_assert!(queued, "the lane keeps a receiver, request {id}");
    }

    /// What has happened. With `bytes_max` it stops behind the data that reaches it; the rest waits, and so do the
    /// servers.
    pub fn events(&mut self, bytes_max: u64) -> Vec<WebEvent> {
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Ok(event) = self.events.try_recv()
        {
            match &event {
                WebEvent::Data { bytes: data, .. } => bytes += data.len() as u64,
                WebEvent::Done { id } | WebEvent::Failed { id, .. } => drop(self.wanted.remove(id)),
                WebEvent::Began { .. } => {}
            }
            events.push(event);
        }
        events
    }

    /// The request need not go on. It still ends with an event.
    pub fn cancel(&mut self, id: u64) {
        if let Some(wanted) = self.wanted.get(&id) {
            wanted.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for WebFetcher {
    fn drop(&mut self) {
        self.wanted.values().for_each(|wanted| wanted.store(false, Ordering::Relaxed));
    }
}

impl Lane {
    fn new() -> Self {
        // Bounded by `Webseeds`, which has at most CONNECTIONS_PER_SEED_MAX requests out for each seed.
        let (jobs, queue) = unbounded();
        let zero = || Arc::new(AtomicUsize::new(0));
        Self { jobs, queue, unfinished: zero(), threads: zero() }
    }
}

fn manners(setup: &Setup) -> Manners {
    Manners {
        purpose: Purpose::WebSeed,
        allow_private: setup.allow_private,
        proxy: setup.proxy.clone(),
        redirects_max: 5,
        connect: CONNECT,
        silence: SILENCE,
        total: None,
    }
}

impl Worker {
    fn run(self) {
        loop {
            match self.queue.recv_timeout(IDLE) {
                Ok(job) => {
                    let id = job.fetch.id;
                    let is_wanted = || job.wanted.load(Ordering::Relaxed);
                    let mut tell = |event| is_wanted() && self.tell(event);
                    let last = match web_answer::fetch(&self.client, &job.fetch, &is_wanted, &mut tell) {
                        Ok(()) => WebEvent::Done { id },
                        Err(why) => WebEvent::Failed { id, why },
                    };
                    self.unfinished.fetch_sub(1, Ordering::SeqCst);
                    if !self.tell(last) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    self.threads.fetch_sub(1, Ordering::SeqCst);
                    // A request that came meanwhile may have counted on this thread.
                    if self.unfinished.load(Ordering::SeqCst) <= self.threads.load(Ordering::SeqCst) {
                        return;
                    }
                    self.threads.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }

    /// Waits while the queue is full. Returns whether anybody listens.
    fn tell(&self, event: WebEvent) -> bool {
        let told = self.out.send(event).is_ok();
        (self.notify)();
        told
    }
}

/// The reason a fetch gives for ending early because nobody wants it any more.
pub fn cancelled() -> WebProblem {
    WebProblem::Busy { why: "cancelled".into(), retry_after_s: None }
}

const CONNECT: Duration = Duration::from_secs(10);
/// The longest wait for a byte.
pub const SILENCE: Duration = Duration::from_secs(30);
/// A thread without work keeps its connection for so long.
const IDLE: Duration = Duration::from_secs(10);
/// One for each connection.
const EVENTS_WAITING_MAX: usize = CONNECTIONS_MAX;

#[cfg(test)]
#[path = "webfetch_tests.rs"]
mod tests;
