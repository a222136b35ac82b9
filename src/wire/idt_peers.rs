//! `/register_peer` and `/get_peers`: how clients of idtorrents meet, in JSON and for the smallest ones in lines of text.

use super::announce::{AnnounceRequest, AnnouncedHash, Event};
use super::query::form_param;
use crate::base::{PeerId, V1Hash};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// What a client that registers says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegisterPeer {
    /// The file, which names the swarm.
    pub file_id: V1Hash,
    /// The port it listens on, 1-65535.
    pub port: u16,
    /// The address it claims, if it is a unicast literal. Ignored but with TRUST_IP_PARAM.
    pub ip: Option<IpAddr>,
    /// What it does.
    pub state: State,
    /// Bytes missing; `None` when it does not know yet.
    pub left: Option<u64>,
    /// Bytes uploaded in this session, at most 2^63-1.
    pub uploaded: u64,
    /// Bytes downloaded in this session, at most 2^63-1.
    pub downloaded: u64,
}

/// What a client does in a swarm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It has the whole file.
    Seeding,
    /// It has not.
    Leeching,
    /// It leaves.
    Stopped,
}

impl RegisterPeer {
    /// Reads the body; the error is what the client is told.
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let fields: Map<String, Value> = serde_json::from_slice(body).map_err(|_| "invalid JSON body")?;
        // Null is absent, as in the registry.
        let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
        let counter = |name: &str, error| match field(name) {
            None => Ok(None),
            Some(value) => value.as_u64().map(|n| Some(n.min(i64::MAX as u64))).ok_or(error),
        };
        let file_id = field("file_id").ok_or(MISSING_ID)?;
        let file_id = file_id.as_str().and_then(|text| V1Hash::from_hex(text.as_bytes())).ok_or(BAD_ID)?;
        let port = field("port").ok_or("missing port")?;
        let port = port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let port = port.ok_or(BAD_PORT)?;
        let state = match field("state").map(Value::as_str) {
            None => None,
            Some(Some("seeding")) => Some(State::Seeding),
            Some(Some("leeching")) => Some(State::Leeching),
            Some(Some("stopped")) => Some(State::Stopped),
            Some(_) => return Err("bad state"),
        };
        let left = counter("left", "bad left")?;
        let (state, left) = match (state, left) {
            (None, Some(0)) | (Some(State::Seeding), _) => (State::Seeding, Some(0)),
            (None | Some(State::Leeching), left) => (State::Leeching, left.filter(|left| *left > 0)),
            (Some(State::Stopped), left) => (State::Stopped, left),
        };
        if field("peer_id").is_some_and(|id| id.as_str().is_none_or(|id| id.len() > PEER_ID_BYTES_MAX)) {
            return Err("bad peer_id");
        }
        Ok(Self {
            file_id,
            port,
            ip: field("ip").and_then(Value::as_str).and_then(unicast),
            state,
            left,
            uploaded: counter("uploaded", "bad uploaded")?.unwrap_or(0),
            downloaded: counter("downloaded", "bad downloaded")?.unwrap_or(0),
        })
    }

    /// The same as an announce of the client at `ip`. Such a client is known by its address and port, so its peer id
    /// is made of them: two devices behind one address are never taken for one that has changed its port.
    pub fn announce(&self, ip: IpAddr) -> AnnounceRequest {
        let mut peer_id = [0; 20];
        let ip = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        peer_id[..16].copy_from_slice(&ip.octets());
        peer_id[18..].copy_from_slice(&self.port.to_be_bytes());
        AnnounceRequest {
            info_hash: AnnouncedHash::Short(self.file_id.key()),
            peer_id: PeerId(peer_id),
            port: self.port,
            uploaded: self.uploaded,
            downloaded: self.downloaded,
            left: self.left,
            event: if self.state == State::Stopped { Event::Stopped } else { Event::None },
            peers_wanted: Some(0),
        }
    }
}

fn unicast(text: &str) -> Option<IpAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    let unicast = match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    unicast.then_some(ip)
}

/// What a client that wants peers asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GetPeers {
    /// The file, which names the swarm.
    pub file_id: V1Hash,
    /// The port the client listens on, if it is to be left out.
    pub port: Option<u16>,
    /// At most so many peers, 1-1000; `None` asks for the tracker's default.
    pub limit: Option<u32>,
    /// Lines of text are wanted, not JSON.
    pub compact: bool,
}

impl GetPeers {
    /// Reads the query; the error is what the client is told.
    pub fn parse(query: &[u8]) -> Result<Self, &'static str> {
        let param = |name, error| form_param(query, name).map_err(|_| error);
        let file_id = param("file_id", BAD_ID)?.ok_or(MISSING_ID)?;
        let file_id = V1Hash::from_hex(file_id.as_bytes()).ok_or(BAD_ID)?;
        let number = |name, max: u32, error| match param(name, error)? {
            None => Ok(None),
            Some(text) if (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|n| (1..=max).contains(n)).map(Some).ok_or(error)
            }
            Some(_) => Err(error),
        };
        Ok(Self {
            file_id,
            port: number("port", u16::MAX.into(), BAD_PORT)?.map(|port| port as u16),
            limit: number("limit", 1000, "limit must be 1-1000")?,
            compact: match param("compact", BAD_COMPACT)?.as_deref() {
                None | Some("0") => false,
                Some("1") => true,
                Some(_) => return Err(BAD_COMPACT),
            },
        })
    }
}

/// What a client that has registered is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// The file.
    pub file_id: V1Hash,
    /// What the client said it does.
    pub state: State,
    /// Seconds until it should register again.
    pub interval_s: u32,
    /// Seconds after which it is forgotten.
    pub ttl_s: u32,
    /// Clients in the swarm, itself included.
    pub peers: u64,
    /// Its address as others are told.
    pub your_ip: IpAddr,
}

/// The JSON body of that.
pub fn registered(told: &Registered) -> String {
    let Registered { file_id, state, interval_s, ttl_s, peers, your_ip } = told;
    let status = if *state == State::Stopped { "removed" } else { "registered" };
    format!(
        "{{\"status\":\"{status}\",\"file_id\":\"{file_id}\",\"interval\":{interval_s},\"ttl\":{ttl_s},\
         \"peers\":{peers},\"your_ip\":\"{your_ip}\"}}\n"
    )
}

/// A swarm as it is told to who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Swarm {
    /// The file.
    pub file_id: V1Hash,
    /// Clients that have the whole file.
    pub seeders: u32,
    /// All others.
    pub leechers: u32,
    /// Seconds until the client should ask again.
    pub interval_s: u32,
}

/// The JSON body of an answer with these peers and what they do.
pub fn peers_json(swarm: &Swarm, peers: impl Iterator<Item = (SocketAddr, State)>) -> String {
    let Swarm { file_id, seeders, leechers, interval_s } = swarm;
    let mut json = format!("{{\"file_id\":\"{file_id}\",\"peers\":[");
    for (at, (peer, state)) in peers.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let state = if state == State::Seeding { "seeding" } else { "leeching" };
        let (ip, port) = (peer.ip(), peer.port());
        let _ = write!(json, "{comma}{{\"ip\":\"{ip}\",\"port\":{port},\"state\":\"{state}\"}}");
    }
    let _ = writeln!(json, "],\"seeders\":{seeders},\"leechers\":{leechers},\"interval\":{interval_s}}}");
    json
}

/// The same for the smallest clients: one `ip:port` a line, IPv6 in brackets.
pub fn peers_text(peers: impl Iterator<Item = SocketAddr>) -> String {
    peers.fold(String::new(), |mut text, peer| {
        let _ = writeln!(text, "{peer}");
        text
    })
}

const PEER_ID_BYTES_MAX: usize = 64;
const MISSING_ID: &str = "missing file_id";
const BAD_ID: &str = "file_id must be 40 hex characters";
const BAD_PORT: &str = "port must be 1-65535";
const BAD_COMPACT: &str = "compact must be 0 or 1";
