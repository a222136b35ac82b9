//! Changing the tracker URLs of a torrent without touching anything else: a passkey is taken out before a file is
//! published and written into the copy one user downloads. Everything but those strings stays byte for byte, so info
//! hashes and signatures stay as they are.

use super::Malformed;
use super::metainfo::Span;
use crate::wire::bencode::{self, Form, Limits, Value};
use std::ops::Range;

/// Most URLs that are changed in one torrent. A file of nothing but URLs would otherwise cost many times its size.
pub const CHANGED_URLS_MAX: usize = 10_000;

/// Copies the torrent `bytes` with each URL in `announce` and `announce-list` replaced by what `change` makes of it;
/// `None` keeps a URL as it is.
///
/// Reads within [`Limits::REGISTRY`], and as deep as [`Limits::TORRENT`] goes; what is not a torrent, or has more than [`CHANGED_URLS_MAX`] URLs to change, gives
/// [`Malformed::NotATorrent`].
pub fn rewrite_trackers(
    bytes: &[u8],
    change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Malformed> {
    Ok(spliced(bytes, &edits(bytes, change)?))
}

/// The same without a copy where nothing becomes longer: torrents may be large, and this is done to every upload.
pub fn shorten_trackers(
    mut bytes: Vec<u8>,
    change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Malformed> {
    let edits = edits(&bytes, change)?;
    if edits.iter().any(|edit| edit.new.len() > edit.old.len()) {
        return Ok(spliced(&bytes, &edits));
    }
    let Some(first) = edits.first() else { return Ok(bytes) };
    let mut to = first.old.start;
    for (at, edit) in edits.iter().enumerate() {
        bytes[to..to + edit.new.len()].copy_from_slice(&edit.new);
        to += edit.new.len();
        let next = edits.get(at + 1).map_or(bytes.len(), |next| next.old.start);
        bytes.copy_within(edit.old.end..next, to);
        to += next - edit.old.end;
    }
    bytes.truncate(to);
    Ok(bytes)
}

/// Whoever publishes a torrent rewrites it too, and a registry says itself what it does not take.
const LIMITS: Limits = Limits { depth_max: Limits::TORRENT.depth_max, ..Limits::REGISTRY };

/// A byte string with its length, and what stands there instead.
struct Edit {
    old: Range<usize>,
    new: Vec<u8>,
}

fn spliced(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let added: usize = edits.iter().map(|edit| edit.new.len()).sum();
    let mut out = Vec::with_capacity(bytes.len() + added);
    let mut from = 0;
    for edit in edits {
        out.extend_from_slice(&bytes[from..edit.old.start]);
        out.extend_from_slice(&edit.new);
        from = edit.old.end;
    }
    out.extend_from_slice(&bytes[from..]);
    out
}

/// Every change, in the order of the file.
fn edits(bytes: &[u8], mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Result<Vec<Edit>, Malformed> {
    let bad = Malformed::NotATorrent;
    let top = bencode::parse(bytes, &LIMITS, Form::Tolerant).map_err(|_| bad)?;
    let mut edits = Vec::new();
    let mut look = |value: Value<'_>| {
        let Some(url) = value.as_bytes().and_then(&mut change) else { return Ok(()) };
        let old = Span::locate(bytes, value.raw()).ok_or(bad)?.range();
        let new = [format!("{}:", url.len()).as_bytes(), &url].concat();
        edits.push(Edit { old, new });
        if edits.len() > CHANGED_URLS_MAX { Err(bad) } else { Ok(()) }
    };
    for (key, value) in top.as_dict().ok_or(bad)? {
        match key {
            b"announce" => look(value)?,
            // A list of lists of URLs (BEP 12); some makers write plain strings in the outer list, those are URLs too.
            b"announce-list" => {
                for tier in value.as_list().into_iter().flatten() {
                    match tier.as_list() {
                        Some(urls) => urls.into_iter().try_for_each(&mut look)?,
                        None => look(tier)?,
                    }
                }
            }
            _ => {}
        }
    }
    Ok(edits)
}
