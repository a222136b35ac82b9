//! What can be asked of the registry, and the names people ask by.

use super::search::{Page, Search};
use crate::base::{InfoHashes, SwarmKey, V1Hash, V2Hash};

/// One request that only reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// `GET /api/registry?info_hash=`
    Entry(HashText),
    /// `GET /api/registry/search`
    Search(Search),
    /// `GET /api/registry/torrent?info_hash=`
    Torrent {
        /// Whose.
        hash: HashText,
        /// What the client says to have (`If-None-Match`).
        known: Option<String>,
        /// A copy for one user.
        personal: Option<Personal>,
    },
    /// `GET /api/registry/magnet?info_hash=`
    Magnet {
        /// Whose.
        hash: HashText,
        /// The announce URLs to name in it.
        trackers: Vec<String>,
    },
    /// `GET /api/registry/meta?info_hash=`
    Meta(HashText),
    /// `GET /`: a search as a page for people.
    ListPage(Search),
    /// `GET /?info_hash=`: an entry as a page for people.
    EntryPage {
        /// Whose.
        hash: HashText,
        /// The announce URLs to name in it.
        trackers: Vec<String>,
    },
    /// `GET /api/blocklist`
    Blocklist(Page),
    /// `GET /health`: does the database answer at all? `Answer::Json` with status 200 and an empty body if it does.
    Ping,
}

/// What makes a torrent one user's copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Personal {
    /// A valid passkey, to be written into announce URLs.
    pub passkey: String,
    /// The names of this tracker. When some announce URL has one of them, the other ones belong to other trackers, which
    /// must not learn the passkey.
    pub hosts: Vec<String>,
}

/// The `info_hash` parameter as it was asked: 64 hex digits name a v2 hash, 40 a v1 or a cut v2 hash, anything else
/// only a row of an old database, by its exact text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HashText(pub String);

/// What a `HashText` names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named<'a> {
    /// 64 hex digits.
    V2(V2Hash),
    /// 40 hex digits: a v1 hash, or a v2 hash cut to 20 bytes.
    Short(SwarmKey),
    /// Anything else.
    Other(&'a str),
}

impl HashText {
    /// Lower-cases hashes. Anything else stays as it is, because an old row is found by its exact text.
    pub fn new(text: String) -> Self {
        match Self(text) {
            other if matches!(other.named(), Named::Other(_)) => other,
            Self(hash) => Self(hash.to_ascii_lowercase()),
        }
    }

    /// Tells hashes of both kinds from other text.
    pub fn named(&self) -> Named<'_> {
        let bytes = self.0.as_bytes();
        if let Some(v2) = V2Hash::from_hex(bytes) {
            Named::V2(v2)
        } else if let Some(v1) = V1Hash::from_hex(bytes) {
            Named::Short(v1.key())
        } else {
            Named::Other(&self.0)
        }
    }
}

/// The hashes of a row by its two text columns. `None` when the primary key is not 40 or 64 hex digits, as can be in
/// an old database: such a row can be read, but never announced. An unreadable v1 hash counts as none.
pub fn hashes_of(info_hash: &str, v1_info_hash: &str) -> Option<InfoHashes> {
    if let Some(v1) = V1Hash::from_hex(info_hash.as_bytes()) {
        return Some(InfoHashes::V1(v1));
    }
    let v2 = V2Hash::from_hex(info_hash.as_bytes())?;
    Some(match V1Hash::from_hex(v1_info_hash.as_bytes()) {
        Some(v1) => InfoHashes::Hybrid(v1, v2),
        None => InfoHashes::V2(v2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_lower_cased_and_told_apart_by_length() {
        assert_eq!(HashText::new("AB".repeat(20)).0, "ab".repeat(20));
        assert!(matches!(HashText::new("AB".repeat(20)).named(), Named::Short(_)));
        assert!(matches!(HashText::new("AB".repeat(32)).named(), Named::V2(_)));
        for other in ["", "Odd Row", &"a".repeat(39), &"g".repeat(40), &"a".repeat(65)] {
            assert_eq!(HashText::new(other.to_owned()).named(), Named::Other(other));
        }
    }

    #[test]
    fn a_row_is_known_by_what_its_columns_hold() {
        let (short, long) = ("ab".repeat(20), "CD".repeat(32));
        assert!(matches!(hashes_of(&long, &short), Some(InfoHashes::Hybrid(..))));
        assert!(matches!(hashes_of(&long, ""), Some(InfoHashes::V2(_))));
        assert!(matches!(hashes_of(&long, "junk"), Some(InfoHashes::V2(_))));
        assert!(matches!(hashes_of(&short, &short), Some(InfoHashes::V1(_))));
        assert_eq!(hashes_of("junk", &short), None);
    }
}
