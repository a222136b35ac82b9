//! The `signatures` of a torrent: a list beside the info dictionary, so that adding to it changes no info hash.
//!
//! Several signatures are several publishers vouching for the same content; each is judged alone, and none makes the
//! others better or worse.

use super::Malformed;
use super::signature::{Invalid, Signature};
use crate::base::InfoHashes;
use crate::wire::bencode::{self, Form, Limits, Value, Writer};

/// Most signatures of one torrent that are looked at.
pub const SIGNATURES_MAX: usize = 16;

/// One object of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The key it names, valid or not; `None` when there are no 32 bytes of it.
    pub key: Option<[u8; 32]>,
    /// The signature that holds, or why there is none.
    pub verdict: Result<Signature, Invalid>,
}

/// What the list comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Signatures {
    /// The first [`SIGNATURES_MAX`] objects in the order found.
    pub judged: Vec<Judged>,
    /// How many more there are.
    pub ignored: usize,
    /// The key is there but no list: the torrent counts as unsigned.
    pub not_a_list: bool,
}

impl Signature {
    /// Judges a signature from elsewhere, such as a registry's entry.
    pub fn judge(&self, hashes: &InfoHashes) -> Judged {
        Judged { key: Some(self.key), verdict: self.verify(hashes).map(|()| *self) }
    }
}

/// Judges a raw `signatures` value for the torrent with these hashes; `None` is an unsigned torrent.
pub fn judge(raw: Option<&[u8]>, hashes: &InfoHashes) -> Signatures {
    let Some(raw) = raw else { return Signatures::default() };
    let value = bencode::parse(raw, &Limits::TORRENT, Form::Tolerant).ok();
    let Some(mut list) = value.and_then(|value| value.as_list()) else {
        return Signatures { not_a_list: true, ..Signatures::default() };
    };
    let judged = list.by_ref().take(SIGNATURES_MAX).map(|object| one(object, hashes)).collect();
    Signatures { judged, ignored: list.count(), not_a_list: false }
}

fn one(object: Value<'_>, hashes: &InfoHashes) -> Judged {
    match Signature::read(object) {
        Ok(signature) => signature.judge(hashes),
        Err(invalid) => Judged { key: key_of(object), verdict: Err(invalid) },
    }
}

fn key_of(object: Value<'_>) -> Option<[u8; 32]> {
    object.get(b"pub")?.as_bytes()?.try_into().ok()
}

/// Copies a torrent with `signature` put into its `signatures`, in the order of the keys; an object of the same key is
/// replaced, every other byte stays. A value that is no list gives way to one.
///
/// Reads within [`Limits::TORRENT`]; what is not a torrent gives [`Malformed::NotATorrent`].
pub fn add(torrent: &[u8], signature: &Signature) -> Result<Vec<u8>, Malformed> {
    const KEY: &[u8] = b"signatures";
    let top =
        bencode::parse(torrent, &Limits::TORRENT, Form::Tolerant).map_err(|_| Malformed::NotATorrent)?;
    let mut out = Writer::new();
    out.dict();
    let mut missing = top.get(KEY).is_none();
    for (key, value) in top.as_dict().ok_or(Malformed::NotATorrent)? {
        if missing && key > KEY {
            missing = false;
            insert(out.bytes(KEY).list(), None, signature);
        }
        out.bytes(key);
        if key == KEY {
            insert(out.list(), Some(value), signature);
        } else {
            out.raw(value.raw());
        }
    }
    if missing {
        insert(out.bytes(KEY).list(), None, signature);
    }
    out.end();
    Ok(out.finish())
}

/// Writes the items of a list whose beginning is written, and its end.
fn insert(out: &mut Writer, list: Option<Value<'_>>, signature: &Signature) {
    let mut waiting = true;
    for object in list.and_then(|list| list.as_list()).into_iter().flatten() {
        let key = key_of(object);
        if waiting && key.is_some_and(|key| key >= signature.key) {
            waiting = false;
            signature.write(out);
        }
        if key != Some(signature.key) {
            out.raw(object.raw());
        }
    }
    if waiting {
        signature.write(out);
    }
    out.end();
}
