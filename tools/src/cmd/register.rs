//! Registering a torrent: one POST, and what its answer means to the person who made the torrent.

use crate::Context;
use crate::failure::{Class, Failure};
use crate::flags::API_KEY;
use crate::http::{self, Reply, Unreachable};
use crate::tracker::{Tracker, secret};
use data_encoding::BASE64;
use serde_json::json;
use std::io::{self, Read};
use std::time::Duration;
use ureq::http::Request;
use weightless::base::{InfoHashes, Rope};
use weightless::torrent::signature::Signature;
use weightless::wire::bencode::Limits;

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
    /// The file as anybody may have it: without a passkey.
    pub torrent: &'a Rope<'a>,
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
    if entry.torrent.length() > Limits::REGISTRY.bytes_max as u64 {
        return Ok(too_large(context));
    }
    let url = entry.tracker.registry();
    let front = front(entry);
    let length = front.len() + BASE64.encode_len(entry.torrent.length() as usize) + BACK.len();
    let mut request =
        Request::post(&url).header("Content-Type", "application/json").header("Content-Length", length);
    let key = secret(context, &API_KEY)?;
    if !key.is_empty() {
        request = request.header("X-Weightless-Key", key);
    }
    let timeout = Duration::from_secs(10 + (length >> 20) as u64);
    let mut body = front.as_bytes().chain(Base64::of(entry.torrent.reader())).chain(BACK.as_bytes());
    let request = request.body(ureq::SendBody::from_reader(&mut body));
    let request = request.map_err(|_| Failure::usage("not a usable tracker URL or API key"))?;
    let answer = http::send_long(&http::agent(context, timeout, 0), request, 1 << 20);
    Ok(judge(context, &url, Made::Torrent, answer))
}

/// What was made and is to be registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// A torrent.
    Torrent,
    /// An idtorrent.
    Idtorrent,
}

impl Made {
    fn still(self) -> &'static str {
        match self {
            Self::Torrent => "Torrent file is still valid.",
            Self::Idtorrent => "Idtorrent file is still valid.",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Torrent => "torrent",
            Self::Idtorrent => "idtorrent",
        }
    }
}

/// How it went with a torrent that no registry reads.
pub fn too_large(context: &Context) -> Registration {
    let error = "no registry takes a torrent this large".to_string();
    context.voice.warn(&format!("{error}. {}", Made::Torrent.still()));
    Registration { tried: true, error: Some(error), exit: Class::Refused as u8 }
}

/// The body up to the file, which may be large and needs no escape.
fn front(entry: &Entry<'_>) -> String {
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
    let mut body = body.to_string();
    body.truncate(body.len() - 1);
    body.push_str(r#","torrent_data":""#);
    body
}

/// The body behind the file.
const BACK: &str = "\"}";

/// Reads bytes as base64.
struct Base64<R> {
    source: R,
    text: Vec<u8>,
    /// How much of the text was read.
    read: usize,
}

/// Bytes encoded at once: a multiple of three, so that only the end is padded.
const GROUP_BYTES: u64 = 48 * 1024;

impl<R: Read> Base64<R> {
    fn of(source: R) -> Self {
        Self { source, text: Vec::new(), read: 0 }
    }
}

impl<R: Read> Read for Base64<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() {
            let mut bytes = Vec::with_capacity(GROUP_BYTES as usize);
            self.source.by_ref().take(GROUP_BYTES).read_to_end(&mut bytes)?;
            self.text.resize(BASE64.encode_len(bytes.len()), 0);
            BASE64.encode_mut(&bytes, &mut self.text);
            self.read = 0;
        }
        let more = self.text.get(self.read..).unwrap_or_default().read(buffer)?;
        self.read += more;
        Ok(more)
    }
}

/// What an answer means to the person who made the file.
pub fn judge(context: &Context, url: &str, made: Made, answer: Result<Reply, Unreachable>) -> Registration {
    let failed = |class: Class, error: String| {
        context.voice.warn(&format!("{error}. {}", made.still()));
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
            failed(Class::Refused, format!("registry refused this {} ({status}: {text})", made.name()))
        }
        Ok(Reply { status, .. }) => failed(Class::Network, format!("registry offline ({status})")),
        Err(Unreachable(why)) => failed(Class::Network, format!("registry offline ({why})")),
    }
}
