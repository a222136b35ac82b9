//! The bodies of requests (RFC 9112, section 6): refused by their announced length, kept for the store, or dropped.
//!
//! Whatever a route does with a body, it is read to its end or the connection ends: what is left of one must never be
//! taken for the next request.

use super::api;
use super::http::Step;
use super::metrics::ApiRoute;
use super::outbox::Mail;
use super::peer_routes::Sender;
use super::reply::Framing;
use super::session::{self, BodyLeft, Goal, Parked, Phase, Upload, WaitsFor};
use super::{Conn, Server};
use crate::base::limits::{HTTP_IDLE_BODY_BYTES_MAX, LARGE_UPLOAD_BYTES, UPLOAD_PART_BYTES};
use crate::base::{Millis, Now};
use crate::mailbox::ToWriter;
use crate::registry::ApiError;
use crate::tracker::counters::{Family, Proto};
use crate::wire::http1::{self, Body, Chunked, Expect, Head, Method};

impl Server {
    /// Makes ready for a body that is kept, or says why not.
    pub(super) fn begin_upload(
        &mut self,
        asked: (Now, Conn),
        head: &Head<'_>,
        framing: Framing,
        goal: Goal,
        out: &mut Vec<u8>,
    ) -> Option<Upload> {
        let (now, conn) = asked;
        let bytes_max = goal.bytes_max();
        let left = match head.body {
            Body::None => BodyLeft::Length(0),
            Body::Length(bytes) if bytes > bytes_max => {
                self.write_api_error(now, framing.closing(), api::TOO_LARGE, out);
                return None;
            }
            Body::Length(bytes) => BodyLeft::Length(bytes),
            Body::Chunked => BodyLeft::Chunked(Chunked::default(), bytes_max),
        };
        let ticket = self.sessions.ticket(conn);
        let is_large = matches!(left, BodyLeft::Length(bytes) if bytes > LARGE_UPLOAD_BYTES);
        if is_large && !self.uploads.begin_large(ticket) {
            self.write_api_error(now, framing.closing(), api::BUSY, out);
            return None;
        }
        if head.expect == Expect::Continue {
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let complete_by: Millis = now.mono + session::BODY_TOTAL_MS;
        let bytes = Vec::new();
        Some(Upload { goal, left, bytes, framing, complete_by, ticket, is_large, waits_for_room: false })
    }

    /// Keeps what has come of a body, or passes it on; when that is all of it, the writer is to register it.
    pub(super) fn step_body(&mut self, now: Now, conn: Conn, bytes: &[u8], out: &mut Vec<u8>) -> Step {
        let Some(session) = self.sessions.get(conn) else { return Step::Close { linger: false } };
        let Phase::Body(upload) = &mut session.phase else { return Step::Short };
        upload.waits_for_room = upload.is_large && !self.uploads.has_room(upload.ticket);
        if upload.waits_for_room {
            return Step::Wait(0);
        }
        let before = upload.bytes.len();
        let (used, done) = match swallow(&mut upload.left, bytes, Some(&mut upload.bytes)) {
            Ok(swallowed) => swallowed,
            Err(TooLarge::Yes) => return self.refuse_upload(now, conn, api::TOO_LARGE, out),
            Err(TooLarge::BadChunk) => return self.refuse_upload(now, conn, api::BAD_BODY, out),
        };
        let fits = match upload.is_large {
            true => true,
            // A chunked body may turn out large.
            false if upload.bytes.len() as u64 > LARGE_UPLOAD_BYTES => {
                upload.is_large = true;
                self.uploads.begin_large(upload.ticket)
            }
            false => self.uploads.grow_small(upload.ticket, (upload.bytes.len() - before) as u64),
        };
        if !fits {
            return self.refuse_upload(now, conn, api::BUSY, out);
        }
        if upload.is_large {
            while upload.bytes.len() >= UPLOAD_PART_BYTES || (done && !upload.bytes.is_empty()) {
                let rest = upload.bytes.split_off(upload.bytes.len().min(UPLOAD_PART_BYTES));
                let bytes = std::mem::replace(&mut upload.bytes, rest);
                self.uploads.sent(upload.ticket, bytes.len());
                self.outbox.upload(ToWriter::UploadPart { ticket: upload.ticket, bytes });
            }
        }
        match done {
            true => self.end_upload(now, conn, used, out),
            false if used == 0 => Step::Short,
            false => Step::Used(used),
        }
    }

    /// A body is complete: what is for the registry waits for the writer, a client comes into its swarm at once.
    fn end_upload(&mut self, now: Now, conn: Conn, used: usize, out: &mut Vec<u8>) -> Step {
        let Some(session) = self.sessions.get(conn) else { return Step::Close { linger: false } };
        let Phase::Body(upload) = &mut session.phase else { return Step::Short };
        let (ticket, framing) = (upload.ticket, upload.framing);
        if let Goal::Peer(who) = upload.goal {
            let body = std::mem::take(&mut upload.bytes);
            return self.peer_registers(Sender { now, conn, who, framing, ticket }, &body, used, out);
        }
        self.waiting += 1;
        if upload.is_large {
            self.outbox.upload(ToWriter::UploadEnd { ticket, at: now.unix });
        } else {
            let body = std::mem::take(&mut upload.bytes);
            self.outbox.push(Mail::Write(ToWriter::Register { ticket, body, at: now.unix }));
        }
        let (waits_for, since) = (WaitsFor::Answer(ApiRoute::Register), now.mono);
        session.phase =
            Phase::Parked(Parked { serial: ticket.serial, framing, body: None, waits_for, since });
        Step::Wait(used)
    }

    fn refuse_upload(&mut self, now: Now, conn: Conn, error: ApiError, out: &mut Vec<u8>) -> Step {
        let Some(session) = self.sessions.get(conn) else { return Step::Close { linger: false } };
        let Phase::Body(upload) = &session.phase else { return Step::Short };
        let (ticket, framing, kind) = (upload.ticket, upload.framing, upload.goal.kind());
        session.phase = Phase::Closing;
        let family = Family::of(session.peer.ip().to_canonical());
        self.counters.request(Proto::Http, family, kind, api::outcome_of(error));
        self.upload_given_up(ticket);
        self.write_api_error(now, framing.closing(), error, out);
        Step::Close { linger: true }
    }
}

/// Whether the announced body alone is reason to refuse. `POST /api/registry` has a limit of its own.
pub(super) fn refuse_body(head: &Head<'_>) -> Option<ApiError> {
    let is_upload = head.method == Method::Post && head.path == b"/api/registry";
    match head.body {
        _ if head.expect == Expect::Other => Some(api::EXPECTATION_FAILED),
        Body::None if head.method == Method::Post => Some(api::LENGTH_REQUIRED),
        Body::Length(bytes) if bytes > HTTP_IDLE_BODY_BYTES_MAX && !is_upload => Some(api::TOO_LARGE),
        _ => None,
    }
}

/// A body that nobody wants: to be read and dropped.
pub(super) fn skip(body: &Body) -> Option<BodyLeft> {
    match body {
        Body::None | Body::Length(0) => None,
        Body::Length(bytes) => Some(BodyLeft::Length(*bytes)),
        Body::Chunked => Some(BodyLeft::Chunked(Chunked::default(), HTTP_IDLE_BODY_BYTES_MAX)),
    }
}

/// Takes as much of a body as there is: how many bytes were used, and whether that was its end.
pub(super) fn swallow(
    left: &mut BodyLeft,
    bytes: &[u8],
    keep: Option<&mut Vec<u8>>,
) -> Result<(usize, bool), TooLarge> {
    match left {
        BodyLeft::Length(missing) => {
            let used = bytes.len().min(usize::try_from(*missing).unwrap_or(usize::MAX));
            if let Some(keep) = keep {
                keep.extend_from_slice(&bytes[..used]);
            }
            *missing -= used as u64;
            Ok((used, *missing == 0))
        }
        BodyLeft::Chunked(chunked, bytes_max) => {
            let mut dropped = Vec::new();
            let keep = keep.unwrap_or(&mut dropped);
            match chunked.decode(bytes, keep, *bytes_max) {
                Ok((used, http1::Progress::Done)) => Ok((used, true)),
                Ok((used, http1::Progress::More)) => Ok((used, false)),
                Err(http1::BadChunk::TooLarge) => Err(TooLarge::Yes),
                Err(_) => Err(TooLarge::BadChunk),
            }
        }
    }
}

/// Why a body is not taken.
pub(super) enum TooLarge {
    /// It is longer than its route takes.
    Yes,
    /// It is not in the chunked form.
    BadChunk,
}
