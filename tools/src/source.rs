//! Where a torrent or an idtorrent comes from: a file, stdin, a URL, or the registry of a tracker for a hash or a magnet link.

use crate::Context;
use crate::cmd::create_flags::max_size;
use crate::failure::{Class, Failure};
use crate::flags::{Flag, one};
use crate::http::{self, Unreachable};
use crate::tracker::{Tracker, is_http};
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::time::Duration;
use ureq::http::Request;
use weightless::base::{InfoHashes, V1Hash, V2Hash};
use weightless::torrent::small::{Idtorrent, Malformed};
use weightless::torrent::{Magnet, Metainfo};

/// Longest torrent read from anywhere.
const BYTES_MAX: u64 = 64 << 20;
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS_MAX: u32 = 5;

/// The largest file whose idtorrent is read.
pub const MAX_SIZE: Flag =
    one("max-size", "BYTES", "largest file of an idtorrent that is read").default("100M");

/// What a source turned out to be.
pub enum Loaded {
    /// A torrent.
    Torrent(Box<Metainfo>),
    /// An idtorrent.
    Idtorrent(Idtorrent),
}

/// What a source turned out to be, and where it was found.
pub struct Found {
    /// A torrent or an idtorrent.
    pub loaded: Loaded,
    /// The registry that had it, if it was asked for by its hash.
    pub registry: Option<Tracker>,
}

impl Found {
    fn torrent(metainfo: Metainfo, registry: Option<Tracker>) -> Self {
        Self { loaded: Loaded::Torrent(Box::new(metainfo)), registry }
    }

    fn idtorrent(idtorrent: Idtorrent, registry: Option<Tracker>) -> Self {
        Self { loaded: Loaded::Idtorrent(idtorrent), registry }
    }
}

/// Reads what the command's argument names, and checks that it is what was asked for.
pub fn load(context: &Context, source: &OsStr) -> Result<Loaded, Failure> {
    find(context, source).map(|found| found.loaded)
}

/// The same, with where it was found.
pub fn find(context: &Context, source: &OsStr) -> Result<Found, Failure> {
    if let Some(text) = source.to_str() {
        if is_magnet(text.as_bytes()) {
            return from_magnet(context, text);
        }
        if let Some(hashes) = hash(text) {
            return from_registry(context, &hashes);
        }
    }
    let bytes = bytes(context, source)?;
    match bytes.first() {
        Some(b'd') => read(bytes).map(|metainfo| Found::torrent(metainfo, None)),
        Some(b'{') => read_idt(context, &bytes, None).map(|idtorrent| Found::idtorrent(idtorrent, None)),
        _ if is_magnet(&bytes) => from_magnet(context, String::from_utf8_lossy(bytes.trim_ascii()).as_ref()),
        _ => Err(Failure::input("not a magnet link, torrent, idtorrent, URL or info hash")),
    }
}

/// The bytes behind a path, a URL or `-`.
fn bytes(context: &Context, source: &OsStr) -> Result<Vec<u8>, Failure> {
    if let Some(url) = source.to_str().filter(|text| is_http(text)) {
        return fetch(context, url);
    }
    let mut bytes = Vec::new();
    let path = Path::new(source);
    let outcome = if source == "-" {
        std::io::stdin().take(BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    outcome.map_err(|error| Failure::reading(path, &error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Failure::input("torrent: larger than 64 MiB"));
    }
    Ok(bytes)
}

fn is_magnet(text: &[u8]) -> bool {
    text.get(..7).is_some_and(|front| front.eq_ignore_ascii_case(b"magnet:"))
}

/// A bare info hash: 64 or 40 hex digits.
pub fn hash(text: &str) -> Option<InfoHashes> {
    let v2 = || V2Hash::from_hex(text.as_bytes()).map(InfoHashes::V2);
    V1Hash::from_hex(text.as_bytes()).map(InfoHashes::V1).or_else(v2)
}

fn read(bytes: Vec<u8>) -> Result<Metainfo, Failure> {
    Metainfo::take(bytes).map_err(|why| Failure::input(format!("torrent: {why}")))
}

/// Reads an idtorrent, which must have the wanted id if there is one.
fn read_idt(context: &Context, bytes: &[u8], wanted: Option<V1Hash>) -> Result<Idtorrent, Failure> {
    // A command without the flag reads what is read without it.
    let bytes_max = max_size(context, &MAX_SIZE)?;
    let found = match wanted {
        Some(wanted) => Idtorrent::read_as(bytes, bytes_max, wanted),
        None => Idtorrent::read(bytes, bytes_max),
    };
    found.map_err(|why| {
        let failure = Failure::input(format!("idtorrent: {why}"));
        match why {
            Malformed::TooLarge(_) => failure.hint("use --max-size"),
            Malformed::FileId if wanted.is_some() => Failure { class: Class::Verification, ..failure },
            _ => failure,
        }
    })
}

fn fetch(context: &Context, url: &str) -> Result<Vec<u8>, Failure> {
    let agent = http::agent(context, FETCH_TIMEOUT, REDIRECTS_MAX);
    let request = Request::get(url).body(Vec::new()).map_err(|_| Failure::usage("not a usable URL"))?;
    let unreachable = |Unreachable(why)| Failure::new(Class::Network, format!("{url}: {why}"));
    let reply = http::send(&agent, request, BYTES_MAX).map_err(unreachable)?;
    match reply.status {
        200 => Ok(reply.body),
        status @ 400..=499 => Err(Failure::new(Class::Refused, format!("{url}: {status}"))),
        status => Err(Failure::new(Class::Network, format!("{url}: {status}"))),
    }
}

/// Asks the registries a link names, then the one of `--tracker`.
fn from_magnet(context: &Context, link: &str) -> Result<Found, Failure> {
    let magnet = Magnet::parse(link).map_err(|why| Failure::input(why.to_string()))?;
    let own = Tracker::of(context)?;
    let named = magnet.trackers.iter().filter(|url| is_http(url)).map(|url| Tracker::at(url));
    let mut last = Failure::new(Class::Network, "no registry has this torrent");
    for tracker in named.chain([own]) {
        match ask(context, tracker, &magnet.hashes) {
            Ok(found) => return Ok(found),
            Err(failure) => last = failure,
        }
    }
    Err(last.hint("metadata from peers is not available yet"))
}

fn from_registry(context: &Context, hashes: &InfoHashes) -> Result<Found, Failure> {
    ask(context, Tracker::of(context)?, hashes)
}

/// Fetches a torrent or an idtorrent from a registry and checks that it is the one asked for.
fn ask(context: &Context, tracker: Tracker, hashes: &InfoHashes) -> Result<Found, Failure> {
    let url = format!("{}/torrent?info_hash={}", tracker.registry(), hashes.best_hex());
    let bytes = fetch(context, &url)?;
    if let (Some(b'{'), InfoHashes::V1(id)) = (bytes.first(), hashes) {
        return read_idt(context, &bytes, Some(*id))
            .map(|idtorrent| Found::idtorrent(idtorrent, Some(tracker)));
    }
    let metainfo = read(bytes)?;
    // A registry also answers to 20 bytes of a v2 hash, which look like a v1 hash.
    let key = metainfo.hashes().v2().is_some_and(|v2| Some(v2.key()) == hashes.v1().map(|v1| v1.key()));
    match metainfo.expect(hashes) {
        Err(why) if !key => Err(Failure::new(Class::Verification, format!("{url}: {why}"))),
        _ => Ok(Found::torrent(metainfo, Some(tracker))),
    }
}
