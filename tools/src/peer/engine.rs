//! All swarms of one process: which connection belongs to which, how many there may be, how fast bytes may flow.
//!
//! An incoming connection waits in the lobby until its handshake names a swarm; one that names none gets no answer.

use super::action::{Action, News};
use super::handshake::parse_front;
use super::limits::{DIALS_PER_SECOND, HALF_OPEN_MAX, LOBBY_MAX};
use super::outgoing::Outgoing;
use super::rate::Bucket;
use super::session::{Direction, Peer};
use super::swarm::{Swarm, per_address_max};
use super::wire::Bounds;
use crate::announce::{Answer, Problem};
use crate::disk::Outcome;
use crate::webseed::WebEvent;
use std::collections::HashMap;
use std::net::SocketAddr;
use weightless::base::Millis;

/// Seconds an incoming connection may take to say what it wants.
const LOBBY_MS: Millis = 10_000;
/// How often time is looked at.
const TICK_MS: Millis = 250;
/// The same while no data flows: added to it.
const QUIET_MS: Millis = 750;
/// The same while nobody is connected and nothing is due.
const IDLE_MS: Millis = 60_000;

/// All swarms of one process.
pub struct Engine {
    swarms: Vec<Swarm>,
    places: HashMap<u64, usize>,
    lobby: HashMap<u64, Box<Peer>>,
    next_key: u64,
    down: Bucket,
    up: Bucket,
    dials: Bucket,
    connections_max: usize,
    touched: Vec<u64>,
    actions: Vec<Action>,
    spent: Vec<(usize, Vec<u8>)>,
    tick_at: Millis,
}

impl Engine {
    /// No swarms yet. Keys of connections begin at `first_key`; rates are bytes per second.
    pub fn new(now: Millis, first_key: u64, down: Option<u64>, up: Option<u64>) -> Self {
        Self {
            swarms: Vec::new(),
            places: HashMap::new(),
            lobby: HashMap::new(),
            next_key: first_key,
            down: Bucket::new(now, down),
            up: Bucket::new(now, up),
            dials: Bucket::for_events(now, DIALS_PER_SECOND),
            connections_max: 0,
            touched: Vec::new(),
            actions: Vec::new(),
            spent: Vec::new(),
            tick_at: now,
        }
    }

    /// Takes a swarm in; its number must be the next one.
    pub fn add(&mut self, swarm: Swarm, connections_max: usize) {
        self.connections_max = self.connections_max.max(connections_max);
        self.swarms.push(swarm);
    }

    /// The swarms.
    pub fn swarms(&self) -> &[Swarm] {
        &self.swarms
    }

    /// One of them, to tell it something.
    pub fn swarm(&mut self, number: usize) -> Option<&mut Swarm> {
        self.swarms.get_mut(number)
    }

    /// Somebody connected to us. `None`: there is no room, and the connection is to be closed.
    pub fn accepted(&mut self, now: Millis, address: SocketAddr) -> Option<u64> {
        if self.lobby.len() >= LOBBY_MAX || self.places.len() + self.lobby.len() >= self.connections_max {
            return None;
        }
        // Nobody keeps the others out by opening connections without a word.
        let same = self.lobby.values().filter(|other| other.address.ip() == address.ip());
        if same.count() >= per_address_max(address.ip()) {
            return None;
        }
        let key = self.new_key();
        let bounds = Bounds { bitfield_bytes_max: 0, hashes_bytes_max: 0 };
        self.lobby.insert(key, Box::new(Peer::new(now, key, address, Direction::In, bounds)));
        Some(key)
    }

    /// A connection that was dialled is there.
    pub fn connected(&mut self, now: Millis, key: u64) {
        if let Some(swarm) = self.swarm_of(key) {
            swarm.connected(now, key);
        }
    }

    /// Bytes came.
    pub fn received(&mut self, now: Millis, key: u64, bytes: &[u8]) {
        self.down.take(bytes.len());
        if let Some(swarm) = self.swarm_of(key) {
            return swarm.received(now, key, bytes);
        }
        let Some(peer) = self.lobby.get_mut(&key) else { return };
        peer.greeting.extend_from_slice(bytes);
        match parse_front(&peer.greeting) {
            Ok(None) => {}
            Ok(Some((reserved, asked))) => {
                let number = self.swarms.iter().position(|swarm| swarm.is(asked));
                let peer = self.lobby.remove(&key);
                if let (Some(number), Some(peer)) = (number, peer)
                    && let Some(swarm) = self.swarms.get_mut(number)
                    && swarm.adopt(now, peer, reserved, asked).is_ok()
                {
                    self.places.insert(key, number);
                } else {
                    self.actions.push(Action::Close { key });
                }
            }
            Err(_) => {
                self.lobby.remove(&key);
                self.actions.push(Action::Close { key });
            }
        }
    }

    /// A connection ended.
    pub fn closed(&mut self, key: u64, why: &'static str) {
        if self.lobby.remove(&key).is_none()
            && let Some(swarm) = self.swarm_of(key)
        {
            swarm.closed(key, why);
        }
    }

    /// What waits for a connection.
    pub fn unsent(&self, key: u64) -> Option<&Outgoing> {
        let swarm = self.swarms.get(*self.places.get(&key)?)?;
        swarm.peer(key).map(|peer| &peer.out)
    }

    /// A socket took `count` bytes.
    pub fn sent(&mut self, now: Millis, key: u64, count: usize) {
        self.up.take(count);
        let Some(&number) = self.places.get(&key) else { return };
        let spent = &mut self.spent;
        if let Some(swarm) = self.swarms.get_mut(number) {
            swarm.sent(now, key, count, |bytes| spent.push((number, bytes)));
        }
    }

    /// Buffers of blocks that are gone, with the swarm whose disk made them.
    pub fn take_spent(&mut self) -> Vec<(usize, Vec<u8>)> {
        std::mem::take(&mut self.spent)
    }

    /// Whether `take` would give something.
    pub fn has_errands(&self) -> bool {
        !self.actions.is_empty() || !self.touched.is_empty() || self.swarms.iter().any(Swarm::has_errands)
    }

    /// How many bytes may be read now, and written.
    pub fn allowances(&mut self, now: Millis) -> (usize, usize) {
        (self.down.allowance(now), self.up.allowance(now))
    }

    /// The disk has done something.
    pub fn disk(&mut self, now: Millis, swarm: usize, outcome: Outcome) {
        if let Some(swarm) = self.swarms.get_mut(swarm) {
            swarm.disk(now, outcome);
        }
    }

    /// A tracker has answered, or not.
    pub fn announced(&mut self, now: Millis, swarm: usize, id: u64, answer: Result<Answer, Problem>) {
        if let Some(swarm) = self.swarms.get_mut(swarm) {
            swarm.announced(now, id, answer);
        }
    }

    /// A web seed has sent something.
    pub fn fetched(&mut self, now: Millis, swarm: usize, event: &WebEvent) {
        if let Some(swarm) = self.swarms.get_mut(swarm) {
            swarm.fetched(now, event);
        }
    }

    /// Does what time brings; often enough is every turn.
    pub fn tick(&mut self, now: Millis) {
        for swarm in &mut self.swarms {
            swarm.turn(now);
        }
        if now < self.tick_at {
            return;
        }
        self.tick_at = now + TICK_MS;
        let late: Vec<u64> = self
            .lobby
            .values()
            .filter(|peer| peer.times.began + LOBBY_MS < now)
            .map(|peer| peer.key)
            .collect();
        for key in late {
            self.lobby.remove(&key);
            self.actions.push(Action::Close { key });
        }
        for swarm in &mut self.swarms {
            swarm.tick(now);
        }
        self.dial(now);
    }

    /// Our address has changed: trackers are to hear of it.
    pub fn readdressed(&mut self) {
        self.swarms.iter_mut().for_each(Swarm::readdressed);
    }

    /// When `tick` has something to do next. Nobody is woken while there is nothing to look after.
    pub fn next_due(&self, now: Millis) -> Millis {
        if !self.places.is_empty() || !self.lobby.is_empty() {
            let quiet = self.swarms.iter().all(|swarm| swarm.rates() == (0, 0));
            return if quiet { self.tick_at + QUIET_MS } else { self.tick_at };
        }
        let due = self.swarms.iter().filter_map(|swarm| swarm.next_due(now)).min();
        due.map_or(now + IDLE_MS, |due| due.clamp(self.tick_at, now + IDLE_MS))
    }

    /// Moves what the shells have to do, and which connections have something to write.
    pub fn take(&mut self, actions: &mut Vec<Action>, touched: &mut Vec<u64>) {
        for swarm in &mut self.swarms {
            swarm.take_actions(&mut self.actions);
            swarm.take_touched(&mut self.touched);
        }
        for at in 0..self.actions.len() {
            match self.actions.get(at) {
                Some(&Action::Close { key }) => _ = self.places.remove(&key),
                Some(&Action::Tell { swarm, news: News::Banned { address, .. } }) => self.ban(swarm, address),
                _ => {}
            }
        }
        actions.append(&mut self.actions);
        touched.append(&mut self.touched);
    }

    fn ban(&mut self, by: usize, address: SocketAddr) {
        for (number, swarm) in self.swarms.iter_mut().enumerate() {
            if number != by {
                swarm.ban(address);
            }
        }
    }

    fn dial(&mut self, now: Millis) {
        let half_open = |swarm: &Swarm| swarm.half_open();
        let mut free = HALF_OPEN_MAX.saturating_sub(self.swarms.iter().map(half_open).sum());
        free = free.min(self.connections_max.saturating_sub(self.places.len()));
        let mut tried = 0;
        while free > 0 && tried < self.swarms.len() && self.dials.allowance(now) > 0 {
            let number = (self.next_key as usize).wrapping_add(tried) % self.swarms.len();
            let key = self.next_key;
            let dialled = self.swarms.get_mut(number).is_some_and(|swarm| swarm.dial(now, key));
            if dialled {
                self.next_key += 1;
                self.places.insert(key, number);
                self.dials.take(1);
                free -= 1;
                tried = 0;
            } else {
                tried += 1;
            }
        }
    }

    fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key - 1
    }

    fn swarm_of(&mut self, key: u64) -> Option<&mut Swarm> {
        self.swarms.get_mut(*self.places.get(&key)?)
    }
}
