//! Walking a v2 file tree (BEP 52) in one pass without recursion: directories nest as deep as the uploader likes, so
//! the walk keeps its own stack and touches every byte once.

use super::metainfo::Attributes;
use super::{Malformed, PATH_DEPTH_MAX};
use crate::wire::bencode::{Token, Tokens, Value};

/// A file in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its bytes; 0 for a symlink.
    pub length: u64,
    /// The Merkle root; `None` exactly when the length is 0.
    pub root: Option<[u8; 32]>,
    /// A BEP 47 symlink.
    pub symlink: bool,
    /// Other attributes.
    pub attributes: Attributes,
}

/// Calls `visit` for every file in tree order with its path. The slice of components is only valid for the call.
pub(super) fn walk<'a>(
    tree: Value<'a>,
    mut visit: impl FnMut(&[&'a [u8]], Leaf) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let bad = Malformed::BadFileTree;
    let mut tokens = tree.tokens();
    if tokens.next() != Some(Token::Dict) {
        return Err(bad);
    }
    let mut path: Vec<&'a [u8]> = Vec::new();
    let mut entries = vec![Entries::default()];
    while let Some(here) = entries.last_mut() {
        match tokens.next() {
            Some(Token::End) => {
                entries.pop();
                path.pop();
            }
            Some(Token::Bytes(b"")) => {
                if path.is_empty() || here.seen {
                    return Err(bad);
                }
                *here = Entries { seen: true, leaf: true };
                visit(&path, leaf(&mut tokens)?)?;
            }
            Some(Token::Bytes(name)) => {
                if here.leaf || tokens.next() != Some(Token::Dict) || path.len() >= PATH_DEPTH_MAX {
                    return Err(bad);
                }
                here.seen = true;
                path.push(name);
                entries.push(Entries::default());
            }
            _ => return Err(bad),
        }
    }
    Ok(())
}

/// What one dictionary of the tree has shown so far: a file (key `""`) has no siblings.
#[derive(Default)]
struct Entries {
    seen: bool,
    leaf: bool,
}

fn leaf(tokens: &mut Tokens<'_>) -> Result<Leaf, Malformed> {
    let bad = Malformed::BadFileTree;
    let value = tokens.value().ok_or(bad)?;
    value.as_dict().ok_or(bad)?;
    let [length, root, attr] = value.pick([b"length", b"pieces root", b"attr"]);
    let attr = attr.and_then(|attr| attr.as_bytes()).unwrap_or_default();
    if attr.contains(&b'p') {
        return Err(bad);
    }
    let attributes = Attributes::of(attr);
    // A symlink has no bytes, whatever it says; some makers leave its length out.
    if attr.contains(&b'l') {
        return Ok(Leaf { length: 0, root: None, symlink: true, attributes });
    }
    let length = length.and_then(|length| length.as_int()).and_then(|n| u64::try_from(n).ok()).ok_or(bad)?;
    if length == 0 {
        return Ok(Leaf { length, root: None, symlink: false, attributes });
    }
    let root = root.and_then(|root| root.as_bytes()).and_then(|root| root.try_into().ok()).ok_or(bad)?;
    if root == [0; 32] {
        return Err(bad);
    }
    Ok(Leaf { length, root: Some(root), symlink: false, attributes })
}
