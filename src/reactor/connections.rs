//! TCP: accepting, reading, writing, closing. What the bytes mean is the machine's business.
//!
//! A fresh connection is read at once, because its request has usually come with it: one that is answered and closed
//! is never registered with the poll.

use super::TCP_TOKENS;
use crate::base::{Millis, Now};
use crate::server::{Conn, Next, Server, Shed};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::Shutdown;

/// One open connection.
struct Wire {
    stream: TcpStream,
    next: Next,
    registered: bool,
    /// Bytes still to be dropped before it is closed; `None` while it is served.
    lingering: Option<usize>,
    /// The poll has said that behind what is left to be read is the end. It will not say so again.
    ending: bool,
    /// The end has been read: the client will send no more.
    ended: bool,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        Self { stream, next: Next::Read, registered: false, lingering: None, ending: false, ended: false }
    }
}

/// All of them.
pub(super) struct Connections {
    listeners: Vec<TcpListener>,
    wires: Vec<Option<Wire>>,
    /// Listeners that may have more than one turn takes.
    accept_again: Vec<usize>,
    /// Connections with something to read or room to write.
    touched: Vec<Conn>,
    /// No accepting until then: the process has no descriptors left.
    paused_until: Option<Millis>,
    /// Kept open so that one connection can still be told so.
    spare: Option<std::fs::File>,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Connections {
    pub fn new(mut listeners: Vec<TcpListener>, registry: &Registry) -> io::Result<Self> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            registry.register(listener, Token(TCP_TOKENS + at), Interest::READABLE)?;
        }
        let accept_again = (0..listeners.len()).collect();
        Ok(Self {
            listeners,
            wires: Vec::new(),
            accept_again,
            touched: Vec::new(),
            paused_until: None,
            spare: spare(),
            input: vec![0; READ_BYTES],
            out: Vec::with_capacity(READ_BYTES),
        })
    }

    pub fn begin_turn(&mut self) {
        if self.wires.len() > 64 && self.wires.iter().all(Option::is_none) {
            self.wires = Vec::new();
        }
    }

    pub fn event(&mut self, token: Token, event: &Event) {
        let at = token.0 - TCP_TOKENS;
        match at.checked_sub(LISTENERS_MAX) {
            None => super::push_once(&mut self.accept_again, at),
            Some(conn) => {
                let conn = Conn(conn as u32);
                if let Some(wire) = self.wire(conn) {
                    wire.ending |= event.is_read_closed();
                }
                self.touched.push(conn);
            }
        }
    }

    /// Whether something can be done without waiting for an event.
    pub fn unfinished(&self) -> bool {
        !self.touched.is_empty() || (self.paused_until.is_none() && !self.accept_again.is_empty())
    }

    pub fn next_deadline(&self) -> Option<Millis> {
        self.paused_until
    }

    /// Everything that the sockets have.
    pub fn turn(&mut self, now: Now, server: &mut Server, registry: &Registry) {
        for conn in std::mem::take(&mut self.touched) {
            self.serve(now, conn, server, registry);
        }
        if self.paused_until.is_some_and(|until| until > now.mono) {
            return;
        }
        self.paused_until = None;
        for at in std::mem::take(&mut self.accept_again) {
            self.accept(now, at, server, registry);
        }
    }

    /// Connections that wait for nothing any more because the store has answered.
    pub fn go_on(&mut self, now: Now, server: &mut Server, registry: &Registry) {
        while let Some(conn) = server.ready() {
            let Some(wire) = self.wire(conn) else { continue };
            wire.next = Next::Read;
            self.resume(now, conn, server, registry);
        }
    }

    pub fn close_overdue(&mut self, now: Now, server: &mut Server) {
        loop {
            self.out.clear();
            let Some(conn) = server.overdue(now, &mut self.out) else { return };
            let out = std::mem::take(&mut self.out);
            if let Some(wire) = self.wire(conn) {
                let _ = wire.stream.write(&out);
            }
            self.out = out;
            self.close(conn, server);
        }
    }

    pub fn stop_accepting(&mut self, registry: &Registry) {
        for mut listener in std::mem::take(&mut self.listeners) {
            let _ = registry.deregister(&mut listener);
        }
        self.accept_again.clear();
    }

    /// Closes every connection that is owed nothing.
    pub fn close_idle(&mut self, server: &mut Server) {
        for conn in server.owed_nothing() {
            self.close(conn, server);
        }
    }

    fn wire(&mut self, conn: Conn) -> Option<&mut Wire> {
        self.wires.get_mut(conn.0 as usize)?.as_mut()
    }

    fn accept(&mut self, now: Now, at: usize, server: &mut Server, registry: &Registry) {
        for _ in 0..ACCEPTS_A_TURN {
            let Some(listener) = self.listeners.get(at) else { return };
            let (stream, peer) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_out_of_descriptors(&error) => {
                    return self.out_of_descriptors(now, at, server);
                }
                // The client gave up before it was accepted.
                Err(_) => continue,
            };
            let conn = server.opened(now, peer);
            let index = conn.0 as usize;
            if self.wires.len() <= index {
                self.wires.resize_with(index + 1, || None);
            }
            self.wires[index] = Some(Wire::new(stream));
            self.serve(now, conn, server, registry);
            self.make_room(now, conn, server);
        }
        super::push_once(&mut self.accept_again, at);
    }

    /// A newcomer is served before it is asked whether there is room for it to stay: most bring their request along
    /// and are gone again. Then somebody who wants less has to leave, else the newcomer.
    fn make_room(&mut self, now: Now, newcomer: Conn, server: &mut Server) {
        if !server.is_overfull() || self.wire(newcomer).is_none() {
            return;
        }
        match server.least_wanted(now) {
            Some(other) => self.close(other, server),
            None => {
                let wire = self.wires.get_mut(newcomer.0 as usize).and_then(Option::take);
                if let Some(wire) = wire {
                    self.turn_away(now, wire.stream, Shed::Limit, server);
                }
                server.closed(newcomer);
            }
        }
    }

    /// Reads and writes as far as the socket goes, within bounds; closes it or leaves it to the poll.
    fn serve(&mut self, now: Now, conn: Conn, server: &mut Server, registry: &Registry) {
        if !self.flush(now, conn, server) {
            return self.keep(conn, server, registry);
        }
        for _ in 0..READS_A_TURN {
            let Some(wire) = self.wires.get_mut(conn.0 as usize).and_then(Option::as_mut) else { return };
            if let Some(left) = wire.lingering {
                match wire.stream.read(&mut self.input) {
                    Ok(0) => return self.close(conn, server),
                    Ok(bytes) if bytes >= left => return self.close(conn, server),
                    Ok(bytes) => wire.lingering = Some(left - bytes),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => return self.close(conn, server),
                }
                continue;
            }
            if wire.next != Next::Read || wire.ended {
                break;
            }
            let bytes = match wire.stream.read(&mut self.input) {
                Ok(0) => {
                    wire.ended = true;
                    if server.half_closed(conn) {
                        break;
                    }
                    return self.close(conn, server);
                }
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.keep(conn, server, registry);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.close(conn, server),
            };
            self.out.clear();
            let next = server.received(now, conn, &self.input[..bytes], &mut self.out);
            if !self.answer(now, conn, next, server) {
                return self.keep(conn, server, registry);
            }
            if bytes < self.input.len() && self.wire(conn).is_some_and(|wire| wire.registered && !wire.ending)
            {
                // Less came than was asked for: nothing more is there, and the poll will tell when that changes.
                return;
            }
        }
        self.keep(conn, server, registry);
        if let Some(wire) = self.wire(conn)
            && (wire.next == Next::Read || wire.lingering.is_some())
            && !wire.ended
        {
            self.touched.push(conn);
        }
    }

    /// Goes on after an answer came by mail, or after the last one has been written.
    fn resume(&mut self, now: Now, conn: Conn, server: &mut Server, registry: &Registry) {
        self.out.clear();
        let next = server.resume(now, conn, &mut self.out);
        if self.answer(now, conn, next, server) {
            let ended = self.wire(conn).is_some_and(|wire| wire.ended);
            if ended && next == Next::Read {
                return self.close(conn, server);
            }
            self.serve(now, conn, server, registry);
        } else {
            self.keep(conn, server, registry);
        }
    }

    /// Writes `self.out`; does what is next if all of it was taken. False: the rest must wait for the socket, or the
    /// connection is gone.
    fn answer(&mut self, now: Now, conn: Conn, next: Next, server: &mut Server) -> bool {
        let Some(wire) = self.wires.get_mut(conn.0 as usize).and_then(Option::as_mut) else { return false };
        wire.next = next;
        let mut written = 0;
        while written < self.out.len() {
            match wire.stream.write(&self.out[written..]) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    server.unsent(now, conn, &self.out[written..]);
                    return false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(conn, server);
                    return false;
                }
            }
        }
        self.finish(conn, server)
    }

    /// Everything is written: closes the connection if that is what is next. False: it is gone, or going.
    fn finish(&mut self, conn: Conn, server: &mut Server) -> bool {
        let Some(wire) = self.wire(conn) else { return false };
        match wire.next {
            Next::Close { linger: false } => {
                self.close(conn, server);
                false
            }
            Next::Close { linger: true } if wire.lingering.is_none() => {
                let _ = wire.stream.shutdown(Shutdown::Write);
                wire.lingering = Some(LINGER_BYTES);
                true
            }
            _ => true,
        }
    }

    /// Writes what the machine has kept for this connection, so much in one turn. True: nothing is left.
    fn flush(&mut self, now: Now, conn: Conn, server: &mut Server) -> bool {
        let mut wrote = 0;
        loop {
            let Some(wire) = self.wires.get_mut(conn.0 as usize).and_then(Option::as_mut) else {
                return false;
            };
            let output = server.output(conn);
            if output.is_empty() {
                return wrote == 0 || self.finish(conn, server);
            }
            if wrote >= WRITTEN_A_TURN {
                // The others have their turn first.
                self.touched.push(conn);
                return false;
            }
            match wire.stream.write(&output[..output.len().min(WRITTEN_A_TURN)]) {
                Ok(bytes) => {
                    wrote += bytes;
                    server.sent(now, conn, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(conn, server);
                    return false;
                }
            }
        }
    }

    /// The connection stays: from now on the poll and its timer watch it.
    fn keep(&mut self, conn: Conn, server: &mut Server, registry: &Registry) {
        let Some(wire) = self.wire(conn) else { return };
        if !wire.registered {
            wire.registered = true;
            let token = Token(TCP_TOKENS + LISTENERS_MAX + conn.0 as usize);
            let _ = wire.stream.set_nodelay(true);
            let both = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut wire.stream, token, both).is_err() {
                return self.close(conn, server);
            }
        }
        server.stay(conn);
    }

    fn close(&mut self, conn: Conn, server: &mut Server) {
        // Closing the descriptor takes it out of the poll.
        if let Some(wire) = self.wires.get_mut(conn.0 as usize) {
            *wire = None;
        }
        server.closed(conn);
    }

    fn turn_away(&mut self, now: Now, mut stream: TcpStream, why: Shed, server: &mut Server) {
        self.out.clear();
        server.shed(now, why, &mut self.out);
        let _ = stream.write(&self.out);
    }

    /// Tells one client by the spare descriptor, makes room, and stops accepting for a moment.
    fn out_of_descriptors(&mut self, now: Now, at: usize, server: &mut Server) {
        self.spare = None;
        if let Some((stream, _)) = self.listeners.get(at).and_then(|listener| listener.accept().ok()) {
            self.turn_away(now, stream, Shed::Descriptors, server);
        }
        for _ in 0..CLOSED_FOR_ROOM {
            match server.least_wanted(now) {
                Some(other) => self.close(other, server),
                None => break,
            }
        }
        self.spare = spare();
        self.paused_until = Some(now.mono + ACCEPT_PAUSE_MS);
        super::push_once(&mut self.accept_again, at);
    }
}

fn spare() -> Option<std::fs::File> {
    std::fs::File::open("/dev/null").ok()
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    // EMFILE and ENFILE have no ErrorKind of their own.
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Read from one connection at once: what it may have in advance.
const READ_BYTES: usize = 8192;
/// Reads of one connection in one turn.
const READS_A_TURN: usize = 8;
/// Written to one connection in one turn, or a little more.
const WRITTEN_A_TURN: usize = 256 * 1024;
/// Connections of one listener accepted in one turn.
const ACCEPTS_A_TURN: usize = 64;
/// Tokens between `TCP_TOKENS` and the first connection.
const LISTENERS_MAX: usize = 64;
/// Dropped at most from a client that has been refused.
const LINGER_BYTES: usize = 65_536;
/// How long accepting stops when there are no descriptors.
const ACCEPT_PAUSE_MS: Millis = 100;
/// Connections closed when there are no descriptors.
const CLOSED_FOR_ROOM: usize = 8;
