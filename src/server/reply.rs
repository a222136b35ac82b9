//! HTTP answers: how they are framed, and the few shapes they have.

use super::Server;
use super::cors::Cors;
use crate::base::Now;
use crate::wire::http1::{self, Connection, Head, Method, ReplyHead, Version};

/// What an answer needs to know of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Framing {
    /// What becomes of the connection.
    pub connection: Connection,
    /// The answer to HEAD has no body.
    pub head_only: bool,
    /// What is said about web pages of other origins.
    pub cors: Cors,
}

impl Framing {
    /// The framing of a request's answer.
    pub fn of(head: &Head<'_>) -> Self {
        let connection = match (head.keep_alive, head.version) {
            (false, _) => Connection::Close,
            (true, Version::Http10) => Connection::KeepAlive10,
            (true, Version::Http11) => Connection::KeepAlive11,
        };
        Self { connection, head_only: head.method == Method::Head, cors: Cors::Silent }
    }

    /// The framing of an answer after which the connection is closed.
    pub const CLOSE: Self = Self { connection: Connection::Close, head_only: false, cors: Cors::Silent };

    /// The same, but the connection is closed afterwards.
    pub fn closing(self) -> Self {
        Self { connection: Connection::Close, ..self }
    }

    /// Whether the connection is closed afterwards.
    pub fn closes(&self) -> bool {
        self.connection == Connection::Close
    }
}

/// Everything of an answer but its framing.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// The type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// More fields.
    pub extra: &'a [(&'a str, &'a str)],
}

impl<'a> Reply<'a> {
    /// One line of text.
    pub fn text(status: u16, body: &'a str) -> Self {
        Self { status, content_type: TEXT, body: body.as_bytes(), extra: &[] }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &'a [u8]) -> Self {
        Self { status, content_type: JSON, body, extra: &[] }
    }

    /// The same with more fields.
    pub fn with(self, extra: &'a [(&'a str, &'a str)]) -> Self {
        Self { extra, ..self }
    }
}

impl Server {
    /// Writes an answer.
    pub(super) fn write_reply(&mut self, now: Now, framing: Framing, reply: &Reply<'_>, out: &mut Vec<u8>) {
        self.write_reply_head(now, framing, reply, reply.body.len(), out);
        if !framing.head_only {
            out.extend_from_slice(reply.body);
        }
    }

    /// Writes the head of an answer whose body of so many bytes comes from elsewhere.
    pub(super) fn write_reply_head(
        &mut self,
        now: Now,
        framing: Framing,
        reply: &Reply<'_>,
        body_bytes: usize,
        out: &mut Vec<u8>,
    ) {
        let date = self.date(now);
        let with_cors;
        let mut extra = reply.extra;
        if framing.cors != Cors::Silent {
            with_cors = [extra, &self.cors_fields(framing.cors)].concat();
            extra = &with_cors;
        }
        let head = ReplyHead {
            status: reply.status,
            content_type: reply.content_type,
            content_length: body_bytes,
            connection: framing.connection,
            extra,
        };
        http1::write_head(out, &date, &head);
    }

    /// Writes the answer that lies in `self.body`.
    pub(super) fn write_body(&mut self, now: Now, framing: Framing, content_type: &str, out: &mut Vec<u8>) {
        let body = std::mem::take(&mut self.body);
        let reply = Reply { status: 200, content_type, body: &body, extra: &[] };
        self.write_reply(now, framing, &reply, out);
        self.body = body;
    }
}

/// Announces, scrapes and errors for people.
pub const TEXT: &str = "text/plain";
/// The registry.
pub const JSON: &str = "application/json";
