//! The thread that talks to UDP trackers: one socket for each address in use, connected, so that the system drops what
//! comes from elsewhere and says when nobody listens. What is said is up to `udp_exchange`.

use super::trackers::{Notify, Outcome};
use super::udp_exchange::{Action, Exchange};
use crate::announce::Call;
use crate::failure::reason;
use crossbeam_channel::{Receiver, Sender, bounded};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use weightless::base::{Millis, Rng};

/// A call whose tracker has been found.
pub struct Found {
    /// What to announce.
    pub call: Call,
    /// Path and query of its URL.
    pub path: String,
    /// Where the tracker is; only addresses that may be contacted.
    pub addresses: Vec<SocketAddr>,
}

/// The way to the thread.
#[derive(Clone)]
pub struct UdpTrackers {
    calls: Sender<Found>,
    waker: Arc<Waker>,
}

impl UdpTrackers {
    /// Starts the thread. It ends when nobody can give it calls any more.
    pub fn start(rng: Rng, results: Sender<Outcome>, notify: Notify) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (calls, queue) = bounded(CALLS_WAITING_MAX);
        let exchange = Exchange::new(rng);
        let began = Instant::now();
        let sockets = Sockets { by_address: HashMap::new(), by_token: HashMap::new(), next: 1 };
        let mut thread = Thread { poll, queue, results, notify, exchange, sockets, began, open: true };
        std::thread::Builder::new().name("udp trackers".into()).spawn(move || thread.run())?;
        Ok(Self { calls, waker })
    }

    /// Hands a call over; waits if very many are waiting.
    pub fn submit(&self, found: Found) {
        if self.calls.send(found).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

impl Drop for UdpTrackers {
    fn drop(&mut self) {
        // The thread looks whether anybody is left.
        let (closed, _) = bounded(0);
        self.calls = closed;
        let _ = self.waker.wake();
    }
}

struct Thread {
    poll: Poll,
    queue: Receiver<Found>,
    results: Sender<Outcome>,
    notify: Notify,
    exchange: Exchange,
    sockets: Sockets,
    began: Instant,
    open: bool,
}

struct Sockets {
    by_address: HashMap<SocketAddr, (Token, UdpSocket)>,
    by_token: HashMap<Token, SocketAddr>,
    next: usize,
}

impl Thread {
    fn run(&mut self) {
        let mut events = Events::with_capacity(64);
        let mut out = Vec::new();
        while self.open {
            let wait = self.exchange.next_due().map(|due| due.saturating_sub(self.now()));
            let polled = self.poll.poll(&mut events, wait.map(Duration::from_millis));
            if polled.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
                return;
            }
            for event in events.iter().filter(|event| event.token() != WAKE) {
                self.read(event.token(), &mut out);
            }
            self.take_calls(&mut out);
            let now = self.now();
            self.exchange.tick(now, &mut out);
            self.carry_out(&mut out);
            let Self { exchange, sockets, .. } = self;
            sockets.by_address.retain(|address, _| exchange.is_using(address));
            sockets.by_token.retain(|_, address| exchange.is_using(address));
        }
    }

    fn now(&self) -> Millis {
        Millis::try_from(self.began.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn take_calls(&mut self, out: &mut Vec<Action>) {
        loop {
            match self.queue.try_recv() {
                Ok(Found { call, path, addresses }) => {
                    let now = self.now();
                    self.exchange.begin(now, call, &path, addresses, out);
                }
                Err(error) => {
                    self.open = !error.is_disconnected();
                    return;
                }
            }
        }
    }

    fn read(&mut self, token: Token, out: &mut Vec<Action>) {
        let Some(&address) = self.sockets.by_token.get(&token) else { return };
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        // A flood from one address must not keep the others waiting: the rest is for the next turn of a later event.
        for _ in 0..DATAGRAMS_AT_ONCE {
            let now = self.now();
            let Some((_, socket)) = self.sockets.by_address.get(&address) else { return };
            match socket.recv(&mut datagram) {
                Ok(length) => {
                    let datagram = datagram.get(..length).unwrap_or_default();
                    self.exchange.received(now, address, datagram, out);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.sockets.forget(&address);
                    return self.exchange.unreachable(now, address, &reason(&error), out);
                }
            }
        }
        // Edges are reported once: a socket with more to read starts over, and its port with it.
        self.sockets.forget(&address);
    }

    fn carry_out(&mut self, out: &mut Vec<Action>) {
        let mut told = false;
        while let Some(action) = out.pop() {
            match action {
                Action::Done(id, outcome) => {
                    told = true;
                    let _ = self.results.send((id, outcome));
                }
                Action::Send(address, datagram) => {
                    let sent = match self.sockets.open(&self.poll, address) {
                        Ok(socket) => socket.send(&datagram),
                        Err(error) => Err(error),
                    };
                    match sent {
                        // A full buffer is a lost packet: asked again later.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Ok(_) => {}
                        Err(error) => {
                            let now = self.now();
                            self.sockets.forget(&address);
                            self.exchange.unreachable(now, address, &reason(&error), out);
                        }
                    }
                }
            }
        }
        if told {
            (self.notify)();
        }
    }
}

impl Sockets {
    fn open(&mut self, poll: &Poll, address: SocketAddr) -> io::Result<&UdpSocket> {
        if !self.by_address.contains_key(&address) {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
            socket.connect(address)?;
            let token = Token(self.next);
            self.next += 1;
            poll.registry().register(&mut socket, token, Interest::READABLE)?;
            self.by_token.insert(token, address);
            self.by_address.insert(address, (token, socket));
        }
        let (_, socket) = self.by_address.get(&address).ok_or(io::ErrorKind::NotConnected)?;
        Ok(socket)
    }

    fn forget(&mut self, address: &SocketAddr) {
        if let Some((token, _)) = self.by_address.remove(address) {
            self.by_token.remove(&token);
        }
    }
}

const WAKE: Token = Token(0);
const CALLS_WAITING_MAX: usize = 256;
/// 20 bytes and 1000 peers over IPv6 fit.
const DATAGRAM_BYTES_MAX: usize = 20 * 1024;
const DATAGRAMS_AT_ONCE: usize = 1000;
