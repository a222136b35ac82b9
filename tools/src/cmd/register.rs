//! Registering a torrent: one POST, and what its answer means to the person who made the torrent.

use crate::Context;
use crate::failure::{Class, Failure};
use crate::flags::API_KEY;
use crate::http::{self, Reply, Unreachable};
use crate::tracker::{Tracker, secret};
use data_encoding::BASE64;
use serde_json::json;
use std::time::Duration;
use ureq::http::Request;
use weightless::base::InfoHashes;
use weightless::torrent::rewrite_trackers;
use weightless::torrent::signature::Signature;

/// What is told to the registry.
pub struct Entry<'a> {
    /// Where.
    pub tracker: &'a Tracker,
    /// The torrent's hashes.
    pub hashes: InfoHashes,
    /// The label.
    pub name: &'a str,
    /// Free text.
    pub description: String,
    /// Who publishes.
    pub publisher: String,
    /// Under which licence.
    pub license: String,
    /// What kind of thing.
    pub category: String,
    /// Words, separated by commas.
    pub tags: String,
    /// Bytes of all files.
    pub size: u64,
    /// The file.
    pub torrent: &'a [u8],
    /// The publisher's signature.
    pub signature: Option<Signature>,
}

/// How it went.
pub struct Registration {
    /// Whether it was tried at all.
    pub tried: bool,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The exit code if registering is required.
    pub exit: u8,
}

/// Registers unless told not to.
pub fn register(context: &Context, entry: &Entry<'_>) -> Result<Registration, Failure> {
    if context.args.on("no-register") {
        return Ok(Registration { tried: false, error: None, exit: 0 });
    }
    post(context, entry)
}

/// Registers. Says how it went; only a wrong command line is an error, because the torrent file is good whatever a
/// registry thinks of it.
pub fn post(context: &Context, entry: &Entry<'_>) -> Result<Registration, Failure> {
    let Some(body) = body(entry) else {
        let error = "no registry takes a torrent this large".to_string();
        context.voice.warn(&format!("{error}. {STILL}"));
        return Ok(Registration { tried: true, error: Some(error), exit: Class::Refused as u8 });
    };
    let url = entry.tracker.registry();
    let mut request = Request::post(&url).header("Content-Type", "application/json");
    let key = secret(context, &API_KEY)?;
    if !key.is_empty() {
        request = request.header("X-Weightless-Key", key);
    }
    let timeout = Duration::from_secs(10 + (body.len() >> 20) as u64);
    let request = request.body(body).map_err(|_| Failure::usage("not a usable tracker URL or API key"))?;
    let answer = http::send(&http::agent(context, timeout, 0), request, 1 << 20);
    Ok(judge(context, &url, answer))
}

const STILL: &str = "Torrent file is still valid.";

/// The uploaded copy carries no passkey: the registry hands it to everybody. `None` for more than a registry reads.
fn body(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let public = entry.tracker.plain_announce();
    let with_passkey = format!("{public}/");
    let clean = rewrite_trackers(entry.torrent, |url| {
        url.starts_with(with_passkey.as_bytes()).then(|| public.clone().into_bytes())
    });
    let torrent = clean.ok()?;
    let v1 = entry.hashes.v1().map(|v1| v1.to_string()).unwrap_or_default();
    let mut body = json!({
        "info_hash": entry.hashes.best_hex(),
        "v1_info_hash": v1,
        "name": entry.name,
        "description": entry.description,
        "publisher": entry.publisher,
        "license": entry.license,
        "category": entry.category,
        "tags": entry.tags,
        "size": entry.size,
    });
    if let Some(signature) = entry.signature {
        body["publisher_key"] = signature.key_hex().into();
        body["signature"] = signature.hex().into();
    }
    // The file goes in by hand: it may be large, and nothing of it needs an escape.
    let mut body = body.to_string();
    body.truncate(body.len() - 1);
    body.reserve_exact(BASE64.encode_len(torrent.len()) + 32);
    body.push_str(r#","torrent_data":""#);
    BASE64.encode_append(&torrent, &mut body);
    body.push_str("\"}");
    Some(body.into_bytes())
}

fn judge(context: &Context, url: &str, answer: Result<Reply, Unreachable>) -> Registration {
    let failed = |class: Class, error: String| {
        context.voice.warn(&format!("{error}. {STILL}"));
        Registration { tried: true, error: Some(error), exit: class as u8 }
    };
    match answer {
        Ok(Reply { status: 200..=299, .. }) => {
            context.voice.say(&format!("Registered with {url}"));
            Registration { tried: true, error: None, exit: 0 }
        }
        Ok(Reply { status: 401, .. }) => {
            let registration = failed(Class::Refused, "registry refused the API key (401)".into());
            context.voice.say("  hint: set WL_API_KEY or --api-key");
            registration
        }
        Ok(Reply { status, body, .. }) if status < 500 => {
            let text = http::error_text(&body);
            failed(Class::Refused, format!("registry refused this torrent ({status}: {text})"))
        }
        Ok(Reply { status, .. }) => failed(Class::Network, format!("registry offline ({status})")),
        Err(Unreachable(why)) => failed(Class::Network, format!("registry offline ({why})")),
    }
}
