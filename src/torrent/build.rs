//! Writing metainfo: the info dictionary from hashed files, and the file around it.
//!
//! Keys come out in ascending order because they are written in that order; the same content gives the same bytes on
//! every machine. Permission bits and dates are never written, so they never change a hash. What is written borrows the
//! hashes: they are nearly all of it.

use super::merkle::Hash;
use super::signature::Signature;
use super::{Kind, Layout, Shape};
use crate::base::Rope;
use crate::wire::bencode::Writer;

/// A file with its hash, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFile {
    /// Components below the torrent's name; for a single file its name alone.
    pub path: Vec<Vec<u8>>,
    /// Its bytes.
    pub length: u64,
    /// The Merkle root; needed for v2 unless the file is empty.
    pub root: Option<Hash>,
}

/// All that goes into an info dictionary.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Which hashes the torrent has.
    pub kind: Kind,
    /// A file or a directory.
    pub shape: Shape,
    /// The torrent's name; for a single file the same bytes as its path.
    pub name: &'a [u8],
    /// A power of two from 16 KiB on.
    pub piece_length: u32,
    /// The files in torrent order: ascending by path, component by component.
    pub files: &'a [BuildFile],
    /// The SHA-1 of each piece, one after the other; not used for v2-only.
    pub pieces: &'a [u8],
    /// Whether clients may find peers only through the torrent's trackers (BEP 27).
    pub private: bool,
    /// The `source` key; empty leaves it out.
    pub source: &'a [u8],
}

/// What stands around the info dictionary. Empty and `None` leave a key out.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// Trackers, one tier each; the first is `announce`.
    pub trackers: Vec<String>,
    /// Free text.
    pub comment: String,
    /// The program.
    pub created_by: String,
    /// Seconds since 1970.
    pub creation_date: Option<u64>,
    /// The publisher's signature.
    pub signature: Option<Signature>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
}

/// A piece layer: the root of a file longer than a piece, and the file's piece hashes one after the other.
pub type Layer<'a> = (Hash, &'a [u8]);

/// Writes the info dictionary.
pub fn info<'a>(content: &Content<'a>) -> Rope<'a> {
    debug_assert!(content.files.is_sorted_by(|a, b| a.path < b.path), "files stand in torrent order");
    let mut out = Writer::rope();
    out.dict();
    if content.kind != Kind::V1 {
        out.bytes(b"file tree");
        file_tree(&mut out, content.files);
    }
    if content.kind != Kind::V2 {
        match (content.shape, content.files) {
            (Shape::SingleFile, [file]) => {
                out.bytes(b"length").int(file.length);
            }
            _ => {
                out.bytes(b"files");
                file_list(&mut out, content);
            }
        }
    }
    if content.kind != Kind::V1 {
        out.bytes(b"meta version").int(2);
    }
    out.bytes(b"name").bytes(content.name);
    out.bytes(b"piece length").int(u64::from(content.piece_length));
    if content.kind != Kind::V2 {
        out.bytes(b"pieces").lent(content.pieces);
    }
    if content.private {
        out.bytes(b"private").int(1);
    }
    if !content.source.is_empty() {
        out.bytes(b"source").bytes(content.source);
    }
    out.end();
    out.finish()
}

/// Writes the `.torrent` around a finished info dictionary. `layers` ascend by root, each root once; they are `None` for
/// v1 only: for v2 and hybrids the key is written even when no file is longer than a piece, because BEP 52 asks for it.
pub fn torrent<'a>(envelope: &Envelope, info: &'a Rope<'a>, layers: Option<&[Layer<'a>]>) -> Rope<'a> {
    debug_assert!(layers.is_none_or(|layers| layers.is_sorted_by(|a, b| a.0 < b.0)));
    let mut out = Writer::rope();
    out.dict();
    if let Some(first) = envelope.trackers.first() {
        out.bytes(b"announce").bytes(first.as_bytes());
    }
    if envelope.trackers.len() > 1 {
        out.bytes(b"announce-list").list();
        for url in &envelope.trackers {
            out.list().bytes(url.as_bytes()).end();
        }
        out.end();
    }
    if !envelope.comment.is_empty() {
        out.bytes(b"comment").bytes(envelope.comment.as_bytes());
    }
    if !envelope.created_by.is_empty() {
        out.bytes(b"created by").bytes(envelope.created_by.as_bytes());
    }
    if let Some(date) = envelope.creation_date {
        out.bytes(b"creation date").int(date);
    }
    out.bytes(b"info").raw_rope(info);
    if let Some(layers) = layers {
        out.bytes(b"piece layers").dict();
        for (root, layer) in layers {
            out.bytes(root).lent(layer);
        }
        out.end();
    }
    if let Some(signature) = &envelope.signature {
        let mut object = Writer::new();
        signature.write(&mut object);
        out.bytes(b"signatures").list().raw(&object.finish()).end();
    }
    if !envelope.web_seeds.is_empty() {
        out.bytes(b"url-list").list();
        for url in &envelope.web_seeds {
            out.bytes(url.as_bytes());
        }
        out.end();
    }
    out.end();
    out.finish()
}

/// The v1 list. Only hybrids have gaps, and each gap is one pad that stands right behind the file before it.
fn file_list(out: &mut Writer<Rope<'_>>, content: &Content<'_>) {
    let lengths = content.files.iter().map(|file| file.length);
    let layout = Layout::plan(content.kind, u64::from(content.piece_length), lengths);
    out.list();
    for (index, file) in content.files.iter().enumerate() {
        out.dict().bytes(b"length").int(file.length).bytes(b"path").list();
        for component in &file.path {
            out.bytes(component);
        }
        out.end().end();
        let gap_end = layout.extent(index + 1).map_or(layout.stream_bytes(), |next| next.start);
        let end = layout.extent(index).map_or(gap_end, |extent| extent.start + extent.length);
        if gap_end > end {
            pad_entry(out, gap_end - end);
        }
    }
    out.end();
}

fn pad_entry(out: &mut Writer<Rope<'_>>, length: u64) {
    out.dict().bytes(b"attr").bytes(b"p").bytes(b"length").int(length);
    out.bytes(b"path").list().bytes(b".pad").bytes(length.to_string().as_bytes()).end().end();
}

/// The v2 tree: directories are opened and closed where neighbouring paths part.
fn file_tree(out: &mut Writer<Rope<'_>>, files: &[BuildFile]) {
    out.dict();
    let mut open: &[Vec<u8>] = &[];
    for file in files {
        let Some((name, directories)) = file.path.split_last() else { continue };
        let shared = open.iter().zip(directories).take_while(|(a, b)| a == b).count();
        for _ in shared..open.len() {
            out.end();
        }
        for directory in directories.iter().skip(shared) {
            out.bytes(directory).dict();
        }
        open = directories;
        out.bytes(name).dict().bytes(b"").dict().bytes(b"length").int(file.length);
        if let Some(root) = &file.root {
            out.bytes(b"pieces root").bytes(root);
        }
        out.end().end();
    }
    for _ in 0..=open.len() {
        out.end();
    }
}
