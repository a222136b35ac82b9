//! How the answers of the registry look on the wire: JSON with one newline at its end, torrents with the fields that
//! let caches and browsers handle them, errors as `{"error":"<text>"}`. Live counts are added here.

use super::api::{self, outcome_of};
use super::http::RETRY;
use super::metrics::ApiRoute;
use super::reply::{Framing, JSON, Reply};
use super::session::{Parked, Phase, WaitsFor};
use super::{Conn, Health, Server};
use crate::base::Now;
use crate::base::limits::{LONG_ANSWER_BYTES, LONG_ANSWERS_BYTES_MAX};
use crate::mailbox::Ticket;
use crate::registry::answer::etag;
use crate::registry::{Answer, ApiError, FileKind, Row};
use crate::tracker::counters::{Family, Kind, Outcome, Proto};

impl Server {
    /// The answer to a parked request.
    pub(super) fn answered(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        self.waiting = self.waiting.saturating_sub(1);
        self.upload_over(ticket);
        let mut is_page = false;
        if let Some(session) = self.sessions.parked(ticket)
            && let Phase::Parked(Parked { waits_for: WaitsFor::Answer(route), since, .. }) = &session.phase
        {
            is_page = *route == ApiRoute::Page;
            self.api_times[*route as usize].add((now.mono - since) * 1000);
            let outcome = if let Answer::Error(error) = &answer { outcome_of(*error) } else { Outcome::Ok };
            let family = Family::of(session.peer.ip().to_canonical());
            // A page was counted when it was asked for.
            if !is_page {
                self.counters.request(Proto::Http, family, Kind::Api, outcome);
            }
        }
        self.unpark(ticket, |server, framing, out| match answer {
            Answer::Error(error) if is_page => {
                server.write_web_error(now, framing, error, out);
                None
            }
            answer => server.write_answer(now, framing, answer, out),
        });
    }

    /// Answers a parked request by `write`, which may leave a long body to be written from where it is. If the
    /// connection is still there, it can go on.
    pub(super) fn unpark(
        &mut self,
        ticket: Ticket,
        write: impl FnOnce(&mut Self, Framing, &mut Vec<u8>) -> Option<Vec<u8>>,
    ) {
        let stopping = self.health == Health::Stopping;
        let Some(session) = self.sessions.parked(ticket) else { return };
        let Phase::Parked(parked) = &mut session.phase else { return };
        let (framing, body) = (parked.framing, parked.body.take());
        let framing = if stopping { framing.closing() } else { framing };
        let mut out = std::mem::take(&mut session.output);
        session.phase = match body {
            _ if framing.closes() => Phase::Closing,
            Some(left) => Phase::Skip(left),
            None => Phase::Idle,
        };
        let tail = write(self, framing, &mut out).unwrap_or_default();
        let conn = Conn(ticket.connection);
        if let Some(session) = self.sessions.get(conn) {
            self.long_answers_bytes += tail.len() as u64;
            (session.output, session.tail) = (out, tail);
        }
        self.sessions.ready.push(conn);
    }

    fn write_answer(
        &mut self,
        now: Now,
        framing: Framing,
        answer: Answer,
        out: &mut Vec<u8>,
    ) -> Option<Vec<u8>> {
        let ok = |extra| Reply::json(200, b"").with(extra);
        match answer {
            Answer::Entry(row) => {
                let body = self.finish_row(row);
                self.write_body_of(now, framing, &ok(&[]), line(body), out)
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
                let total = total.to_string();
                self.write_body_of(now, framing, &ok(&[("X-Total-Count", &total)]), line(body), out)
            }
            Answer::List { body, total } => {
                let total = total.to_string();
                self.write_body_of(now, framing, &ok(&[("X-Total-Count", &total)]), line(body), out)
            }
            Answer::Json { status, body } => {
                self.write_body_of(now, framing, &Reply::json(status, b""), line(body), out)
            }
            Answer::Text(text) => {
                self.write_body_of(now, framing, &Reply::text(200, ""), line(text.into_bytes()), out)
            }
            Answer::File { bytes, kind, name, hash, sha256 } => {
                let (content_type, extension) = match kind {
                    FileKind::Torrent => (TORRENT, "torrent"),
                    FileKind::Idtorrent => (JSON, "idtorrent"),
                };
                let disposition = disposition(&name, &hash, extension);
                let tag = sha256.as_deref().map(etag);
                let mut extra = vec![("Content-Disposition", disposition.as_str())];
                match &tag {
                    Some(tag) => extra.extend([("ETag", tag.as_str()), ("Cache-Control", "no-cache")]),
                    // A copy with somebody's passkey in it.
                    None => extra.push(("Cache-Control", "no-store")),
                }
                let reply = Reply { status: 200, content_type, body: b"", extra: &extra };
                self.write_body_of(now, framing, &reply, bytes, out)
            }
            Answer::NotModified { sha256 } => {
                let tag = etag(&sha256);
                let extra = [("ETag", tag.as_str()), ("Cache-Control", "no-cache")];
                self.write_reply(now, framing, &Reply::text(304, "").with(&extra), out);
                None
            }
            Answer::Html(page) => self.write_web_page(now, framing, 200, &page, out),
            Answer::Error(error) => {
                self.write_api_error(now, framing, error, out);
                None
            }
        }
    }

    /// Writes an answer with this body, or its head alone when the body is long: gives it back then.
    pub(super) fn write_body_of(
        &mut self,
        now: Now,
        framing: Framing,
        reply: &Reply<'_>,
        body: Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<Vec<u8>> {
        if framing.head_only || body.len() <= LONG_ANSWER_BYTES {
            self.write_reply(now, framing, &Reply { body: &body, ..*reply }, out);
            return None;
        }
        let others = self.long_answers_bytes;
        if others > 0 && others + body.len() as u64 > LONG_ANSWERS_BYTES_MAX {
            self.write_api_error(now, framing, api::BUSY, out);
            return None;
        }
        self.write_reply_head(now, framing, reply, body.len(), out);
        Some(body)
    }

    /// `{"error":"<text>"}`.
    pub(super) fn write_api_error(&mut self, now: Now, framing: Framing, error: ApiError, out: &mut Vec<u8>) {
        let extra = if matches!(error.status, 429 | 503) { RETRY } else { &[] };
        let body = format!("{{\"error\":\"{}\"}}\n", error.text);
        self.write_reply(now, framing, &Reply::json(error.status, body.as_bytes()).with(extra), out);
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
}

fn line(mut body: Vec<u8>) -> Vec<u8> {
    body.push(b'\n');
    body
}

/// A file name for people, and for those whose alphabet is not ours (RFC 6266, RFC 8187).
fn disposition(name: &str, hash: &str, extension: &str) -> String {
    let clean: String = name.chars().filter(|c| !c.is_ascii_control() && !matches!(c, '"' | '\\')).collect();
    let clean = clean.replace('/', "_");
    let stem = if clean.is_empty() { hash } else { &clean };
    if stem.is_ascii() {
        return format!("attachment; filename=\"{stem}.{extension}\"");
    }
    let ascii: String = stem.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(stem, percent_encoding::NON_ALPHANUMERIC);
    format!("attachment; filename=\"{ascii}.{extension}\"; filename*=UTF-8''{encoded}.{extension}")
}

const TORRENT: &str = "application/x-bittorrent";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_break_out_of_its_field() {
        assert_eq!(disposition("a\"b\\c\r\n/d", "ff", "torrent"), "attachment; filename=\"abc_d.torrent\"");
        assert_eq!(disposition("", "ff", "idtorrent"), "attachment; filename=\"ff.idtorrent\"");
        assert_eq!(
            disposition("é.bin", "ff", "torrent"),
            "attachment; filename=\"_.bin.torrent\"; filename*=UTF-8''%C3%A9%2Ebin.torrent"
        );
    }
}
