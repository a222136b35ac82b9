//! What the store says to a question or a write. The server turns it into HTTP.

use super::entry::FileKind;
use super::html::Html;
use crate::base::InfoHashes;

/// The answer to one API request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// One entry.
    Entry(Row),
    /// One page of a search, and how many matched before paging.
    Page {
        /// The rows of this page, in order.
        rows: Vec<Row>,
        /// All matches (`X-Total-Count`).
        total: u64,
    },
    /// A stored file, exactly as it was uploaded.
    File {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What it is.
        kind: FileKind,
        /// The entry's name, or that of an idtorrent's file, for `Content-Disposition`.
        name: String,
        /// The entry's best hash in hex, for when the name is of no use.
        hash: String,
        /// SHA-256 of the bytes, lower-case hex (`ETag`); `None` for a copy made for one user, which no cache may keep.
        sha256: Option<String>,
    },
    /// The file the client has is the one that is stored (304).
    NotModified {
        /// Its SHA-256, lower-case hex.
        sha256: String,
    },
    /// One line of text without its newline; status 200.
    Text(String),
    /// A JSON body that needs nothing added, without its final newline.
    Json {
        /// The status, such as 200 or 201.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// A list that is JSON already, without its final newline; status 200.
    List {
        /// The body.
        body: Vec<u8>,
        /// All items before paging (`X-Total-Count`).
        total: u64,
    },
    /// A page for people; status 200.
    Html(Html),
    /// Refused or failed.
    Error(ApiError),
}

/// One registry entry, rendered up to where the live counts belong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The JSON object from `{` up to and with the comma before `"seeders"`. Whoever knows the swarm adds
    /// `"seeders":N,"leechers":M}`.
    pub json: Vec<u8>,
    /// Its hashes; `None` for a row of an old database that no client can announce.
    pub hashes: Option<InfoHashes>,
}

/// An API request that is not served: the status and the text of `{"error":"<text>"}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The text a person reads.
    pub text: &'static str,
}

impl ApiError {
    /// An error with this status and text.
    pub const fn new(status: u16, text: &'static str) -> Self {
        Self { status, text }
    }
}

/// The entity tag of a file: the first half of its SHA-256 (lower-case hex), in quotes.
pub fn etag(sha256: &str) -> String {
    format!("\"{}\"", sha256.get(..32).unwrap_or(sha256))
}

/// Whether an `If-None-Match` field names this tag (RFC 9110, section 13.1.2): `*`, or a list that may call tags weak.
pub fn matches_etag(if_none_match: &str, tag: &str) -> bool {
    let mut named = if_none_match.split(',').map(str::trim);
    named.any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_every_form_of_the_field() {
        let tag = etag(&"ab".repeat(32));
        assert_eq!(tag, format!("\"{}\"", "ab".repeat(16)));
        for field in [tag.clone(), format!("W/{tag}"), format!("\"x\", W/\"y,z\" ,{tag}"), "*".to_owned()] {
            assert!(matches_etag(&field, &tag), "{field}");
        }
        for field in ["", "\"\"", &"ab".repeat(16), &tag.to_uppercase()] {
            assert!(!matches_etag(field, &tag), "{field}");
        }
    }
}
