//! UDP tracker packets (BEP 15) with options (BEP 41), both directions. All integers big-endian.

use super::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, Refusal, ScrapeStats};
use crate::base::limits::{UDP_SCRAPE_HASHES_MAX, UDP_URL_DATA_BYTES_MAX};
use crate::base::{PeerId, SwarmKey};
use std::net::Ipv4Addr;

/// What a connect carries in place of a connection id.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

/// The values of the action field.
pub mod action {
    /// Ask for a connection id.
    pub const CONNECT: u32 = 0;
    /// Announce.
    pub const ANNOUNCE: u32 = 1;
    /// Scrape.
    pub const SCRAPE: u32 = 2;
    /// An error, in answers only.
    pub const ERROR: u32 = 3;
}

/// The first 16 bytes of every request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preamble {
    /// Offset 0.
    pub connection_id: u64,
    /// Offset 8; see `action`.
    pub action: u32,
    /// Offset 12; echoed.
    pub transaction: u32,
}

/// The family whose peers an answer carries: that of the datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressFamily {
    /// 6 bytes a peer.
    V4,
    /// 18 bytes a peer.
    V6,
}

/// Why the rest of a verified packet cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadPacket {
    /// An announce of less than 98 bytes.
    Short,
    /// An announced port of 0.
    PortZero,
    /// A scrape of less than 36 bytes.
    NoHashes,
}

impl BadPacket {
    /// The message of the error packet.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Short => "invalid packet size",
            Self::PortZero => "port cannot be 0",
            Self::NoHashes => "no info hashes provided",
        }
    }
}

/// An announce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpAnnounce<'a> {
    /// What both wires share.
    pub request: AnnounceRequest,
    /// Offset 84: an address the client claims; ignored but with TRUST_IP_PARAM.
    pub address_field: Ipv4Addr,
    /// Everything from offset 98 (BEP 41).
    pub options: &'a [u8],
}

/// Reads the first 16 bytes; `None` when there are fewer.
#[inline]
pub fn parse_preamble(datagram: &[u8]) -> Option<Preamble> {
    let (connection_id, rest) = datagram.split_first_chunk::<8>()?;
    let (action, rest) = rest.split_first_chunk::<4>()?;
    let transaction = rest.first_chunk::<4>()?;
    Some(Preamble {
        connection_id: u64::from_be_bytes(*connection_id),
        action: u32::from_be_bytes(*action),
        transaction: u32::from_be_bytes(*transaction),
    })
}

/// Reads an announce whose connection id has been verified. Longer packets are valid.
pub fn parse_announce(datagram: &[u8]) -> Result<UdpAnnounce<'_>, BadPacket> {
    let (fixed, options) = datagram.split_first_chunk::<98>().ok_or(BadPacket::Short)?;
    let port = u16::from_be_bytes([fixed[96], fixed[97]]);
    if port == 0 {
        return Err(BadPacket::PortZero);
    }
    let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| fixed[at + i]));
    let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| fixed[at + i]));
    let left = u64_at(64);
    let request = AnnounceRequest {
        info_hash: AnnouncedHash::Short(SwarmKey(std::array::from_fn(|i| fixed[16 + i]))),
        peer_id: PeerId(std::array::from_fn(|i| fixed[36 + i])),
        port,
        uploaded: u64_at(72).min(COUNTER_MAX),
        downloaded: u64_at(56).min(COUNTER_MAX),
        left: (left != u64::MAX).then(|| left.min(COUNTER_MAX)),
        event: event_from(u32_at(80)),
        peers_wanted: Some(u32_at(92)).filter(|wanted| !matches!(*wanted, 0 | u32::MAX)),
    };
    Ok(UdpAnnounce { request, address_field: Ipv4Addr::from(u32_at(84)), options })
}

/// Collects the URL data (path and query) of BEP 41 options. What cannot be read ends it; it is never an error.
pub fn url_data(options: &[u8], out: &mut Vec<u8>) {
    let mut rest = options;
    while let Some((kind, after)) = rest.split_first() {
        match kind {
            0 => return,
            1 => rest = after,
            _ => {
                let Some((length, after)) = after.split_first() else { return };
                let Some((data, after)) = after.split_at_checked(*length as usize) else { return };
                if *kind == 2 {
                    let room = UDP_URL_DATA_BYTES_MAX.saturating_sub(out.len());
                    out.extend_from_slice(&data[..data.len().min(room)]);
                }
                rest = after;
            }
        }
    }
}

/// The same where it is, if it stands in one option and nothing but padding follows: that is how clients send it.
#[inline]
pub fn url_data_at_once(options: &[u8]) -> Option<&[u8]> {
    let [2, length, after @ ..] = options else { return None };
    let (data, after) = after.split_at_checked(*length as usize)?;
    matches!(after, [] | [0, ..]).then_some(data)
}

/// The hashes of a scrape whose connection id has been verified; the first 74.
pub fn parse_scrape(datagram: &[u8]) -> Result<impl Iterator<Item = SwarmKey> + '_, BadPacket> {
    let hashes = datagram.get(16..).unwrap_or_default().as_chunks::<20>().0;
    if hashes.is_empty() {
        return Err(BadPacket::NoHashes);
    }
    Ok(hashes.iter().take(UDP_SCRAPE_HASHES_MAX).map(|hash| SwarmKey(*hash)))
}

/// Appends the answer to a connect: 16 bytes.
pub fn write_connect(out: &mut Vec<u8>, transaction: u32, connection_id: u64) {
    begin(out, action::CONNECT, transaction);
    out.extend_from_slice(&connection_id.to_be_bytes());
}

/// Appends the answer to an announce: 20 bytes, then the peers of `family`.
pub fn write_announce(
    out: &mut Vec<u8>,
    transaction: u32,
    interval_s: u32,
    response: &AnnounceResponse,
    family: AddressFamily,
) {
    begin(out, action::ANNOUNCE, transaction);
    out.extend_from_slice(&interval_s.to_be_bytes());
    out.extend_from_slice(&response.incomplete.to_be_bytes());
    out.extend_from_slice(&response.complete.to_be_bytes());
    out.extend_from_slice(match family {
        AddressFamily::V4 => &response.peers4,
        AddressFamily::V6 => &response.peers6,
    });
}

/// Appends the beginning of the answer to a scrape: 8 bytes.
pub fn begin_scrape(out: &mut Vec<u8>, transaction: u32) {
    begin(out, action::SCRAPE, transaction);
}

/// Appends one entry of the answer to a scrape: 12 bytes.
pub fn push_scrape(out: &mut Vec<u8>, stats: &ScrapeStats) {
    let completed = u32::try_from(stats.downloaded).unwrap_or(u32::MAX);
    for count in [stats.complete, completed, stats.incomplete] {
        out.extend_from_slice(&count.to_be_bytes());
    }
}

/// Appends an error; cut to `bytes_max` for a source that has not proved its address.
pub fn write_error(out: &mut Vec<u8>, transaction: u32, text: &str, bytes_max: Option<usize>) {
    let start = out.len();
    begin(out, action::ERROR, transaction);
    out.extend_from_slice(text.as_bytes());
    if let Some(bytes_max) = bytes_max {
        out.truncate(start + bytes_max);
    }
}

/// The words for a refusal.
pub fn refusal_text(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownAddress => "invalid remote address",
        Refusal::RateLimited => "rate limit exceeded, try again later",
        Refusal::Unauthorized => "Unauthorized",
        Refusal::PasskeyMissing => "Unauthorized: Passkey required in path (/announce/ID.SIG)",
        Refusal::Blocked => "info_hash is blocked",
        Refusal::NotListed => "torrent not authorized",
        Refusal::Unregistered => "Unregistered torrent: info_hash not found in registry",
        Refusal::Full => "Tracker is full",
    }
}

/// Appends a connect: 16 bytes.
pub fn write_connect_request(out: &mut Vec<u8>, transaction: u32) {
    out.extend_from_slice(&PROTOCOL_ID.to_be_bytes());
    begin(out, action::CONNECT, transaction);
}

fn begin(out: &mut Vec<u8>, action: u32, transaction: u32) {
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
}

fn event_from(event: u32) -> Event {
    match event {
        1 => Event::Completed,
        2 => Event::Started,
        3 => Event::Stopped,
        4 => Event::Paused,
        _ => Event::None,
    }
}

const COUNTER_MAX: u64 = i64::MAX as u64;
