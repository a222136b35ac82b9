//! HTTP announces and scrapes (BEP 3, 7, 23, 24, 31, 48, 52): queries in, bencoded answers out.

use super::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal, ScrapeStats};
use super::compact;
use super::query::{self, BadEscape, Plus};
use crate::base::PeerId;
use std::net::IpAddr;

/// What an announce over HTTP asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpAnnounce {
    /// What both wires share.
    pub request: AnnounceRequest,
    /// Whether peers are wanted in compact form (BEP 23).
    pub compact: bool,
    /// The address the client claims, if it is a unicast literal: `ip`, else `ipv4`, else `ipv6`. Ignored but with
    /// TRUST_IP_PARAM.
    pub address: Option<IpAddr>,
}

/// The first rule that an announce breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadAnnounce {
    /// A required key is absent or empty.
    Missing(&'static str),
    /// A bad escape in a required key.
    Escape(&'static str),
    /// `info_hash` of so many bytes.
    InfoHashLength(usize),
    /// `peer_id` of so many bytes.
    PeerIdLength(usize),
    /// A value out of its rule; the text says which.
    Invalid(&'static str),
}

impl BadAnnounce {
    /// Appends the failure reason.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let text = match self {
            Self::Missing(key) => format!("missing {key}"),
            Self::Escape(key) => format!("malformed percent-encoding in {key}"),
            Self::InfoHashLength(n) => format!("info_hash must be 20 or 32 bytes, got {n}"),
            Self::PeerIdLength(n) => format!("peer_id must be exactly 20 bytes, got {n}"),
            Self::Invalid(text) => (*text).to_owned(),
        };
        out.extend_from_slice(b"Invalid announce: ");
        out.extend_from_slice(text.as_bytes());
    }
}

/// The raw values of the keys that count, each the first of its name; empty when absent.
#[derive(Default)]
struct Raw<'a> {
    info_hash: &'a [u8],
    peer_id: &'a [u8],
    port: &'a [u8],
    uploaded: &'a [u8],
    downloaded: &'a [u8],
    left: &'a [u8],
    event: &'a [u8],
    numwant: &'a [u8],
    compact: &'a [u8],
    addresses: [&'a [u8]; 3],
}

impl<'a> Raw<'a> {
    fn of(query: &'a [u8]) -> Self {
        let mut raw = Self::default();
        // First occurrence wins: the pairs are walked backwards, so that the first is the last to be kept.
        let mut seen = 0u16;
        for (key, value) in query::pairs(query) {
            let (bit, place) = match key {
                b"info_hash" => (0, &mut raw.info_hash),
                b"peer_id" => (1, &mut raw.peer_id),
                b"port" => (2, &mut raw.port),
                b"uploaded" => (3, &mut raw.uploaded),
                b"downloaded" => (4, &mut raw.downloaded),
                b"left" => (5, &mut raw.left),
                b"event" => (6, &mut raw.event),
                b"numwant" => (7, &mut raw.numwant),
                b"compact" => (8, &mut raw.compact),
                b"ip" => (9, &mut raw.addresses[0]),
                b"ipv4" => (10, &mut raw.addresses[1]),
                b"ipv6" => (11, &mut raw.addresses[2]),
                _ => continue,
            };
            if seen & 1 << bit == 0 {
                seen |= 1 << bit;
                *place = value;
            }
        }
        raw
    }
}

/// Reads the query of an announce; the checks come in the order of the specification.
pub fn parse_announce(query: &[u8]) -> Result<HttpAnnounce, BadAnnounce> {
    let raw = Raw::of(query);
    let plus = || Plus::of(query);
    let mut hash = [0; 32];
    let length = required(raw.info_hash, "info_hash", plus, &mut hash)?;
    let info_hash =
        hash.get(..length).and_then(AnnouncedHash::from_bytes).ok_or(BadAnnounce::InfoHashLength(length))?;
    let mut peer_id = [0; 20];
    let length = required(raw.peer_id, "peer_id", plus, &mut peer_id)?;
    if length != 20 {
        return Err(BadAnnounce::PeerIdLength(length));
    }
    let mut port = [0; 24];
    let length = required(raw.port, "port", || Plus::Literal, &mut port)?;
    let bad_port = BadAnnounce::Invalid("invalid port: must be 1-65535");
    let port =
        port.get(..length).and_then(digits).and_then(|n| u16::try_from(n).ok()).filter(|port| *port != 0);
    let port = port.ok_or(bad_port)?;
    let counter = |value, text| match number(value) {
        Ok(n) => Ok(n),
        Err(()) => Err(BadAnnounce::Invalid(text)),
    };
    let uploaded = counter(raw.uploaded, "invalid uploaded: must be a non-negative integer")?.unwrap_or(0);
    let downloaded =
        counter(raw.downloaded, "invalid downloaded: must be a non-negative integer")?.unwrap_or(0);
    let left = counter(raw.left, "invalid left: must be a non-negative integer")?;
    let event = event(raw.event)?;
    let peers_wanted = peers_wanted(raw.numwant)?;
    let compact = match short(raw.compact).as_deref() {
        Ok(b"" | b"1") => true,
        Ok(b"0") => false,
        _ => return Err(BadAnnounce::Invalid("invalid compact: must be 0 or 1")),
    };
    let peer_id = PeerId(peer_id);
    let request =
        AnnounceRequest { info_hash, peer_id, port, uploaded, downloaded, left, event, peers_wanted };
    Ok(HttpAnnounce { request, compact, address: raw.addresses.iter().find_map(|value| address(value)) })
}

fn required(
    value: &[u8],
    key: &'static str,
    plus: impl Fn() -> Plus,
    out: &mut [u8],
) -> Result<usize, BadAnnounce> {
    if value.is_empty() {
        return Err(BadAnnounce::Missing(key));
    }
    query::decode_into(value, plus, out).map_err(|BadEscape| BadAnnounce::Escape(key))
}

/// A decoded value of at most 24 bytes; longer ones are nothing that any short key allows.
fn short(value: &[u8]) -> Result<Short, ()> {
    let mut bytes = [0; 24];
    let length = query::decode_into(value, || Plus::Literal, &mut bytes).map_err(|BadEscape| ())?;
    if length > bytes.len() {
        return Err(());
    }
    Ok(Short { bytes, length })
}

struct Short {
    bytes: [u8; 24],
    length: usize,
}

impl std::ops::Deref for Short {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// 1-20 ASCII digits that fit 64 bits.
fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        byte.is_ascii_digit().then_some(())?;
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// A counter, kept to 2^63-1; `None` when absent.
fn number(value: &[u8]) -> Result<Option<u64>, ()> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = short(value)?;
    digits(&text).map(|n| Some(n.min(i64::MAX as u64))).ok_or(())
}

fn event(value: &[u8]) -> Result<Event, BadAnnounce> {
    Ok(match short(value).as_deref() {
        Ok(b"" | b"empty") => Event::None,
        Ok(b"started") => Event::Started,
        Ok(b"completed") => Event::Completed,
        Ok(b"stopped") => Event::Stopped,
        Ok(b"paused") => Event::Paused,
        _ => return Err(BadAnnounce::Invalid("invalid event: must be started, stopped, or completed")),
    })
}

/// Any integer: negative asks for the default, large ones are cut by the tracker.
fn peers_wanted(value: &[u8]) -> Result<Option<u32>, BadAnnounce> {
    let bad = BadAnnounce::Invalid("invalid numwant: must be an integer");
    if value.is_empty() {
        return Ok(None);
    }
    let text = short(value).map_err(|()| bad)?;
    match text.strip_prefix(b"-") {
        Some(rest) => digits(rest).map(|_| None).ok_or(bad),
        None => digits(&text).map(|n| Some(u32::try_from(n).unwrap_or(u32::MAX))).ok_or(bad),
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    if value.is_empty() {
        return None;
    }
    let mut bytes = [0; 64];
    let length = query::decode_into(value, || Plus::Literal, &mut bytes).ok()?;
    let ip: IpAddr = std::str::from_utf8(bytes.get(..length)?).ok()?.parse().ok()?;
    let ip = ip.to_canonical();
    let unicast = match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    unicast.then_some(ip)
}

/// What every answer says about time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Seconds until the next announce.
    pub interval_s: u32,
    /// Seconds before which none is welcome.
    pub min_interval_s: u32,
}

/// Appends the answer to an announce: keys in raw byte order, `external ip` in 4 or 16 bytes (BEP 24), `peers6` only
/// when there are some (BEP 7).
pub fn write_announce(
    out: &mut Vec<u8>,
    response: &AnnounceResponse,
    pace: Pace,
    external: IpAddr,
    is_compact: bool,
) {
    out.extend_from_slice(b"d8:completei");
    push_number(out, response.complete.into());
    out.extend_from_slice(b"e11:external ip");
    match external {
        IpAddr::V4(ip) => push_bytes(out, &ip.octets()),
        IpAddr::V6(ip) => push_bytes(out, &ip.octets()),
    }
    out.extend_from_slice(b"10:incompletei");
    push_number(out, response.incomplete.into());
    out.push(b'e');
    push_pace(out, pace);
    out.extend_from_slice(b"5:peers");
    if is_compact {
        push_bytes(out, &response.peers4);
        if !response.peers6.is_empty() {
            out.extend_from_slice(b"6:peers6");
            push_bytes(out, &response.peers6);
        }
    } else {
        out.push(b'l');
        let v4 = compact::peers4(&response.peers4).map(|peer| (IpAddr::V4(*peer.ip()), peer.port()));
        let v6 = compact::peers6(&response.peers6).map(|peer| (IpAddr::V6(*peer.ip()), peer.port()));
        for (ip, port) in v4.chain(v6) {
            out.extend_from_slice(b"d2:ip");
            push_bytes(out, ip.to_string().as_bytes());
            out.extend_from_slice(b"4:porti");
            push_number(out, port.into());
            out.extend_from_slice(b"ee");
        }
        out.push(b'e');
    }
    out.push(b'e');
}

/// Appends a refusal. `retry_in`: minutes, or `never` (BEP 31).
pub fn write_failure(out: &mut Vec<u8>, reason: &[u8], pace: Pace, retry_in: Option<&str>) {
    out.extend_from_slice(b"d14:failure reason");
    push_bytes(out, reason);
    push_pace(out, pace);
    if let Some(retry_in) = retry_in {
        out.extend_from_slice(b"8:retry in");
        push_bytes(out, retry_in.as_bytes());
    }
    out.push(b'e');
}

/// The words for a refusal, and when to try again.
pub fn refusal_text(refusal: Refusal, scrape: bool) -> (&'static str, Option<&'static str>) {
    match refusal {
        Refusal::UnknownAddress => ("Invalid remote address", None),
        Refusal::RateLimited => ("Rate limit exceeded. Please slow down.", Some("1")),
        Refusal::Unauthorized => ("Unauthorized", None),
        Refusal::PasskeyMissing if scrape => {
            ("Unauthorized: Passkey required in path (/scrape/ID.SIG)", None)
        }
        Refusal::PasskeyMissing => ("Unauthorized: Passkey required in path (/announce/ID.SIG)", None),
        Refusal::Blocked => ("info_hash is blocked", Some("never")),
        Refusal::NotListed => ("torrent not authorized", None),
        Refusal::Unregistered => ("Unregistered torrent: info_hash not found in registry", None),
        Refusal::Full => ("Tracker is full", Some("10")),
    }
}

/// The hashes of a scrape, in the order they were sent; what is no hash is skipped.
pub fn scraped_hashes(query: &[u8]) -> impl Iterator<Item = AnnouncedHash> + '_ {
    query::pairs(query).filter(|(key, _)| *key == b"info_hash").filter_map(move |(_, value)| {
        let mut hash = [0; 32];
        let length = query::decode_into(value, || Plus::of(query), &mut hash).ok()?;
        AnnouncedHash::from_bytes(hash.get(..length)?)
    })
}

/// The `files` of a scrape's answer: sorted, each hash once. Used again and again.
#[derive(Debug, Default)]
pub struct ScrapeFiles(Vec<([u8; 32], u8, ScrapeStats)>);

impl ScrapeFiles {
    /// Adds a hash as it was sent.
    pub fn push(&mut self, hash: AnnouncedHash, stats: ScrapeStats) {
        let mut bytes = [0; 32];
        let length = match hash {
            AnnouncedHash::Short(key) => {
                bytes[..20].copy_from_slice(&key.0);
                20
            }
            AnnouncedHash::Full(hash) => {
                bytes = hash.0;
                32
            }
        };
        self.0.push((bytes, length, stats));
    }

    /// Appends the answer and forgets the files.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        self.0.sort_unstable_by(|a, b| a.0[..a.1 as usize].cmp(&b.0[..b.1 as usize]));
        self.0.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        out.extend_from_slice(b"d5:filesd");
        for (hash, length, stats) in self.0.drain(..) {
            push_bytes(out, &hash[..length as usize]);
            out.extend_from_slice(b"d8:completei");
            push_number(out, stats.complete.into());
            out.extend_from_slice(b"e10:downloadedi");
            push_number(out, stats.downloaded);
            out.extend_from_slice(b"e11:downloadersi");
            push_number(out, stats.downloaders.into());
            out.extend_from_slice(b"e10:incompletei");
            push_number(out, stats.incomplete.into());
            out.extend_from_slice(b"ee");
        }
        out.extend_from_slice(b"ee");
    }
}

fn push_pace(out: &mut Vec<u8>, pace: Pace) {
    out.extend_from_slice(b"8:intervali");
    push_number(out, pace.interval_s.into());
    out.extend_from_slice(b"e12:min intervali");
    push_number(out, pace.min_interval_s.into());
    out.push(b'e');
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.push(b':');
    out.extend_from_slice(bytes);
}

/// Decimal digits, without the machinery of `format!`.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
