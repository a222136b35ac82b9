//! HTTP/1.0 and 1.1 as far as a tracker needs it (RFC 9110, RFC 9112): heads in, bodies in, heads out.

mod chunked;
mod date;
mod head;
mod reply;

pub use chunked::{BadChunk, Chunked, Progress};
pub use date::{HttpDate, log_date, parse_date};
pub use head::{BadHead, Body, Expect, Head, Method, Parsed, Version, parse_head};
pub use reply::{Connection, ReplyHead, reason, write_head};
