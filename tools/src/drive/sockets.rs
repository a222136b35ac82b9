//! TCP for the engine: listening, dialling, reading and writing without ever waiting.
//!
//! The poll tells of changes only, so what a turn leaves unread is remembered here.

use crate::peer::engine::Engine;
use crate::peer::outgoing::SLICES;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use weightless::base::Millis;

/// Bytes read at once; small enough to stay in the second cache until they are copied to their piece.
const READ_BYTES: usize = 256 << 10;
/// Reads of one socket in a turn.
const READS_MAX: usize = 4;
/// Connections accepted in a turn.
const ACCEPTS_MAX: usize = 64;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The ports that are tried when none was asked for.
const PORTS: std::ops::RangeInclusive<u16> = 6881..=6889;

/// All sockets of the engine.
pub struct Sockets {
    open: HashMap<u64, Socket>,
    listeners: Vec<TcpListener>,
    /// Sockets that may have more to read.
    again: Vec<u64>,
    buffer: Vec<u8>,
    port: u16,
}

struct Socket {
    stream: TcpStream,
    connecting: bool,
    writable: bool,
    waits: bool,
}

/// Which port to listen on.
#[derive(Clone, Copy, Debug)]
pub enum Port {
    /// One of the usual, or any.
    Usual,
    /// This one; 0 is any.
    This(u16),
}

impl Sockets {
    /// Listens on both families, with tokens from `first_token` on. A machine without IPv6 is no error.
    pub fn listen(registry: &Registry, port: Port, first_token: usize) -> io::Result<Self> {
        let (mut listeners, port) = match port {
            Port::This(port) => bind(port)?,
            Port::Usual => PORTS.into_iter().find_map(|port| bind(port).ok()).map_or_else(|| bind(0), Ok)?,
        };
        for (at, listener) in listeners.iter_mut().enumerate() {
            registry.register(listener, Token(first_token + at), Interest::READABLE)?;
        }
        Ok(Self { open: HashMap::new(), listeners, again: Vec::new(), buffer: vec![0; READ_BYTES], port })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether something is left to read.
    pub fn is_unfinished(&self) -> bool {
        !self.again.is_empty()
    }

    /// Takes new connections from a listener.
    pub fn accept(&mut self, now: Millis, listener: usize, registry: &Registry, engine: &mut Engine) {
        for _ in 0..ACCEPTS_MAX {
            let Some(Ok((stream, address))) = self.listeners.get(listener).map(TcpListener::accept) else {
                return;
            };
            let Some(key) = engine.accepted(now, folded(address)) else { continue };
            if !self.add(key, stream, false, registry) {
                engine.closed(key, "no descriptor");
            }
        }
    }

    /// Begins a connection; says whether the system took it.
    pub fn dial(&mut self, key: u64, address: SocketAddr, registry: &Registry) -> bool {
        TcpStream::connect(address).is_ok_and(|stream| self.add(key, stream, true, registry))
    }

    /// Ends a connection.
    pub fn close(&mut self, key: u64, registry: &Registry) {
        if let Some(mut socket) = self.open.remove(&key) {
            // A socket that is dropped is forgotten by the poll all the same.
            let _ = registry.deregister(&mut socket.stream);
        }
    }

    /// The poll says that something about a connection has changed.
    pub fn event(&mut self, now: Millis, event: &Event, engine: &mut Engine) {
        let key = event.token().0 as u64;
        let Some(socket) = self.open.get_mut(&key) else { return };
        if socket.connecting && (event.is_writable() || event.is_error() || event.is_write_closed()) {
            match socket.stream.take_error() {
                Ok(None) if socket.stream.peer_addr().is_ok() => {
                    socket.connecting = false;
                    engine.connected(now, key);
                }
                _ => return self.end(key, engine, "connection refused"),
            }
        }
        if event.is_writable() {
            socket.writable = true;
            self.flush(now, key, usize::MAX, engine);
        }
        if (event.is_readable() || event.is_read_closed())
            && let Some(socket) = self.open.get_mut(&key)
            && !socket.waits
        {
            socket.waits = true;
            self.again.push(key);
        }
    }

    /// Reads what is there, so much that all get their turn, and at most what `engine` allows.
    pub fn read(&mut self, now: Millis, engine: &mut Engine) {
        for key in std::mem::take(&mut self.again) {
            if self.read_one(now, key, engine) {
                self.again.push(key);
            } else if let Some(socket) = self.open.get_mut(&key) {
                socket.waits = false;
            }
        }
    }

    /// Says whether there may be more.
    fn read_one(&mut self, now: Millis, key: u64, engine: &mut Engine) -> bool {
        for _ in 0..READS_MAX {
            let (allowed, _) = engine.allowances(now);
            if allowed == 0 {
                return true;
            }
            let Some(socket) = self.open.get_mut(&key) else { return false };
            let Some(room) = self.buffer.get_mut(..allowed.min(READ_BYTES)) else { return false };
            match socket.stream.read(room) {
                Ok(0) => {
                    self.end(key, engine, "closed by the peer");
                    return false;
                }
                Ok(count) => {
                    engine.received(now, key, room.get(..count).unwrap_or_default());
                    if count < room.len() {
                        // Nearly always that was all, and an edge tells of more.
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(key, engine, "connection lost");
                    return false;
                }
            }
        }
        true
    }

    /// Writes what waits for a connection, at most `allowed` bytes.
    pub fn flush(&mut self, now: Millis, key: u64, mut allowed: usize, engine: &mut Engine) -> usize {
        let mut written = 0;
        loop {
            let Some(socket) = self.open.get_mut(&key).filter(|socket| socket.writable && !socket.connecting)
            else {
                return written;
            };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let Some(filled) =
                engine.unsent(key).map(|out| out.slices(allowed, &mut slices)).filter(|&n| n > 0)
            else {
                return written;
            };
            match socket.stream.write_vectored(slices.get(..filled).unwrap_or_default()) {
                Ok(count) => {
                    engine.sent(now, key, count);
                    written += count;
                    allowed -= count.min(allowed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    socket.writable = false;
                    engine.sent(now, key, 0);
                    return written;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.end(key, engine, "connection lost");
                    return written;
                }
            }
        }
    }

    fn end(&mut self, key: u64, engine: &mut Engine, why: &'static str) {
        self.open.remove(&key);
        engine.closed(key, why);
    }

    fn add(&mut self, key: u64, mut stream: TcpStream, connecting: bool, registry: &Registry) -> bool {
        let token = Token(key as usize);
        let both = Interest::READABLE | Interest::WRITABLE;
        if registry.register(&mut stream, token, both).is_err() {
            return false;
        }
        // Requests are small and must not wait for each other; where that cannot be said it is only slower.
        let _ = stream.set_nodelay(true);
        self.open.insert(key, Socket { stream, connecting, writable: !connecting, waits: false });
        true
    }
}

/// IPv4 in IPv6 clothes is IPv4.
fn folded(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn bind(port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let first = listener(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    match listener(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
        Ok(second) => listeners.push(second),
        Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
        Err(_) => {}
    }
    Ok((listeners, port))
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
