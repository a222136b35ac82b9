//! Hashing a tree into an info dictionary and its piece layers.

use super::create_stream::Origin;
use crate::Context;
use crate::failure::{Failure, reason};
use crate::hash::finished::Finished;
use crate::hash::pool::{self, Fault, Plan, Source};
use crate::hash::stream;
use crate::hash::walk::Tree;
use crate::progress::Progress;
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use weightless::base::Rope;
use weightless::torrent::build::{self, BuildFile, Content, Layer};
use weightless::torrent::merkle::{self, Hash};
use weightless::torrent::{Kind, Layout, Shape};

/// What is to be hashed, and how.
pub struct Recipe<'a> {
    /// The files.
    pub tree: &'a Tree,
    /// The torrent's name.
    pub name: &'a [u8],
    /// Which hashes.
    pub kind: Kind,
    /// Bytes in a piece.
    pub piece_length: u32,
    /// Hashing threads.
    pub threads: usize,
    /// `private`.
    pub private: bool,
    /// `source`.
    pub source: &'a str,
}

/// What came out. The hashes are in memory once, here; the torrent borrows them.
pub struct Hashed {
    pieces: Pieces,
    files: Vec<BuildFile>,
    /// The root of every layer, and the pieces it is made of; ascending by root, each once.
    layers: Vec<(Hash, Range<usize>)>,
    /// How many pieces.
    pub piece_count: u64,
    /// Bytes of all files.
    pub size: u64,
}

impl Hashed {
    /// The info dictionary.
    pub fn info<'h>(&'h self, recipe: &Recipe<'h>) -> Rope<'h> {
        build::info(&Content {
            kind: recipe.kind,
            shape: recipe.tree.shape,
            name: recipe.name,
            piece_length: recipe.piece_length,
            files: &self.files,
            pieces: &self.pieces.sha1,
            private: recipe.private,
            source: recipe.source.as_bytes(),
        })
    }

    /// The piece layers; `None` for v1 only.
    pub fn layers(&self, kind: Kind) -> Option<Vec<Layer<'_>>> {
        let layer = |range: &Range<usize>| self.pieces.sha256.get(range.clone()).unwrap_or_default();
        let layers = self.layers.iter().map(|(root, range)| (*root, layer(range).as_flattened()));
        (kind != Kind::V1).then(|| layers.collect())
    }
}

/// Reads every byte once, from `origin` if the file is not on this machine. Fails if something cannot be read or
/// changed on the way; nothing is written then.
pub fn hash(context: &Context, recipe: &Recipe<'_>, origin: Option<Origin>) -> Result<Hashed, Failure> {
    let lengths = recipe.tree.files.iter().map(|file| file.stamp.length);
    let size = lengths.clone().sum();
    let layout = Layout::plan(recipe.kind, u64::from(recipe.piece_length), lengths);
    let count = usize::try_from(layout.piece_count()).ok().filter(|&count| count < 1 << 30);
    let count = count.ok_or_else(|| Failure::input("too many pieces").hint("use a larger --piece-length"))?;
    let mut pieces = Pieces::new(recipe.kind, count);
    let mut progress = Progress::new(context, "hashing", size);
    let outcome = match origin {
        Some(origin) => remote(recipe, origin, &mut progress, &mut pieces),
        None => local(context, recipe, &layout, &mut progress, &mut pieces),
    };
    progress.end();
    outcome?;
    let (files, layers) = roots(recipe, &layout, &pieces.sha256);
    Ok(Hashed { pieces, files, layers, piece_count: count as u64, size })
}

fn local(
    context: &Context,
    recipe: &Recipe<'_>,
    layout: &Layout,
    progress: &mut Progress,
    pieces: &mut Pieces,
) -> Result<(), Failure> {
    let files = &recipe.tree.files;
    let sources: Vec<_> = files
        .iter()
        .map(|file| Source { path: Some(file.disk.clone()), length: file.stamp.length })
        .collect();
    let plan = Plan { kind: recipe.kind, layout, sources: &sources, threads: recipe.threads };
    let mut fault: Option<Fault> = None;
    let progress = RefCell::new(progress);
    let mut finished = context.voice.is_detailed().then(|| Finished::new(layout, files.len()));
    let mut tell = |piece| {
        let Some(finished) = &mut finished else { return };
        finished.piece(piece, |file| {
            let place = files.get(file).map(|file| file.disk.display().to_string()).unwrap_or_default();
            progress.borrow_mut().note(context, &format!("hashed {place}"));
        });
    };
    pool::hash(
        &plan,
        |done| progress.borrow_mut().at(done),
        |piece, outcome| {
            match outcome {
                Ok(hashes) => {
                    pieces.put(piece, &hashes);
                    tell(piece);
                }
                // Threads fail in any order; the first file in torrent order is the one reported.
                Err(new) if fault.as_ref().is_none_or(|old| new.file < old.file) => fault = Some(new),
                Err(_) => {}
            }
            fault.is_none()
        },
    );
    if let Some(fault) = fault {
        return Err(failure(recipe.tree, &fault));
    }
    match files.iter().find(|file| !file.unchanged()) {
        Some(file) => Err(Failure::input(format!("{}: file changed while hashing", file.disk.display()))),
        None => Ok(()),
    }
}

fn remote(
    recipe: &Recipe<'_>,
    mut origin: Origin,
    progress: &mut Progress,
    pieces: &mut Pieces,
) -> Result<(), Failure> {
    let shape = stream::Shape { kind: recipe.kind, length: origin.length, piece_length: recipe.piece_length };
    let tick = |done| progress.at(done);
    let outcome = stream::hash(shape, &mut origin, tick, |piece, hashes| pieces.put(piece, hashes));
    match outcome.map_err(|error| origin.broken(&error))? {
        came if came < origin.length => Err(origin.another_length("shorter")),
        came if came > origin.length || origin.is_longer() => Err(origin.another_length("longer")),
        _ => Ok(()),
    }
}

/// The hashes of all pieces, in place of arrival in order.
struct Pieces {
    sha1: Vec<u8>,
    sha256: Vec<Hash>,
}

impl Pieces {
    fn new(kind: Kind, count: usize) -> Self {
        let v1 = if kind == Kind::V2 { 0 } else { 20 * count };
        let v2 = if kind == Kind::V1 { 0 } else { count };
        Self { sha1: vec![0; v1], sha256: vec![[0; 32]; v2] }
    }

    fn put(&mut self, piece: u64, hashes: &crate::hash::piece::PieceHashes) {
        let piece = piece as usize;
        if let (Some(sha1), Some(slot)) = (hashes.sha1, self.sha1.get_mut(20 * piece..20 * piece + 20)) {
            slot.copy_from_slice(&sha1);
        }
        if let (Some(sha256), Some(slot)) = (hashes.sha256, self.sha256.get_mut(piece)) {
            *slot = sha256;
        }
    }
}

/// The root of every file, and where the layers of those longer than a piece are.
fn roots(
    recipe: &Recipe<'_>,
    layout: &Layout,
    sha256: &[Hash],
) -> (Vec<BuildFile>, Vec<(Hash, Range<usize>)>) {
    let mut layers = Vec::new();
    let mut built = Vec::with_capacity(recipe.tree.files.len());
    for (index, file) in recipe.tree.files.iter().enumerate() {
        let range = layout.pieces_of(index);
        let range = range.start as usize..range.end as usize;
        let root = match sha256.get(range.clone()).unwrap_or_default() {
            [] => None,
            [only] => Some(*only),
            layer => {
                let root = merkle::layer_root(layer, recipe.piece_length);
                layers.push((root, range));
                Some(root)
            }
        };
        let path = match recipe.tree.shape {
            Shape::SingleFile => vec![recipe.name.to_vec()],
            Shape::Directory => file.path.clone(),
        };
        built.push(BuildFile { path, length: file.stamp.length, root });
    }
    // Files of identical content share a layer.
    layers.sort_unstable_by_key(|(root, _)| *root);
    layers.dedup_by_key(|(root, _)| *root);
    (built, layers)
}

fn failure(tree: &Tree, fault: &Fault) -> Failure {
    let place = tree.files.get(fault.file).map(|file| file.disk.display().to_string()).unwrap_or_default();
    match fault.error.kind() {
        // It was there, and as long as promised, when the walk saw it.
        io::ErrorKind::UnexpectedEof => Failure::input(format!("{place}: file changed while hashing")),
        _ => Failure::input(format!("{place}: {}", reason(&fault.error))),
    }
}
