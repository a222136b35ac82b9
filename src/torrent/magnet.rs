//! Magnet links (BEP 9, BEP 52, BEP 53): what names a torrent in one line of text.
//!
//! Links come from web pages and chats, so reading drops what it does not understand and only insists on an info hash.

use super::about::{TRACKERS_MAX, WEB_SEEDS_MAX, is_tracker, is_web_seed};
use crate::base::{InfoHashes, V1Hash, V2Hash};
use data_encoding::BASE32;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use std::fmt;
use std::net::SocketAddr;

/// Longest link read, in bytes.
pub const LINK_BYTES_MAX: usize = 64 * 1024;
/// Most `x.pe` peers taken from one link.
pub const PEERS_MAX: usize = 100;
/// Most ranges of a file selection.
const RANGES_MAX: usize = 4096;

/// A magnet link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// The hashes named by `xt`.
    pub hashes: InfoHashes,
    /// `dn`, for display only.
    pub name: Option<String>,
    /// `tr`, each its own tier.
    pub trackers: Vec<String>,
    /// `ws`.
    pub web_seeds: Vec<String>,
    /// `x.pe`, addresses only.
    pub peers: Vec<SocketAddr>,
    /// `so` (BEP 53).
    pub select: Select,
}

/// Which files a link asks for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Select {
    /// No selection.
    #[default]
    All,
    /// First and last index of each range, indexes counting files without pads.
    Ranges(Vec<(u32, u32)>),
    /// A selection nobody can read: worth a warning, otherwise as `All`.
    Unreadable,
}

/// Why a text is not a usable magnet link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadMagnet {
    /// Another scheme, or too long.
    NotAMagnet,
    /// A `btih` that is neither 40 hex nor 32 base32 digits.
    InvalidV1,
    /// A multihash other than SHA-256, or broken.
    UnsupportedHash,
    /// No usable `xt`.
    NoInfoHash,
    /// Two different hashes of one kind.
    TwoHashes,
}

impl fmt::Display for BadMagnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAMagnet => "not a magnet link",
            Self::InvalidV1 => "invalid v1 info hash",
            Self::UnsupportedHash => "unsupported hash",
            Self::NoInfoHash => "magnet link has no info hash",
            Self::TwoHashes => "magnet link names two torrents",
        })
    }
}

impl std::error::Error for BadMagnet {}

impl Magnet {
    /// A link with hashes only.
    pub fn new(hashes: InfoHashes) -> Self {
        let (trackers, web_seeds, peers) = (Vec::new(), Vec::new(), Vec::new());
        Self { hashes, name: None, trackers, web_seeds, peers, select: Select::All }
    }

    /// Reads a link.
    pub fn parse(link: &str) -> Result<Self, BadMagnet> {
        let query = link
            .get(..8)
            .filter(|scheme| scheme.eq_ignore_ascii_case("magnet:?") && link.len() <= LINK_BYTES_MAX)
            .and_then(|_| link.get(8..))
            .ok_or(BadMagnet::NotAMagnet)?;
        let mut found = Found::default();
        for part in query.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            found.parameter(&plain_name(name), value)?;
        }
        found.finish()
    }
}

impl fmt::Display for Magnet {
    /// Writes `xt`, `dn`, `tr` and `ws`, in that order, values percent-encoded. Peers and selections are not written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("magnet:?")?;
        if let Some(v1) = self.hashes.v1() {
            write!(f, "xt=urn:btih:{v1}")?;
        }
        if let Some(v2) = self.hashes.v2() {
            let and = if self.hashes.v1().is_some() { "&" } else { "" };
            write!(f, "{and}xt=urn:btmh:1220{v2}")?;
        }
        for (key, values) in [
            ("dn", self.name.as_slice()),
            ("tr", self.trackers.as_slice()),
            ("ws", self.web_seeds.as_slice()),
        ] {
            for value in values {
                write!(f, "&{key}={}", utf8_percent_encode(value, RESERVED))?;
            }
        }
        Ok(())
    }
}

/// All but the unreserved bytes of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A parameter's name in lower case without its number: `tr.1` is `tr`, `x.pe` stays.
fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((front, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            front.into()
        }
        _ => name,
    }
}

#[derive(Default)]
struct Found {
    v1: Option<V1Hash>,
    v2: Option<V2Hash>,
    name: Option<String>,
    trackers: Vec<String>,
    web_seeds: Vec<String>,
    peers: Vec<SocketAddr>,
    select: Select,
}

impl Found {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), BadMagnet> {
        let Some(text) = decode(value) else {
            return if name == "xt" { self.topic(value) } else { Ok(()) };
        };
        match name {
            "xt" => self.topic(&text)?,
            // Spaces are written as `+` by some makers of links, in the name only.
            "dn" if self.name.is_none() => self.name = decode(&value.replace('+', "%20")),
            "tr" if self.trackers.len() < TRACKERS_MAX && is_tracker(&text) => self.trackers.push(text),
            "ws" if self.web_seeds.len() < WEB_SEEDS_MAX && is_web_seed(&text) => self.web_seeds.push(text),
            "x.pe" if self.peers.len() < PEERS_MAX => self.peers.extend(text.parse::<SocketAddr>()),
            "so" => self.select = ranges(&text).map_or(Select::Unreadable, Select::Ranges),
            _ => {}
        }
        Ok(())
    }

    fn topic(&mut self, topic: &str) -> Result<(), BadMagnet> {
        if let Some(text) = strip_prefix_ignoring_case(topic, "urn:btih:") {
            let hash = v1(text).ok_or(BadMagnet::InvalidV1)?;
            return if self.v1.replace(hash).is_none_or(|old| old == hash) {
                Ok(())
            } else {
                Err(BadMagnet::TwoHashes)
            };
        }
        if let Some(text) = strip_prefix_ignoring_case(topic, "urn:btmh:") {
            let hash = text.strip_prefix("1220").and_then(|hex| V2Hash::from_hex(hex.as_bytes()));
            let hash = hash.ok_or(BadMagnet::UnsupportedHash)?;
            return if self.v2.replace(hash).is_none_or(|old| old == hash) {
                Ok(())
            } else {
                Err(BadMagnet::TwoHashes)
            };
        }
        Ok(())
    }

    fn finish(self) -> Result<Magnet, BadMagnet> {
        let hashes = match (self.v1, self.v2) {
            (Some(v1), Some(v2)) => InfoHashes::Hybrid(v1, v2),
            (Some(v1), None) => InfoHashes::V1(v1),
            (None, Some(v2)) => InfoHashes::V2(v2),
            (None, None) => return Err(BadMagnet::NoInfoHash),
        };
        let Self { name, trackers, web_seeds, peers, select, .. } = self;
        Ok(Magnet { hashes, name, trackers, web_seeds, peers, select })
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len()).filter(|front| front.eq_ignore_ascii_case(prefix))?;
    text.get(prefix.len()..)
}

/// 40 hex or 32 base32 digits of either case.
fn v1(text: &str) -> Option<V1Hash> {
    V1Hash::from_hex(text.as_bytes()).or_else(|| {
        let bytes = BASE32.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        Some(V1Hash(bytes.try_into().ok()?))
    })
}

/// Percent-decodes a value; `None` for a broken escape or bytes that are not UTF-8.
fn decode(value: &str) -> Option<String> {
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|&b| b == b'%') {
        if !rest.get(at + 1..at + 3)?.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = rest.get(at + 3..)?;
    }
    percent_decode(value.as_bytes()).decode_utf8().ok().map(|text| text.into_owned())
}

/// `0,2,4-6`.
fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let mut ranges = Vec::new();
    for part in text.split(',').take(RANGES_MAX) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        ranges.push((first, last));
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "efb5faac75b001de8b0472d25a0681503dde90f0";
    const V2: &str = "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7";

    #[test]
    fn a_link_is_written_and_read_back() {
        let mut magnet = Magnet::parse(&format!("magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}")).unwrap();
        magnet.name = Some("a b&é".into());
        magnet.trackers = vec!["http://localhost:8080/announce".into(), "udp://h:1".into()];
        magnet.web_seeds = vec!["http://h/f.bin".into()];
        let text = magnet.to_string();
        assert_eq!(
            text,
            format!(
                "magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}&dn=a%20b%26%C3%A9\
                 &tr=http%3A%2F%2Flocalhost%3A8080%2Fannounce&tr=udp%3A%2F%2Fh%3A1&ws=http%3A%2F%2Fh%2Ff.bin"
            )
        );
        assert_eq!(Magnet::parse(&text), Ok(magnet));
    }

    #[test]
    fn old_and_odd_forms_are_read() {
        let base32 = Magnet::parse("MAGNET:?XT=urn:btih:5627vldvwaa55cyeolJFUBUBKA655EHQ&dn=a+b").unwrap();
        assert_eq!(base32.hashes, InfoHashes::V1(V1Hash::from_hex(V1.as_bytes()).unwrap()));
        assert_eq!(base32.name.as_deref(), Some("a b"));
        let odd = format!(
            "magnet:?xt.1=urn:btih:{V1}&xt=urn:sha1:x&tr.1=http://a&tr.2=wss://b&tr=udp://c%zz&x.pe=1.2.3.4:5\
             &x.pe=[::1]:6&x.pe=host:7&so=0,2,4-6&unknown=1"
        );
        let odd = Magnet::parse(&odd).unwrap();
        assert_eq!(odd.trackers, ["http://a"]);
        assert_eq!(odd.peers.len(), 2);
        assert_eq!(odd.select, Select::Ranges(vec![(0, 0), (2, 2), (4, 6)]));
        let unreadable = Magnet::parse(&format!("magnet:?xt=urn:btih:{V1}&so=3-1")).unwrap();
        assert_eq!(unreadable.select, Select::Unreadable);
    }

    #[test]
    fn links_without_a_usable_hash_are_refused() {
        let other = V1.replace('e', "f");
        for (link, why) in [
            ("http://x".to_string(), BadMagnet::NotAMagnet),
            ("magnet:?".to_string(), BadMagnet::NoInfoHash),
            ("magnet:?xt=urn:btih:efb5".to_string(), BadMagnet::InvalidV1),
            (format!("magnet:?xt=urn:btih:{V1}%z"), BadMagnet::InvalidV1),
            (format!("magnet:?xt=urn:btmh:1114{V1}"), BadMagnet::UnsupportedHash),
            (format!("magnet:?xt=urn:btih:{V1}&xt=urn:btih:{other}"), BadMagnet::TwoHashes),
            (format!("magnet:?xt=urn:btih:{V1}&dn={}", "a".repeat(LINK_BYTES_MAX)), BadMagnet::NotAMagnet),
        ] {
            assert_eq!(Magnet::parse(&link), Err(why), "{}", &link[..link.len().min(99)]);
        }
    }
}
