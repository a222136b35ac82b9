//! `wl get`: from a link, a file, a URL or a hash to complete, verified files.
//!
//! Everything that can be known without peers is done first: the torrent, its signatures, what is there already. A
//! transfer that is complete opens no socket.

use super::get_files::{self, Selection};
use super::swarming::{self, Ending, Session};
use super::target::{self, Target};
use super::transfer_flags::{
    ALLOW_PRIVATE, DOWN, FOR, JSON_EVENTS, MAX_PEERS, MEMORY, NO_PEX, PEER, PORT, RATIO, Transfer, UP,
    duration, millis,
};
use super::{create_flags, one_argument};
use crate::announce::Persistence;
use crate::content::Content;
use crate::disk::{NotOpened, Opened, Options, open_for_get};
use crate::failure::{Class, Failure};
use crate::flags::{Command, SECRET, TRACKER, USER_ID, many, one, switch};
use crate::progress::Progress;
use crate::signing::{self, Policy, REQUIRE_KEY, REQUIRE_SIGNATURE};
use crate::source::MAX_SIZE;
use crate::{Context, Done, interrupt, report};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use weightless::base::Millis;
use weightless::torrent::Metainfo;
use weightless::torrent::signatures::Judged;

/// The table of `wl get`.
pub const COMMAND: Command = Command {
    name: "get",
    usage: &["SOURCE"],
    about: "download what a torrent, idtorrent, magnet link, URL or hash names",
    flags: &[
        one("output", "DIR", "where to put it (default: the current directory)").short('o'),
        many("files", "LIST", "only these files: indexes and ranges as 0,2-4, or a glob on the path"),
        switch("list", "list the files and stop"),
        switch("overwrite", "take over existing files of other content; matching pieces are kept"),
        switch("recheck", "hash what is there, whatever was recorded"),
        switch("preallocate", "reserve the disk space at once"),
        switch("seed", "keep seeding when it is complete"),
        RATIO,
        FOR,
        REQUIRE_KEY,
        REQUIRE_SIGNATURE,
        TRACKER,
        USER_ID,
        SECRET,
        PEER,
        PORT,
        MAX_PEERS,
        DOWN,
        UP,
        one("timeout", "DURATION", "give up after so long without peers and progress; 0: never")
            .default("120s"),
        switch("no-webseeds", "do not use web seeds"),
        NO_PEX,
        switch("no-save-torrent", "do not save the .torrent or .idtorrent beside the data"),
        ALLOW_PRIVATE,
        MAX_SIZE,
        one("threads", "N", "hashing threads (default: one per CPU, at most 16)"),
        MEMORY,
        JSON_EVENTS,
    ],
    examples: &[
        ("wl get 'magnet:?xt=urn:btih:...'", "download into the current directory"),
        ("wl get photo.jpg.idtorrent", "one small file, its peers from /get_peers of the tracker"),
        ("wl get --files '*.csv' -o /srv/data data.torrent", "only some files, somewhere else"),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let argument = one_argument(context, "SOURCE")?;
    let options = GetOptions::read(context)?;
    let policy = Policy::read(context)?;
    let target = target::resolve(context, argument)?;
    interrupt::watch();
    let mut get = Get {
        context,
        options,
        policy,
        target,
        content: None,
        judged: Vec::new(),
        from_peers: false,
        root: PathBuf::new(),
    };
    let outcome = get.run();
    outcome.map_err(|failure| get.explain(failure))
}

/// The flags of `wl get` alone.
struct GetOptions {
    transfer: Transfer,
    output: PathBuf,
    files: Vec<Selection>,
    timeout_ms: Option<Millis>,
    threads: usize,
    web_seeds: bool,
}

impl GetOptions {
    fn read(context: &Context) -> Result<Self, Failure> {
        let args = &context.args;
        let timeout =
            args.given_text("timeout")?.map_or(Ok(120_000), |text| duration(&text, "timeout").map(millis))?;
        Ok(Self {
            transfer: Transfer::read(context)?,
            output: args.given("output").map_or_else(|| PathBuf::from("."), PathBuf::from),
            files: args.all("files")?.iter().map(|list| Selection::parse(list)).collect::<Result<_, _>>()?,
            timeout_ms: Some(timeout).filter(|&timeout| timeout > 0),
            threads: create_flags::threads(context)?,
            web_seeds: !args.on("no-webseeds"),
        })
    }
}

/// One download.
struct Get<'c> {
    context: &'c Context,
    options: GetOptions,
    policy: Policy,
    target: Target,
    content: Option<Arc<Content>>,
    judged: Vec<Judged>,
    /// Whether the torrent is made of what peers sent.
    from_peers: bool,
    /// The file or directory that appears.
    root: PathBuf,
}

impl Get<'_> {
    fn run(&mut self) -> Result<Done, Failure> {
        let context = self.context;
        if let Some(content) = self.target.found.take() {
            let Some(prepared) = self.prepare(content)? else { return self.listed() };
            self.save(&as_file(&prepared.content))?;
            if prepared.is_done() && !context.args.on("seed") {
                context.voice.say(&format!("already complete: {}", self.root.display()));
                return Ok(self.done(&Ending::default()));
            }
            return self.transfer(self.session()?, prepared);
        }
        context.voice.say(METADATA_FROM_PEERS);
        let mut session = self.session()?;
        let info = match session.fetch_metadata(context, self.options.timeout_ms)? {
            Ok(info) => info,
            Err(ending) => return self.stopped(session, &ending),
        };
        let metainfo = Metainfo::read_info(&info).map_err(|why| Failure::input(format!("torrent: {why}")))?;
        let content = Arc::new(Content::torrent(metainfo));
        let Some(prepared) = self.prepare(content)? else {
            session.leave();
            return self.listed();
        };
        self.from_peers = true;
        self.save_around(&BTreeMap::new())?;
        self.transfer(session, prepared)
    }

    fn session(&self) -> Result<Session, Failure> {
        let transfer = &self.options.transfer;
        let named: Vec<_> = self.target.peers.iter().copied().filter(swarming::may_be_dialled).collect();
        let private = self.content.as_ref().is_some_and(|content| content.is_private());
        let small = self.content.as_ref().is_some_and(|content| content.idtorrent().is_some());
        let mut session = Session::start(self.context, transfer, Persistence::Get)?;
        let tiers = self.target.tiers.clone();
        let number = session.add(&self.target.name, self.target.hashes, tiers, private, small);
        session.know(number, &named, &transfer.peers);
        Ok(session)
    }

    /// Everything between the torrent and the first request: signatures, the file list, what is there. `None`: only the
    /// list was wanted.
    fn prepare(&mut self, content: Arc<Content>) -> Result<Option<Prepared>, Failure> {
        let context = self.context;
        if let Some(metainfo) = content.metainfo() {
            self.judge_signatures(metainfo);
        }
        let wanted = get_files::wanted(&content, &self.options.files, &self.target.select)?;
        self.content = Some(Arc::clone(&content));
        get_files::describe(context, &content, &wanted);
        if context.args.on("list") {
            return Ok(None);
        }
        self.policy.admit(&self.judged)?;
        std::fs::create_dir_all(&self.options.output)
            .map_err(|error| Failure::writing(&self.options.output, &error))?;
        self.root = get_files::root(&content, &self.options.output)?;
        let opened = self.open(&content, &wanted)?;
        for note in &opened.notes {
            context.voice.warn(note);
        }
        Ok(Some(Prepared { content, opened, wanted }))
    }

    fn open(&self, content: &Arc<Content>, wanted: &[bool]) -> Result<Opened, Failure> {
        let context = self.context;
        let options = Options {
            overwrite: context.args.on("overwrite"),
            recheck: context.args.on("recheck"),
            preallocate: context.args.on("preallocate"),
            threads: self.options.threads,
            stop: interrupt::flag(),
        };
        let mut progress = Progress::new(context, "checking", 0);
        let outcome = open_for_get(content, &self.options.output, wanted, &options, &mut |done, total| {
            progress.of(done, total)
        });
        progress.end();
        outcome.map_err(|why| match why {
            NotOpened::Interrupted => interrupt::failure("stopped while checking what is there"),
            NotOpened::Failed(failure) => failure,
        })
    }

    fn judge_signatures(&mut self, metainfo: &Metainfo) {
        let found = metainfo.signatures();
        signing::warn(self.context, &found);
        self.judged = found.judged;
        self.judged.extend(self.target.entry.take());
        for judged in &self.judged {
            let words = self.policy.words(judged, &metainfo.hashes());
            if judged.verdict.is_ok() {
                self.context.voice.say(&words)
            } else {
                self.context.voice.warn(&words)
            }
        }
    }

    fn web_seeds(&self) -> Vec<(String, bool)> {
        if !self.options.web_seeds {
            return Vec::new();
        }
        let own = self.metainfo().into_iter().flat_map(|metainfo| metainfo.about.web_seeds.iter());
        let mut urls: Vec<String> = own.chain(&self.target.web_seeds).cloned().collect();
        let mut seen = std::collections::HashSet::new();
        urls.retain(|url| seen.insert(url.clone()));
        // Nobody typed them; --allow-private lifts what it lifts for all of them.
        urls.into_iter().map(|url| (url, false)).collect()
    }

    fn transfer(&mut self, mut session: Session, prepared: Prepared) -> Result<Done, Failure> {
        let context = self.context;
        let seed = context.args.on("seed");
        session.begin(
            0,
            prepared.content,
            prepared.opened,
            prepared.wanted,
            self.web_seeds(),
            self.options.threads,
        );
        let ending =
            session.fetch(context, self.options.timeout_ms, seed.then_some(self.options.transfer.enough))?;
        self.save_around(&ending.layers)?;
        if ending.signal.is_some() && !ending.complete {
            return self.stopped(session, &ending);
        }
        let cut_short = session.leave();
        Ok(Done { exit: if cut_short { 130 } else { 0 }, ..self.done(&ending) })
    }

    /// Saves the torrent as it came.
    fn save(&self, bytes: &[u8]) -> Result<(), Failure> {
        match &self.content {
            Some(content) if !self.context.args.on("no-save-torrent") => {
                get_files::save_metafile(content, bytes, &self.options.output)
            }
            _ => Ok(()),
        }
    }

    /// Saves a torrent around what peers sent, as soon as nothing in it is missing.
    fn save_around(&self, layers: &BTreeMap<usize, Vec<u8>>) -> Result<(), Failure> {
        let Some(metainfo) = self.metainfo().filter(|_| self.from_peers) else { return Ok(()) };
        let web_seeds = self.target.web_seeds.clone();
        match get_files::torrent_around(metainfo, &self.target.tiers, web_seeds, layers) {
            Some(bytes) => self.save(&bytes),
            None => Ok(()),
        }
    }

    fn stopped(&self, session: Session, ending: &Ending) -> Result<Done, Failure> {
        let percent = report::percent(ending.done, ending.total);
        session.leave();
        let message = format!("stopped at {percent} %; run the same command to resume");
        self.context.voice.say(&message);
        let signal = ending.signal.unwrap_or(signal_hook::consts::SIGINT);
        let exit = 128 + u8::try_from(signal).unwrap_or(0);
        let mut json = self.json(ending);
        json["error"] = json!({"kind": "stopped", "message": message});
        json["exit"] = exit.into();
        Ok(Done { exit, json, ..Done::default() })
    }

    fn listed(&self) -> Result<Done, Failure> {
        let Some(content) = &self.content else { return Ok(Done::default()) };
        Ok(get_files::listing(content))
    }

    fn done(&self, ending: &Ending) -> Done {
        let mut text = format!("Done: {}\n", self.root.display());
        let (_, keys) = signing::summary(&self.judged);
        for key in keys {
            text.push_str(&format!("Verified: {key}\n"));
        }
        Done { text, json: self.json(ending), ..Done::default() }
    }

    fn json(&self, ending: &Ending) -> serde_json::Value {
        let (signature, keys) = signing::summary(&self.judged);
        let content = self.content.as_deref();
        let hashes = content.map_or(self.target.hashes, Content::hashes);
        json!({
            "name": content.map_or_else(|| self.target.name.clone(), Content::shown_name),
            "info_hash": hashes.best_hex(),
            "v1_info_hash": hashes.v1().map(|v1| v1.to_string()),
            "path": self.root.display().to_string(),
            "size": content.map_or(0, Content::total_bytes),
            "files": content.map_or(0, Content::file_count),
            "downloaded": ending.totals.downloaded, "uploaded": ending.totals.uploaded, "wasted": ending.totals.wasted,
            "duration_s": ending.seconds, "peers": ending.totals.peers, "webseeds": ending.web_seeds,
            "signature": signature, "publisher_keys": keys,
        })
    }

    fn metainfo(&self) -> Option<&Metainfo> {
        self.content.as_ref()?.metainfo()
    }

    /// Adds to a failure what this command knows.
    fn explain(&self, failure: Failure) -> Failure {
        let refused = failure.class == Class::Refused && failure.message.contains("Unauthorized");
        if refused && failure.hint.is_none() {
            failure.hint("pass --user-id and set TRACKER_SECRET")
        } else {
            failure
        }
    }
}

/// The torrent of a target that no file and no registry had.
pub fn metadata_from_peers(context: &Context, target: &Target) -> Result<Metainfo, Failure> {
    context.voice.say(METADATA_FROM_PEERS);
    let transfer = Transfer::read(context)?;
    let named: Vec<_> = target.peers.iter().copied().filter(swarming::may_be_dialled).collect();
    let mut session = Session::start(context, &transfer, Persistence::Get)?;
    let number = session.add(&target.name, target.hashes, target.tiers.clone(), false, false);
    session.know(number, &named, &transfer.peers);
    let found = session.fetch_metadata(context, Some(METADATA_MS))?;
    session.leave();
    let info = found.map_err(|_| interrupt::failure("stopped while looking for the metadata"))?;
    Metainfo::read_info(&info).map_err(|why| Failure::input(format!("torrent: {why}")))
}

/// A metafile as it is saved.
fn as_file(content: &Content) -> Cow<'_, [u8]> {
    match content {
        Content::Torrent(metainfo) => metainfo.file().into(),
        Content::Small(idtorrent, _) => idtorrent.write().into(),
    }
}

const METADATA_FROM_PEERS: &str = "registry has no entry; fetching metadata from peers (BEP 9)...";
/// How long a seeder looks for the metadata of a link.
const METADATA_MS: Millis = 120_000;

/// A torrent and its files, ready.
struct Prepared {
    content: Arc<Content>,
    opened: Opened,
    wanted: Vec<bool>,
}

impl Prepared {
    fn is_done(&self) -> bool {
        self.opened.complete && self.opened.finish.is_empty()
    }
}
