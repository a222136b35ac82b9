//! `wl check`: asks a tracker as a client would, and says in words what it answered.
//!
//! At most four requests: connect (UDP), announce, scrape, and the announce that takes us out of the swarm again.

use super::{check_http, check_udp, one_argument};
use crate::failure::{Class, Failure, shown_foreign};
use crate::flags::{Command, one};
use crate::{Context, Done};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::fmt::Write;
use std::time::Duration;
use weightless::base::{PeerId, V1Hash, V2Hash};
use weightless::wire::announce::{AnnounceRequest, AnnouncedHash, Event};

/// The table of `wl check`.
pub const COMMAND: Command = Command {
    name: "check",
    usage: &["URL"],
    about: "ask a tracker as a client would, and explain what it answers",
    flags: &[one(
        "hash",
        "HASH",
        "announce this info hash (40 or 64 hex digits); default: one that nobody has",
    )],
    examples: &[
        ("wl check udp://tracker.example.org:1337", "does it answer over UDP?"),
        ("wl check --hash HASH http://localhost:8080/announce", "does it serve this torrent?"),
    ],
    run,
};

/// What one request came to.
pub struct Step {
    /// What was asked.
    pub name: &'static str,
    /// How long the answer took.
    pub took: Duration,
    /// What it said.
    pub answer: Answer,
}

/// An answer.
pub enum Answer {
    /// Served: the figures to show, in order.
    Served(Vec<(&'static str, Value)>),
    /// Refused, in the tracker's words.
    Refused(String),
    /// None, or none that can be read.
    Failed(String),
}

/// What is asked.
pub struct Question {
    /// The swarm.
    pub hash: AnnouncedHash,
    /// Who we say we are.
    pub peer_id: PeerId,
    /// The port we say we listen on. Nobody listens there; we are gone a moment later.
    pub port: u16,
}

impl Question {
    /// The announce that asks it.
    pub fn request(&self, event: Event) -> AnnounceRequest {
        AnnounceRequest {
            info_hash: self.hash,
            peer_id: self.peer_id,
            port: self.port,
            uploaded: 0,
            downloaded: 0,
            left: Some(1),
            event,
            peers_wanted: Some(PEERS_WANTED),
        }
    }
}

/// All our announces are those of one client.
pub const KEY: u32 = 0x776c_6368;
const PEERS_WANTED: u32 = 5;

fn run(context: &Context) -> Result<Done, Failure> {
    let url = one_argument(context, "URL")?;
    let url = url.to_str().ok_or_else(|| Failure::usage("URL is not UTF-8"))?;
    let named = context.args.given_text("hash")?;
    let hash = match &named {
        Some(text) => hash_of(text)?,
        None => unknown_hash(context),
    };
    let mut peer_id = *b"-WL0100-check0000000";
    peer_id[13..].copy_from_slice(format!("{:07}", context.env.unix % 10_000_000).as_bytes());
    let question = Question { hash, peer_id: PeerId(peer_id), port: 6881 };
    let steps = match url.split_once("://") {
        Some(("udp", _)) => check_udp::ask(url, &question)?,
        Some(("http" | "https", _)) => check_http::ask(context, url, &question)?,
        _ => return Err(Failure::usage("URL must begin with http://, https:// or udp://")),
    };
    report(url, &steps, named.is_some())
}

fn report(url: &str, steps: &[Step], named: bool) -> Result<Done, Failure> {
    let mut text = format!("Tracker:   {}\n", shown_foreign(url));
    let mut list = Vec::new();
    for step in steps {
        let ms = step.took.as_secs_f64() * 1000.0;
        let (line, object) = match &step.answer {
            Answer::Served(figures) => (served(figures), json!({"ok": true, "figures": object(figures)})),
            Answer::Refused(why) => {
                (format!("refused: {}", shown_foreign(why)), json!({"ok": false, "refused": why}))
            }
            Answer::Failed(why) => {
                (format!("no answer: {}", shown_foreign(why)), json!({"ok": false, "failed": why}))
            }
        };
        let _ = writeln!(text, "{:<10} {line} ({ms:.1} ms)", format!("{}:", capital(step.name)));
        list.push(json!({"step": step.name, "ms": ms, "answer": object}));
    }
    let (exit, verdict) = verdict(steps, named);
    let _ = writeln!(text, "Result:    {verdict}");
    Ok(Done {
        text,
        json: json!({"url": url, "steps": list, "result": verdict, "exit": exit}),
        exit,
        ..Done::default()
    })
}

/// The exit code, and what a person should make of it.
fn verdict(steps: &[Step], named: bool) -> (u8, &'static str) {
    if steps.iter().any(|step| matches!(step.answer, Answer::Failed(_))) {
        return (Class::Network as u8, "the tracker does not answer as a tracker should");
    }
    let refusal = steps.iter().find_map(|step| match &step.answer {
        Answer::Refused(why) => Some(why.to_lowercase()),
        _ => None,
    });
    let refused = Class::Refused as u8;
    match refusal.as_deref() {
        None => (0, "the tracker works"),
        Some(why) if why.contains("passkey") || why.contains("unauthorized") => {
            (refused, "the tracker works, but wants a passkey: check the announce URL that holds yours")
        }
        Some(why) if why.contains("rate") => {
            (refused, "the tracker works, but we ask too often: wait a minute")
        }
        Some(why) if why.contains("blocked") => {
            (refused, "the tracker works; this hash was taken down there")
        }
        Some(_) if !named => {
            (0, "the tracker works; it serves known torrents only, so try --hash with one that is registered")
        }
        Some(_) => (refused, "the tracker works, but does not serve this hash: register it first"),
    }
}

fn served(figures: &[(&'static str, Value)]) -> String {
    let shown = figures.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name} {}", shown_foreign(text)),
        value => format!("{name} {value}"),
    });
    match shown.collect::<Vec<_>>().join(", ") {
        empty if empty.is_empty() => "ok".to_owned(),
        list => format!("ok, {list}"),
    }
}

fn object(figures: &[(&'static str, Value)]) -> Value {
    figures
        .iter()
        .map(|(name, value)| (name.replace(' ', "_"), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn capital(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

fn hash_of(text: &str) -> Result<AnnouncedHash, Failure> {
    let v1 = V1Hash::from_hex(text.as_bytes()).map(|hash| AnnouncedHash::Short(hash.key()));
    let v2 = || V2Hash::from_hex(text.as_bytes()).map(AnnouncedHash::Full);
    v1.or_else(v2).ok_or_else(|| Failure::usage("--hash must be 40 or 64 hex digits"))
}

/// A hash that no torrent has: an open tracker takes it, a closed one says that it is closed.
fn unknown_hash(context: &Context) -> AnnouncedHash {
    let seed = format!("wl check {} {}", context.env.unix, std::process::id());
    AnnouncedHash::Short(V1Hash(Sha1::digest(seed.as_bytes()).into()).key())
}
