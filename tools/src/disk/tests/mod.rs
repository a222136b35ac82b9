//! The disk room as a whole: torrents made up here, stored into directories made up here.

#[path = "../../../../tests/support/apart.rs"]
mod apart;
mod crashes;
mod disks;
mod large;
mod links;
mod pool;
mod property;
mod resume;
mod seeding;
mod selection;
mod starting;
mod transfer;

use super::opening::{NotOpened, Opened, Options, open_for_get};
use super::{Expected, Job, Outcome, Pool, Storage, Verdict};
use crate::content::Content;
use crate::failure::Failure;
use crate::hash::piece::{Node, PieceHasher};
use crossbeam_channel::{Receiver, bounded};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use weightless::base::Rope;
use weightless::torrent::build::{self, BuildFile, Envelope};
use weightless::torrent::{Kind, Layout, Metainfo, Shape, merkle};

/// A torrent and its data.
pub struct Made {
    pub content: Arc<Content>,
    /// The bytes of every file.
    pub files: Vec<Vec<u8>>,
    /// The stream of every piece, as it is hashed.
    pub pieces: Vec<Vec<u8>>,
}

/// Piece layers by root.
type Layers = BTreeMap<merkle::Hash, Vec<u8>>;

/// A directory torrent `t` of files with random bytes, in torrent order.
pub fn made(kind: Kind, piece_length: u32, files: &[(&str, usize)]) -> Made {
    let mut rng = fastrand::Rng::with_seed(files.iter().map(|(_, length)| *length as u64).sum());
    let data = files.iter().map(|(_, length)| (0..*length).map(|_| rng.u8(..)).collect()).collect();
    made_of(kind, piece_length, &files.iter().map(|(path, _)| *path).collect::<Vec<_>>(), data, true)
}

/// The same of known bytes, with or without piece layers.
pub fn made_of(
    kind: Kind,
    piece_length: u32,
    paths: &[&str],
    files: Vec<Vec<u8>>,
    with_layers: bool,
) -> Made {
    let layout = Layout::plan(kind, u64::from(piece_length), files.iter().map(|file| file.len() as u64));
    let pieces: Vec<Vec<u8>> = (0..layout.piece_count())
        .map(|piece| {
            let range = layout.piece(piece);
            let mut bytes = vec![0; (range.end - range.start) as usize];
            for segment in layout.segments(range.clone()) {
                let (to, from) = ((segment.at - range.start) as usize, segment.offset as usize);
                let length = segment.length as usize;
                bytes[to..to + length].copy_from_slice(&files[segment.file][from..from + length]);
            }
            bytes
        })
        .collect();
    let mut layers = Layers::new();
    let built: Vec<BuildFile> = paths
        .iter()
        .zip(&files)
        .map(|(path, bytes)| {
            let root =
                (kind != Kind::V1 && !bytes.is_empty()).then(|| root(bytes, piece_length, &mut layers));
            let path = path.split('/').map(|part| part.as_bytes().to_vec()).collect();
            BuildFile { path, length: bytes.len() as u64, root }
        })
        .collect();
    let mut hasher = PieceHasher::new(Kind::V1, piece_length);
    let sha1 = |piece: &Vec<u8>| {
        hasher.data(piece);
        hasher.finish(Node::LayerEntry).sha1.expect("v1")
    };
    let sha1s: Vec<u8> = pieces.iter().flat_map(sha1).collect();
    let info = build::info(&build::Content {
        kind,
        shape: Shape::Directory,
        name: b"t",
        piece_length,
        files: &built,
        pieces: &sha1s,
        private: false,
        source: b"",
    });
    let metainfo = match with_layers {
        true => {
            let layers: Vec<_> = layers.iter().map(|(root, layer)| (*root, layer.as_slice())).collect();
            let layers = (kind != Kind::V1).then_some(layers.as_slice());
            Metainfo::read(&build::torrent(&Envelope::default(), &info, layers).to_vec())
        }
        false => Metainfo::read_info(&info.to_vec()),
    };
    Made { content: Arc::new(Content::torrent(metainfo.expect("valid"))), files, pieces }
}

fn root(bytes: &[u8], piece_length: u32, layers: &mut Layers) -> merkle::Hash {
    let leaves = |bytes: &[u8]| bytes.chunks(16384).map(merkle::leaf).collect::<Vec<_>>();
    if bytes.len() <= piece_length as usize {
        return merkle::small_file_root(&mut leaves(bytes));
    }
    let pieces = bytes.chunks(piece_length as usize);
    let layer: Vec<_> = pieces.map(|piece| merkle::piece_hash(&mut leaves(piece), piece_length)).collect();
    let root = merkle::file_root(layer.clone(), piece_length);
    layers.insert(root, layer.concat());
    root
}

impl Made {
    pub fn expected(&self, piece: u32) -> Expected {
        let node = self.content.piece_node(piece);
        Expected {
            sha1: self.content.piece_sha1(piece),
            sha256: node.and_then(|node| node.hash),
            node: node.map_or(Node::LayerEntry, |node| node.node),
            with_leaves: false,
        }
    }

    pub fn count(&self) -> u32 {
        self.content.piece_count()
    }

    pub fn all(&self) -> Vec<bool> {
        vec![true; self.files.len()]
    }

    /// Writes the files where a finished download would have them.
    pub fn plant(&self, output: &Path) {
        for (path, bytes) in self.content.disk_paths().expect("short").iter().zip(&self.files) {
            let path = output.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, bytes).expect("a file");
        }
    }

    /// Whether the output holds the finished files and nothing else.
    pub fn is_finished(&self, output: &Path) -> bool {
        let paths = self.content.disk_paths().expect("short");
        let wanted: BTreeMap<String, Vec<u8>> = paths.into_iter().zip(self.files.clone()).collect();
        listing(output) == wanted
    }
}

/// The same torrent with another SHA-1 for its first piece.
pub fn contradiction(made: &Made) -> Made {
    let metainfo = made.content.metainfo().expect("a torrent");
    let mut torrent = metainfo.info().to_vec();
    let sha1 = made.content.piece_sha1(0).expect("v1");
    let at = torrent.windows(20).position(|window| window == sha1).expect("in there");
    torrent[at] ^= 1;
    let layers: BTreeMap<_, _> = (0..made.files.len())
        .filter_map(|file| Some((made.content.file_root(file)?, metainfo.layer(file)?)))
        .collect();
    let mut info = Rope::new();
    info.copy(&torrent);
    let layers: Vec<_> = layers.into_iter().collect();
    let torrent = build::torrent(&Envelope::default(), &info, Some(&layers)).to_vec();
    let content = Arc::new(Content::torrent(Metainfo::read(&torrent).expect("valid as far as one can see")));
    Made { content, files: made.files.clone(), pieces: made.pieces.clone() }
}

/// A torrent whose SHA-1s are those of `v1`, and whose Merkle roots those of `v2`; its data is that of `v1`. Both have
/// the same files, and neither has layers.
pub fn contradiction_of(v2: &Made, v1: &Made) -> Made {
    let sha1s = |made: &Made| -> Vec<u8> {
        (0..made.count()).flat_map(|piece| made.content.piece_sha1(piece).expect("v1")).collect()
    };
    let mut info = v2.content.metainfo().expect("a torrent").info().to_vec();
    let (theirs, ours) = (sha1s(v2), sha1s(v1));
    let at = info.windows(theirs.len()).position(|window| window == theirs).expect("in there");
    info[at..at + ours.len()].copy_from_slice(&ours);
    let metainfo = Metainfo::read_info(&info).expect("valid as far as one can see");
    Made { content: Arc::new(Content::torrent(metainfo)), files: v1.files.clone(), pieces: v1.pieces.clone() }
}

/// Every file below a directory.
pub fn listing(output: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![output.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(output).expect("below").to_str().expect("UTF-8").to_owned();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

/// A download in a directory of its own.
pub struct Desk<'m> {
    pub made: &'m Made,
    dir: Arc<TempDir>,
    output: PathBuf,
    pub opened: Opened,
    pool: Pool,
    bell: Receiver<()>,
    pub have: BTreeSet<u32>,
}

/// How a download begins, when nothing special is wanted.
pub fn plainly(stop: &AtomicBool) -> Options<'_> {
    Options { overwrite: false, recheck: false, preallocate: false, threads: 2, stop }
}

/// Opens a download; `change` makes the options special.
pub fn open(
    made: &Made,
    output: &Path,
    wanted: &[bool],
    change: impl FnOnce(&mut Options<'_>),
) -> Result<Opened, Failure> {
    let stop = AtomicBool::new(false);
    let mut options = plainly(&stop);
    change(&mut options);
    open_for_get(&made.content, output, wanted, &options, &mut |_, _| ()).map_err(|why| match why {
        NotOpened::Failed(failure) => failure,
        NotOpened::Interrupted => panic!("nobody asked to stop"),
    })
}

/// The pieces of a bit field.
pub fn set(bits: &[u8]) -> BTreeSet<u32> {
    (0..bits.len() as u32 * 8)
        .filter(|piece| bits[*piece as usize / 8] & (0x80 >> (piece % 8)) != 0)
        .collect()
}

pub fn bits(have: &BTreeSet<u32>, count: u32) -> Vec<u8> {
    let mut bits = vec![0; count.div_ceil(8) as usize];
    have.iter().for_each(|piece| bits[*piece as usize / 8] |= 0x80 >> (piece % 8));
    bits
}

impl<'m> Desk<'m> {
    pub fn new(made: &'m Made) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a folder"));
        let output = dir.path().to_path_buf();
        Self::at(made, dir, output, &made.all())
    }

    pub fn at(made: &'m Made, dir: Arc<TempDir>, output: PathBuf, wanted: &[bool]) -> Self {
        let opened = open(made, &output, wanted, |_| ()).expect("opens");
        Self::with(made, dir, output, opened)
    }

    fn with(made: &'m Made, dir: Arc<TempDir>, output: PathBuf, opened: Opened) -> Self {
        let (ring, bell) = bounded(1);
        let notify = Arc::new(move || {
            let _ = ring.try_send(());
        });
        let pool = Pool::start(&opened.storage, 2, notify);
        let have = set(&opened.have);
        Self { made, dir, output, opened, pool, bell, have }
    }

    /// The same directory, opened again after a stop without a word.
    pub fn again(self, wanted: &[bool]) -> Self {
        let Self { made, dir, output, opened, pool, .. } = self;
        pool.stop();
        drop(opened);
        Self::at(made, dir, output, wanted)
    }

    /// Stops without a word; the directory stays.
    pub fn leave(self) -> (Arc<TempDir>, PathBuf) {
        let Self { dir, output, opened, pool, .. } = self;
        pool.stop();
        drop(opened);
        (dir, output)
    }

    pub fn output(&self) -> &Path {
        &self.output
    }

    pub fn storage(&self) -> &Storage {
        &self.opened.storage
    }

    /// Has one job done.
    pub fn ask(&self, job: Job) -> Outcome {
        self.pool.submit(job).expect("there is room");
        loop {
            if let Some(outcome) = self.pool.outcomes().next() {
                return outcome;
            }
            self.bell.recv_timeout(Duration::from_secs(60)).expect("an outcome");
        }
    }

    /// Stores one piece.
    pub fn store(&mut self, piece: u32) -> Verdict {
        self.store_bytes(piece, self.made.pieces[piece as usize].clone())
    }

    pub fn store_bytes(&mut self, piece: u32, bytes: Vec<u8>) -> Verdict {
        let expected = self.made.expected(piece);
        let Outcome::Stored { verdict, .. } = self.ask(Job::Store { piece, bytes, expected }) else {
            panic!("another outcome")
        };
        if matches!(verdict, Verdict::Good) {
            self.have.insert(piece);
        }
        verdict
    }

    pub fn checkpoint(&self, clean: bool) {
        let bits = bits(&self.have, self.made.count());
        let outcome = self.ask(Job::Checkpoint { bits, uploaded: 7, clean });
        assert!(matches!(outcome, Outcome::Checkpointed(Ok(()))), "{outcome:?}");
    }

    pub fn finish(&self, files: Vec<usize>) {
        let outcome = self.ask(Job::Finish { files });
        assert!(matches!(outcome, Outcome::Finished { result: Ok(()), .. }), "{outcome:?}");
    }

    pub fn close(&self) {
        let outcome = self.ask(Job::Close);
        assert!(matches!(outcome, Outcome::Closed(Ok(()))), "{outcome:?}");
    }
}
