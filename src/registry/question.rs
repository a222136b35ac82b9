//! What can be asked of the registry.

use super::search::Search;

/// One request that only reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// `GET /api/registry?info_hash=`
    Entry(HashText),
    /// `GET /api/registry/search`
    Search(Search),
    /// `GET /api/registry/torrent?info_hash=`
    Torrent(HashText),
    /// `GET /api/registry/meta?info_hash=`
    Meta(HashText),
}

/// The `info_hash` parameter as it was asked: 64 hex digits name a v2 hash, 40 a v1 or a cut v2 hash, anything else
/// only a row of an old database, by its exact text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashText(pub String);
