//! The strict reader: the checks of the metainfo specification (section 8), in its order.
//!
//! Everything is judged on the raw bytes; what passes becomes a [`Metainfo`] and is never checked again.

use super::merkle::BLOCK_BYTES;
use super::metainfo::{Metainfo, Span};
use super::read_lists::{self, Lists};
use super::{Kind, Layout, Malformed, about, files, layers, piece_length, v1_hash, v2_hash};
use crate::base::InfoHashes;
use crate::wire::bencode::{self, Form, Limits, Value};

/// Most pieces in one torrent (libtorrent's bound).
const PIECES_MAX: u64 = (1 << 30) - 1;

pub(super) fn torrent(bytes: Vec<u8>) -> Result<Metainfo, Malformed> {
    let top = bencode::parse(&bytes, &Limits::TORRENT, Form::Tolerant).map_err(|_| Malformed::NotATorrent)?;
    let [info, piece_layers] = top.pick([b"info", b"piece layers"]);
    let info = info.ok_or(Malformed::NotATorrent)?;
    let mut metainfo = dictionary(info)?;
    if metainfo.kind != Kind::V1
        && let Some(piece_layers) = piece_layers
    {
        metainfo.layers = layers::read(piece_layers, &metainfo, &bytes)?;
    }
    about::read(top, &mut metainfo.about);
    metainfo.info = Span::locate(&bytes, info.raw()).ok_or(Malformed::NotATorrent)?;
    metainfo.file = bytes;
    Ok(metainfo)
}

pub(super) fn info_only(bytes: &[u8]) -> Result<Metainfo, Malformed> {
    let info = bencode::parse(bytes, &Limits::TORRENT, Form::Tolerant).map_err(|_| Malformed::NotATorrent)?;
    let mut metainfo = dictionary(info)?;
    metainfo.info = Span::locate(bytes, info.raw()).ok_or(Malformed::NotATorrent)?;
    metainfo.file = bytes.to_vec();
    Ok(metainfo)
}

/// The keys of an info dictionary that decide what it is.
struct Keys<'a> {
    version: Option<Value<'a>>,
    tree: Option<Value<'a>>,
    pieces: Option<Value<'a>>,
    length: Option<Value<'a>>,
    files: Option<Value<'a>>,
    piece_length: Option<Value<'a>>,
    name: Option<Value<'a>>,
    name_utf8: Option<Value<'a>>,
}

fn keys(info: Value<'_>) -> Keys<'_> {
    let [version, tree, pieces, length, files, piece_length, name, name_utf8] = info.pick([
        b"meta version",
        b"file tree",
        b"pieces",
        b"length",
        b"files",
        b"piece length",
        b"name",
        b"name.utf-8",
    ]);
    Keys { version, tree, pieces, length, files, piece_length, name, name_utf8 }
}

/// Everything but the bytes themselves.
fn dictionary(info: Value<'_>) -> Result<Metainfo, Malformed> {
    info.as_dict().ok_or(Malformed::NotATorrent)?;
    let keys = keys(info);
    let kind = kind(info, &keys)?;
    let piece_length = checked_piece_length(kind, keys.piece_length)?;
    let name = name(kind, &keys)?;
    let lists = lists(kind, &keys, info.raw(), piece_length)?;
    if lists.files.is_empty() {
        return Err(Malformed::WrongPieceCount);
    }
    let layout = Layout::new(kind, piece_length, lists.extents, lists.stream);
    let pieces = pieces(kind, &keys, layout.piece_count())?;
    let raw = info.raw();
    let locate = |part: &[u8]| Span::locate(raw, part).ok_or(Malformed::NotATorrent);
    let mut metainfo = Metainfo {
        name: locate(name)?,
        pieces: locate(pieces).unwrap_or(Span::EMPTY),
        file: Vec::new(),
        info: Span::EMPTY,
        hashes: hashes(kind, raw),
        kind,
        shape: lists.shape,
        files: lists.files,
        directories: lists.directories,
        layout,
        layers: Default::default(),
        about: Default::default(),
    };
    about::read_info(info, &mut metainfo.about);
    Ok(metainfo)
}

/// The kind by its keys. The version is looked at before anything else: another one may have changed every rule.
fn kind(info: Value<'_>, keys: &Keys<'_>) -> Result<Kind, Malformed> {
    let version = match keys.version {
        None => 1,
        Some(version) => version.as_int().filter(|&v| v <= 2).ok_or(Malformed::UnsupportedVersion)?,
    };
    if version == 2 && bencode::parse(info.raw(), &Limits::TORRENT, Form::Canonical).is_err() {
        return Err(Malformed::NotCanonical);
    }
    if (version == 2) != keys.tree.is_some() {
        return Err(Malformed::InconsistentVersion);
    }
    let v1_list = keys.length.is_some() || keys.files.is_some();
    match (version, keys.pieces.is_some(), v1_list) {
        (2, true, true) => Ok(Kind::Hybrid),
        (2, false, false) => Ok(Kind::V2),
        (2, _, _) => Err(Malformed::InconsistentVersion),
        _ => Ok(Kind::V1),
    }
}

fn checked_piece_length(kind: Kind, value: Option<Value<'_>>) -> Result<u64, Malformed> {
    let length = files::natural(value).ok_or(Malformed::BadPieceLength)?;
    let least = if kind == Kind::V1 { 1 } else { u64::from(BLOCK_BYTES) };
    let aligned = kind == Kind::V1 || length.is_power_of_two();
    if aligned && (least..=piece_length::READ_MAX).contains(&length) {
        Ok(length)
    } else {
        Err(Malformed::BadPieceLength)
    }
}

fn name<'a>(kind: Kind, keys: &Keys<'a>) -> Result<&'a [u8], Malformed> {
    let name = keys.name.and_then(|name| name.as_bytes()).ok_or(Malformed::MissingName)?;
    if kind != Kind::V2 && name.is_empty() {
        return Err(Malformed::MissingName);
    }
    let preferred = keys.name_utf8.and_then(|name| name.as_bytes()).filter(|name| !name.is_empty());
    Ok(preferred.filter(|_| kind == Kind::V1).unwrap_or(name))
}

fn lists(kind: Kind, keys: &Keys<'_>, info: &[u8], piece_length: u64) -> Result<Lists, Malformed> {
    if kind == Kind::Hybrid && keys.length.is_some() && keys.files.is_some() {
        return Err(Malformed::LengthAndFiles);
    }
    match (kind, keys.tree) {
        (Kind::V2, Some(tree)) => read_lists::tree_files(tree, info, piece_length),
        (Kind::Hybrid, Some(tree)) => {
            let name = keys.name.and_then(|name| name.as_bytes()).ok_or(Malformed::MissingName)?;
            let mut lists = v1_list(kind, keys, info)?;
            lists.match_tree(tree, name, info, piece_length)?;
            Ok(lists)
        }
        _ => v1_list(kind, keys, info),
    }
}

/// The v1 list. When a v1-only torrent has both forms, `files` counts, as it does for other clients.
fn v1_list(kind: Kind, keys: &Keys<'_>, info: &[u8]) -> Result<Lists, Malformed> {
    match (keys.files, keys.length) {
        (Some(files), _) => read_lists::v1_files(files, info, kind == Kind::V1),
        (None, length) => read_lists::single(files::natural(length).ok_or(Malformed::BadFileEntry)?),
    }
}

fn pieces<'a>(kind: Kind, keys: &Keys<'a>, count: u64) -> Result<&'a [u8], Malformed> {
    if count > PIECES_MAX {
        return Err(Malformed::WrongPieceCount);
    }
    if kind == Kind::V2 {
        return Ok(&[]);
    }
    let pieces = keys.pieces.and_then(|pieces| pieces.as_bytes()).ok_or(Malformed::WrongPieceCount)?;
    if pieces.len() as u64 == 20 * count { Ok(pieces) } else { Err(Malformed::WrongPieceCount) }
}

fn hashes(kind: Kind, info: &[u8]) -> InfoHashes {
    match kind {
        Kind::V1 => InfoHashes::V1(v1_hash(info)),
        Kind::V2 => InfoHashes::V2(v2_hash(info)),
        Kind::Hybrid => InfoHashes::Hybrid(v1_hash(info), v2_hash(info)),
    }
}
