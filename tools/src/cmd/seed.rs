//! `wl seed`: offers local data to whoever asks, after checking all of it.

use super::swarming::{Ending, Session};
use super::target::{self, Target};
use super::transfer_flags::{Transfer, seeding_flags, table};
use super::verify_data::{Local, locate};
use super::{create_flags, swarming};
use crate::announce::Persistence;
use crate::content::Content;
use crate::disk::{Check, NotOpened, Opened, open_for_seed};
use crate::failure::{Class, Failure, shown};
use crate::flags::{Command, SECRET, TRACKER, USER_ID, many, one, switch};
use crate::peer::bits::Bits;
use crate::progress::Progress;
use crate::source::MAX_SIZE;
use crate::{Context, Done, interrupt};
use serde_json::json;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The table of `wl seed`.
pub const COMMAND: Command = Command {
    name: "seed",
    usage: &["TORRENT [PATH]"],
    about: "check local data and offer it to others",
    flags: seeding_flags!(table![
        many("also", "TORRENT=PATH", "another torrent and where its data is"),
        switch("partial", "offer what is good of incomplete data; nothing is fetched or written"),
        switch("trust-resume", "believe a record of the last check instead of hashing everything"),
        TRACKER,
        USER_ID,
        SECRET,
        MAX_SIZE,
        one("threads", "N", "hashing threads (default: one per CPU, at most 16)"),
    ]),
    examples: &[
        ("wl seed data.torrent", "seed the data below the current directory until Ctrl-C"),
        ("wl seed photo.jpg.idtorrent", "the file of an idtorrent; trackers hear of it by /register_peer"),
        (
            "wl seed --ratio 2 --up 5M data.torrent /srv/data",
            "at most 5 MB a second, until it was given twice",
        ),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let mut pairs: Vec<(std::ffi::OsString, PathBuf)> = match context.args.positional.as_slice() {
        [torrent] => vec![(torrent.clone(), PathBuf::from("."))],
        [torrent, place] => vec![(torrent.clone(), PathBuf::from(place))],
        [] => return Err(Failure::usage("missing TORRENT")),
        _ => return Err(Failure::usage("more than one PATH")),
    };
    for also in context.args.all("also")? {
        let (torrent, place) =
            also.rsplit_once('=').ok_or_else(|| Failure::usage("--also must be TORRENT=PATH"))?;
        pairs.push((torrent.into(), place.into()));
    }
    interrupt::watch();
    let mut seeds = Vec::new();
    for (torrent, place) in &pairs {
        seeds.push(Seed::open(context, torrent, place)?);
    }
    offer(context, seeds)
}

/// One torrent and its data, checked.
pub struct Seed {
    target: Target,
    content: Arc<Content>,
    opened: Opened,
}

impl Seed {
    /// Finds the torrent and its data, and checks all of it.
    pub fn open(context: &Context, torrent: &OsStr, place: &Path) -> Result<Self, Failure> {
        let check = if context.args.on("trust-resume") { Check::TrustRecord } else { Check::Hash };
        Self::open_as(context, torrent, place, check)
    }

    /// The same where it is settled how far the data is believed.
    pub fn open_as(
        context: &Context,
        torrent: &OsStr,
        place: &Path,
        how: Check<'_>,
    ) -> Result<Self, Failure> {
        let mut target = target::resolve(context, torrent)?;
        let content = match target.found.take() {
            Some(content) => content,
            None => Arc::new(Content::torrent(super::get::metadata_from_peers(context, &target)?)),
        };
        let local = locate_content(&content, place)?;
        let opened = check(context, &content, &local, how)?;
        for note in &opened.notes {
            context.voice.warn(note);
        }
        let seed = Self { target, content, opened };
        seed.judge(context)?;
        Ok(seed)
    }

    /// Wrong or missing pieces end it, unless what is good was asked for.
    fn judge(&self, context: &Context) -> Result<(), Failure> {
        let pieces = self.content.piece_count();
        let good = Bits::from_wire(&self.opened.have, pieces).map_or(0, |bits| bits.count());
        if good == pieces {
            return Ok(());
        }
        let name = self.content.shown_name();
        let unit = if self.content.idtorrent().is_some() { "chunks" } else { "pieces" };
        let what = format!("{name}: {good} of {pieces} {unit} are good");
        if context.args.on("partial") && good > 0 {
            context.voice.warn(&what);
            return Ok(());
        }
        Err(Failure::new(Class::Verification, what)
            .hint("wl verify says which; --partial offers what is good"))
    }
}

/// Finds the files of a torrent, or the file of an idtorrent: itself or below `place`.
fn locate_content(content: &Content, place: &Path) -> Result<Local, Failure> {
    match content {
        Content::Torrent(metainfo) => locate(metainfo, place),
        Content::Small(idtorrent, _) => {
            let root = super::verify_idt::locate(idtorrent, place)?;
            Ok(Local { paths: vec![root.clone()], root })
        }
    }
}

fn check(
    context: &Context,
    content: &Arc<Content>,
    local: &Local,
    how: Check<'_>,
) -> Result<Opened, Failure> {
    let threads = create_flags::threads(context)?;
    let mut progress = Progress::new(context, "verifying", content.total_bytes());
    let outcome = open_for_seed(content, local, how, threads, interrupt::flag(), &mut |done, total| {
        progress.of(done, total)
    });
    progress.end();
    outcome.map_err(|why| match why {
        NotOpened::Interrupted => interrupt::failure("stopped while checking the data"),
        NotOpened::Failed(failure) => failure,
    })
}

/// Offers checked torrents until there has been enough of it.
pub fn offer(context: &Context, seeds: Vec<Seed>) -> Result<Done, Failure> {
    let transfer = Transfer::read(context)?;
    let mut session = Session::start(context, &transfer, Persistence::Seed)?;
    let mut lines = String::new();
    let mut torrents = Vec::new();
    for seed in seeds {
        let Seed { target, content, opened } = seed;
        let name = content.shown_name();
        let hash = content.hashes().best_hex();
        let small = content.idtorrent().is_some();
        let number = session.add(&name, content.hashes(), target.tiers, content.is_private(), small);
        let named: Vec<_> = target.peers.iter().copied().filter(swarming::may_be_dialled).collect();
        session.know(number, &named, &transfer.peers);
        // Nothing is wanted: what is missing stays missing.
        let wanted = wanted(&content);
        session.begin(number, content, opened, wanted, Vec::new(), create_flags::threads(context)?);
        lines.push_str(&format!("Seeding: {} {hash} port {}\n", shown(&name), session.port()));
        torrents.push(json!({"name": name, "info_hash": hash}));
    }
    ready(context, &transfer, &lines, &torrents, session.port());
    let ending = session.seed(context)?;
    let cut_short = session.leave();
    Ok(done(&ending, cut_short, &torrents))
}

/// Every file counts as wanted, so that `left` tells what a person would have to fetch of incomplete data.
fn wanted(content: &Content) -> Vec<bool> {
    (0..content.file_count()).map(|file| !content.is_symlink(file)).collect()
}

/// The line that says that peers may come.
fn ready(context: &Context, transfer: &Transfer, lines: &str, torrents: &[serde_json::Value], port: u16) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason not to seed.
    let _ = if transfer.json_events {
        writeln!(out, "{}", json!({"event": "ready", "port": port, "torrents": torrents}))
    } else if context.voice.json {
        Ok(())
    } else {
        write!(out, "{lines}")
    };
    let _ = out.flush();
}

fn done(ending: &Ending, cut_short: bool, torrents: &[serde_json::Value]) -> Done {
    let json = json!({
        "torrents": torrents, "uploaded": ending.totals.uploaded, "peers": ending.totals.peers, "duration_s": ending.seconds,
    });
    Done { json, exit: if cut_short { 130 } else { 0 }, ..Done::default() }
}
