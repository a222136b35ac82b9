//! Announces carried out: over HTTP on a few threads that are made when they are needed, over UDP on one. Names are
//! looked up on the former, so a slow name server holds nobody else up.

use super::announce_url;
use super::guarded::Client;
use super::udp_tracker::{Found, UdpTrackers};
use super::{http_tracker, peer_routes};
use crate::announce::{Answer, Call, Problem, Wire};
use crate::ssrf::{self, Purpose, Trust};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use weightless::base::Rng;
use weightless::wire::announce::Event;

/// Called after results have come.
pub type Notify = Arc<dyn Fn() + Send + Sync>;
/// A call and how it ended.
pub type Outcome = (u64, Result<Answer, Problem>);

/// What all announces have in common.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `--allow-private`.
    pub allow_private: bool,
    /// The proxy for HTTP.
    pub proxy: Option<ureq::Proxy>,
}

/// Very many calls are waiting already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The threads that announce.
pub struct Trackers {
    regular: Pool,
    /// Saying goodbye does not wait behind trackers that are silent.
    farewells: Pool,
    results: Receiver<Outcome>,
}

/// Up to [`THREADS_MAX`] threads at one queue.
struct Pool {
    jobs: Sender<Call>,
    worker: Worker,
    threads: AtomicUsize,
}

#[derive(Clone)]
struct Worker {
    setup: Setup,
    jobs: Receiver<Call>,
    results: Sender<Outcome>,
    notify: Notify,
    udp: UdpTrackers,
    /// Calls of this queue that have not ended.
    unfinished: Arc<AtomicUsize>,
}

/// One thread's clients, by what they are for.
struct Clients {
    announce: Client,
    peer_routes: Client,
}

impl Trackers {
    /// Starts the UDP thread; the others come with the first calls. All end when this is dropped and their last call
    /// has ended.
    pub fn start(setup: Setup, rng: Rng, notify: Notify) -> io::Result<Self> {
        let (outcomes, results) = bounded(CALLS_WAITING_MAX);
        let udp = UdpTrackers::start(rng, outcomes.clone(), Arc::clone(&notify))?;
        let pool = || {
            let (jobs, queue) = bounded(CALLS_WAITING_MAX);
            let worker = Worker {
                setup: setup.clone(),
                jobs: queue,
                results: outcomes.clone(),
                notify: Arc::clone(&notify),
                udp: udp.clone(),
                unfinished: Arc::new(AtomicUsize::new(0)),
            };
            Pool { jobs, worker, threads: AtomicUsize::new(0) }
        };
        Ok(Self { regular: pool(), farewells: pool(), results })
    }

    /// Begins a call. Never waits: with too many of them waiting nothing is done.
    pub fn submit(&self, call: Call) -> Result<(), TooMany> {
        let stops = call.request.event == Event::Stopped;
        if stops { self.farewells.submit(call) } else { self.regular.submit(call) }
    }

    /// What has ended since the last look.
    pub fn results(&self) -> impl Iterator<Item = Outcome> + '_ {
        self.results.try_iter()
    }
}

impl Pool {
    fn submit(&self, call: Call) -> Result<(), TooMany> {
        // Counted before anybody can take it, so that it cannot end uncounted.
        let unfinished = self.worker.unfinished.fetch_add(1, Ordering::Relaxed) + 1;
        if self.jobs.try_send(call).is_err() {
            self.worker.unfinished.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany);
        }
        let threads = self.threads.load(Ordering::Relaxed);
        if unfinished > threads && threads < THREADS_MAX {
            let worker = self.worker.clone();
            let started = std::thread::Builder::new().name("announce".into()).spawn(move || worker.run());
            self.threads.fetch_add(usize::from(started.is_ok()), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Worker {
    fn run(self) {
        let client = |purpose| {
            let Setup { allow_private, proxy } = self.setup.clone();
            Client::new(http_tracker::manners(purpose, allow_private, proxy))
        };
        let clients =
            Clients { announce: client(Purpose::Tracker), peer_routes: client(Purpose::PeerRoutes) };
        while let Ok(call) = self.jobs.recv() {
            let id = call.id;
            let outcome = self.carry_out(&clients, call);
            self.unfinished.fetch_sub(1, Ordering::Relaxed);
            let Some(outcome) = outcome else { continue };
            if self.results.send((id, outcome)).is_err() {
                return;
            }
            (self.notify)();
        }
    }

    /// `None`: the UDP thread will tell.
    fn carry_out(&self, clients: &Clients, call: Call) -> Option<Result<Answer, Problem>> {
        let is_udp = call.url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("udp:"));
        match call.wire {
            _ if is_udp => {}
            Wire::Announce => return Some(http_tracker::ask(&clients.announce, &call)),
            Wire::PeerRoutes => return Some(peer_routes::ask(&clients.peer_routes, &call)),
        }
        match find(&call, self.setup.allow_private) {
            Err(problem) => Some(Err(problem)),
            Ok((path, addresses)) => {
                self.udp.submit(Found { call, path, addresses });
                None
            }
        }
    }
}

/// Looks a UDP tracker up and leaves out what may not be contacted.
fn find(call: &Call, allow_private: bool) -> Result<(String, Vec<std::net::SocketAddr>), Problem> {
    let (place, path) = announce_url::udp(&call.url).ok_or_else(|| Problem::Unusable("not a URL".into()))?;
    let found = place.to_socket_addrs().map_err(|_| Problem::Failed("host not found".into()))?;
    let trust = match (call.trusted, allow_private) {
        (true, _) => Trust::Typed,
        (false, true) => Trust::FoundPrivateAllowed,
        (false, false) => Trust::Found,
    };
    let mut addresses = Vec::new();
    let mut forbidden = None;
    for address in found.take(ADDRESSES_MAX) {
        match ssrf::check(Purpose::UdpTracker, trust, address, path) {
            Ok(()) => addresses.push(address),
            Err(reason) => forbidden = Some(reason),
        }
    }
    match forbidden {
        Some(reason) if addresses.is_empty() => Err(Problem::Unusable(reason.to_string())),
        _ => Ok((path.to_owned(), addresses)),
    }
}

/// Calls over HTTP at the same time, and as many goodbyes.
const THREADS_MAX: usize = 8;
const CALLS_WAITING_MAX: usize = 512;
/// Addresses of one tracker.
const ADDRESSES_MAX: usize = 8;

#[cfg(test)]
#[path = "trackers_tests.rs"]
mod tests;
