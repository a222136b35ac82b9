//! Request heads, over httparse, with the strictness that keeps a proxy in front and us of one mind about where a
//! request ends.

use crate::base::limits::{HTTP_FIELDS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_REQUEST_LINE_BYTES_MAX};

/// A value, or the news that more bytes are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<T> {
    /// All of it was there.
    Complete(T),
    /// There is more to come.
    Partial,
}

/// The methods that some route has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Any other.
    Other,
}

/// The versions that are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the length of the body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// The `Expect` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Absent.
    None,
    /// `100-continue`.
    Continue,
    /// Anything else.
    Other,
}

/// A request's head. Everything points into the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The path, neither decoded nor normalised.
    pub path: &'a [u8],
    /// What follows the first `?`; empty when there is none.
    pub query: &'a [u8],
    /// The version.
    pub version: Version,
    /// Whether the client wants the connection to stay.
    pub keep_alive: bool,
    /// How the body's length is told.
    pub body: Body,
    /// What it expects first.
    pub expect: Expect,
    /// `Host`
    pub host: Option<&'a [u8]>,
    /// `X-Weightless-Key`
    pub api_key: Option<&'a [u8]>,
    /// `Origin`
    pub origin: Option<&'a [u8]>,
    /// `Accept`
    pub accept: Option<&'a [u8]>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a [u8]>,
    /// Whether a proxy has left a trace: `X-Forwarded-For`, `Forwarded`, `X-Real-IP` or `Via`.
    pub forwarded: bool,
    /// Bytes of the head, with empty lines before it and the one behind it.
    pub bytes: usize,
    /// The fields, for `lines`.
    raw: &'a [u8],
}

/// Why a head is refused. The connection is closed after the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadHead {
    /// Not HTTP, or ambiguous: 400.
    Malformed,
    /// A request line over 8192 bytes: 414.
    LineTooLong,
    /// A head over 8192 bytes, or more than 64 fields: 431.
    TooLarge,
    /// A transfer coding besides chunked: 501.
    TransferCoding,
    /// A version besides 1.0 and 1.1: 505.
    Version,
}

impl BadHead {
    /// The status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::LineTooLong => 414,
            Self::TooLarge => 431,
            Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }
}

impl<'a> Head<'a> {
    /// All values of a field, in order. `name` in lower case. For fields that are rarely needed: the head is read
    /// again.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.to_owned();
        self.raw.split(|byte| *byte == b'\n').filter_map(move |line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let at = line.iter().position(|byte| *byte == b':')?;
            line[..at].eq_ignore_ascii_case(name.as_bytes()).then(|| line[at + 1..].trim_ascii())
        })
    }
}

/// Reads a head from the beginning of `bytes`. One or two empty lines before it are skipped.
pub fn parse_head(bytes: &[u8]) -> Result<Parsed<Head<'_>>, BadHead> {
    let skipped = leading_empty_lines(bytes);
    let rest = &bytes[skipped..];
    let Some((line, fields_at)) = request_line(rest)? else { return Ok(Parsed::Partial) };
    let mut head = read_request_line(line)?;
    // Most requests have few fields, and making room for the most costs more than reading a few.
    let (mut few, mut many);
    few = [httparse::EMPTY_HEADER; FIELDS_FEW];
    let mut read = httparse::parse_headers(&rest[fields_at..], &mut few);
    if read == Err(httparse::Error::TooManyHeaders) {
        many = [httparse::EMPTY_HEADER; HTTP_FIELDS_MAX];
        read = httparse::parse_headers(&rest[fields_at..], &mut many);
    }
    let (length, fields) = match read {
        Ok(httparse::Status::Complete((length, fields))) => (fields_at + length, fields),
        Ok(httparse::Status::Partial) if rest.len() > HTTP_HEAD_BYTES_MAX => return Err(BadHead::TooLarge),
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLarge),
        Err(_) => return Err(BadHead::Malformed),
    };
    if length > HTTP_HEAD_BYTES_MAX {
        return Err(BadHead::TooLarge);
    }
    head.raw = &rest[fields_at..length];
    if has_bare_line_feed(head.raw) {
        return Err(BadHead::Malformed);
    }
    head.bytes = skipped + length;
    read_fields(&mut head, fields)?;
    Ok(Parsed::Complete(head))
}

/// Fields that nearly every request keeps within.
const FIELDS_FEW: usize = 12;

fn leading_empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..2 {
        match bytes.get(at..) {
            Some([b'\r', b'\n', ..]) => at += 2,
            _ => break,
        }
    }
    at
}

/// The request line without its end, and where the fields begin. `None`: it is not complete.
fn request_line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, BadHead> {
    let end = memchr::memchr(b'\n', bytes);
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let bare = line.strip_suffix(b"\r").unwrap_or(line);
    if bare.len() > HTTP_REQUEST_LINE_BYTES_MAX {
        return Err(BadHead::LineTooLong);
    }
    // Rubbish such as a TLS handshake is known before its line ends, which it may never do. The carriage return alone
    // may be the end of an empty line.
    // Without a way out in the middle, many bytes are looked at together.
    if bare.iter().fold(false, |found, byte| found | matches!(byte, 0..=0x1f | 0x7f)) {
        return Err(BadHead::Malformed);
    }
    match end {
        Some(end) if bare.len() < line.len() => Ok(Some((bare, end + 1))),
        Some(_) => Err(BadHead::Malformed),
        None => Ok(None),
    }
}

/// A line feed alone ends a line for some and not for others: nobody shall be able to hide a field that way.
fn has_bare_line_feed(fields: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', fields).any(|at| at == 0 || fields[at - 1] != b'\r')
}

fn read_request_line(line: &[u8]) -> Result<Head<'_>, BadHead> {
    let first = memchr::memchr(b' ', line).ok_or(BadHead::Malformed)?;
    let last = memchr::memrchr(b' ', line).ok_or(BadHead::Malformed)?;
    let (method, version) = (&line[..first], &line[last + 1..]);
    let target = line.get(first + 1..last).ok_or(BadHead::Malformed)?;
    if memchr::memchr(b' ', target).is_some() {
        return Err(BadHead::Malformed);
    }
    let method = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"DELETE" => Method::Delete,
        b"OPTIONS" => Method::Options,
        other if !other.is_empty() && other.iter().all(is_token) => Method::Other,
        _ => return Err(BadHead::Malformed),
    };
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(BadHead::Version),
        _ => return Err(BadHead::Malformed),
    };
    let target = origin_form(target, method)?;
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[][..]),
    };
    Ok(Head {
        method,
        path,
        query,
        version,
        keep_alive: version == Version::Http11,
        body: Body::None,
        expect: Expect::None,
        host: None,
        api_key: None,
        origin: None,
        accept: None,
        if_none_match: None,
        forwarded: false,
        bytes: 0,
        raw: &[],
    })
}

/// A byte of a token (RFC 9110, section 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// The path and query of a target in origin-form, absolute-form, or `*` for OPTIONS.
fn origin_form(target: &[u8], method: Method) -> Result<&[u8], BadHead> {
    if memchr::memchr(b'#', target).is_some() {
        return Err(BadHead::Malformed);
    }
    if target.starts_with(b"/") || (target == b"*" && method == Method::Options) {
        return Ok(target);
    }
    let scheme = target.iter().position(|byte| *byte == b':').ok_or(BadHead::Malformed)?;
    let known = [&b"http"[..], b"https"].iter().any(|known| target[..scheme].eq_ignore_ascii_case(known));
    let rest = target[scheme + 1..].strip_prefix(b"//").filter(|_| known).ok_or(BadHead::Malformed)?;
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(at) if at > 0 && rest[at] == b'/' => Ok(&rest[at..]),
        Some(_) => Err(BadHead::Malformed),
        None if rest.is_empty() => Err(BadHead::Malformed),
        None => Ok(b"/"),
    }
}

fn read_fields<'a>(head: &mut Head<'a>, fields: &[httparse::Header<'a>]) -> Result<(), BadHead> {
    let mut length = None;
    let mut chunked = false;
    let mut closes = false;
    for field in fields {
        let (name, value) = (field.name, field.value);
        // Told apart by length first: most fields of most requests are none of ours.
        match name.len() {
            3 if name.eq_ignore_ascii_case("via") => head.forwarded = true,
            4 if name.eq_ignore_ascii_case("host") && head.host.is_some() => return Err(BadHead::Malformed),
            4 if name.eq_ignore_ascii_case("host") => head.host = Some(value),
            6 if name.eq_ignore_ascii_case("accept") => head.accept = Some(value),
            6 if name.eq_ignore_ascii_case("origin") => head.origin = Some(value),
            6 if name.eq_ignore_ascii_case("expect") => {
                let go_on = value.eq_ignore_ascii_case(b"100-continue");
                head.expect = if go_on { Expect::Continue } else { Expect::Other };
            }
            9 if name.eq_ignore_ascii_case("x-real-ip") || name.eq_ignore_ascii_case("forwarded") => {
                head.forwarded = true;
            }
            10 if name.eq_ignore_ascii_case("connection") => read_connection(head, &mut closes, value),
            13 if name.eq_ignore_ascii_case("if-none-match") => head.if_none_match = Some(value),
            14 if name.eq_ignore_ascii_case("content-length") => {
                let told = content_length(value).ok_or(BadHead::Malformed)?;
                if length.replace(told).is_some_and(|before| before != told) {
                    return Err(BadHead::Malformed);
                }
            }
            15 if name.eq_ignore_ascii_case("x-forwarded-for") => head.forwarded = true,
            16 if name.eq_ignore_ascii_case("x-weightless-key") => head.api_key = Some(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(BadHead::TransferCoding);
                }
                chunked = true;
            }
            _ => {}
        }
    }
    if head.version == Version::Http11 && head.host.is_none() {
        return Err(BadHead::Malformed);
    }
    head.keep_alive &= !closes;
    if head.version == Version::Http10 {
        // RFC 9110, section 10.1.1: HTTP/1.0 does not know what a 100 is.
        head.expect = Expect::None;
    }
    head.body = match (length, chunked) {
        (Some(_), true) => return Err(BadHead::Malformed),
        (Some(length), false) => Body::Length(length),
        (None, true) => Body::Chunked,
        (None, false) => Body::None,
    };
    Ok(())
}

/// Whatever else it says: a client that says `close` anywhere will not send another request.
fn read_connection(head: &mut Head<'_>, closes: &mut bool, value: &[u8]) {
    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        *closes |= option.eq_ignore_ascii_case(b"close");
        head.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
    }
}

fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value
        .iter()
        .try_fold(0u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}
