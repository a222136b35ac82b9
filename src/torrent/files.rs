//! One entry of a v1 file list (BEP 3), pads and symlinks (BEP 47) included.

use super::metainfo::Attributes;
use super::{Malformed, PATH_DEPTH_MAX};
use crate::wire::bencode::Value;

/// An entry of `files`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Its bytes in the v1 stream; 0 for a symlink.
    pub length: u64,
    /// The list of components; only a pad may have none.
    pub path: Option<Value<'a>>,
    /// `path.utf-8`, if it is a usable path.
    pub path_utf8: Option<Value<'a>>,
    /// Padding: zeros between files, nothing on disk.
    pub pad: bool,
    /// A BEP 47 symlink.
    pub symlink: bool,
    /// Other attributes.
    pub attributes: Attributes,
}

/// Reads one entry of `files`.
pub(super) fn entry(value: Value<'_>) -> Result<Entry<'_>, Malformed> {
    let bad = Malformed::BadFileEntry;
    value.as_dict().ok_or(bad)?;
    let [length, path, path_utf8, attr] = value.pick([b"length", b"path", b"path.utf-8", b"attr"]);
    let attr = attr.and_then(|attr| attr.as_bytes()).unwrap_or_default();
    let (pad, symlink) = (attr.contains(&b'p'), attr.contains(&b'l'));
    // A symlink has no bytes, whatever it says; some makers leave its length out.
    let length = if symlink { 0 } else { natural(length).ok_or(bad)? };
    match path {
        Some(path) if !is_path(path) => return Err(bad),
        None if !pad => return Err(bad),
        _ => {}
    }
    let path_utf8 = path_utf8.filter(|path| is_path(*path));
    Ok(Entry { length, path, path_utf8, pad, symlink, attributes: Attributes::of(attr) })
}

/// An integer that is present and not negative.
pub(super) fn natural(value: Option<Value<'_>>) -> Option<u64> {
    u64::try_from(value?.as_int()?).ok()
}

/// A non-empty list of at most [`PATH_DEPTH_MAX`] non-empty strings.
fn is_path(path: Value<'_>) -> bool {
    let Some(components) = path.as_list() else { return false };
    let mut count = 0;
    for component in components {
        count += 1;
        if count > PATH_DEPTH_MAX || component.as_bytes().is_none_or(<[u8]>::is_empty) {
            return false;
        }
    }
    count > 0
}
