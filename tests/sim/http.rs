//! HTTP clients: they write requests whose answers can be told apart, and check that they come in order.

use crate::pick;
use crate::world::World;
use std::collections::VecDeque;
use weightless::server::{Conn, Next};

/// A request, and how its answer is known.
pub struct Request {
    bytes: Vec<u8>,
    expected: Expected,
}

#[derive(Clone, Debug)]
struct Expected {
    /// What the answer says, unless it refuses because there is too much to do.
    text: String,
    /// There is no body.
    head_only: bool,
    /// Nothing comes after it.
    is_last: bool,
    /// A `100 Continue` may come before it.
    continues: bool,
}

impl Request {
    pub fn any(world: &mut World) -> Self {
        let tag = world.tag();
        let (mut head_only, mut is_last, mut continues) = (false, false, false);
        let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: t\r\n{more}\r\n");
        let (text, request) = match world.rng.below(20) {
            // The number of bytes in the hash is the tag.
            0..5 => {
                let length = 33 + tag % 2000;
                (
                    format!("got {length}8:interval"),
                    get(&format!("/announce?info_hash={}", "x".repeat(length as usize)), ""),
                )
            }
            5..8 => {
                let hash = format!("%{:02x}", world.rng.below(6)).repeat(pick(&mut world.rng, &[20, 20, 32]));
                let event = pick(&mut world.rng, &["started", "stopped", "completed", "paused", ""]);
                let (port, left) = (1 + world.rng.below(5), world.rng.below(2));
                let target = format!(
                    "/announce?info_hash={hash}&peer_id=-XX0001-{port:012}&port={port}&left={left}&event={event}\
                     &compact={}&ip=203.0.113.{port}",
                    world.rng.below(2)
                );
                ("8:intervali1800e".into(), get(&target, "X-Forwarded-For: 203.0.113.9\r\n"))
            }
            8..10 => ("fil".into(), get("/scrape?info_hash=%01%01%01&info_hash=bbbbbbbbbbbbbbbbbbbb", "")),
            10 => ("404 page not found".into(), get(&format!("/nothing/{tag}"), "")),
            11 => ("Weightless".into(), get("/", &format!("Content-Length: 5\r\n\r\nGET /{}", ""))),
            12 => ("tracker_announces_total".into(), get("/metrics", "")),
            13 => {
                head_only = true;
                (String::new(), format!("HEAD /announce?info_hash={tag} HTTP/1.1\r\nHost: t\r\n\r\n"))
            }
            14..16 => {
                (format!("\"echo\":\"tag{tag}\""), get(&format!("/api/registry?info_hash=tag{tag}"), ""))
            }
            16 | 17 => (format!("\"echo\":\"tag{tag}\""), upload(world, tag, &mut continues)),
            18 if world.rng.below(4) == 0 => {
                is_last = true;
                let bad = pick(
                    &mut world.rng,
                    &["GARBAGE\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n"],
                );
                ("400 bad request".into(), bad.to_owned())
            }
            19 if world.rng.below(4) == 0 => {
                is_last = true;
                ("Weightless".into(), get("/", "Connection: close\r\n"))
            }
            _ => ("O".into(), get("/health", "")),
        };
        let request = match text == "Weightless" && request.contains("Content-Length") {
            // The body looks like a request and must not be taken for one.
            true => "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nGET / HTT".to_owned(),
            false => request,
        };
        let expected = Expected { text, head_only, is_last, continues };
        Self { bytes: request.into_bytes(), expected }
    }
}

/// A body that is told by its length or in chunks.
fn upload(world: &mut World, tag: u32, continues: &mut bool) -> String {
    let mut head = "POST /api/registry HTTP/1.1\r\nHost: t\r\n".to_owned();
    *continues = world.rng.below(3) == 0;
    if *continues {
        head.push_str("Expect: 100-continue\r\n");
    }
    let body = format!("tag{tag}");
    if world.rng.below(2) == 0 {
        return format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }
    let (front, back) = body.split_at(3);
    let back_length = back.len();
    format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{front}\r\n{back_length:x};a=b\r\n{back}\r\n0\r\n\r\n"
    )
}

/// One client's connection, from both ends.
#[derive(Debug)]
pub struct Line {
    pub conn: Conn,
    pub next: Next,
    pub opened_at: u64,
    /// When bytes last moved on it, in either direction.
    pub alive_at: u64,
    /// Its socket takes some of what is written.
    pub is_slow: bool,
    /// Written by the client and still under way.
    pub to_send: VecDeque<u8>,
    /// Read by the client and not yet understood.
    pub received: Vec<u8>,
    expected: VecDeque<Expected>,
    /// The client has asked for the end: what it asks afterwards is not answered.
    ended: bool,
    /// Bytes were lost on the way.
    pub is_broken: bool,
}

impl Line {
    pub fn new(conn: Conn, now: u64, is_slow: bool) -> Self {
        let (to_send, received, expected) = (VecDeque::new(), Vec::new(), VecDeque::new());
        let (opened_at, alive_at) = (now, now);
        Self {
            conn,
            next: Next::Read,
            opened_at,
            alive_at,
            is_slow,
            to_send,
            received,
            expected,
            ended: false,
            is_broken: false,
        }
    }

    pub fn ask(&mut self, request: Request) {
        self.to_send.extend(request.bytes);
        if !self.ended {
            self.ended = request.expected.is_last;
            self.expected.push_back(request.expected);
        }
    }

    /// Nothing is owed in either direction.
    pub fn is_satisfied(&self) -> bool {
        self.is_broken || self.expected.is_empty() && self.received.is_empty()
    }

    /// Nothing of a request has reached the machine that is not answered.
    pub fn is_idle(&self) -> bool {
        self.next == Next::Read && self.received.is_empty()
    }

    /// Takes every whole answer off what has come, each the answer to the oldest request.
    pub fn read_answers(&mut self, limited: bool) {
        if self.is_broken {
            return self.received.clear();
        }
        loop {
            let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") else { return };
            let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
            if head == "HTTP/1.1 100 Continue" {
                assert!(self.expected.front().is_some_and(|expected| expected.continues), "100 for nothing");
                self.received.drain(..end + 4);
                continue;
            }
            let expected = self.expected.front().unwrap_or_else(|| panic!("nobody asked: {head}"));
            let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |text| text.parse().expect("a number"));
            let length = if expected.head_only { 0 } else { length };
            let Some(body) = self.received.get(end + 4..end + 4 + length) else { return };
            let body = String::from_utf8_lossy(body).into_owned();
            let busy = head.starts_with("HTTP/1.1 503 ");
            let limited =
                limited && (head.starts_with("HTTP/1.1 429 ") || body.contains("Rate limit exceeded"));
            // The tracker may refuse for reasons of its own, but never with the tag of another request.
            let refused = body.contains("14:failure reason") && !body.contains("got ");
            assert!(
                body.contains(&expected.text) || busy || limited || refused,
                "out of order: expected {expected:?}, got {head}\n{body}"
            );
            let last = expected.is_last;
            self.expected.pop_front();
            self.received.drain(..end + 4 + length);
            if last {
                assert!(matches!(self.next, Next::Close { .. }), "still open after its last answer");
                self.expected.clear();
            }
        }
    }
}
