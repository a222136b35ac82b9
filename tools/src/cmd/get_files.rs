//! The files of a download: which are wanted, how they are listed, where they and their torrent go.

use crate::announce::TrackerUrl;
use crate::content::Content;
use crate::failure::{Class, Failure, shown};
use crate::hash::glob::Glob;
use crate::show_size::size;
use crate::{Context, Done, save};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use weightless::base::Rope;
use weightless::torrent::magnet::Select;
use weightless::torrent::merkle::Hash;
use weightless::torrent::names::{Platform, component};
use weightless::torrent::small::{FILE_BYTES_MAX, Idtorrent};
use weightless::torrent::{Kind, Metainfo, build};

/// Files shown before a transfer.
const SHOWN_MAX: usize = 20;
/// Torrents of one name in one directory.
const NUMBER_MAX: u32 = 1000;
const PLATFORM: Platform = if cfg!(windows) { Platform::Windows } else { Platform::Unix };

/// One value of `--files`.
pub enum Selection {
    /// Indexes, first and last of each range.
    Ranges(Vec<(usize, usize)>),
    /// A pattern for paths.
    Pattern(Glob),
}

impl Selection {
    /// Reads one.
    pub fn parse(list: &str) -> Result<Self, Failure> {
        let is_ranges =
            !list.is_empty() && list.bytes().all(|b| b.is_ascii_digit() || b == b',' || b == b'-');
        if !is_ranges {
            return Ok(Self::Pattern(Glob::new(list)));
        }
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some((first, last))
        };
        let ranges: Option<Vec<(usize, usize)>> = list.split(',').map(range).collect();
        ranges
            .map(Self::Ranges)
            .ok_or_else(|| Failure::usage("--files must be indexes and ranges as 0,2-4, or a glob"))
    }

    fn picks(&self, index: usize, path: &[Vec<u8>]) -> bool {
        match self {
            Self::Ranges(ranges) => ranges.iter().any(|&(first, last)| (first..=last).contains(&index)),
            Self::Pattern(glob) => glob.matches(path),
        }
    }
}

/// Which files are wanted: `--files` decides, else the link, else all.
pub fn wanted(content: &Content, files: &[Selection], link: &Select) -> Result<Vec<bool>, Failure> {
    let count = content.file_count();
    let real = |index: usize| !content.is_symlink(index);
    let wanted: Vec<bool> = match (files.is_empty(), link) {
        (false, _) => (0..count)
            .map(|index| {
                real(index) && files.iter().any(|selection| selection.picks(index, &content.path(index)))
            })
            .collect(),
        (true, Select::Ranges(ranges)) => (0..count)
            .map(|index| {
                real(index)
                    && ranges.iter().any(|&(first, last)| (first as usize..=last as usize).contains(&index))
            })
            .collect(),
        (true, _) => (0..count).map(real).collect(),
    };
    if !wanted.contains(&true) && count > 0 && (0..count).any(real) {
        let line = |index| format!("{index}  {}", content.shown_path(index));
        let mut list: Vec<String> = (0..count.min(SHOWN_MAX)).map(line).collect();
        if count > SHOWN_MAX {
            list.push(format!("... and {} more", count - SHOWN_MAX));
        }
        return Err(Failure::usage("no file matches; the torrent has:").choices(list));
    }
    Ok(wanted)
}

/// Says what is about to be fetched.
pub fn describe(context: &Context, content: &Content, wanted: &[bool]) {
    let voice = context.voice;
    let of = |index: usize| wanted.get(index).copied().unwrap_or(false);
    let total: u64 =
        (0..content.file_count()).filter(|&index| of(index)).map(|index| content.file_bytes(index)).sum();
    voice.say(&content.shown_name());
    let unit = if content.idtorrent().is_some() { "Chunks" } else { "Pieces" };
    voice.say(&format!("{unit}: {} of {}", content.piece_count(), size(content.layout().piece_length())));
    voice.say(&format!("Total:  {} ({total} bytes)", size(total)));
    if content.file_count() < 2 {
        return;
    }
    let chosen: Vec<usize> = (0..content.file_count()).filter(|&index| of(index)).collect();
    for &index in chosen.iter().take(SHOWN_MAX) {
        voice.say(&format!("  {}  {}", size(content.file_bytes(index)), content.shown_path(index)));
    }
    if let Some(more) = chosen.len().checked_sub(SHOWN_MAX).filter(|&more| more > 0) {
        voice.say(&format!("  ... and {more} more"));
    }
}

/// The answer to `--list`.
pub fn listing(content: &Content) -> Done {
    let mut text = String::new();
    let mut files = Vec::new();
    for index in 0..content.file_count() {
        let (path, bytes) = (content.shown_path(index), content.file_bytes(index));
        let _ = writeln!(text, "{index}  {}  {}", size(bytes), shown(&path));
        files.push(json!({"index": index, "size": bytes, "path": path}));
    }
    let json = json!({
        "name": content.shown_name(), "info_hash": content.hashes().best_hex(), "size": content.total_bytes(), "files": files,
    });
    Done { text, json, ..Done::default() }
}

/// The file or directory that a download makes.
pub fn root(content: &Content, output: &Path) -> Result<PathBuf, Failure> {
    let too_long = |_| Failure::new(Class::Storage, "the torrent has a path too long for a disk");
    let paths = content.disk_paths().map_err(too_long)?;
    let first = paths.first().and_then(|path| path.split('/').next()).unwrap_or_default();
    Ok(output.join(first))
}

/// The `.torrent` around an info dictionary that peers sent. `None` while piece hashes are missing that belong in it.
pub fn torrent_around(
    metainfo: &Metainfo,
    tiers: &[Vec<TrackerUrl>],
    web_seeds: Vec<String>,
    learned: &BTreeMap<usize, Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut layers: BTreeMap<Hash, &[u8]> = BTreeMap::new();
    for (index, file) in metainfo.files().iter().enumerate() {
        let Some(root) = file.root.filter(|_| file.length > u64::from(metainfo.piece_length())) else {
            continue;
        };
        let layer = metainfo.layer(index).or_else(|| learned.get(&index).map(Vec::as_slice))?;
        layers.insert(root, layer);
    }
    let envelope = build::Envelope {
        trackers: tiers.iter().flatten().map(|tracker| tracker.url.clone()).collect(),
        web_seeds,
        ..build::Envelope::default()
    };
    let layers: Vec<build::Layer<'_>> = layers.into_iter().collect();
    let mut info = Rope::new();
    info.lend(metainfo.info());
    let torrent = build::torrent(&envelope, &info, (metainfo.kind() != Kind::V1).then_some(&layers));
    Some(torrent.to_vec())
}

/// Saves a metafile beside the data, unless it is there already; another one of that name gets a number behind it.
pub fn save_metafile(content: &Content, bytes: &[u8], output: &Path) -> Result<(), Failure> {
    let (raw, kind) = match content {
        Content::Torrent(metainfo) => (metainfo.name(), "torrent"),
        Content::Small(idtorrent, _) => (idtorrent.file_name().as_bytes(), "idtorrent"),
    };
    let mut name = component(raw, PLATFORM);
    if name == "_" {
        name = content.hashes().best_hex();
    }
    for number in 1..=NUMBER_MAX {
        let numbered =
            if number == 1 { format!("{name}.{kind}") } else { format!("{name} ({number}).{kind}") };
        let path = output.join(numbered);
        match std::fs::read(&path) {
            Ok(there) if there == bytes || says_the_same(content, &there) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return save::durably(&path, |file| file.write_all(bytes));
            }
            Err(error) => return Err(Failure::writing(&path, &error)),
        }
    }
    Err(Failure::new(Class::Storage, format!("too many files called {name}.{kind}")))
}

/// Whether a file is the metafile of the same idtorrent, as somebody else writes JSON.
fn says_the_same(content: &Content, there: &[u8]) -> bool {
    let same =
        |idtorrent: &Idtorrent| Idtorrent::read(there, FILE_BYTES_MAX).is_ok_and(|other| other == *idtorrent);
    content.idtorrent().is_some_and(same)
}
