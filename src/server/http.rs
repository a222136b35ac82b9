//! The life of an HTTP connection (RFC 9112): bytes become requests, requests become answers, in order.
//!
//! Bytes are used where they lie: only what is left of a head, or what is pipelined behind a request that waits, is
//! ever copied.

use super::metrics::ApiRoute;
use super::peer_routes::{GET_PEERS, REGISTER_PEER};
use super::reply::{Framing, Reply};
use super::session::{self, Goal, Parked, Phase, WaitsFor};
use super::{Conn, Health, Next, Server};
use super::{api, body, health};
use crate::base::Now;
use crate::base::limits::HTTP_PIPELINED_BYTES_MAX;
use crate::mailbox::Ticket;
use crate::tracker::counters::{Family, Proto};
use crate::wire::http1::{self, BadHead, Body, Head, Parsed};
use std::net::{IpAddr, SocketAddr};

/// A request as its route sees it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a, 'h> {
    /// When.
    pub now: Now,
    /// On which connection.
    pub conn: Conn,
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// The client behind it; `None` when a trusted proxy names something that is not an address.
    pub client: Option<IpAddr>,
    /// What.
    pub head: &'a Head<'h>,
    /// How to frame the answer.
    pub framing: Framing,
}

/// What one request came to.
pub(super) enum Handled {
    /// Its answer has been written.
    Answered,
    /// The same, but what it still sends is not worth reading: the connection ends.
    Refused,
    /// Its body is to be kept.
    NeedsBody(Goal),
    /// The store was asked; the answer comes under this ticket.
    Parked(Ticket, ApiRoute),
    /// The same, for its sign of life.
    Pinged(Ticket),
}

/// What one step over the input came to.
pub(super) enum Step {
    /// So many bytes were used; go on.
    Used(usize),
    /// Nothing can be done without more bytes.
    Short,
    /// An answer is waited for; so many bytes were used.
    Wait(usize),
    /// The last answer of this connection has been written.
    Close { linger: bool },
}

impl Server {
    /// A connection was accepted.
    pub fn opened(&mut self, now: Now, peer: SocketAddr) -> Conn {
        self.counters.accepted[Family::of(peer.ip().to_canonical()) as usize] += 1;
        self.sessions.open(peer, now.mono + session::HEAD_MS)
    }

    /// A connection is gone, whoever closed it.
    pub fn closed(&mut self, conn: Conn) {
        if let Some(Phase::Body(upload)) = self.sessions.get(conn).map(|session| &session.phase) {
            let ticket = upload.ticket;
            self.upload_given_up(ticket);
        }
        if let Some(session) = self.sessions.get(conn) {
            self.long_answers_bytes -= session.tail.len() as u64;
        }
        self.sessions.close(conn);
    }

    /// A connection stays open beyond this turn.
    pub fn stay(&mut self, conn: Conn) {
        self.sessions.stay(conn);
    }

    /// How many connections are open.
    pub fn connections(&self) -> u32 {
        self.sessions.len()
    }

    /// Bytes came in. Answers are appended to `out`.
    pub fn received(&mut self, now: Now, conn: Conn, bytes: &[u8], out: &mut Vec<u8>) -> Next {
        self.counters.received_bytes[Proto::Http as usize] += bytes.len() as u64;
        let before = out.len();
        let Some(session) = self.sessions.get(conn) else { return Next::Close { linger: false } };
        let next = if session.input.is_empty() {
            self.work_through(now, conn, bytes, out)
        } else {
            let mut held = std::mem::take(&mut session.input);
            held.extend_from_slice(bytes);
            self.work_through(now, conn, &held, out)
        };
        self.counters.sent_bytes[Proto::Http as usize] += (out.len() - before) as u64;
        next
    }

    /// Goes on with a connection named by `ready`, or one whose output has been written: appends the answer that came
    /// and those of requests behind it.
    pub fn resume(&mut self, now: Now, conn: Conn, out: &mut Vec<u8>) -> Next {
        let before = out.len();
        let Some(session) = self.sessions.get(conn) else { return Next::Close { linger: false } };
        if session.is_held_back && session.has_output() {
            return Next::Wait;
        }
        if !session.tail.is_empty() {
            // It is written from where it lies, and only then the connection goes on.
            session.is_held_back = true;
            let (written, bytes) = (session.written, session.tail.len());
            self.counters.sent_bytes[Proto::Http as usize] += (session.output.len() - written + bytes) as u64;
            self.sessions.set_deadline(conn, now.mono + session::WRITE_MS);
            return Next::Wait;
        }
        // The socket may have taken a part of an earlier answer already.
        let written = std::mem::take(&mut session.written);
        out.extend_from_slice(&std::mem::take(&mut session.output)[written..]);
        session.is_held_back = false;
        let held = std::mem::take(&mut session.input);
        let next = match session.phase {
            Phase::Closing => Next::Close { linger: false },
            _ => self.work_through(now, conn, &held, out),
        };
        self.counters.sent_bytes[Proto::Http as usize] += (out.len() - before) as u64;
        next
    }

    /// The client will send nothing more. True: answers may still be owed, so keep the connection until they are
    /// written.
    pub fn half_closed(&mut self, conn: Conn) -> bool {
        self.sessions.get(conn).is_some_and(|session| matches!(session.phase, Phase::Parked(_)))
    }

    /// Keeps what the socket did not take.
    pub fn unsent(&mut self, now: Now, conn: Conn, rest: &[u8]) {
        let Some(session) = self.sessions.get(conn) else { return };
        session.output.extend_from_slice(rest);
        self.sessions.set_deadline(conn, now.mono + session::WRITE_MS);
    }

    /// Bytes kept of what a client sent and of what it has not taken, for a test of their bound.
    pub fn held_bytes(&mut self, conn: Conn) -> (usize, usize) {
        let Some(session) = self.sessions.get(conn) else { return (0, 0) };
        let upload = if let Phase::Body(upload) = &session.phase { upload.bytes.len() } else { 0 };
        (session.input.len() + upload, session.output.len() + session.tail.len())
    }

    /// What is to be written next; empty when nothing is left.
    pub fn output(&mut self, conn: Conn) -> &[u8] {
        let Some(session) = self.sessions.get(conn) else { return &[] };
        match session.written.checked_sub(session.output.len()) {
            None => &session.output[session.written..],
            Some(of_tail) => &session.tail[of_tail..],
        }
    }

    /// The socket took so many bytes of `output`. True when that was all.
    pub fn sent(&mut self, now: Now, conn: Conn, bytes: usize) -> bool {
        let Some(session) = self.sessions.get(conn) else { return true };
        session.written += bytes;
        let done = session.written >= session.output.len() + session.tail.len();
        let mut deadline = session.deadline;
        if done {
            session.output = Vec::new();
            self.long_answers_bytes -= std::mem::take(&mut session.tail).len() as u64;
            session.written = 0;
            // The client was not read meanwhile: what it does next begins now.
            deadline = session.fresh_deadline(now.mono);
        } else if bytes > 0 {
            deadline = now.mono + session::WRITE_MS;
        }
        let goes_on = done && session.is_held_back;
        self.sessions.set_deadline(conn, deadline);
        if goes_on {
            self.sessions.ready.push(conn);
        }
        done
    }

    /// Connections that can go on since the last call.
    pub fn ready(&mut self) -> Option<Conn> {
        self.sessions.ready.pop()
    }

    /// A connection that has taken too long; what is to be told to it is appended to `out`. The shell writes that as
    /// far as the socket takes it and closes.
    pub fn overdue(&mut self, now: Now, out: &mut Vec<u8>) -> Option<Conn> {
        let conn = self.sessions.overdue(now.mono)?;
        let session = self.sessions.get(conn)?;
        let writing = session.has_output();
        let (phase, told) = match &session.phase {
            _ if writing => (3, None),
            Phase::Idle | Phase::Closing => (1, None),
            Phase::Head => (0, Some((Framing::CLOSE, SLOW_CLIENT))),
            Phase::Body(upload) => {
                let error = if upload.waits_for_room { api::BUSY } else { api::TIMEOUT };
                let framing = upload.framing.closing();
                self.counters.timeouts[2] += 1;
                self.write_api_error(now, framing, error, out);
                return Some(conn);
            }
            Phase::Skip(_) => (2, None),
            Phase::Parked(Parked { waits_for: WaitsFor::Ping, framing, .. }) => {
                (1, Some((*framing, (503, health::UNREACHABLE))))
            }
            Phase::Parked(_) => (1, None),
        };
        self.counters.timeouts[phase] += 1;
        if let Some((framing, (status, text))) = told {
            self.write_reply(now, framing.closing(), &Reply::text(status, text), out);
        }
        Some(conn)
    }

    /// A connection to close so that a new one can stay: an idle one, else one whose head is slow to come.
    pub fn least_wanted(&mut self, now: Now) -> Option<Conn> {
        self.sessions.least_wanted(now.mono)
    }

    /// A connection was turned away for want of room.
    pub fn shed(&mut self, now: Now, for_want_of_descriptors: Shed, out: &mut Vec<u8>) {
        self.counters.shed[for_want_of_descriptors as usize] += 1;
        let reply = Reply::text(503, "503 service unavailable").with(RETRY);
        self.write_reply(now, Framing::CLOSE, &reply, out);
    }

    fn work_through(&mut self, now: Now, conn: Conn, bytes: &[u8], out: &mut Vec<u8>) -> Next {
        let mut rest = bytes;
        let before = out.len();
        let next = loop {
            if out.len() - before >= HTTP_PIPELINED_BYTES_MAX && !rest.is_empty() {
                self.hold_back(conn);
                break Next::Wait;
            }
            match self.step(now, conn, rest, out) {
                Step::Used(used) => rest = &rest[used..],
                Step::Short => break Next::Read,
                Step::Wait(used) => {
                    rest = &rest[used..];
                    break Next::Wait;
                }
                Step::Close { linger } => {
                    rest = &[];
                    break Next::Close { linger };
                }
            }
        };
        self.settle(now, conn, rest, next);
        next
    }

    /// What has been answered must be taken before more is made of a few pipelined bytes: `ready` names the connection
    /// at once, and again when its output has been written.
    fn hold_back(&mut self, conn: Conn) {
        let Some(session) = self.sessions.get(conn) else { return };
        session.is_held_back = true;
        self.sessions.ready.push(conn);
    }

    /// Keeps what is left and sets the deadline of what the connection does now.
    fn settle(&mut self, now: Now, conn: Conn, rest: &[u8], next: Next) {
        let Some(session) = self.sessions.get(conn) else { return };
        session.input = rest.to_vec();
        if let Next::Close { .. } = next {
            session.phase = Phase::Closing;
        }
        let goes_on_with_head = matches!(session.phase, Phase::Head);
        if matches!(session.phase, Phase::Idle) && !rest.is_empty() {
            session.phase = Phase::Head;
        }
        let deadline = if goes_on_with_head { session.deadline } else { session.fresh_deadline(now.mono) };
        self.sessions.set_deadline(conn, deadline);
    }

    fn step(&mut self, now: Now, conn: Conn, bytes: &[u8], out: &mut Vec<u8>) -> Step {
        let Some(session) = self.sessions.get(conn) else { return Step::Close { linger: false } };
        match &mut session.phase {
            Phase::Idle | Phase::Head => self.step_head(now, conn, bytes, out),
            Phase::Body(_) => self.step_body(now, conn, bytes, out),
            Phase::Skip(left) => match body::swallow(left, bytes, None) {
                Ok((used, true)) => {
                    session.phase = Phase::Idle;
                    Step::Used(used)
                }
                Ok((0, false)) => Step::Short,
                Ok((used, false)) => Step::Used(used),
                Err(_) => Step::Close { linger: true },
            },
            Phase::Parked(_) => Step::Wait(0),
            Phase::Closing => Step::Close { linger: false },
        }
    }

    fn step_head(&mut self, now: Now, conn: Conn, bytes: &[u8], out: &mut Vec<u8>) -> Step {
        if bytes.is_empty() {
            return Step::Short;
        }
        let head = match http1::parse_head(bytes) {
            Ok(Parsed::Complete(head)) => head,
            Ok(Parsed::Partial) => return Step::Short,
            Err(bad) => return self.bad_head(now, bad, out),
        };
        let mut framing = Framing::of(&head);
        if self.health == Health::Stopping {
            framing = framing.closing();
        }
        let speaks_json = speaks_json(head.path);
        if speaks_json {
            framing.cors = self.cors(&head);
        }
        if let Some(error) = body::refuse_body(&head) {
            if speaks_json {
                self.write_api_error(now, framing.closing(), error, out);
            } else {
                self.write_status(now, framing.closing(), error.status, out);
            }
            return Step::Close { linger: true };
        }
        let Some(peer) = self.sessions.get(conn).map(|session| session.peer) else { return Step::Short };
        let client = self.client_ip(peer, &head);
        let handled = self.request(&Asked { now, conn, peer, client, head: &head, framing }, out);
        self.after_request(now, conn, &head, framing, handled, out)
    }

    fn after_request(
        &mut self,
        now: Now,
        conn: Conn,
        head: &Head<'_>,
        framing: Framing,
        handled: Handled,
        out: &mut Vec<u8>,
    ) -> Step {
        let used = head.bytes;
        let phase = match handled {
            Handled::Refused => return Step::Close { linger: true },
            Handled::Answered if framing.closes() => return Step::Close { linger: head.body != Body::None },
            Handled::Answered => match body::skip(&head.body) {
                None => Phase::Idle,
                Some(left) => Phase::Skip(left),
            },
            Handled::Parked(ticket, route) => park(now, ticket, framing, head, WaitsFor::Answer(route)),
            Handled::Pinged(ticket) => park(now, ticket, framing, head, WaitsFor::Ping),
            Handled::NeedsBody(goal) => match self.begin_upload((now, conn), head, framing, goal, out) {
                Some(upload) => Phase::Body(upload),
                None => return Step::Close { linger: true },
            },
        };
        let waits = matches!(phase, Phase::Parked(_));
        if let Some(session) = self.sessions.get(conn) {
            session.phase = phase;
        }
        if waits { Step::Wait(used) } else { Step::Used(used) }
    }

    fn bad_head(&mut self, now: Now, bad: BadHead, out: &mut Vec<u8>) -> Step {
        self.write_status(now, Framing::CLOSE, bad.status(), out);
        Step::Close { linger: true }
    }

    /// An error that is told by its status.
    fn write_status(&mut self, now: Now, framing: Framing, status: u16, out: &mut Vec<u8>) {
        let text = format!("{status} {}", http1::reason(status).to_lowercase());
        self.write_reply(now, framing, &Reply::text(status, &text), out);
    }
}

fn park(now: Now, ticket: Ticket, framing: Framing, head: &Head<'_>, waits_for: WaitsFor) -> Phase {
    let (serial, body, since) = (ticket.serial, body::skip(&head.body), now.mono);
    Phase::Parked(Parked { serial, framing, body, waits_for, since })
}

/// Whether a path leads to a route that pages of other origins may use, and whose errors are JSON.
fn speaks_json(path: &[u8]) -> bool {
    [b"/api/", REGISTER_PEER, GET_PEERS].iter().any(|front| path.starts_with(front))
}

/// Why a connection was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shed {
    /// As many connections as are allowed are open.
    Limit,
    /// The process has no descriptor left.
    Descriptors,
}

const SLOW_CLIENT: (u16, &str) = (408, "408 request timeout");
/// The field that goes with 429 and 503.
pub(super) const RETRY: &[(&str, &str)] = &[("Retry-After", "1")];
