//! The registry's routes: which request becomes which question or write.
//!
//! Nothing here touches the database: the connection waits, and the answer comes by mail.

use super::Server;
use super::access::{UNAUTHORIZED, authority};
use super::cors::{PREFLIGHT, is_preflight};
use super::http::{Asked, Handled};
use super::metrics::ApiRoute;
use super::outbox::Mail;
use super::reply::Reply;
use super::session::Goal;
use crate::mailbox::{Ticket, ToReader, ToWriter};
use crate::registry::search::Page;
use crate::registry::{Answer, ApiError, HashText, Personal, Question, Search};
use crate::tracker::counters::{Family, Kind, Outcome, Proto};
use crate::tracker::rate::Verdict;
use crate::wire::http1::{Head, Method};
use crate::wire::passkey::host_of_url;
use crate::wire::query::form_param;

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
        // What is passed on is counted when it is answered.
        let (outcome, handled) = match judged {
            Ok((ticket, Wanted::Ask(question))) => {
                let route = ApiRoute::of_question(&question);
                self.waiting += 1;
                self.outbox.push(Mail::Read(ToReader::Ask { ticket, question }));
                return Handled::Parked(ticket, route);
            }
            Ok((ticket, Wanted::Write(write))) => {
                let route = ApiRoute::of_write(&write);
                self.waiting += 1;
                self.outbox.push(Mail::Write(write));
                return Handled::Parked(ticket, route);
            }
            Ok((_, Wanted::Body)) => return Handled::NeedsBody(Goal::Entry),
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
            (b"/api/registry/torrent", _) if read => Wanted::Ask(self.torrent_question(head)?),
            (b"/api/registry/meta", _) if read => Wanted::Ask(Question::Meta(hash(head)?)),
            (b"/api/registry/magnet", _) if read => {
                Wanted::Ask(Question::Magnet { hash: hash(head)?, trackers: self.own_urls(head) })
            }
            (
                b"/api/registry/search"
                | b"/api/registry/torrent"
                | b"/api/registry/meta"
                | b"/api/registry/magnet",
                _,
            ) => return Err(Refused::Method("GET, HEAD, OPTIONS")),
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
                readable(head, &["limit", "offset"])?;
                Wanted::Ask(Question::Blocklist(Page::from_params(|name| decoded(head, name))))
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

    /// A download: of the stored file, or of a copy that announces with a passkey.
    fn torrent_question(&self, head: &Head<'_>) -> Result<Question, Refused> {
        let hash = hash(head)?;
        let personal = match (param(head, "passkey")?, &self.passkeys) {
            (None, _) => None,
            (Some(passkey), Some(key)) if key.verify(passkey.as_bytes()).is_some() => {
                let hosts = self.own_urls(head).iter().filter_map(|url| host_of_url(url)).collect();
                Some(Personal { passkey, hosts })
            }
            (Some(_), _) => return Err(Refused::Error(UNAUTHORIZED)),
        };
        let known: Vec<_> = head.lines("if-none-match").map(String::from_utf8_lossy).collect();
        let known = (personal.is_none() && !known.is_empty()).then(|| known.join(","));
        Ok(Question::Torrent { hash, known, personal })
    }

    /// Where clients announce, as far as whoever asks can tell: PUBLIC_URL, else the name this was asked by.
    pub(super) fn own_urls(&self, head: &Head<'_>) -> Vec<String> {
        let asked_by = || Some(format!("http://{}", std::str::from_utf8(head.host?).ok()?));
        let base = self.settings.public_url.clone().or_else(asked_by);
        let Some(base) = base.filter(|base| !authority(base).is_empty()) else { return Vec::new() };
        let mut urls = vec![format!("{base}/announce")];
        if let (Some(port), Some(host)) = (self.settings.udp_port, host_of_url(&base)) {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            urls.push(format!("udp://{host}:{port}/announce"));
        }
        urls
    }

    /// OPTIONS, or a method that a route with JSON answers does not have.
    pub(super) fn api_other_method(
        &mut self,
        asked: &Asked<'_, '_>,
        allow: &'static str,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mut extra = vec![("Allow", allow)];
        if asked.head.method == Method::Options {
            if asked.framing.cors.allows() && is_preflight(asked.head) {
                extra.extend(PREFLIGHT);
            }
            return self.other_method(asked, &extra, out);
        }
        let reply = Reply::json(405, b"{\"error\":\"Method not allowed\"}\n").with(&extra);
        self.write_reply(asked.now, asked.framing, &reply, out);
        Outcome::Invalid
    }

    /// Before a search: which entries have other seeders than the reader last heard of.
    pub(super) fn publish_seeders(&mut self) {
        // More than this is on its way already, a part in each turn.
        let changes = self.tracker.take_seeder_changes();
        if !changes.is_empty() {
            self.outbox.push(Mail::Read(ToReader::Seeders(changes)));
        }
    }
}

/// Why a request is not passed on.
enum Refused {
    Error(ApiError),
    Method(&'static str),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

fn param(head: &Head<'_>, name: &str) -> Result<Option<String>, Refused> {
    form_param(head.query, name).map_err(|_| Refused::Error(BAD_PARAMETER))
}

fn hash(head: &Head<'_>) -> Result<HashText, Refused> {
    param(head, "info_hash")?.map(HashText::new).ok_or(Refused::Error(MISSING_HASH))
}

fn search(head: &Head<'_>) -> Result<Search, Refused> {
    readable(head, &["q", "category", "publisher", "tags", "sort", "limit", "offset"])?;
    Ok(Search::from_params(|name| decoded(head, name)))
}

/// Refuses a request when one of these parameters cannot be decoded.
fn readable(head: &Head<'_>, names: &[&str]) -> Result<(), Refused> {
    names.iter().try_for_each(|name| param(head, name).map(drop))
}

/// A parameter that `readable` has seen.
fn decoded(head: &Head<'_>, name: &str) -> Option<String> {
    form_param(head.query, name).ok().flatten()
}

/// How a refusal is counted.
pub(super) fn outcome_of(error: ApiError) -> Outcome {
    match error.status {
        403 if error == crate::registry::api::BLOCKED => Outcome::Blocked,
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
/// A body that comes too slowly.
pub(super) const TIMEOUT: ApiError = ApiError::new(408, "Request timeout");
/// Too much at once.
pub(super) const BUSY: ApiError = ApiError::new(503, "Busy");
/// A body that is not in the chunked form it is announced in.
pub(super) const BAD_BODY: ApiError = ApiError::new(400, "Malformed body");
/// A POST that does not say how long it is.
pub(super) const LENGTH_REQUIRED: ApiError = ApiError::new(411, "Length required");
/// An expectation besides `100-continue`.
pub(super) const EXPECTATION_FAILED: ApiError = ApiError::new(417, "Expectation failed");
/// Too many requests.
pub(super) const TOO_MANY: ApiError = ApiError::new(429, "Too Many Requests");
/// A proxy names nobody.
pub(super) const BAD_ADDRESS: ApiError = ApiError::new(400, "Invalid remote address");
const BAD_PARAMETER: ApiError = ApiError::new(400, "Invalid query parameter");
const MISSING_HASH: ApiError = ApiError::new(400, "Missing info_hash");
const INVALID_VERIFIED: ApiError = ApiError::new(400, "Invalid verified");
const NOT_FOUND: ApiError = ApiError::new(404, "Not found");
