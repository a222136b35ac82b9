//! The client's side of `/register_peer` and `/get_peers`. It takes what any tracker with these routes may say, not only
//! what ours does: what cannot be read of a list is left out.

use super::announce::{AnnounceRequest, Event};
use super::idt_peers::State;
use crate::base::V1Hash;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Most peers taken from one answer.
pub const PEERS_MAX: usize = 1000;

/// The body of a registration that says what an announce would.
pub fn register_body(request: &AnnounceRequest) -> String {
    let state = match (request.event, request.left) {
        (Event::Stopped, _) => "stopped",
        (Event::Completed, _) | (_, Some(0)) => "seeding",
        _ => "leeching",
    };
    let mut body = json!({
        "file_id": V1Hash(request.info_hash.key().0).to_string(),
        "port": request.port,
        "state": state,
        "uploaded": request.uploaded,
        "downloaded": request.downloaded,
    });
    if let Some(left) = request.left {
        body["left"] = left.into();
    }
    body.to_string()
}

/// The query that asks for the peers of the same swarm, without the client itself.
pub fn peers_query(request: &AnnounceRequest) -> String {
    let file_id = V1Hash(request.info_hash.key().0);
    let limit = request.peers_wanted.map(|wanted| format!("&limit={}", wanted.clamp(1, PEERS_MAX as u32)));
    format!("file_id={file_id}&port={}{}", request.port, limit.unwrap_or_default())
}

/// What a tracker says to who has registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Seconds until it should register again, if it says so.
    pub interval_s: Option<u32>,
    /// How others see the client, if it says so.
    pub your_ip: Option<IpAddr>,
}

/// Reads the answer to a registration; `None` when it is no object.
pub fn parse_registered(body: &[u8]) -> Option<Registered> {
    let object = object(body)?;
    Some(Registered {
        interval_s: number(&object, "interval"),
        your_ip: object.get("your_ip").and_then(Value::as_str).and_then(|ip| ip.parse().ok()),
    })
}

/// A swarm as a tracker tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peers {
    /// Peers and what they do, in the order told; at most [`PEERS_MAX`].
    pub peers: Vec<(SocketAddr, State)>,
    /// All that have the whole file.
    pub seeders: u32,
    /// All others.
    pub leechers: u32,
    /// Seconds until the next question, if it says so.
    pub interval_s: Option<u32>,
}

/// Reads the answer to a question for peers; `None` when it is no object with a list of them.
pub fn parse_peers(body: &[u8]) -> Option<Peers> {
    let object = object(body)?;
    let listed = object.get("peers")?.as_array()?;
    Some(Peers {
        peers: listed.iter().filter_map(peer).take(PEERS_MAX).collect(),
        seeders: number(&object, "seeders").unwrap_or(0),
        leechers: number(&object, "leechers").unwrap_or(0),
        interval_s: number(&object, "interval"),
    })
}

/// Why a tracker refused, in its words: `{"error":"<text>"}`.
pub fn parse_error(body: &[u8]) -> Option<String> {
    object(body)?.get("error")?.as_str().map(str::to_owned)
}

fn peer(value: &Value) -> Option<(SocketAddr, State)> {
    let ip: IpAddr = value.get("ip")?.as_str()?.parse().ok()?;
    let port =
        value.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)?;
    let seeds = value.get("state").and_then(Value::as_str) == Some("seeding");
    let state = if seeds { State::Seeding } else { State::Leeching };
    Some((SocketAddr::new(ip.to_canonical(), port), state))
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

fn number(object: &Map<String, Value>, name: &str) -> Option<u32> {
    object.get(name)?.as_u64().map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}
