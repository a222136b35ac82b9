//! A small HTTP client, and the few bencoded values the tests look at. Written apart from the code under test, so
//! that both cannot be wrong in the same way.

use super::PATIENCE;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// An answer, read to its end.
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The status line and the fields.
    pub head: String,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Reply {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GET on a connection of its own.
pub fn get(to: SocketAddr, target: &str) -> Reply {
    send(to, format!("GET {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Any request without a body, with more fields (`A: b\r\n`), on a connection of its own.
pub fn ask(to: SocketAddr, method: &str, target: &str, fields: &str) -> Reply {
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{length}{fields}\r\n");
    send(to, head.as_bytes())
}

/// POST of this body.
pub fn post(to: SocketAddr, target: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {to}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    send(to, (head + body).as_bytes())
}

/// POST of a JSON object to `/api/registry`.
pub fn register(to: SocketAddr, entry: &Value) -> Reply {
    register_with_key(to, entry, "")
}

/// The same with an API key.
pub fn register_with_key(to: SocketAddr, entry: &Value, key: &str) -> Reply {
    let body = entry.to_string();
    let head = format!(
        "POST /api/registry HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         X-Weightless-Key: {key}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    send(to, [head.as_bytes(), body.as_bytes()].concat().as_slice())
}

fn send(to: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).expect("the tracker accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.write_all(request).expect("the tracker reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the tracker answers and closes");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    Reply { status, head, body: bytes.split_off(end) }
}

/// The target of such an announce.
pub fn announce_target(info_hash: &[u8], peer_id: &[u8; 20], port: u16, left: u64) -> String {
    let (info_hash, peer_id) = (escaped(info_hash), escaped(peer_id));
    format!(
        "/announce?info_hash={info_hash}&peer_id={peer_id}&port={port}&uploaded=0&downloaded=0&left={left}&compact=1"
    )
}

/// One announce over HTTP. Further parameters follow in `more`: `&event=stopped`.
pub fn announce(
    to: SocketAddr,
    info_hash: &[u8],
    peer_id: &[u8; 20],
    port: u16,
    left: u64,
    more: &str,
) -> Announced {
    let reply = get(to, &format!("{}{more}", announce_target(info_hash, peer_id, port, left)));
    assert_eq!(reply.status, 200, "{}", reply.text());
    if let Some(reason) = bytes_of(&reply.body, "failure reason") {
        return Announced::Refused(String::from_utf8_lossy(reason).into_owned());
    }
    Announced::Peers {
        seeders: integer_of(&reply.body, "complete").expect("complete"),
        leechers: integer_of(&reply.body, "incomplete").expect("incomplete"),
        peers: bytes_of(&reply.body, "peers").expect("peers").to_vec(),
    }
}

/// How a tracker answered an announce, over HTTP or UDP.
#[derive(PartialEq, Eq, Debug)]
pub enum Announced {
    /// With counts and addresses of its family: 6 or 18 bytes each.
    Peers {
        /// Clients that have everything.
        seeders: u64,
        /// The others.
        leechers: u64,
        /// Addresses and ports.
        peers: Vec<u8>,
    },
    /// With a reason.
    Refused(String),
}

/// Every byte as `%XX`.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

/// The first integer behind this key of a bencoded dictionary.
fn integer_of(body: &[u8], key: &str) -> Option<u64> {
    let rest = behind(body, &format!("{}:{key}i", key.len()))?;
    let end = rest.iter().position(|b| *b == b'e')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// The first byte string behind this key of a bencoded dictionary.
fn bytes_of<'a>(body: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let rest = behind(body, &format!("{}:{key}", key.len()))?;
    let colon = rest.iter().position(|b| *b == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    rest[colon + 1..].get(..length)
}

fn behind<'a>(body: &'a [u8], token: &str) -> Option<&'a [u8]> {
    let at = body.windows(token.len()).position(|window| window == token.as_bytes())?;
    Some(&body[at + token.len()..])
}
