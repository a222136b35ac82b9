//! The shell around the machine: one thread, one poll, every socket, the only reading of the clock.
//!
//! One turn, in this order:
//!
//! 1. wait for an event, at most until the machine's next deadline
//! 2. read the clock, once
//! 3. sockets: so much from each, no more; what is unfinished goes on a list, because an edge does not come again
//! 4. mail from the store
//! 5. the machine's own errands
//! 6. connections whose time is over
//! 7. connections that can go on because of mail
//! 8. mail to the store

mod clock;
mod connections;
mod sockets;
mod udp;

pub use sockets::{Bound, Listen, bind};

use crate::base::Now;
use crate::base::limits::UDP_DATAGRAM_BYTES;
use crate::mailbox::{FromStore, ToReader, ToWriter};
use crate::server::{Mail, Server};
use crate::tracker::FORESEEN_MAX;
use crate::tracker::whitelist::Whitelist;
use clock::Clock;
use connections::Connections;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use udp::{Asked, Door};

/// The ends of channels that the reactor holds.
pub struct Ends {
    /// To the thread that writes.
    pub to_writer: Sender<ToWriter>,
    /// To the thread that reads.
    pub to_reader: Sender<ToReader>,
    /// From both.
    pub from_store: Receiver<FromStore>,
    /// New whitelists; never one where there is no whitelist.
    pub lists: Receiver<Whitelist>,
}

/// Why the reactor ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Asked to, and everything was handed to the store.
    Cleanly,
    /// Asked twice: at once, by this signal.
    AtOnce(i32),
    /// The store did not take everything in time: what counts is its last flush.
    TooLate,
}

/// What to do on SIGHUP.
pub type Reload = Box<dyn FnMut(Now, &mut Server)>;

/// The loop and everything it polls.
pub struct Reactor {
    poll: Poll,
    server: Server,
    udp: Vec<Door>,
    /// Sockets that may have more datagrams than one turn takes.
    udp_again: Vec<usize>,
    connections: Connections,
    store: Ends,
    signals: Signals,
    clock: Clock,
    /// Room for datagrams received together, and of each its length, its sender and the address it was sent to.
    datagrams: Vec<Vec<u8>>,
    letters: Vec<(usize, SocketAddr, Asked)>,
    reply: Vec<u8>,
    /// What to do on SIGHUP.
    reload: Reload,
}

impl Reactor {
    /// Polls `bound` and the store. Returns the reactor and what wakes it from another thread.
    pub fn prepare(bound: Bound) -> io::Result<(Seat, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        Ok((Seat { poll, signals, bound }, waker))
    }

    /// Serves until a signal ends it.
    pub fn run(mut self) -> io::Result<Ended> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let unfinished = !self.udp_again.is_empty() || self.connections.unfinished();
            let timeout = match unfinished {
                true => Some(Duration::ZERO),
                false => self.clock.until([self.server.next_deadline(), self.connections.next_deadline()]),
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if self.turn(&events).is_some() {
                return self.stop(&mut events);
            }
        }
    }

    /// One turn. Returns the signal that asks for the end.
    fn turn(&mut self, events: &Events) -> Option<i32> {
        let now = self.clock.read();
        let mut asked_to_end = None;
        self.connections.begin_turn();
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => asked_to_end = self.signalled(now).or(asked_to_end),
                Token(at) if at < UDP_TOKENS => push_once(&mut self.udp_again, at),
                token => self.connections.event(token, event),
            }
        }
        for at in std::mem::take(&mut self.udp_again) {
            self.datagrams(now, at);
        }
        self.connections.turn(now, &mut self.server, self.poll.registry());
        while let Ok(mail) = self.store.from_store.try_recv() {
            self.server.delivered(now, mail);
        }
        while let Ok(list) = self.store.lists.try_recv() {
            self.server.set_whitelist(now, list);
        }
        self.server.woke(now);
        self.connections.close_overdue(now, &mut self.server);
        self.connections.go_on(now, &mut self.server, self.poll.registry());
        self.post(now);
        self.server.turn_took(self.clock.micros_since_reading());
        asked_to_end
    }

    /// Answers the datagrams that are there, so many that the other sockets get their turn. Some are received before the
    /// first is answered, so that the machine can look ahead.
    fn datagrams(&mut self, now: Now, at: usize) {
        let Some(door) = self.udp.get_mut(at) else { return };
        for _ in 0..DATAGRAMS_A_TURN / FORESEEN_MAX {
            self.letters.clear();
            let mut drained = false;
            for buffer in &mut self.datagrams {
                match door.receive(buffer) {
                    Ok((bytes, from, asked)) => self.letters.push((bytes, from, asked)),
                    // What is not that is an ICMP error of an earlier answer: it is not about this datagram.
                    Err(error) => {
                        drained = error.kind() == io::ErrorKind::WouldBlock;
                        break;
                    }
                }
            }
            let letters = self.datagrams.iter().zip(&self.letters);
            let letters = letters.map(|(buffer, (bytes, from, asked))| (&buffer[..*bytes], *from, *asked));
            if self.letters.len() > 1 {
                self.server.foresee(letters.clone().map(|(bytes, from, _)| (from, bytes)));
            }
            for (bytes, from, asked) in letters {
                if self.server.datagram(now, from, bytes, &mut self.reply)
                    && door.send(&self.reply, from, asked).is_err()
                {
                    self.server.send_failed();
                }
            }
            if drained {
                return;
            }
        }
        push_once(&mut self.udp_again, at);
    }

    fn post(&mut self, now: Now) {
        while let Some(mail) = self.server.next_mail() {
            let refused = match mail {
                Mail::Write(write) => {
                    self.store.to_writer.try_send(write).err().map(|e| Mail::Write(unsent(e)))
                }
                Mail::Read(read) => self.store.to_reader.try_send(read).err().map(|e| Mail::Read(unsent(e))),
            };
            if let Some(mail) = refused {
                self.server.refused(now, mail);
            }
        }
        // A refusal has made connections ready that would otherwise wait for the next event.
        self.connections.go_on(now, &mut self.server, self.poll.registry());
    }

    fn signalled(&mut self, now: Now) -> Option<i32> {
        let mut end = None;
        for signal in self.signals.pending() {
            match signal {
                SIGHUP => (self.reload)(now, &mut self.server),
                signal => end = Some(signal),
            }
        }
        end
    }

    /// The way out: no new work, what has been begun is finished within bounds, everything goes to the store.
    fn stop(mut self, events: &mut Events) -> io::Result<Ended> {
        let begun = self.clock.read().mono;
        log::info!("stopping");
        self.connections.stop_accepting(self.poll.registry());
        let mut stopping = false;
        loop {
            let now = self.clock.read();
            let waited = now.mono - begun;
            if waited >= LAST_DATAGRAMS_MS && !stopping {
                stopping = true;
                self.server.stopping();
                self.connections.close_idle(&mut self.server);
            }
            if stopping && (self.server.connections() == 0 || waited >= LAST_REQUESTS_MS) {
                break;
            }
            match self.poll.poll(events, Some(Duration::from_millis(20))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            if let Some(signal) = self.turn(events) {
                return Ok(Ended::AtOnce(signal));
            }
            if stopping {
                self.connections.close_idle(&mut self.server);
            }
        }
        let now = self.clock.read();
        self.server.stop(now, HARD_LIMIT_MS.saturating_sub(now.mono - begun) >= LAST_SEND_MS);
        while let Some(mail) = self.server.next_mail() {
            // The store may be slow, and it is still sending: what it sends is taken so that neither waits for ever.
            match mail {
                Mail::Write(mut write) => {
                    while let Err(error) = self.store.to_writer.send_timeout(write, LAST_MAIL) {
                        if error.is_disconnected() {
                            return Ok(Ended::Cleanly);
                        }
                        if let Some(ended) = self.impatient(begun) {
                            return Ok(ended);
                        }
                        write = error.into_inner();
                    }
                }
                Mail::Read(read) => {
                    let _ = self.store.to_reader.send_timeout(read, LAST_MAIL);
                }
            }
        }
        // Drained until both threads have ended and dropped their ends.
        loop {
            match self.store.from_store.recv_timeout(LAST_MAIL) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Cleanly),
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(ended) = self.impatient(begun) {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// While the last mail is delivered: a second signal ends that, and so does time. What the store sends is taken.
    fn impatient(&mut self, begun: u64) -> Option<Ended> {
        while self.store.from_store.try_recv().is_ok() {}
        if let Some(signal) = self.signals.pending().find(|signal| *signal != SIGHUP) {
            return Some(Ended::AtOnce(signal));
        }
        (self.clock.read().mono - begun >= HARD_LIMIT_MS).then_some(Ended::TooLate)
    }
}

/// A reactor whose machine and store are still to come: what must exist before they do.
pub struct Seat {
    poll: Poll,
    signals: Signals,
    bound: Bound,
}

impl Seat {
    /// Puts the machine and the store in and registers every socket.
    pub fn with(self, server: Server, store: Ends, reload: Reload) -> io::Result<Reactor> {
        let Self { poll, signals, bound } = self;
        let mut udp = bound.udp;
        for (at, door) in udp.iter_mut().enumerate() {
            door.register(poll.registry(), Token(at))?;
        }
        let udp_again = (0..udp.len()).collect();
        let connections = Connections::new(bound.tcp, poll.registry())?;
        let datagrams = vec![vec![0; UDP_DATAGRAM_BYTES]; FORESEEN_MAX];
        let (letters, reply) = (Vec::with_capacity(FORESEEN_MAX), Vec::with_capacity(2048));
        let clock = Clock::new();
        Ok(Reactor {
            poll,
            server,
            udp,
            udp_again,
            connections,
            store,
            signals,
            clock,
            datagrams,
            letters,
            reply,
            reload,
        })
    }

    /// Where it listens.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The clock's first reading, for whoever must be built before the loop runs.
    pub fn now() -> Now {
        Clock::new().read()
    }
}

fn unsent<T>(error: TrySendError<T>) -> T {
    match error {
        TrySendError::Full(mail) | TrySendError::Disconnected(mail) => mail,
    }
}

fn push_once(list: &mut Vec<usize>, at: usize) {
    if !list.contains(&at) {
        list.push(at);
    }
}

/// Events taken from one poll.
const EVENTS: usize = 1024;
/// Datagrams of one socket answered in one turn.
const DATAGRAMS_A_TURN: usize = 256;
/// Tokens below this one are UDP sockets.
const UDP_TOKENS: usize = sockets::UDP_SOCKETS_MAX;
const WAKER: Token = Token(UDP_TOKENS);
const SIGNALS: Token = Token(UDP_TOKENS + 1);
/// Tokens from here on are TCP: listeners, then connections.
const TCP_TOKENS: usize = UDP_TOKENS + 2;
/// How long datagrams are still answered after a signal.
const LAST_DATAGRAMS_MS: u64 = 100;
/// How long requests that have been begun may still take.
const LAST_REQUESTS_MS: u64 = 8_000;
/// How long ending may take in all.
const HARD_LIMIT_MS: u64 = 14_500;
/// What must be left of it for one request to the hub.
const LAST_SEND_MS: u64 = 6_000;
/// How long one try to deliver the last mail takes before signals and time are looked at.
const LAST_MAIL: Duration = Duration::from_millis(50);
