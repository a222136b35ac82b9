//! `piece layers` (BEP 52): the piece hashes of files longer than a piece. They stand outside the info dictionary, so
//! each must hash up to the root that does stand in it.

use super::merkle::{self, Hash};
use super::metainfo::Span;
use super::{Malformed, Metainfo};
use crate::wire::bencode::Value;
use std::collections::{BTreeMap, HashMap};

/// Reads and proves the layers of `metainfo`. A file without one is allowed: its hashes are fetched from peers.
/// Says where in the torrent's bytes they are.
pub(super) fn read(
    value: Value<'_>,
    metainfo: &Metainfo,
    torrent: &[u8],
) -> Result<BTreeMap<Hash, Span>, Malformed> {
    let bad = Malformed::BadPieceLayer;
    let piece_length = metainfo.layout.piece_length();
    // Files of identical content share a root; one root with two lengths cannot both be proven.
    let mut wanted: HashMap<Hash, u64> = HashMap::new();
    for file in metainfo.files.iter().filter(|file| file.length > piece_length) {
        if let Some(root) = file.root {
            wanted.insert(root, file.length.div_ceil(piece_length));
        }
    }
    let mut layers = BTreeMap::new();
    for (root, layer) in value.as_dict().ok_or(bad)? {
        let root: Hash = root.try_into().map_err(|_| bad)?;
        let layer = layer.as_bytes().ok_or(bad)?;
        let count = wanted.get(&root).ok_or(bad)?;
        let (hashes, rest) = layer.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 != *count {
            return Err(bad);
        }
        if merkle::layer_root(hashes, metainfo.piece_length()) != root {
            return Err(bad);
        }
        layers.insert(root, Span::locate(torrent, layer).ok_or(bad)?);
    }
    Ok(layers)
}
