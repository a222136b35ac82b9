//! `wl show`: prints what a torrent or an idtorrent says.

use super::{one_argument, show_idt};
use crate::failure::{Failure, shown};
use crate::flags::{Command, TRACKER, switch};
use crate::show_size::{date, size};
use crate::signing::Policy;
use crate::source::{Loaded, MAX_SIZE};
use crate::{Context, Done, signing, source};
use serde_json::{Value, json};
use std::fmt::Write;
use weightless::torrent::names::{Platform, are_listable, disk_paths};
use weightless::torrent::signatures::Signatures;
use weightless::torrent::{Kind, Metainfo, Shape};

/// The table of `wl show`.
pub const COMMAND: Command = Command {
    name: "show",
    usage: &["SOURCE"],
    about: "print what a torrent or an idtorrent says",
    flags: &[switch("files", "list all files, not only the first 20"), MAX_SIZE, TRACKER],
    examples: &[
        ("wl show data.torrent", "name, hashes, sizes, trackers and files"),
        ("wl show --json data.torrent", "everything, for programs"),
    ],
    run,
};

const FILES_SHOWN: usize = 20;

fn run(context: &Context) -> Result<Done, Failure> {
    let found = source::find(context, one_argument(context, "SOURCE")?)?;
    let metainfo = match found.loaded {
        Loaded::Torrent(metainfo) => metainfo,
        Loaded::Idtorrent(found) => return Ok(show_idt::answer(&found)),
    };
    let mut policy = Policy::default();
    let signatures = policy.judge(context, &metainfo, found.registry.as_ref());
    let facts = Facts::of(&metainfo, policy, signatures);
    let files_max = if context.args.on("files") { usize::MAX } else { FILES_SHOWN };
    match context.voice.json {
        true => Ok(Done { json: facts.json()?, ..Done::default() }),
        false => Ok(Done { text: facts.text(files_max), ..Done::default() }),
    }
}

/// The name of a kind.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::V1 => "v1",
        Kind::V2 => "v2",
        Kind::Hybrid => "hybrid",
    }
}

struct Facts<'a> {
    metainfo: &'a Metainfo,
    /// Where downloads go; empty when some path is too long for a disk.
    disk: Vec<String>,
    policy: Policy,
    signatures: Signatures,
}

impl<'a> Facts<'a> {
    fn of(metainfo: &'a Metainfo, policy: Policy, signatures: Signatures) -> Self {
        let disk = disk_paths(metainfo, Platform::Unix).unwrap_or_default();
        Self { metainfo, disk, policy, signatures }
    }

    fn text(&self, files_max: usize) -> String {
        let metainfo = self.metainfo;
        let (hashes, about) = (metainfo.hashes(), &metainfo.about);
        let mut out = String::new();
        let mut line = |label: &str, value: &str| {
            if !value.is_empty() {
                let label = format!("{label}:");
                let _ = writeln!(out, "{label:<14} {}", shown(value));
            }
        };
        line("Name", &metainfo.shown_name());
        line("Format", kind_name(metainfo.kind()));
        line("Hash", &hashes.best_hex());
        if metainfo.kind() == Kind::Hybrid {
            line("V1", &hashes.v1().map(|v1| v1.to_string()).unwrap_or_default());
        }
        line("Size", &format!("{} ({} bytes)", size(metainfo.total_bytes()), metainfo.total_bytes()));
        let pieces = metainfo.layout().piece_count();
        line("Pieces", &format!("{pieces} x {}", size(u64::from(metainfo.piece_length()))));
        line("Private", if about.private { "yes" } else { "no" });
        about.trackers.iter().for_each(|tier| line("Tracker", &tier.join(" ")));
        about.web_seeds.iter().for_each(|url| line("Web seed", url));
        line("Created", &about.creation_date.map(date).unwrap_or_default());
        line("Created by", about.created_by.as_deref().unwrap_or_default());
        line("Comment", about.comment.as_deref().unwrap_or_default());
        line("Source", about.source.as_deref().unwrap_or_default());
        for judged in &self.signatures.judged {
            line("Signature", &self.policy.words(judged, &hashes));
        }
        if self.signatures.judged.is_empty() {
            line("Signature", "not signed");
        }
        line("Files", &metainfo.files().len().to_string());
        self.list(&mut out, files_max);
        out
    }

    fn list(&self, out: &mut String, files_max: usize) {
        let files = self.metainfo.files();
        for (index, file) in files.iter().enumerate().take(files_max) {
            let path = self.metainfo.shown_path(file);
            let mut note = match self.renamed(index, &path) {
                _ if file.symlink => "  (symbolic link, not created)".into(),
                Some(disk) => format!("  (saved as {})", shown(disk)),
                None => String::new(),
            };
            for (is, word) in [(file.attributes.executable, "executable"), (file.attributes.hidden, "hidden")]
            {
                if is {
                    let _ = write!(note, "  ({word})");
                }
            }
            let _ = writeln!(out, "{index:>6}  {:>9}  {}{note}", size(file.length), shown(&path));
        }
        if files.len() > files_max {
            let _ = writeln!(out, "        ... and {} more", files.len() - files_max);
        }
    }

    /// The path on disk, if it is not the one in the torrent.
    fn renamed(&self, index: usize, path: &str) -> Option<&str> {
        let disk = self.disk.get(index)?;
        let same = match self.metainfo.shape() {
            Shape::SingleFile => disk == path,
            Shape::Directory => *disk == format!("{}/{path}", self.metainfo.shown_name()),
        };
        (!same).then_some(disk)
    }

    fn json(&self) -> Result<Value, Failure> {
        let metainfo = self.metainfo;
        let (hashes, about) = (metainfo.hashes(), &metainfo.about);
        if !are_listable(metainfo) {
            return Err(Failure::input("torrent: its paths are too long to list"));
        }
        let paths: Vec<String> = metainfo.files().iter().map(|file| metainfo.shown_path(file)).collect();
        let files: Vec<Value> = metainfo
            .files()
            .iter()
            .zip(&paths)
            .enumerate()
            .map(|(index, (file, path))| {
                let root = file.root.map(|root| data_encoding::HEXLOWER.encode(&root));
                json!({
                    "index": index, "path": path, "length": file.length, "pieces_root": root,
                    "symlink": file.symlink, "executable": file.attributes.executable, "hidden": file.attributes.hidden,
                    "renamed": self.renamed(index, path),
                })
            })
            .collect();
        Ok(json!({
            "name": metainfo.shown_name(),
            "format": kind_name(metainfo.kind()),
            "info_hash": hashes.best_hex(),
            "v1_info_hash": hashes.v1().map(|v1| v1.to_string()),
            "v2_info_hash": hashes.v2().map(|v2| v2.to_string()),
            "size": metainfo.total_bytes(),
            "pad_bytes": metainfo.layout().pad_bytes(),
            "piece_length": metainfo.piece_length(),
            "piece_count": metainfo.layout().piece_count(),
            "private": about.private,
            "trackers": about.trackers,
            "web_seeds": about.web_seeds,
            "creation_date": about.creation_date,
            "created_by": about.created_by,
            "comment": about.comment,
            "source": about.source,
            "signatures": signing::objects(&self.policy, &self.signatures),
            "files": files,
            "file_tree_paths": paths,
        }))
    }
}
