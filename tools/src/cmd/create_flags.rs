//! The flags of `wl create`, and what they come to: every check that needs no file is made here, before any work.

use crate::Context;
use crate::failure::Failure;
use crate::flags::{Command, Flag, one};
use crate::hash::glob::Glob;
use crate::hash::walk::{Rules, Symlinks};
use crate::key::KEY;
use crate::show_size;
use crate::tracker::{Tracker, is_announce, is_http};
use std::path::PathBuf;
use weightless::torrent::{Kind, piece_length, small};

/// `--piece-length`.
pub const PIECE_LENGTH: Flag =
    one("piece-length", "BYTES", "a power of two from 16K to 64M, or auto").default("262144");
/// `--format`.
pub const FORMAT: Flag =
    one("format", "KIND", "hybrid, v1 or v2").default("hybrid").choices(&["hybrid", "v1", "v2"]);
/// `--symlinks`.
pub const SYMLINKS: Flag = one("symlinks", "HOW", "links below a directory: skip, follow or error")
    .default("skip")
    .choices(&["skip", "follow", "error"]);
/// `--source`.
pub const SOURCE: Flag = one("source", "TEXT", "source key of the info dictionary").env("WL_SOURCE");

const CHUNK_SIZE: Flag =
    one("chunk-size", "BYTES", "bytes in a chunk of an idtorrent, from 1K to 1M").default("10240");
const MAX_SIZE: Flag = one("max-size", "BYTES", "largest file an idtorrent is made of").default("20M");
const STREAM: Flag = one("stream", "URL", "hash a remote http(s) file, which becomes the first web seed");

/// The flags of every command that makes torrents, and further ones.
macro_rules! torrent_flags {
    ($($more:expr),* $(,)?) => {{
        use $crate::cmd::create_flags::{FORMAT, PIECE_LENGTH, SOURCE, SYMLINKS};
        use $crate::flags::{API_KEY, SECRET, TRACKER, USER_ID, many, one, switch};
        use $crate::key::KEY;
        &[
            one("name", "TEXT", "registry label and file name; for a directory also the torrent's name"),
            TRACKER,
            PIECE_LENGTH,
            FORMAT,
            one("out", "FILE", "where to write (default NAME.torrent here; - is stdout)").short('o'),
            switch("force", "replace an existing, different output file"),
            switch("private", "peers only through the torrent's trackers"),
            many("webseed", "URL", "web seed, absolute http(s) URL"),
            many("announce", "URL", "further tracker: http, https or udp"),
            switch("no-tracker", "write no tracker into the file"),
            one("comment", "TEXT", "comment in the file"),
            SOURCE,
            switch("no-date", "write no creation date"),
            many("exclude", "GLOB", "leave out paths that match: * ? [..] **"),
            SYMLINKS,
            switch("raw-names", "take names that are not UTF-8 as they are"),
            switch("with-webseeds", "put the web seeds into the magnet link"),
            one("threads", "N", "hashing threads (default: one per CPU, at most 16)"),
            USER_ID,
            SECRET,
            API_KEY,
            one("description", "TEXT", "description for the registry"),
            one("publisher", "TEXT", "publisher for the registry"),
            one("license", "TEXT", "licence for the registry"),
            one("category", "TEXT", "category for the registry"),
            one("tags", "LIST", "tags for the registry, separated by commas"),
            switch("no-register", "do not register"),
            switch("require-register", "fail when registering fails"),
            switch("sign", "sign the torrent with your key (wl keygen makes one)"),
            KEY,
            $($more),*
        ]
    }};
}
pub(super) use torrent_flags;

/// The table of `wl create`.
pub const COMMAND: Command = Command {
    name: "create",
    usage: &["PATH", "--stream URL"],
    about: "make a torrent from a file or directory and register it",
    flags: torrent_flags![
        STREAM,
        switch("idt", "write an idtorrent: the metafile of one small file"),
        CHUNK_SIZE,
        MAX_SIZE,
        switch("also-torrent", "write a torrent beside the idtorrent"),
    ],
    examples: &[
        (
            "wl create --name 'My Dataset' --tracker http://localhost:8080 ./data",
            "make My Dataset.torrent and register it",
        ),
        (
            "wl create --no-register --piece-length auto -o - film.mkv > film.torrent",
            "write to stdout, tell nobody",
        ),
        (
            "wl create --stream https://example.org/data.tar",
            "hash a file on a server without storing it; the server is the first seed",
        ),
        ("wl create --idt photo.jpg", "make photo.jpg.idtorrent, which the smallest devices can serve"),
    ],
    run: super::create::run,
};

/// What is hashed.
pub enum Input {
    /// A file or directory.
    Path(PathBuf),
    /// A remote file.
    Url(String),
}

/// What `wl create` was told.
pub struct Options {
    /// What to hash.
    pub input: Input,
    /// `--name`, if given and not empty.
    pub name: Option<String>,
    /// The tracker.
    pub tracker: Tracker,
    /// The piece length; `None` for `auto`.
    pub piece_length: Option<u32>,
    /// The kind of torrent.
    pub kind: Kind,
    /// How files are chosen.
    pub rules: Rules,
    /// Trackers for the file, in order.
    pub trackers: Vec<String>,
    /// Web seeds without repeats.
    pub web_seeds: Vec<String>,
    /// `source`.
    pub source: String,
    /// Seconds since 1970 for the file.
    pub creation_date: Option<u64>,
    /// Hashing threads.
    pub threads: usize,
}

impl Options {
    /// Reads the command line; the first thing wrong with it is a usage error.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        let args = &context.args;
        refuse_what_is_missing(context)?;
        let input = input(context)?;
        let rules = Rules {
            exclude: args.all("exclude")?.iter().map(|pattern| Glob::new(pattern)).collect(),
            symlinks: symlinks(context)?,
            raw_names: args.on("raw-names"),
            output: None,
        };
        let tracker = Tracker::with_passkey(context)?;
        let kind = match args.text(&FORMAT, &context.env)?.as_str() {
            "hybrid" => Kind::Hybrid,
            "v1" => Kind::V1,
            "v2" => Kind::V2,
            _ => return Err(Failure::usage("--format is hybrid, v1 or v2")),
        };
        Ok(Self {
            web_seeds: web_seeds(context, &input)?,
            input,
            name: name(context)?,
            trackers: trackers(context, &tracker)?,
            tracker,
            piece_length: piece_length_of(context)?,
            kind,
            rules,
            source: args.text(&SOURCE, &context.env)?,
            creation_date: creation_date(context)?,
            threads: threads(context)?,
        })
    }
}

impl Options {
    /// The trackers as anybody may see them: without a passkey.
    pub fn public_trackers(&self) -> Vec<String> {
        self.trackers
            .iter()
            .map(|url| self.tracker.without_passkey(url).unwrap_or_else(|| url.clone()))
            .collect()
    }
}

fn refuse_what_is_missing(context: &Context) -> Result<(), Failure> {
    let args = &context.args;
    if args.given(KEY.name).is_some() && !args.on("sign") {
        return Err(Failure::usage("--key needs --sign"));
    }
    if !args.on("idt") {
        let alone = [CHUNK_SIZE.name, MAX_SIZE.name].into_iter().find(|name| args.given(name).is_some());
        let alone = alone.or_else(|| args.on("also-torrent").then_some("also-torrent"));
        return match alone {
            Some(name) => Err(Failure::usage(format!("--{name} needs --idt"))),
            None => Ok(()),
        };
    }
    let given = |name: &str| args.given(name).is_some();
    let excluded = ["stream", "webseed", "format"].into_iter().find(|name| given(name));
    let excluded = excluded.or_else(|| ["private", "sign"].into_iter().find(|name| args.on(name)));
    match excluded {
        Some(name) => Err(Failure::usage(format!("--idt and --{name} exclude each other"))),
        None if args.on("also-torrent") && given("out") => {
            Err(Failure::usage("--also-torrent writes two files, --out names one"))
        }
        None => Ok(()),
    }
}

/// What `wl create --idt` was told.
pub struct Choice {
    /// What to hash.
    pub path: PathBuf,
    /// The registry's label, if it is not to be the file's name.
    pub name: Option<String>,
    /// The tracker.
    pub tracker: Tracker,
    /// Bytes in a chunk.
    pub chunk_bytes: u32,
    /// The largest file.
    pub file_bytes_max: u64,
    /// Base URLs of trackers for the file.
    pub trackers: Vec<String>,
    /// What else the file says.
    pub comment: Option<String>,
}

impl Choice {
    /// Reads the command line; the first thing wrong with it is a usage error.
    pub fn read(context: &Context) -> Result<Self, Failure> {
        refuse_what_is_missing(context)?;
        let args = &context.args;
        let Input::Path(path) = input(context)? else {
            return Err(Failure::usage("--idt and --stream exclude each other"));
        };
        let chunk_bytes = show_size::parse(&args.text(&CHUNK_SIZE, &context.env)?)
            .and_then(|bytes| small::chunk_size_of(bytes).ok())
            .ok_or_else(|| Failure::usage("--chunk-size must be from 1 KiB to 1 MiB"))?;
        let further = args.all("announce")?;
        if further.iter().any(|url| !is_announce(url)) {
            return Err(Failure::usage("--announce must be an absolute http, https or udp URL"));
        }
        if further.len() > small::TRACKERS_MAX {
            return Err(Failure::usage("an idtorrent takes at most 16 --announce"));
        }
        Ok(Self {
            path,
            name: name(context)?,
            tracker: Tracker::of(context)?,
            chunk_bytes,
            file_bytes_max: max_size(context, &MAX_SIZE)?,
            trackers: without_repeats(further.into_iter().map(|url| Tracker::at(&url).base)),
            comment: args.given_text("comment")?,
        })
    }
}

/// The largest file of an idtorrent.
pub fn max_size(context: &Context, flag: &Flag) -> Result<u64, Failure> {
    show_size::parse(&context.args.text(flag, &context.env)?)
        .filter(|bytes| *bytes <= small::FILE_BYTES_MAX)
        .ok_or_else(|| Failure::usage("--max-size must be at most 4294967295 bytes"))
}

fn input(context: &Context) -> Result<Input, Failure> {
    let args = &context.args;
    let url = args.given_text(STREAM.name)?;
    match (url, args.positional.as_slice()) {
        (Some(_), [_, ..]) => Err(Failure::usage("give either a PATH or --stream URL, not both")),
        (Some(url), []) if is_http(&url) => Ok(Input::Url(url)),
        (Some(_), []) => Err(Failure::usage("--stream must be an absolute http(s) URL")),
        (None, [path]) if path.is_empty() => Err(Failure::usage("PATH is empty")),
        (None, [path]) if path == "-" => Err(Failure::usage("wl create does not read stdin")),
        (None, [path]) => Ok(Input::Path(PathBuf::from(path))),
        (None, []) => Err(Failure::usage("give a PATH to make a torrent from, or --stream URL")),
        (None, _) => Err(Failure::usage("more than one PATH").hint("put the files into one directory")),
    }
}

/// The label. The registry takes 1-255 bytes without control characters, so nothing else is accepted here.
fn name(context: &Context) -> Result<Option<String>, Failure> {
    let name = context.args.given_text("name")?.filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.len() > 255 || name.chars().any(char::is_control)) {
        return Err(Failure::usage("--name must be 1-255 bytes without control characters"));
    }
    Ok(name)
}

fn symlinks(context: &Context) -> Result<Symlinks, Failure> {
    match context.args.text(&SYMLINKS, &context.env)?.as_str() {
        "skip" => Ok(Symlinks::Skip),
        "follow" => Ok(Symlinks::Follow),
        "error" => Ok(Symlinks::Error),
        _ => Err(Failure::usage("--symlinks is skip, follow or error")),
    }
}

fn piece_length_of(context: &Context) -> Result<Option<u32>, Failure> {
    let text = context.args.text(&PIECE_LENGTH, &context.env)?;
    if text == "auto" {
        return Ok(None);
    }
    let length = show_size::parse(&text).and_then(piece_length::writable);
    let length =
        length.ok_or_else(|| Failure::usage("piece length must be a power of two from 16 KiB to 64 MiB"))?;
    Ok(Some(length))
}

fn trackers(context: &Context, tracker: &Tracker) -> Result<Vec<String>, Failure> {
    let further = context.args.all("announce")?;
    if further.iter().any(|url| !is_announce(url)) {
        return Err(Failure::usage("--announce must be an absolute http, https or udp URL"));
    }
    if context.args.on("no-tracker") {
        if !further.is_empty() {
            return Err(Failure::usage("--no-tracker and --announce exclude each other"));
        }
        return Ok(Vec::new());
    }
    Ok(without_repeats(std::iter::once(tracker.announce()).chain(further)))
}

fn web_seeds(context: &Context, input: &Input) -> Result<Vec<String>, Failure> {
    let urls = context.args.all("webseed")?;
    if urls.iter().any(|url| !is_http(url)) {
        return Err(Failure::usage("web seed must be an absolute http(s) URL"));
    }
    let origin = match input {
        Input::Url(url) => Some(url.clone()),
        Input::Path(_) => None,
    };
    Ok(without_repeats(origin.into_iter().chain(urls)))
}

fn without_repeats(urls: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for url in urls {
        if !kept.contains(&url) {
            kept.push(url);
        }
    }
    kept
}

/// SOURCE_DATE_EPOCH makes builds repeatable, so a value nobody can read must not silently become the present.
fn creation_date(context: &Context) -> Result<Option<u64>, Failure> {
    let date = match context.env.get("SOURCE_DATE_EPOCH") {
        None => context.env.unix,
        Some(text) if (1..=11).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().unwrap_or(0)
        }
        Some(_) => return Err(Failure::usage("SOURCE_DATE_EPOCH must be 1-11 digits")),
    };
    Ok((!context.args.on("no-date")).then_some(date))
}

/// `--threads`, else one for each CPU, at most 16.
pub fn threads(context: &Context) -> Result<usize, Failure> {
    match context.args.given_text("threads")? {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(16)),
        Some(text) => {
            let threads = text.parse().ok().filter(|n| (1..=64).contains(n));
            threads.ok_or_else(|| Failure::usage("--threads must be 1-64"))
        }
    }
}
