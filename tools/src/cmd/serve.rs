//! `wl serve`: makes a torrent of local data, registers it and seeds it, in one command that a service can be made of.
//!
//! Started again it takes the torrent it finds, if the data looks as it did when every piece of it was good; so a restart
//! hashes nothing. The record of that lies beside the torrent. A registry that does not answer is asked again while
//! peers are served.

use super::create::{self, Target};
use super::create_flags::{Input, Options, torrent_flags};
use super::register::{self, Registration};
use super::seed::{self, Seed};
use super::transfer_flags::{JSON_EVENTS, seeding_flags};
use super::verify_data::locate;
use crate::content::Content;
use crate::disk::{Check, record_good, stamps_of};
use crate::failure::{Class, Failure, shown};
use crate::flags::Command;
use crate::hash::walk::{absolute, walk};
use crate::{Context, Done, interrupt};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use weightless::base::Rope;

use weightless::torrent::{Kind, Magnet, Metainfo, rewrite_trackers};

/// A registry that does not answer is asked again after so long, then after twice as long, and so on.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_LAST: Duration = Duration::from_secs(600);

/// The table of `wl serve`.
pub const COMMAND: Command = Command {
    name: "serve",
    usage: &["PATH"],
    about: "make a torrent of a file or directory, register it and seed it",
    flags: seeding_flags!(torrent_flags![]),
    examples: &[
        ("wl serve ./data", "make data.torrent, register it and seed it until Ctrl-C"),
        (
            "wl serve --out /var/lib/wl/data.torrent --port 6881 --up 5M /srv/data",
            "as a service: after a restart the torrent that is there is seeded at once",
        ),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let options = Options::read(context)?;
    let Input::Path(path) = &options.input else { return Err(Failure::usage("missing PATH")) };
    let file = torrent_file(context, &options, path)?;
    let metainfo = match reusable(context, &options, path, &file) {
        Some(metainfo) => metainfo,
        None => make(context, &options, path, &file)?,
    };
    // Not before: while the data is hashed a signal simply ends the program.
    interrupt::watch();
    let entry = Public::of(&options, &metainfo)?;
    let registration = entry.register(context)?;
    if context.args.on("require-register") && registration.exit != 0 {
        let why = registration.error.unwrap_or_default();
        let class = if registration.exit == Class::Network as u8 { Class::Network } else { Class::Refused };
        return Err(Failure::new(class, why));
    }
    let about =
        about(context, &options, &metainfo, &file, registration.tried && registration.error.is_none());
    tell(context, &about);
    let check = Check::TrustRecordIn(directory(&file));
    let seed = Seed::open_as(context, file.as_os_str(), path, check)?;
    let again = registration.exit == Class::Network as u8;
    let done = std::thread::scope(|scope| {
        let (over, until) = mpsc::channel::<()>();
        if again {
            scope.spawn(|| register_later(context, &entry, until));
        }
        let done = seed::offer(context, vec![seed]);
        drop(over);
        done
    })?;
    let mut json = about.json;
    if let (Some(json), Some(more)) = (json.as_object_mut(), done.json.as_object()) {
        json.extend(more.clone());
    }
    Ok(Done { json, ..done })
}

/// Where the torrent is, or will be.
fn torrent_file(context: &Context, options: &Options, path: &Path) -> Result<PathBuf, Failure> {
    let base = absolute(path)?.file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(label) = options.name.clone().or(base) else {
        return Err(Failure::usage("cannot derive a name; pass --name"));
    };
    match Target::of(context, options)?.named(&label) {
        Target::File(file) => Ok(file),
        Target::Stdout | Target::Default => Err(Failure::usage("--out needs a file here")),
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The torrent of an earlier run, if it is what this one would make, as far as that can be told without hashing.
fn reusable(context: &Context, options: &Options, path: &Path, file: &Path) -> Option<Metainfo> {
    let metainfo = Metainfo::take(std::fs::read(file).ok()?).ok()?;
    let same = metainfo.kind() == options.kind
        && options.piece_length.is_none_or(|length| length == metainfo.piece_length())
        && metainfo.about.private == context.args.on("private")
        && metainfo.about.trackers.iter().flatten().eq(&options.trackers)
        && metainfo.about.web_seeds == options.web_seeds
        && metainfo.signatures().judged.is_empty() != context.args.on("sign");
    if !same {
        return None;
    }
    let mut rules = options.rules.clone();
    rules.output = Some(file.to_path_buf());
    let tree = walk(path, &rules).ok()?;
    let found = tree.files.iter().map(|found| (found.stamp.length, found.path.join(&b'/')));
    let known = metainfo.files().iter().map(|file| (file.length, metainfo.path(file).join(&b'/')));
    if !found.eq(known) {
        return None;
    }
    let local = locate(&metainfo, path).ok()?;
    let content = Content::torrent(metainfo.clone());
    crate::disk::is_recorded(&content, directory(file), &stamps_of(&content, &local)).then_some(metainfo)
}

/// Makes the torrent, and records that the data is good: it has just been read.
fn make(context: &Context, options: &Options, path: &Path, file: &Path) -> Result<Metainfo, Failure> {
    let parent = directory(file);
    std::fs::create_dir_all(parent).map_err(|error| Failure::writing(parent, &error))?;
    let mut rules = options.rules.clone();
    rules.output = Some(file.to_path_buf());
    let before = walk(path, &rules)?;
    create::make(context, create::Registering::Not)?;
    let bytes = std::fs::read(file).map_err(|error| Failure::reading(file, &error))?;
    let metainfo = Metainfo::take(bytes).map_err(|why| Failure::input(format!("torrent: {why}")))?;
    let local = locate(&metainfo, path)?;
    let content = Content::torrent(metainfo.clone());
    // What was hashed looked like this before and looks like this now; else all of it is hashed again.
    let stamps = stamps_of(&content, &local);
    if before.files.iter().all(|found| found.unchanged())
        && let Err(failure) = record_good(&content, parent, stamps)
    {
        context.voice.warn(&format!("cannot record that the data is good: {}", failure.message));
    }
    Ok(metainfo)
}

/// What a registry is told, from the torrent as it was written.
struct Public<'o> {
    options: &'o Options,
    metainfo: &'o Metainfo,
    name: String,
    /// The torrent without passkeys.
    bytes: Vec<u8>,
}

impl<'o> Public<'o> {
    fn of(options: &'o Options, metainfo: &'o Metainfo) -> Result<Self, Failure> {
        let plain = |url: &[u8]| {
            let url = std::str::from_utf8(url).ok()?;
            options.tracker.without_passkey(url).map(String::into_bytes)
        };
        let bytes = rewrite_trackers(metainfo.file(), plain)
            .map_err(|why| Failure::input(format!("torrent: {why}")))?;
        let name = options.name.clone().unwrap_or_else(|| metainfo.shown_name());
        Ok(Self { options, metainfo, name, bytes })
    }

    fn register(&self, context: &Context) -> Result<Registration, Failure> {
        let mut torrent = Rope::new();
        torrent.lend(&self.bytes);
        let signatures = self.metainfo.signatures();
        let made = create::Labelled {
            options: self.options,
            name: &self.name,
            hashes: self.metainfo.hashes(),
            size: self.metainfo.total_bytes(),
            signature: signatures.judged.iter().find_map(|judged| judged.verdict.as_ref().ok().copied()),
        };
        register::register(context, &made.entry(context, &torrent)?)
    }
}

/// Asks a registry that did not answer again and again, until it has or the seeding is over.
fn register_later(context: &Context, entry: &Public<'_>, over: Receiver<()>) {
    let mut pause = AGAIN_FIRST;
    while over.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        match entry.register(context) {
            Ok(registration) if registration.exit == Class::Network as u8 => {}
            _ => return,
        }
        pause = (pause * 2).min(AGAIN_LAST);
    }
}

/// What there is to know of the torrent, for people and for programs.
fn about(context: &Context, options: &Options, metainfo: &Metainfo, file: &Path, registered: bool) -> Done {
    let hashes = metainfo.hashes();
    let mut magnet = Magnet::new(hashes);
    magnet.name = Some(options.name.clone().unwrap_or_else(|| metainfo.shown_name()));
    magnet.trackers = options.trackers.clone();
    if context.args.on("with-webseeds") {
        magnet.web_seeds = options.web_seeds.clone();
    }
    let (shown_file, magnet) = (file.display().to_string(), magnet.to_string());
    let mut text = format!("Torrent: {}\nHash:    {}\n", shown(&shown_file), hashes.best_hex());
    if let Some(v1) = hashes.v1().filter(|_| metainfo.kind() == Kind::Hybrid) {
        let _ = writeln!(text, "V1:      {v1}");
    }
    let signature =
        metainfo.signatures().judged.iter().find_map(|judged| judged.verdict.as_ref().ok().copied());
    let key = signature.map(|signature| signature.key_hex());
    if let Some(key) = &key {
        let _ = writeln!(text, "Key:     {key}");
    }
    let _ = writeln!(text, "Magnet:  {magnet}");
    let json = json!({
        "torrent": shown_file, "info_hash": hashes.best_hex(), "v1_info_hash": hashes.v1().map(|v1| v1.to_string()),
        "name": metainfo.shown_name(), "size": metainfo.total_bytes(), "files": metainfo.files().len(), "magnet": magnet,
        "registered": registered, "publisher_key": key,
        "signature": signature.map(|signature| signature.hex()),
    });
    Done { text, json, ..Done::default() }
}

fn tell(context: &Context, about: &Done) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason not to seed.
    let _ = if context.args.on(JSON_EVENTS.name) {
        let mut event = about.json.clone();
        event["event"] = "torrent".into();
        writeln!(out, "{event}")
    } else if context.voice.json {
        Ok(())
    } else {
        write!(out, "{}", about.text)
    };
    let _ = out.flush();
}
