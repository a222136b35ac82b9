//! The client's side of both tracker wires (BEP 3, 7, 15, 23, 24, 31, 41, 48): what `wl`, the load generator and the
//! tests write and read. It takes what any tracker may say, not only what ours does.

use super::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event, ScrapeStats};
use super::bencode::{self, Form, Limits, Value};
use super::http_tracker::{HttpAnnounce, push_number};
use super::udp_tracker::action;
use crate::base::SwarmKey;
use std::net::{IpAddr, Ipv4Addr};

/// Who announces, as far as only the client's side needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The address to be listed under; 0.0.0.0 means the one the packet comes from.
    pub address: Ipv4Addr,
    /// Tells the client from others behind one address, and stays the same when its address changes.
    pub key: u32,
}

/// Appends a UDP announce: 98 bytes, the sender's address at 84 and its key at 88.
pub fn write_udp_announce(
    out: &mut Vec<u8>,
    connection_id: u64,
    transaction: u32,
    request: &AnnounceRequest,
    sender: Sender,
) {
    begin_udp(out, connection_id, action::ANNOUNCE, transaction);
    out.extend_from_slice(&request.info_hash.key().0);
    out.extend_from_slice(&request.peer_id.0);
    for counter in [request.downloaded, request.left.unwrap_or(u64::MAX), request.uploaded] {
        out.extend_from_slice(&counter.to_be_bytes());
    }
    let event: u32 = match request.event {
        Event::None => 0,
        Event::Completed => 1,
        Event::Started => 2,
        Event::Stopped => 3,
        Event::Paused => 4,
    };
    out.extend_from_slice(&event.to_be_bytes());
    out.extend_from_slice(&sender.address.octets());
    out.extend_from_slice(&sender.key.to_be_bytes());
    out.extend_from_slice(&request.peers_wanted.unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&request.port.to_be_bytes());
}

/// Appends the path and query of the announce URL to a UDP announce, as BEP 41 options of at most 255 bytes each.
pub fn write_url_data(out: &mut Vec<u8>, path_and_query: &[u8]) {
    for part in path_and_query.chunks(255) {
        out.extend_from_slice(&[2, part.len() as u8]);
        out.extend_from_slice(part);
    }
}

/// Appends a UDP scrape: 16 bytes and 20 for each key. A tracker answers the first 74.
pub fn write_udp_scrape(out: &mut Vec<u8>, connection_id: u64, transaction: u32, keys: &[SwarmKey]) {
    begin_udp(out, connection_id, action::SCRAPE, transaction);
    keys.iter().for_each(|key| out.extend_from_slice(&key.0));
}

fn begin_udp(out: &mut Vec<u8>, connection_id: u64, action: u32, transaction: u32) {
    out.extend_from_slice(&connection_id.to_be_bytes());
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.to_be_bytes());
}

/// What a UDP tracker answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UdpReply<'a> {
    /// To a connect.
    Connect {
        /// To be sent with every other request, for up to two minutes.
        connection_id: u64,
    },
    /// To an announce.
    Announce {
        /// Seconds until the next one.
        interval_s: u32,
        /// Leechers.
        incomplete: u32,
        /// Seeders.
        complete: u32,
        /// 6 bytes a peer over IPv4, 18 over IPv6; see `compact`.
        peers: &'a [u8],
    },
    /// To a scrape: 12 bytes a hash, in the order asked; see `scraped`.
    Scrape(&'a [u8]),
    /// To any of them; the text.
    Error(&'a [u8]),
}

/// An answer that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadReply;

/// Reads a UDP answer: its transaction id and the rest.
pub fn parse_udp_reply(datagram: &[u8]) -> Result<(u32, UdpReply<'_>), BadReply> {
    let (action, rest) = split_u32(datagram)?;
    let (transaction, rest) = split_u32(rest)?;
    let reply = match action {
        action::CONNECT => {
            let id = rest.first_chunk::<8>().ok_or(BadReply)?;
            UdpReply::Connect { connection_id: u64::from_be_bytes(*id) }
        }
        action::ANNOUNCE => {
            let (interval_s, rest) = split_u32(rest)?;
            let (incomplete, rest) = split_u32(rest)?;
            let (complete, peers) = split_u32(rest)?;
            UdpReply::Announce { interval_s, incomplete, complete, peers }
        }
        action::SCRAPE => UdpReply::Scrape(rest),
        action::ERROR => UdpReply::Error(rest),
        _ => return Err(BadReply),
    };
    Ok((transaction, reply))
}

fn split_u32(bytes: &[u8]) -> Result<(u32, &[u8]), BadReply> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(BadReply)?;
    Ok((u32::from_be_bytes(*number), rest))
}

/// All whole entries of a UDP scrape's answer. UDP does not tell partial seeds from other leechers.
pub fn scraped(entries: &[u8]) -> impl Iterator<Item = ScrapeStats> + '_ {
    entries.as_chunks::<12>().0.iter().map(|entry| {
        let count = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| entry[at + i]));
        let incomplete = count(8);
        ScrapeStats { complete: count(0), downloaded: count(4).into(), incomplete, downloaders: incomplete }
    })
}

/// Appends the query of an HTTP announce, without the `?`.
pub fn write_announce_query(out: &mut Vec<u8>, announce: &HttpAnnounce) {
    let request = &announce.request;
    push_hash(out, &request.info_hash);
    out.extend_from_slice(b"&peer_id=");
    push_escaped(out, &request.peer_id.0);
    let numbers = [
        ("port", Some(request.port.into())),
        ("uploaded", Some(request.uploaded)),
        ("downloaded", Some(request.downloaded)),
        ("left", request.left),
        ("compact", Some(announce.compact.into())),
        ("numwant", request.peers_wanted.map(u64::from)),
    ];
    for (key, number) in numbers {
        let Some(number) = number else { continue };
        push_key(out, key);
        push_number(out, number);
    }
    let event = match request.event {
        Event::None => None,
        Event::Started => Some("started"),
        Event::Completed => Some("completed"),
        Event::Stopped => Some("stopped"),
        Event::Paused => Some("paused"),
    };
    if let Some(event) = event {
        push_key(out, "event");
        out.extend_from_slice(event.as_bytes());
    }
    if let Some(address) = announce.address {
        push_key(out, "ip");
        push_escaped(out, address.to_string().as_bytes());
    }
}

/// Appends the key of an HTTP announce, 8 hex digits, with the `&` before it.
pub fn write_announce_key(out: &mut Vec<u8>, key: u32) {
    push_key(out, "key");
    out.extend_from_slice(data_encoding::HEXUPPER.encode(&key.to_be_bytes()).as_bytes());
}

/// Appends the query of an HTTP scrape, without the `?`.
pub fn write_scrape_query(out: &mut Vec<u8>, hashes: &[AnnouncedHash]) {
    for (at, hash) in hashes.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        push_hash(out, hash);
    }
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    out.push(b'&');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
}

fn push_hash(out: &mut Vec<u8>, hash: &AnnouncedHash) {
    out.extend_from_slice(b"info_hash=");
    match hash {
        AnnouncedHash::Short(key) => push_escaped(out, &key.0),
        AnnouncedHash::Full(hash) => push_escaped(out, &hash.0),
    }
}

/// Percent-encodes all but the unreserved bytes of RFC 3986: a space is `%20`, a plus `%2B`, so nobody has to guess.
pub fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// What an HTTP tracker answered to an announce.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpReply {
    /// Peers and counts.
    Served {
        /// Counts and compact peers, whichever form they came in. What is no address is left out.
        response: AnnounceResponse,
        /// Seconds until the next announce.
        interval_s: u32,
        /// Seconds before which none is welcome, if the tracker says so.
        min_interval_s: Option<u32>,
        /// `external ip` (BEP 24).
        external: Option<IpAddr>,
        /// `warning message`: what a person should know although the announce was served.
        warning: Option<Vec<u8>>,
    },
    /// A refusal.
    Failed {
        /// `failure reason`
        reason: Vec<u8>,
        /// `retry in`: minutes, or `never` (BEP 31).
        retry_in: Option<Vec<u8>>,
    },
}

/// Reads the answer to an HTTP announce.
pub fn parse_announce_reply(body: &[u8]) -> Result<HttpReply, BadReply> {
    let reply = bencode::parse(body, &Limits::TRACKER_RESPONSE, Form::Tolerant).map_err(|_| BadReply)?;
    let bytes = |key: &[u8]| reply.get(key).and_then(|value| value.as_bytes());
    if let Some(reason) = bytes(b"failure reason") {
        let retry_in = bytes(b"retry in").map(<[u8]>::to_vec);
        return Ok(HttpReply::Failed { reason: reason.to_vec(), retry_in });
    }
    let count = |key: &[u8]| reply.get(key).and_then(|value| value.as_int()).map(clamp);
    let interval_s = count(b"interval").ok_or(BadReply)?;
    let mut response = AnnounceResponse {
        complete: count(b"complete").unwrap_or(0),
        incomplete: count(b"incomplete").unwrap_or(0),
        ..AnnounceResponse::default()
    };
    match reply.get(b"peers") {
        None => {}
        Some(peers) => match (peers.as_bytes(), peers.as_list()) {
            (Some(compact), _) if compact.len().is_multiple_of(6) => {
                response.peers4.extend_from_slice(compact);
            }
            (None, Some(list)) => list.for_each(|peer| push_peer(&mut response, &peer)),
            _ => return Err(BadReply),
        },
    }
    match bytes(b"peers6") {
        None => {}
        Some(compact) if compact.len().is_multiple_of(18) => response.peers6.extend_from_slice(compact),
        Some(_) => return Err(BadReply),
    }
    let external = bytes(b"external ip").and_then(|ip| match ip.len() {
        4 => <[u8; 4]>::try_from(ip).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(ip).ok().map(IpAddr::from),
    });
    Ok(HttpReply::Served {
        response,
        interval_s,
        min_interval_s: count(b"min interval"),
        external,
        warning: bytes(b"warning message").map(<[u8]>::to_vec),
    })
}

/// One peer of the long form. Host names are left out: nothing here resolves them.
fn push_peer(response: &mut AnnounceResponse, peer: &Value<'_>) {
    let text = peer.get(b"ip").and_then(|ip| std::str::from_utf8(ip.as_bytes()?).ok());
    let port = peer.get(b"port").and_then(|port| u16::try_from(port.as_int()?).ok());
    let (Some(ip), Some(port)) = (text.and_then(|text| text.parse::<IpAddr>().ok()), port) else { return };
    let port = port.to_be_bytes();
    match ip {
        IpAddr::V4(ip) => response.peers4.extend_from_slice(&[&ip.octets()[..], &port].concat()),
        IpAddr::V6(ip) => response.peers6.extend_from_slice(&[&ip.octets()[..], &port].concat()),
    }
}

/// Reads the answer to an HTTP scrape: the hashes it knows, in the order it names them. A refusal is `Err` too: its
/// reason is found by `parse_announce_reply`.
pub fn parse_scrape_reply(body: &[u8]) -> Result<Vec<(AnnouncedHash, ScrapeStats)>, BadReply> {
    let reply = bencode::parse(body, &Limits::TRACKER_RESPONSE, Form::Tolerant).map_err(|_| BadReply)?;
    let files = reply.get(b"files").and_then(|files| files.as_dict()).ok_or(BadReply)?;
    let files = files.filter_map(|(hash, stats)| {
        let count = |key: &[u8]| stats.get(key).and_then(|value| value.as_int());
        let incomplete = clamp(count(b"incomplete").unwrap_or(0));
        let stats = ScrapeStats {
            complete: clamp(count(b"complete").unwrap_or(0)),
            downloaded: count(b"downloaded").unwrap_or(0).max(0).unsigned_abs(),
            incomplete,
            downloaders: count(b"downloaders").map_or(incomplete, clamp),
        };
        Some((AnnouncedHash::from_bytes(hash)?, stats))
    });
    Ok(files.collect())
}

fn clamp(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}
