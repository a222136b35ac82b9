//! The shell around the engine: one thread, one poll, every socket, the only clock of a transfer.
//!
//! One turn, in this order:
//!
//! 1. wait for an event, at most until something is due
//! 2. read the clock, once
//! 3. sockets: accept, connect, read
//! 4. what disk, trackers and web seeds have done
//! 5. the engine's own errands, and whether our address has changed
//! 6. what the engine wants done
//! 7. writes
//!
//! Whoever conducts the transfer hears after each turn what happened.

pub mod announce_url;
pub mod guarded;
pub mod http_tracker;
mod own_address;
mod peer_routes;
mod sockets;
pub mod trackers;
pub mod udp_exchange;
pub mod udp_tracker;
pub mod web_answer;
pub mod webfetch;

pub use sockets::Port;

use crate::announce::{Call, Problem};
use crate::disk::{Job, Pool};
use crate::peer::action::{Action, News};
use crate::peer::engine::Engine;
use crate::peer::swarm::Swarm;
use mio::{Events, Interest, Poll, Token, Waker};
use own_address::OwnAddress;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use sockets::Sockets;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trackers::Trackers;
use webfetch::WebFetcher;
use weightless::base::Millis;

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const LISTENERS: usize = 2;
/// Connections are named from here on.
pub const FIRST_KEY: u64 = 16;
const EVENTS: usize = 512;
/// Rounds of errands and writes in a turn.
const ROUNDS: usize = 4;
/// Bytes of web seeds in a turn.
const WEB_BYTES: u64 = 4 << 20;
/// With a bound on the rate, what may not be read or written now may be so soon.
const PACED: Duration = Duration::from_millis(20);
/// The monotonic clock begins here, so that nothing has to think of times before it.
const ORIGIN_MS: Millis = 86_400_000;

/// Wakes the loop from another thread.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// What happened in a turn.
#[derive(Default)]
pub struct Turn {
    /// What the swarms have to tell.
    pub news: Vec<(usize, News)>,
    /// A signal that asks for the end.
    pub signal: Option<i32>,
    /// Whether more than one came.
    pub insistent: bool,
}

/// The loop and everything it polls.
pub struct Drive {
    /// The machine it drives.
    pub engine: Engine,
    poll: Poll,
    events: Events,
    notify: Notify,
    signals: Signals,
    sockets: Sockets,
    stores: Vec<Option<Store>>,
    trackers: Trackers,
    fetcher: WebFetcher,
    /// The swarm that has web seeds: one download at a time.
    web_swarm: usize,
    /// Whether web seeds may have more to tell than the last turn took.
    more_of_web: bool,
    own_address: OwnAddress,
    origin: Instant,
    actions: Vec<Action>,
    touched: Vec<u64>,
    /// Connections that have more to write than the rate allows now.
    throttled: Vec<u64>,
}

/// The disk of one swarm.
struct Store {
    pool: Pool,
    /// Jobs that did not fit into the pool's queue.
    backlog: VecDeque<Job>,
}

impl Drive {
    /// Binds the port and starts nothing else. Rates are bytes per second.
    pub fn new(
        port: Port,
        rates: (Option<u64>, Option<u64>),
        start: impl FnOnce(&Notify) -> io::Result<(Trackers, WebFetcher)>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let notify: Notify = Arc::new(move || _ = waker.wake());
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        let sockets = Sockets::listen(poll.registry(), port, LISTENERS)?;
        let (trackers, fetcher) = start(&notify)?;
        let (down, up) = rates;
        Ok(Self {
            engine: Engine::new(ORIGIN_MS, FIRST_KEY, down, up),
            poll,
            events: Events::with_capacity(EVENTS),
            notify,
            signals,
            sockets,
            stores: Vec::new(),
            trackers,
            fetcher,
            web_swarm: 0,
            more_of_web: false,
            own_address: OwnAddress::default(),
            origin: Instant::now(),
            actions: Vec::new(),
            touched: Vec::new(),
            throttled: Vec::new(),
        })
    }

    /// Where peers can reach us.
    pub fn port(&self) -> u16 {
        self.sockets.port()
    }

    /// What wakes the loop.
    pub fn notify(&self) -> Notify {
        Arc::clone(&self.notify)
    }

    /// The clock of the transfer.
    pub fn now(&self) -> Millis {
        self.origin.elapsed().as_millis() as Millis + ORIGIN_MS
    }

    /// Gives a swarm its disk.
    pub fn attach(&mut self, swarm: usize, pool: Pool) {
        if self.stores.len() <= swarm {
            self.stores.resize_with(swarm + 1, || None);
        }
        if let Some(slot) = self.stores.get_mut(swarm) {
            *slot = Some(Store { pool, backlog: VecDeque::new() });
        }
    }

    /// One turn: waits for something to happen, at most for `within`, and does what follows from it.
    pub fn turn(&mut self, within: Duration) -> io::Result<Turn> {
        let patience = self.patience().min(within);
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let turn = match self.poll.poll(&mut events, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => self.react(&events),
        };
        self.events = events;
        Ok(turn)
    }

    /// Waits for what the disks still have to do.
    pub fn close(self) {
        for store in self.stores.into_iter().flatten() {
            store.pool.stop();
        }
    }

    fn patience(&mut self) -> Duration {
        let now = self.now();
        let (down, up) = self.engine.allowances(now);
        if self.engine.has_errands() {
            return Duration::ZERO;
        }
        if self.sockets.is_unfinished() || self.more_of_web {
            return if down == 0 { PACED } else { Duration::ZERO };
        }
        if !self.throttled.is_empty() {
            return if up == 0 { PACED } else { Duration::ZERO };
        }
        let due = self.engine.next_due(now).min(self.own_address.next_look());
        Duration::from_millis(due.saturating_sub(now))
    }

    fn react(&mut self, events: &Events) -> Turn {
        let mut turn = Turn::default();
        let now = self.now();
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => {
                    for signal in self.signals.pending() {
                        turn.insistent |= turn.signal.is_some();
                        turn.signal = Some(signal);
                    }
                }
                Token(at) if at < FIRST_KEY as usize => {
                    self.sockets.accept(now, at - LISTENERS, self.poll.registry(), &mut self.engine);
                }
                _ => self.sockets.event(now, event, &mut self.engine),
            }
        }
        self.sockets.read(now, &mut self.engine);
        self.hear(now);
        if self.own_address.has_changed(now, own_address::look) {
            self.engine.readdressed();
        }
        self.engine.tick(now);
        // What is written makes room for what is read from the disk next, and so on.
        for _ in 0..ROUNDS {
            self.act(now, &mut turn);
            self.write(now);
            if !self.engine.has_errands() {
                break;
            }
        }
        turn
    }

    /// What the other threads have done.
    fn hear(&mut self, now: Millis) {
        for (number, store) in self.stores.iter_mut().enumerate() {
            let Some(store) = store else { continue };
            for outcome in store.pool.outcomes() {
                self.engine.disk(now, number, outcome);
            }
            while let Some(job) = store.backlog.pop_front() {
                if let Err(job) = store.pool.submit(job) {
                    store.backlog.push_front(job);
                    break;
                }
            }
        }
        for (id, answer) in self.trackers.results() {
            let (swarm, id) = apart(id);
            self.engine.announced(now, swarm, id, answer);
        }
        let (allowed, _) = self.engine.allowances(now);
        let room = self.engine.swarms().get(self.web_swarm).map_or(0, Swarm::web_room);
        let events = self.fetcher.events(WEB_BYTES.min(allowed as u64).min(room));
        self.more_of_web = !events.is_empty();
        for event in events {
            self.engine.fetched(now, self.web_swarm, &event);
        }
    }

    /// Does what the engine wants done.
    fn act(&mut self, now: Millis, turn: &mut Turn) {
        let mut actions = std::mem::take(&mut self.actions);
        self.engine.take(&mut actions, &mut self.touched);
        for action in actions.drain(..) {
            match action {
                Action::Dial { key, address } => {
                    if !self.sockets.dial(key, address, self.poll.registry()) {
                        self.engine.closed(key, "cannot connect");
                    }
                }
                Action::Close { key } => {
                    // What was said last still goes out if the socket takes it.
                    self.sockets.flush(now, key, usize::MAX, &mut self.engine);
                    self.sockets.close(key, self.poll.registry());
                }
                Action::Disk { swarm, job } => self.submit(swarm, job),
                Action::Announce { swarm, call } => self.announce(now, swarm, call),
                Action::Fetch { swarm, fetch } => {
                    self.web_swarm = swarm;
                    self.fetcher.submit(fetch);
                }
                Action::Drop { id } => self.fetcher.cancel(id),
                Action::Tell { swarm, news } => turn.news.push((swarm, news)),
            }
        }
        self.actions = actions;
    }

    fn announce(&mut self, now: Millis, swarm: usize, mut call: Call) {
        let id = call.id;
        call.id = together(swarm, id);
        if self.trackers.submit(call).is_err() {
            let problem = Problem::Failed("too many announces at once".into());
            self.engine.announced(now, swarm, id, Err(problem));
        }
    }

    fn submit(&mut self, swarm: usize, job: Job) {
        let Some(Some(store)) = self.stores.get_mut(swarm) else { return };
        if !store.backlog.is_empty() {
            return store.backlog.push_back(job);
        }
        if let Err(job) = store.pool.submit(job) {
            store.backlog.push_back(job);
        }
    }

    /// Writes to whoever has something waiting, within the rate.
    fn write(&mut self, now: Millis) {
        let mut keys = std::mem::take(&mut self.throttled);
        keys.append(&mut self.touched);
        for key in keys.drain(..) {
            let (_, allowed) = self.engine.allowances(now);
            if allowed == 0 {
                self.throttled.push(key);
                continue;
            }
            let written = self.sockets.flush(now, key, allowed, &mut self.engine);
            if written >= allowed {
                self.throttled.push(key);
            }
        }
        self.recycle();
        if self.throttled.is_empty() {
            self.throttled = keys;
        }
    }

    /// Gives the buffers of blocks that are gone back to their disks.
    fn recycle(&mut self) {
        for (swarm, bytes) in self.engine.take_spent() {
            if let Some(Some(store)) = self.stores.get(swarm) {
                store.pool.recycle(bytes);
            }
        }
    }
}

/// The number of a call among those of all swarms.
fn together(swarm: usize, id: u64) -> u64 {
    (swarm as u64) << SWARM_BITS | id
}

/// Its swarm, and its number there.
fn apart(id: u64) -> (usize, u64) {
    ((id >> SWARM_BITS) as usize, id & ((1 << SWARM_BITS) - 1))
}

const SWARM_BITS: u32 = 40;
