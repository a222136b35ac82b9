//! Where a torrent or an idtorrent comes from: a file, stdin, a URL, or the registry of a tracker for a hash or a magnet link.

use crate::Context;
use crate::cmd::create_flags::max_size;
use crate::failure::{Class, Failure};
use crate::flags::{Flag, one};
use crate::http::{self, Unreachable};
use crate::tracker::{Tracker, is_http};
use data_encoding::BASE32;
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

/// What an argument names.
pub enum Named {
    /// A torrent or an idtorrent that is here.
    Found(Found),
    /// A magnet link.
    Magnet(Magnet),
    /// A bare info hash, or the id of an idtorrent, to be looked up.
    Hash(InfoHashes),
}

/// Reads what the command's argument names, and checks that it is what was asked for.
pub fn load(context: &Context, source: &OsStr) -> Result<Loaded, Failure> {
    find(context, source).map(|found| found.loaded)
}

/// The same, with where it was found.
pub fn find(context: &Context, source: &OsStr) -> Result<Found, Failure> {
    match named(context, source)? {
        Named::Found(found) => Ok(found),
        Named::Magnet(magnet) => from_magnet(context, &magnet),
        Named::Hash(hashes) => ask(context, &Tracker::of(context)?, &hashes),
    }
}

/// Finds out what an argument is, and reads it if it is a file, a URL or `-`.
pub fn named(context: &Context, source: &OsStr) -> Result<Named, Failure> {
    if let Some(named) = source.to_str().and_then(link_or_hash) {
        return named;
    }
    let bytes = bytes(context, source)?;
    let loaded = match bytes.first() {
        Some(b'd') => Loaded::Torrent(Box::new(read(bytes)?)),
        Some(b'{') => Loaded::Idtorrent(read_idt(context, &bytes, None)?),
        _ => {
            let named = link_or_hash(String::from_utf8_lossy(bytes.trim_ascii()).as_ref());
            let other = || Failure::input("not a magnet link, torrent, idtorrent, URL or info hash");
            return named.ok_or_else(other)?;
        }
    };
    Ok(Named::Found(Found { loaded, registry: None }))
}

/// A magnet link, which may be a broken one, or a hash; `None` for anything else.
fn link_or_hash(text: &str) -> Option<Result<Named, Failure>> {
    if is_magnet(text.as_bytes()) {
        let magnet = Magnet::parse(text).map(Named::Magnet);
        return Some(magnet.map_err(|why| Failure::input(why.to_string())));
    }
    hash(text).map(|hashes| Ok(Named::Hash(hashes)))
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

/// A bare info hash: 64 or 40 hex digits, or 32 of base32.
pub fn hash(text: &str) -> Option<InfoHashes> {
    let v2 = || V2Hash::from_hex(text.as_bytes()).map(InfoHashes::V2);
    let base32 = || {
        let bytes = BASE32.decode(text.to_ascii_uppercase().as_bytes()).ok()?;
        Some(InfoHashes::V1(V1Hash(bytes.try_into().ok()?)))
    };
    V1Hash::from_hex(text.as_bytes()).map(InfoHashes::V1).or_else(v2).or_else(base32)
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
fn from_magnet(context: &Context, magnet: &Magnet) -> Result<Found, Failure> {
    let own = Tracker::of(context)?;
    let named = magnet.trackers.iter().filter(|url| is_http(url)).map(|url| Tracker::at(url));
    let mut last = Failure::new(Class::Network, "no registry has this torrent");
    for tracker in named.chain([own]) {
        match ask(context, &tracker, &magnet.hashes) {
            Ok(found) => return Ok(found),
            Err(failure) => last = failure,
        }
    }
    Err(last.hint("wl get asks peers too"))
}

/// Fetches a torrent or an idtorrent from a registry and checks that it is the one asked for.
pub fn ask(context: &Context, tracker: &Tracker, hashes: &InfoHashes) -> Result<Found, Failure> {
    let url = format!("{}/torrent?info_hash={}", tracker.registry(), hashes.best_hex());
    let bytes = fetch(context, &url)?;
    let registry = Some(tracker.clone());
    if let (Some(b'{'), InfoHashes::V1(id)) = (bytes.first(), hashes) {
        let loaded = Loaded::Idtorrent(read_idt(context, &bytes, Some(*id))?);
        return Ok(Found { loaded, registry });
    }
    let metainfo = read(bytes)?;
    // A registry also answers to 20 bytes of a v2 hash, which look like a v1 hash.
    let key = metainfo.hashes().v2().is_some_and(|v2| Some(v2.key()) == hashes.v1().map(|v1| v1.key()));
    match metainfo.expect(hashes) {
        Err(why) if !key => Err(Failure::new(Class::Verification, format!("{url}: {why}"))),
        _ => Ok(Found { loaded: Loaded::Torrent(Box::new(metainfo)), registry }),
    }
}
