//! The extension handshake (BEP 10), and the messages of `ut_metadata` (BEP 9) and `ut_pex` (BEP 11).
//!
//! All are payloads behind the extended id: bencode within the bounds for peers' messages, written canonically, read
//! in any order. A field out of its range counts as absent, so that a peer with one odd field is still a peer.

use super::limits::{CLIENT_CHARS_MAX, METADATA_BYTES_MAX, REQUESTS_WAITING};
use std::net::{IpAddr, SocketAddr};
use weightless::wire::bencode::{Form, Limits, Value, Writer, parse_prefix};
use weightless::wire::compact::{peers4, peers6};

/// The number of the extension handshake.
pub const HELLO_ID: u8 = 0;
/// The number under which we take `ut_metadata`.
pub const OUR_METADATA_ID: u8 = 1;
/// The number under which we take `ut_pex`.
pub const OUR_PEX_ID: u8 = 2;

/// What a peer's extension handshakes have told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The number under which it takes `ut_metadata`; 0: it does not.
    pub metadata_id: u8,
    /// The number under which it takes `ut_pex`; 0: it does not.
    pub pex_id: u8,
    /// Bytes of the info dictionary it can give, 1 to 64 MiB.
    pub metadata_size: Option<u32>,
    /// Where it listens.
    pub port: Option<u16>,
    /// How many requests it lets wait.
    pub reqq: Option<u32>,
    /// It will not ask for pieces (BEP 21).
    pub upload_only: bool,
    /// What it calls itself, safe for a terminal.
    pub client: String,
    /// Our address as it sees it.
    pub your_ip: Option<IpAddr>,
}

/// One extension handshake. Fields it does not carry are `None` and change nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelloUpdate {
    /// See [`Hello::metadata_id`]; 0 switches it off.
    pub metadata_id: Option<u8>,
    /// See [`Hello::pex_id`]; 0 switches it off.
    pub pex_id: Option<u8>,
    /// See [`Hello::metadata_size`].
    pub metadata_size: Option<u32>,
    /// See [`Hello::port`].
    pub port: Option<u16>,
    /// See [`Hello::reqq`].
    pub reqq: Option<u32>,
    /// See [`Hello::upload_only`].
    pub upload_only: Option<bool>,
    /// See [`Hello::client`].
    pub client: Option<String>,
    /// See [`Hello::your_ip`].
    pub your_ip: Option<IpAddr>,
}

/// What our extension handshake says; `reqq` and `v` are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnHello {
    /// Whether `ut_metadata` is spoken: not for small files, which have none.
    pub metadata: bool,
    /// Whether `ut_pex` is spoken: never for a private torrent.
    pub pex: bool,
    /// Bytes of the info dictionary, once it is known.
    pub metadata_size: Option<u32>,
    /// Where we listen.
    pub port: Option<u16>,
    /// Everything is here: `upload_only`.
    pub complete: bool,
    /// The address of the peer as we see it.
    pub your_ip: Option<IpAddr>,
}

impl Hello {
    /// Takes a later handshake: it adds to what is known.
    pub fn apply(&mut self, update: HelloUpdate) {
        self.metadata_id = update.metadata_id.unwrap_or(self.metadata_id);
        self.pex_id = update.pex_id.unwrap_or(self.pex_id);
        self.metadata_size = update.metadata_size.or(self.metadata_size);
        self.port = update.port.or(self.port);
        self.reqq = update.reqq.or(self.reqq);
        self.upload_only = update.upload_only.unwrap_or(self.upload_only);
        self.your_ip = update.your_ip.or(self.your_ip);
        if let Some(client) = update.client {
            self.client = client;
        }
    }
}

/// Appends the payload of our extension handshake.
pub fn write_hello(out: &mut Vec<u8>, hello: &OwnHello) {
    let mut writer = Writer::new();
    writer.dict().bytes(b"m").dict();
    if hello.metadata {
        writer.bytes(b"ut_metadata").int(OUR_METADATA_ID.into());
    }
    if hello.pex {
        writer.bytes(b"ut_pex").int(OUR_PEX_ID.into());
    }
    writer.end();
    if let Some(size) = hello.metadata_size.filter(|_| hello.metadata) {
        writer.bytes(b"metadata_size").int(size.into());
    }
    if let Some(port) = hello.port {
        writer.bytes(b"p").int(port.into());
    }
    writer.bytes(b"reqq").int(REQUESTS_WAITING.into());
    if hello.complete {
        writer.bytes(b"upload_only").int(1);
    }
    writer.bytes(b"v").bytes(CLIENT);
    match hello.your_ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => _ = writer.bytes(b"yourip").bytes(&ip.octets()),
        Some(IpAddr::V6(ip)) => _ = writer.bytes(b"yourip").bytes(&ip.octets()),
        None => {}
    }
    writer.end();
    out.extend(writer.finish());
}

/// Reads an extension handshake. `None`: no dictionary within the bounds of a peer's message; the connection is closed.
pub fn parse_hello(payload: &[u8]) -> Option<HelloUpdate> {
    let (dict, _) = dictionary(payload)?;
    let [m, metadata_size, port, reqq, upload_only, client, your_ip] =
        dict.pick([b"m", b"metadata_size", b"p", b"reqq", b"upload_only", b"v", b"yourip"]);
    let [metadata_id, pex_id] = m.map_or([None; 2], |m| m.pick([b"ut_metadata", b"ut_pex"]));
    let int = |value: Option<Value<'_>>| value.and_then(|value| value.as_int());
    Some(HelloUpdate {
        metadata_id: int(metadata_id).and_then(|id| id.try_into().ok()),
        pex_id: int(pex_id).and_then(|id| id.try_into().ok()),
        metadata_size: int(metadata_size)
            .and_then(|size| size.try_into().ok())
            .filter(|size| (1..=METADATA_BYTES_MAX).contains(size)),
        port: int(port).and_then(|port| port.try_into().ok()).filter(|port| *port != 0),
        reqq: int(reqq).filter(|reqq| *reqq > 0).map(|reqq| reqq.try_into().unwrap_or(u32::MAX)),
        upload_only: int(upload_only).map(|flag| flag != 0),
        client: client.and_then(|client| client.as_bytes()).map(client_name),
        your_ip: your_ip.and_then(|ip| ip.as_bytes()).and_then(address),
    })
}

/// A message of `ut_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataMessage<'a> {
    /// Asks for a piece of 16 KiB.
    Request {
        /// Which one.
        piece: u32,
    },
    /// Brings one.
    Data {
        /// Which one.
        piece: u32,
        /// Bytes of the whole info dictionary.
        total: u32,
        /// The piece.
        bytes: &'a [u8],
    },
    /// Will not bring one.
    Reject {
        /// Which one.
        piece: u32,
    },
}

/// Appends the payload of a `ut_metadata` message.
pub fn write_metadata(out: &mut Vec<u8>, message: &MetadataMessage<'_>) {
    let (kind, piece, data) = match *message {
        MetadataMessage::Request { piece } => (0, piece, None),
        MetadataMessage::Data { piece, total, bytes } => (1, piece, Some((total, bytes))),
        MetadataMessage::Reject { piece } => (2, piece, None),
    };
    let mut writer = Writer::new();
    writer.dict().bytes(b"msg_type").int(kind).bytes(b"piece").int(piece.into());
    if let Some((total, _)) = data {
        writer.bytes(b"total_size").int(total.into());
    }
    writer.end();
    out.extend(writer.finish());
    out.extend_from_slice(data.map_or(&[], |(_, bytes)| bytes));
}

/// Reads a `ut_metadata` message. `None`: malformed, or of a type that BEP 9 does not know; both are ignored.
pub fn parse_metadata(payload: &[u8]) -> Option<MetadataMessage<'_>> {
    let (dict, bytes) = dictionary(payload)?;
    let [kind, piece, total] =
        dict.pick([b"msg_type", b"piece", b"total_size"]).map(|value| value.and_then(|value| value.as_int()));
    let piece = piece?.try_into().ok()?;
    match kind? {
        0 => Some(MetadataMessage::Request { piece }),
        1 => Some(MetadataMessage::Data { piece, total: total?.try_into().ok()?, bytes }),
        2 => Some(MetadataMessage::Reject { piece }),
        _ => None,
    }
}

/// PEX flag: it has everything.
pub const PEX_SEED: u8 = 0x02;
/// PEX flag: somebody has connected to it.
pub const PEX_REACHABLE: u8 = 0x10;

/// A message of `ut_pex`: who came and who went since the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PexMessage {
    /// Who came, with flags.
    pub added: Vec<(SocketAddr, u8)>,
    /// Who went.
    pub dropped: Vec<SocketAddr>,
}

/// Appends the payload of a `ut_pex` message.
pub fn write_pex(out: &mut Vec<u8>, message: &PexMessage) {
    let (mut added, mut flags): ([Vec<u8>; 2], [Vec<u8>; 2]) = Default::default();
    let mut dropped: [Vec<u8>; 2] = Default::default();
    for (address, flag) in &message.added {
        push_compact(&mut added, *address);
        flags[usize::from(is_ipv6(address))].push(*flag);
    }
    for address in &message.dropped {
        push_compact(&mut dropped, *address);
    }
    let mut writer = Writer::new();
    writer.dict();
    writer.bytes(b"added").bytes(&added[0]).bytes(b"added.f").bytes(&flags[0]);
    writer.bytes(b"added6").bytes(&added[1]).bytes(b"added6.f").bytes(&flags[1]);
    writer.bytes(b"dropped").bytes(&dropped[0]).bytes(b"dropped6").bytes(&dropped[1]);
    writer.end();
    out.extend(writer.finish());
}

/// Reads who came from a `ut_pex` message, at most `each_max` of either family; who went is not of interest. `None`:
/// malformed, the message is dropped.
pub fn parse_pex(payload: &[u8], each_max: usize) -> Option<PexMessage> {
    let (dict, _) = dictionary(payload)?;
    let [added, flags, added6, flags6] = dict
        .pick([b"added", b"added.f", b"added6", b"added6.f"])
        .map(|value| value.and_then(|value| value.as_bytes()).unwrap_or_default());
    let known = PEX_SEED | PEX_REACHABLE;
    let flagged = |at: usize, flags: &[u8]| flags.get(at).copied().unwrap_or_default() & known;
    let ipv4 = peers4(added).take(each_max).enumerate().map(|(at, peer)| (peer.into(), flagged(at, flags)));
    let ipv6 = peers6(added6).take(each_max).enumerate().map(|(at, peer)| (peer.into(), flagged(at, flags6)));
    Some(PexMessage { added: ipv4.chain(ipv6).collect(), dropped: Vec::new() })
}

/// The dictionary at the front of a payload, and what follows it.
fn dictionary(payload: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (value, rest) = parse_prefix(payload, &Limits::PEER_MESSAGE, Form::Tolerant).ok()?;
    value.as_dict().is_some().then_some((value, rest))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|ip| IpAddr::from(ip).to_canonical()),
        _ => None,
    }
}

/// Text of a peer, with what could drive a terminal replaced.
fn client_name(bytes: &[u8]) -> String {
    // A character has at most four bytes.
    let front = bytes.get(..4 * CLIENT_CHARS_MAX).unwrap_or(bytes);
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    String::from_utf8_lossy(front)
        .chars()
        .take(CLIENT_CHARS_MAX)
        .map(|c| if is_hidden(c) { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn is_ipv6(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv6()
}

/// Appends an address to the list of its family.
fn push_compact(lists: &mut [Vec<u8>; 2], address: SocketAddr) {
    let list = &mut lists[usize::from(is_ipv6(&address))];
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => list.extend(ip.octets()),
        IpAddr::V6(ip) => list.extend(ip.octets()),
    }
    list.extend(address.port().to_be_bytes());
}

/// What we call ourselves.
const CLIENT: &[u8] = concat!("Weightless ", env!("CARGO_PKG_VERSION")).as_bytes();

#[cfg(test)]
mod tests;
