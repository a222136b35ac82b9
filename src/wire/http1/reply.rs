//! The head of an answer, assembled from parts that are ready.

use super::date::HttpDate;
use crate::wire::http_tracker::push_number;

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// It stays, as HTTP/1.1 has it: nothing to say.
    KeepAlive11,
    /// It stays, because an HTTP/1.0 client asked for it.
    KeepAlive10,
    /// It is closed.
    Close,
}

/// The head of an answer.
#[derive(Clone, Copy, Debug)]
pub struct ReplyHead<'a> {
    /// The status.
    pub status: u16,
    /// The type of the body.
    pub content_type: &'a str,
    /// Its length in bytes.
    pub content_length: usize,
    /// What becomes of the connection.
    pub connection: Connection,
    /// More fields: name and value, without line ends.
    pub extra: &'a [(&'a str, &'a str)],
}

/// Appends a head with its empty line. A 204 has no type and no length (RFC 9110, section 15.3.5).
pub fn write_head(out: &mut Vec<u8>, date: &HttpDate, head: &ReplyHead<'_>) {
    if head.status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, head.status.into());
        out.push(b' ');
        out.extend_from_slice(reason(head.status).as_bytes());
        out.extend_from_slice(b"\r\nDate: ");
    }
    out.extend_from_slice(date.as_bytes());
    if !matches!(head.status, 204 | 304) {
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(head.content_type.as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
        push_number(out, head.content_length as u64);
    }
    out.extend_from_slice(match head.connection {
        Connection::KeepAlive11 => b"\r\n",
        Connection::KeepAlive10 => b"\r\nConnection: keep-alive\r\n",
        Connection::Close => b"\r\nConnection: close\r\n",
    });
    for (name, value) in head.extra {
        debug_assert!(!value.contains(['\r', '\n']));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// The reason phrase of a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}
