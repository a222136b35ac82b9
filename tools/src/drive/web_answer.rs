//! One request to a web seed and what its answer is worth (BEP 19, RFC 9110 sections 13 to 15).

use super::guarded::{Client, NoAnswer};
use super::webfetch::cancelled;
use crate::webseed::{Fetch, WebEvent, WebProblem};
use std::io::Read;
use std::ops::Range;
use ureq::http::HeaderMap;

/// What the head of an answer promises.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    /// The bytes asked for come first.
    Range,
    /// The whole file: so many bytes come before those asked for.
    Whole { skip: u64 },
}

/// Fetches and hands out what comes; `tell` says whether more is wanted, as `is_wanted` does while there is no news.
pub fn fetch(
    client: &Client,
    fetch: &Fetch,
    is_wanted: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(WebEvent) -> bool,
) -> Result<(), WebProblem> {
    let range = format!("bytes={}-{}", fetch.range.start, fetch.range.end - 1);
    let mut headers = vec![("Range", range.as_str()), ("Accept-Encoding", "identity")];
    headers.extend(fetch.etag.as_deref().map(|etag| ("If-Range", etag)));
    let answered = client.get(&fetch.url, fetch.trusted, &headers).map_err(|no| match no {
        NoAnswer::Never(why) => WebProblem::Forbidden(why),
        NoAnswer::Failed(why) => WebProblem::Busy { why, retry_after_s: None },
    })?;
    let head = answered.response.headers();
    let body = judge(answered.response.status().as_u16(), head, &fetch.range, fetch.file_bytes)?;
    let etag = strong_tag(head);
    let url = answered.url;
    if !tell(WebEvent::Began { id: fetch.id, etag, url }) {
        return Err(cancelled());
    }
    let mut reader = answered.response.into_body().into_reader();
    if let Body::Whole { skip } = body {
        skipped(&mut reader, skip, is_wanted)?;
    }
    bring(&mut reader, fetch, tell)?;
    if body == Body::Range {
        // Reading the end gives the connection back to be used again.
        let _ = reader.read(&mut [0]);
    }
    Ok(())
}

/// Whether and how the body can be used.
fn judge(status: u16, head: &HeaderMap, range: &Range<u64>, file_bytes: u64) -> Result<Body, WebProblem> {
    let text = |name: &str| head.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let unavailable = |why: &str| Err(WebProblem::Unavailable(why.into()));
    let is_encoded =
        text("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"));
    match status {
        200 | 206 if is_encoded => unavailable("the server sends another encoding of the file"),
        206 => match text("content-range").and_then(content_range) {
            Some((start, total)) if start == range.start && total == file_bytes => Ok(Body::Range),
            _ => unavailable("the server sends another range, or a file of another length"),
        },
        200 => {
            let length = text("content-length").and_then(|length| length.parse::<u64>().ok());
            match length {
                Some(length) if length != file_bytes => unavailable("the file has another length"),
                _ if range.start == 0 || file_bytes <= WHOLE_BYTES_MAX => {
                    Ok(Body::Whole { skip: range.start })
                }
                _ => unavailable("the server does not do ranges"),
            }
        }
        429 | 500..=599 => {
            let retry_after_s = text("retry-after").and_then(|seconds| seconds.parse().ok());
            Err(WebProblem::Busy { why: format!("HTTP {status}"), retry_after_s })
        }
        _ => unavailable(&format!("HTTP {status}")),
    }
}

/// The first byte and the length of the whole, of `bytes 0-99/1000`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (unit, rest) = text.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let start = range.split_once('-')?.0;
    unit.eq_ignore_ascii_case("bytes").then_some((start.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// A tag that stands for these very bytes; weak ones (`W/`) do not.
fn strong_tag(head: &HeaderMap) -> Option<String> {
    let tag = head.get("etag")?.to_str().ok()?.trim();
    (tag.starts_with('"') && tag.len() > 1 && tag.ends_with('"')).then(|| tag.to_owned())
}

fn skipped(reader: &mut impl Read, bytes: u64, is_wanted: &dyn Fn() -> bool) -> Result<(), WebProblem> {
    let mut scratch = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let part = scratch.get_mut(..(left.min(CHUNK_BYTES as u64)) as usize).unwrap_or_default();
        reader.read_exact(part).map_err(|error| broken(&error))?;
        left -= part.len() as u64;
        if !is_wanted() {
            return Err(cancelled());
        }
    }
    Ok(())
}

/// Hands the range out in chunks that end where the file's own chunks of that size do.
fn bring(
    reader: &mut impl Read,
    fetch: &Fetch,
    tell: &mut dyn FnMut(WebEvent) -> bool,
) -> Result<(), WebProblem> {
    let mut at = fetch.range.start;
    while at < fetch.range.end {
        let chunk = CHUNK_BYTES as u64;
        let end = (at / chunk * chunk + chunk).min(fetch.range.end);
        let mut bytes = vec![0; (end - at) as usize];
        let (filled, outcome) = fill(reader, &mut bytes);
        bytes.truncate(filled);
        let length = filled as u64;
        if length > 0 && !tell(WebEvent::Data { id: fetch.id, at, bytes }) {
            return Err(cancelled());
        }
        outcome?;
        at += length;
    }
    Ok(())
}

/// Fills the buffer; how much came, and why not all of it.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Result<(), WebProblem>) {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => return (filled, Err(broken(&std::io::ErrorKind::UnexpectedEof.into()))),
            Ok(more) => filled += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Err(broken(&error))),
        }
    }
    (filled, Ok(()))
}

fn broken(error: &std::io::Error) -> WebProblem {
    let why = match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the answer ended early".into(),
        std::io::ErrorKind::TimedOut => "timeout".into(),
        _ => error.to_string(),
    };
    WebProblem::Busy { why, retry_after_s: None }
}

/// Handed out at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// A file of at most this length may be read from its beginning for the sake of a part.
const WHOLE_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            (ureq::http::HeaderName::from_static(name), ureq::http::HeaderValue::from_static(value))
        });
        fields.collect()
    }

    #[test]
    fn what_an_answer_is_worth() {
        let small = 1000;
        let large = (16 << 20) + 1;
        let range = |status, range: Range<u64>, file_bytes, fields: &[(&'static str, &'static str)]| {
            judge(status, &head(fields), &range, file_bytes)
        };
        assert_eq!(range(206, 10..20, small, &[("content-range", "bytes 10-19/1000")]), Ok(Body::Range));
        for bad in
            ["bytes 11-20/1000", "bytes 10-19/1001", "bytes 10-19/*", "bytes */1000", "items 10-19/1000", ""]
        {
            let answer = range(206, 10..20, small, &[("content-range", bad)]);
            assert!(matches!(answer, Err(WebProblem::Unavailable(_))), "{bad}");
        }
        assert!(range(206, 10..20, small, &[]).is_err(), "several ranges in one body");
        let gzip = [("content-encoding", "gzip"), ("content-range", "bytes 10-19/1000")];
        assert!(range(206, 10..20, small, &gzip).is_err());
        assert_eq!(range(200, 10..20, small, &[]), Ok(Body::Whole { skip: 10 }));
        assert_eq!(range(200, 10..20, 16 << 20, &[]), Ok(Body::Whole { skip: 10 }));
        assert_eq!(range(200, 0..20, large, &[]), Ok(Body::Whole { skip: 0 }));
        assert!(range(200, 10..20, large, &[]).is_err());
        assert!(range(200, 0..20, small, &[("content-length", "999")]).is_err());
        for status in [404, 410, 403, 401, 416, 400, 204, 304, 451] {
            let answer = range(status, 0..20, small, &[]);
            assert_eq!(answer, Err(WebProblem::Unavailable(format!("HTTP {status}"))));
        }
        for (status, after) in [(429, Some("7")), (503, Some("7")), (500, None), (502, Some("soon"))] {
            let fields: Vec<_> = after.map(|after| ("retry-after", after)).into_iter().collect();
            let retry_after_s = (after == Some("7")).then_some(7);
            let busy = WebProblem::Busy { why: format!("HTTP {status}"), retry_after_s };
            assert_eq!(range(status, 0..20, small, &fields), Err(busy));
        }
    }

    #[test]
    fn only_strong_tags_count() {
        let tag = |value| strong_tag(&head(&[("etag", value)]));
        assert_eq!(tag("\"a\"").as_deref(), Some("\"a\""));
        assert_eq!((tag("W/\"a\""), tag("a"), tag("\""), strong_tag(&head(&[]))), (None, None, None, None));
    }
}
