//! An entry as it is stored, and the JSON object people get to see of it (registry-api, section 2).
//!
//! The order of the fields is part of the interface. The live counts at the end are not known here: a `Row` stops
//! where they belong.

use super::answer::Row;
use super::question::hashes_of;
use crate::base::InfoHashes;

/// One row of the registry without its files. NULL columns read as empty or 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// The primary key as stored: 64 or 40 hex digits, or anything in an old database.
    pub info_hash: String,
    /// 40 hex digits, or empty.
    pub v1_info_hash: String,
    /// What it is called.
    pub name: String,
    /// Set by the operator only.
    pub verified: bool,
    /// Completed downloads.
    pub completions: u64,
    /// Free text.
    pub description: String,
    /// Who says to have published it.
    pub publisher: String,
    /// Under which terms.
    pub license: String,
    /// `idtorrent`, or empty for a torrent.
    pub kind: String,
    /// Bytes, or 0 when unknown.
    pub size: u64,
    /// One word for the shelf it stands on.
    pub category: String,
    /// Comma-separated, as given.
    pub tags: String,
    /// 64 hex digits, or empty.
    pub publisher_key: String,
    /// 128 hex digits, or empty.
    pub signature: String,
}

/// What kind of file an entry has, or was registered for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileKind {
    /// A torrent.
    #[default]
    Torrent,
    /// An idtorrent.
    Idtorrent,
}

impl FileKind {
    /// The kind by the text of its column; what nobody has written there means a torrent.
    pub fn of(text: &str) -> Self {
        if text == Self::IDTORRENT { Self::Idtorrent } else { Self::Torrent }
    }

    /// What its column holds; nothing for a torrent.
    pub fn column(self) -> Option<&'static str> {
        (self == Self::Idtorrent).then_some(Self::IDTORRENT)
    }

    const IDTORRENT: &str = "idtorrent";
}

impl Entry {
    /// The hashes a client can announce it by; `None` for an odd row of an old database.
    pub fn hashes(&self) -> Option<InfoHashes> {
        hashes_of(&self.info_hash, &self.v1_info_hash)
    }

    /// The JSON object up to the live counts.
    pub fn row(&self) -> Row {
        let mut json = Object::default();
        json.text("info_hash", &self.info_hash);
        json.text_unless_empty("v1_info_hash", &self.v1_info_hash);
        json.text("name", &self.name);
        json.plain("verified", &self.verified);
        json.plain("completions", &self.completions);
        json.text_unless_empty("description", &self.description);
        json.text_unless_empty("publisher", &self.publisher);
        json.text_unless_empty("license", &self.license);
        json.text_unless_empty("kind", &self.kind);
        if self.size != 0 {
            json.plain("size", &self.size);
        }
        json.text_unless_empty("category", &self.category);
        json.text_unless_empty("tags", &self.tags);
        json.text_unless_empty("publisher_key", &self.publisher_key);
        json.text_unless_empty("signature", &self.signature);
        Row { json: json.unfinished(), hashes: self.hashes() }
    }
}

/// A JSON object written field by field, in the order of the calls.
#[derive(Debug, Default)]
pub struct Object(Vec<u8>);

impl Object {
    /// A string.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(&mut self.0, value);
    }

    /// A string, or nothing at all.
    pub fn text_unless_empty(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(name, value);
        }
    }

    /// What is the same in JSON as in print: numbers and truth.
    pub fn plain(&mut self, name: &str, value: &dyn std::fmt::Display) {
        self.name(name);
        self.0.extend_from_slice(value.to_string().as_bytes());
    }

    /// A value that is JSON already.
    pub fn json(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        self.0.extend_from_slice(value);
    }

    /// The object with its closing brace.
    pub fn finished(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }

    /// The object up to where another field could stand, comma included.
    fn unfinished(mut self) -> Vec<u8> {
        self.0.push(b',');
        self.0
    }

    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        quote(&mut self.0, name);
        self.0.push(b':');
    }
}

/// Objects as a JSON array.
pub fn array(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut out = vec![b'['];
    for item in items {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(&item);
    }
    out.push(b']');
    out
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON and a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_are_left_out_and_the_order_is_fixed() {
        let bare = Entry { info_hash: "ab".repeat(20), name: "a\"b\n".to_owned(), ..Entry::default() };
        let expected = format!(
            r#"{{"info_hash":"{}","name":"a\"b\n","verified":false,"completions":0,"#,
            "ab".repeat(20)
        );
        assert_eq!(String::from_utf8(bare.row().json).expect("UTF-8"), expected);
    }

    #[test]
    fn a_full_entry_shows_every_field_in_its_place() {
        let text = str::to_owned;
        let full = Entry {
            info_hash: "cd".repeat(32),
            v1_info_hash: "ab".repeat(20),
            name: text("n"),
            verified: true,
            completions: 7,
            description: text("d"),
            publisher: text("p"),
            license: text("l"),
            publisher_key: text("k"),
            signature: text("s"),
            kind: text("idtorrent"),
            size: 9,
            category: text("c"),
            tags: text("t,u"),
        };
        let expected = format!(
            concat!(
                r#"{{"info_hash":"{}","v1_info_hash":"{}","name":"n","verified":true,"completions":7,"#,
                r#""description":"d","publisher":"p","license":"l","kind":"idtorrent","#,
                r#""size":9,"category":"c","tags":"t,u","publisher_key":"k","signature":"s","#
            ),
            "cd".repeat(32),
            "ab".repeat(20)
        );
        assert_eq!(String::from_utf8(full.row().json).expect("UTF-8"), expected);
        assert!(matches!(full.row().hashes, Some(InfoHashes::Hybrid(..))));
    }

    #[test]
    fn an_object_may_be_empty() {
        assert_eq!(Object::default().finished(), b"{}");
        assert_eq!(array([b"{}".to_vec(), b"1".to_vec()].into_iter()), b"[{},1]");
    }
}
