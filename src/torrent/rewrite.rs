//! Changing the tracker URLs of a torrent without touching anything else: a passkey is taken out before a file is
//! published and written into the copy one user downloads. Everything but those strings is copied byte for byte, so
//! info hashes and signatures stay as they are.

use super::Malformed;
use crate::wire::bencode::{self, Form, Limits, Value, Writer};

/// Copies the torrent `bytes` with each URL in `announce` and `announce-list` replaced by what `change` makes of it;
/// `None` keeps a URL as it is.
///
/// Reads within [`Limits::REGISTRY`]; what is not a torrent gives [`Malformed::NotATorrent`].
pub fn rewrite_trackers(
    bytes: &[u8],
    mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Malformed> {
    let top = bencode::parse(bytes, &Limits::REGISTRY, Form::Tolerant).map_err(|_| Malformed::NotATorrent)?;
    let mut out = Writer::new();
    out.dict();
    for (key, value) in top.as_dict().ok_or(Malformed::NotATorrent)? {
        out.bytes(key);
        match key {
            b"announce" => url(&mut out, value, &mut change),
            b"announce-list" => tiers(&mut out, value, &mut change),
            _ => {
                out.raw(value.raw());
            }
        }
    }
    out.end();
    Ok(out.finish())
}

fn url(out: &mut Writer, value: Value<'_>, change: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>) {
    match value.as_bytes().and_then(change) {
        Some(changed) => out.bytes(&changed),
        None => out.raw(value.raw()),
    };
}

/// A list of lists of URLs (BEP 12); some makers write plain strings in the outer list, those are URLs too.
fn tiers(out: &mut Writer, value: Value<'_>, change: &mut impl FnMut(&[u8]) -> Option<Vec<u8>>) {
    let Some(tiers) = value.as_list() else {
        out.raw(value.raw());
        return;
    };
    out.list();
    for tier in tiers {
        let Some(urls) = tier.as_list() else {
            url(out, tier, change);
            continue;
        };
        out.list();
        for value in urls {
            url(out, value, change);
        }
        out.end();
    }
    out.end();
}
