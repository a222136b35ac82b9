//! The registry's routes: who may ask what, and how the store's answers look on the wire.
//!
//! Nothing here touches the database. A request becomes a question or a write, its connection waits, and the answer
//! comes by mail; live counts are added on the way out.

use super::http::{Asked, Handled, RETRY};
use super::outbox::Mail;
use super::reply::{Framing, Reply};
use super::session::Phase;
use super::{Conn, Health, Server};
use crate::base::Now;
use crate::base::limits::REGISTER_BODY_BYTES_MAX;
use crate::mailbox::{Ticket, ToReader, ToWriter};
use crate::registry::search::Page;
use crate::registry::{Answer, ApiError, HashText, Question, Row, Search};
use crate::tracker::counters::{Family, Kind, Outcome, Proto};
use crate::tracker::rate::Verdict;
use crate::wire::http1::{Head, Method};
use crate::wire::query::form_param;
use hmac::{KeyInit, Mac};
use std::net::{IpAddr, SocketAddr};

/// A request below `/api/`, once it is allowed.
enum Wanted {
    Ask(Question),
    Write(ToWriter),
    Body,
}

impl Server {
    /// Serves a request below `/api/`.
    pub(super) fn api(&mut self, asked: &Asked<'_, '_>, path: &[u8], out: &mut Vec<u8>) -> Handled {
        let judged = match asked.client {
            None => Err(Refused::Error(BAD_ADDRESS)),
            Some(client) => match self.rate.take_address(asked.now.mono, client) {
                Verdict::Allowed => self.api_request(asked, path),
                _ => Err(Refused::Error(TOO_MANY)),
            },
        };
        let (outcome, handled) = match judged {
            Ok((ticket, Wanted::Ask(question))) => {
                self.outbox.push(Mail::Read(ToReader::Ask { ticket, question }));
                (Outcome::Ok, Handled::Parked(ticket))
            }
            Ok((ticket, Wanted::Write(write))) => {
                self.outbox.push(Mail::Write(write));
                (Outcome::Ok, Handled::Parked(ticket))
            }
            Ok((_, Wanted::Body)) => (Outcome::Ok, Handled::NeedsBody(REGISTER_BODY_BYTES_MAX)),
            Err(Refused::Method(allow)) => (self.api_other_method(asked, allow, out), Handled::Answered),
            Err(Refused::Error(error)) => {
                // A refused upload is not read to its end: the connection ends with the answer.
                let upload = asked.head.method == Method::Post;
                let framing = if upload { asked.framing.closing() } else { asked.framing };
                self.write_api_error(asked.now, framing, error, out);
                let handled = if upload { Handled::Refused } else { Handled::Answered };
                (outcome_of(error), handled)
            }
        };
        let family = Family::of(asked.client.unwrap_or(asked.peer.ip()));
        self.counters.request(Proto::Http, family, Kind::Api, outcome);
        handled
    }

    fn api_request(&mut self, asked: &Asked<'_, '_>, path: &[u8]) -> Result<(Ticket, Wanted), Refused> {
        let head = asked.head;
        let read = matches!(head.method, Method::Get | Method::Head);
        let ticket = self.sessions.ticket(asked.conn);
        let at = asked.now.unix;
        let wanted = match (path, head.method) {
            (b"/api/registry", _) if read => Wanted::Ask(Question::Entry(hash(head)?)),
            (b"/api/registry", Method::Post) => {
                self.may_register(asked)?;
                Wanted::Body
            }
            (b"/api/registry", Method::Delete) => {
                self.may_administer(asked)?;
                let reason = param(head, "reason")?.unwrap_or_default();
                Wanted::Write(ToWriter::Takedown { ticket, hash: hash(head)?, reason, at })
            }
            (b"/api/registry", _) => return Err(Refused::Method("GET, HEAD, POST, DELETE, OPTIONS")),
            (b"/api/registry/search", _) if read => Wanted::Ask(Question::Search(search(head)?)),
            (b"/api/registry/torrent", _) if read => Wanted::Ask(Question::Torrent(hash(head)?)),
            (b"/api/registry/meta", _) if read => Wanted::Ask(Question::Meta(hash(head)?)),
            (b"/api/registry/search" | b"/api/registry/torrent" | b"/api/registry/meta", _) => {
                return Err(Refused::Method("GET, HEAD, OPTIONS"));
            }
            (b"/api/registry/verify", Method::Post) => {
                self.may_administer(asked)?;
                let verified = match param(head, "verified")?.as_deref() {
                    Some("true") => true,
                    Some("false") => false,
                    _ => return Err(Refused::Error(INVALID_VERIFIED)),
                };
                Wanted::Write(ToWriter::Verify { ticket, hash: hash(head)?, verified })
            }
            (b"/api/registry/verify", _) => return Err(Refused::Method("POST, OPTIONS")),
            (b"/api/blocklist", _) if read => {
                self.may_administer(asked)?;
                let query = head.query;
                Wanted::Ask(Question::Blocklist(Page::from_params(|name| {
                    form_param(query, name).ok().flatten()
                })))
            }
            (b"/api/blocklist", Method::Delete) => {
                self.may_administer(asked)?;
                Wanted::Write(ToWriter::Unblock { ticket, hash: hash(head)? })
            }
            (b"/api/blocklist", _) => return Err(Refused::Method("GET, HEAD, DELETE, OPTIONS")),
            _ => return Err(Refused::Error(NOT_FOUND)),
        };
        if read && matches!(wanted, Wanted::Ask(Question::Search(_))) {
            self.publish_seeders();
        }
        Ok((ticket, wanted))
    }

    /// A body is complete: the writer gets it.
    pub(super) fn register(&mut self, now: Now, ticket: Ticket, body: Vec<u8>) {
        self.outbox.push(Mail::Write(ToWriter::Register { ticket, body, at: now.unix }));
    }

    /// The answer to a parked request. If its connection is still there, it can go on.
    pub(super) fn answered(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        let conn = Conn(ticket.connection);
        let Some(session) = self.sessions.get(conn) else { return };
        let (framing, body) = match &mut session.phase {
            Phase::Parked(parked) if parked.serial == ticket.serial => (parked.framing, parked.body.take()),
            _ => return,
        };
        let framing = if self.health == Health::Stopping { framing.closing() } else { framing };
        let mut out = std::mem::take(&mut session.output);
        session.phase = match body {
            _ if framing.closes() => Phase::Closing,
            Some(left) => Phase::Skip(left),
            None => Phase::Idle,
        };
        self.write_answer(now, framing, answer, &mut out);
        if let Some(session) = self.sessions.get(conn) {
            session.output = out;
        }
        self.sessions.ready.push(conn);
    }

    fn write_answer(&mut self, now: Now, framing: Framing, answer: Answer, out: &mut Vec<u8>) {
        match answer {
            Answer::Entry(row) => {
                let body = self.finish_row(row);
                self.write_json(now, framing, 200, body, &[], out);
            }
            Answer::Page { rows, total } => {
                let mut body = b"[".to_vec();
                for row in rows {
                    if body.len() > 1 {
                        body.push(b',');
                    }
                    body.append(&mut self.finish_row(row));
                }
                body.push(b']');
                self.write_json(now, framing, 200, body, &[("X-Total-Count", &total.to_string())], out);
            }
            Answer::List { body, total } => {
                self.write_json(now, framing, 200, body, &[("X-Total-Count", &total.to_string())], out);
            }
            Answer::Json { status, body } => self.write_json(now, framing, status, body, &[], out),
            Answer::File { bytes, name, hash, sha256 } => {
                let disposition = disposition(&name, &hash);
                let tag = format!("\"{}\"", sha256.get(..32).unwrap_or_default());
                let extra: [(&str, &str); 3] =
                    [("Content-Disposition", &disposition), ("ETag", &tag), ("Cache-Control", "no-cache")];
                let reply = Reply { status: 200, content_type: TORRENT, body: &bytes, extra: &extra };
                self.write_reply(now, framing, &reply, out);
            }
            Answer::Error(error) => self.write_api_error(now, framing, error, out),
        }
    }

    fn write_json(
        &mut self,
        now: Now,
        framing: Framing,
        status: u16,
        mut body: Vec<u8>,
        extra: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) {
        body.push(b'\n');
        self.write_reply(now, framing, &Reply::json(status, &body).with(extra), out);
    }

    /// `{"error":"<text>"}`.
    pub(super) fn write_api_error(&mut self, now: Now, framing: Framing, error: ApiError, out: &mut Vec<u8>) {
        let extra = if matches!(error.status, 429 | 503) { RETRY } else { &[] };
        let body = format!("{{\"error\":\"{}\"}}\n", error.text);
        self.write_reply(now, framing, &Reply::json(error.status, body.as_bytes()).with(extra), out);
    }

    fn api_other_method(&mut self, asked: &Asked<'_, '_>, allow: &'static str, out: &mut Vec<u8>) -> Outcome {
        let extra = [("Allow", allow)];
        if asked.head.method == Method::Options {
            return self.other_method(asked, &extra, out);
        }
        let reply = Reply::json(405, b"{\"error\":\"Method not allowed\"}\n").with(&extra);
        self.write_reply(asked.now, asked.framing, &reply, out);
        Outcome::Invalid
    }

    /// Adds what only the swarm table knows.
    fn finish_row(&self, row: Row) -> Vec<u8> {
        let live = row.hashes.map(|hashes| self.tracker.live(&hashes)).unwrap_or_default();
        let mut json = row.json;
        json.extend_from_slice(
            format!("\"seeders\":{},\"leechers\":{}}}", live.complete, live.incomplete).as_bytes(),
        );
        json
    }

    /// Before a search: which entries have other seeders than the reader last heard of.
    fn publish_seeders(&mut self) {
        let changes = self.tracker.take_seeder_changes();
        if !changes.is_empty() {
            self.outbox.push(Mail::Read(ToReader::Seeders(changes)));
        }
    }

    /// Writing to the registry: with the key, or without one to anybody but a web page of another origin.
    fn may_register(&self, asked: &Asked<'_, '_>) -> Result<(), Refused> {
        match &self.settings.registry_key {
            Some(key) => check_key(key, asked.head),
            None if asked.head.origin.is_some_and(|origin| !same_origin(origin, asked.head.host)) => {
                Err(Refused::Error(FOREIGN_ORIGIN))
            }
            None => Ok(()),
        }
    }

    /// Taking down and the other routes of an operator: with the key, or without one from this machine.
    fn may_administer(&self, asked: &Asked<'_, '_>) -> Result<(), Refused> {
        match &self.settings.registry_key {
            Some(key) => check_key(key, asked.head),
            None if is_local(asked.peer, asked.head) => Ok(()),
            None => Err(Refused::Error(SET_KEY)),
        }
    }
}

/// Why a request is not passed on.
enum Refused {
    Error(ApiError),
    Method(&'static str),
}

/// Digests are compared, so that neither the key's length nor its beginning leaks by time.
fn check_key(key: &[u8], head: &Head<'_>) -> Result<(), Refused> {
    let given = head.api_key.unwrap_or_default();
    let mac = |message: &[u8]| {
        let mut mac =
            hmac::Hmac::<sha2::Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(message);
        mac
    };
    let expected = mac(key).finalize().into_bytes();
    mac(given).verify_slice(&expected).map_err(|_| Refused::Error(UNAUTHORIZED))
}

/// Whether a request comes from this machine, and not through a proxy, a page or a rebound name.
fn is_local(peer: SocketAddr, head: &Head<'_>) -> bool {
    let host = head.host.unwrap_or_default();
    peer.ip().to_canonical().is_loopback() && !head.forwarded && head.origin.is_none() && names_loopback(host)
}

fn names_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether the page that asks was served by us.
fn same_origin(origin: &[u8], host: Option<&[u8]>) -> bool {
    let bare = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    bare.is_some() && bare == host
}

fn param(head: &Head<'_>, name: &str) -> Result<Option<String>, Refused> {
    form_param(head.query, name).map_err(|_| Refused::Error(BAD_PARAMETER))
}

fn hash(head: &Head<'_>) -> Result<HashText, Refused> {
    param(head, "info_hash")?.map(HashText::new).ok_or(Refused::Error(MISSING_HASH))
}

fn search(head: &Head<'_>) -> Result<Search, Refused> {
    for name in ["q", "category", "publisher", "tags", "sort", "limit", "offset"] {
        param(head, name)?;
    }
    Ok(Search::from_params(|name| form_param(head.query, name).ok().flatten()))
}

/// A file name for people, and for those whose alphabet is not ours (RFC 6266, RFC 8187).
fn disposition(name: &str, hash: &str) -> String {
    let clean: String = name.chars().filter(|c| !c.is_ascii_control() && !matches!(c, '"' | '\\')).collect();
    let clean = clean.replace('/', "_");
    let stem = if clean.is_empty() { hash } else { &clean };
    if stem.is_ascii() {
        return format!("attachment; filename=\"{stem}.torrent\"");
    }
    let ascii: String = stem.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(stem, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}.torrent\"; filename*=UTF-8''{encoded}.torrent")
}

fn outcome_of(error: ApiError) -> Outcome {
    match error.status {
        401 | 403 => Outcome::Unauthorized,
        429 => Outcome::Limited,
        500.. => Outcome::Error,
        _ => Outcome::Invalid,
    }
}

/// The answer when the store's mailbox is full.
pub(super) fn busy() -> Answer {
    Answer::Error(BUSY)
}

/// More than the route takes.
pub(super) const TOO_LARGE: ApiError = ApiError::new(413, "Request body too large");
/// Too much at once.
pub(super) const BUSY: ApiError = ApiError::new(503, "Busy");
/// A body that is not in the chunked form it is announced in.
pub(super) const BAD_BODY: ApiError = ApiError::new(400, "Malformed body");
/// A POST that does not say how long it is.
pub(super) const LENGTH_REQUIRED: ApiError = ApiError::new(411, "Length required");
/// An expectation besides `100-continue`.
pub(super) const EXPECTATION_FAILED: ApiError = ApiError::new(417, "Expectation failed");
const TOO_MANY: ApiError = ApiError::new(429, "Too Many Requests");
const BAD_ADDRESS: ApiError = ApiError::new(400, "Invalid remote address");
const BAD_PARAMETER: ApiError = ApiError::new(400, "Invalid query parameter");
const MISSING_HASH: ApiError = ApiError::new(400, "Missing info_hash");
const INVALID_VERIFIED: ApiError = ApiError::new(400, "Invalid verified");
const UNAUTHORIZED: ApiError = ApiError::new(401, "Unauthorized");
const FOREIGN_ORIGIN: ApiError = ApiError::new(403, "Forbidden: origin not allowed");
const SET_KEY: ApiError = ApiError::new(403, "Forbidden: set REGISTRY_KEY");
const NOT_FOUND: ApiError = ApiError::new(404, "Not found");
const TORRENT: &str = "application/x-bittorrent";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:80", "[::1]:8080"] {
            assert!(names_loopback(host.as_bytes()), "{host}");
        }
        for host in ["", "example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]"] {
            assert!(!names_loopback(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn a_file_name_cannot_break_out_of_its_field() {
        assert_eq!(disposition("a\"b\\c\r\n/d", "ff"), "attachment; filename=\"abc_d.torrent\"");
        assert_eq!(disposition("", "ff"), "attachment; filename=\"ff.torrent\"");
        assert_eq!(
            disposition("é.bin", "ff"),
            "attachment; filename=\"_.bin.torrent\"; filename*=UTF-8''%C3%A9%2Ebin.torrent"
        );
    }
}
