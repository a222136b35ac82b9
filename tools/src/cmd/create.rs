//! `wl create`: check flags, walk, hash, write the file durably, register, print. Registering comes last and never
//! takes the file away again.

use super::create_flags::{Input, Options};
use super::create_hash::{Recipe, hash};
use super::create_stream::Origin;
use super::register::{self, Registration};
use crate::failure::{Class, Failure};
use crate::hash::walk::{Tree, absolute, is_renamed, walk};
use crate::{Context, Done, key, save};
use serde_json::json;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use weightless::base::{InfoHashes, Rope};
use weightless::torrent::build::{self, Envelope};
use weightless::torrent::signature::Signature;
use weightless::torrent::{Kind, Magnet, Metainfo, Shape, info_hashes, piece_length};
use weightless::wire::bencode::{self, Form, Limits};

pub use super::create_flags::COMMAND;

/// Most pieces and longest torrent that common clients take.
const COMMON_PIECES_MAX: u64 = 2_097_152;
const COMMON_TORRENT_BYTES_MAX: u64 = 10_000_000;

/// As much of an existing output file is compared: more is not one of our torrents.
const OLD_BYTES_MAX: u64 = 256 << 20;

/// Padding that costs no noticeable time, in bytes.
const PADDING_BYTES_UNNOTICED: f64 = 16.0 * 1024.0 * 1024.0;

/// Runs `wl create`.
pub fn run(context: &Context) -> Result<Done, Failure> {
    if context.args.on("idt") { super::create_idt::run(context) } else { torrent(context) }
}

/// Makes a torrent and registers it.
pub fn torrent(context: &Context) -> Result<Done, Failure> {
    make(context, Registering::AsTold)
}

/// Whether a registry hears of a torrent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registering {
    /// As the command line says.
    AsTold,
    /// Somebody else sees to it.
    Not,
}

/// Makes a torrent.
pub fn make(context: &Context, registering: Registering) -> Result<Done, Failure> {
    let mut options = Options::read(context)?;
    let key = context.args.on("sign").then(|| key::signing(context)).transpose()?;
    let target = Target::of(context, &options)?;
    options.rules.output = target.file().map(Path::to_path_buf);
    let (tree, origin) = find(context, &options)?;
    let names = Names::of(&options, &tree)?;
    let target = target.named(&names.label);
    target.probe(context, &tree)?;
    let lengths: Vec<u64> = tree.files.iter().map(|file| file.stamp.length).collect();
    let chosen = options.piece_length.unwrap_or_else(|| piece_length::auto(options.kind, &lengths));
    warn_of_files(context, &tree, &names);
    warn_of_choices(context, &options, &tree, chosen, &lengths);
    let recipe = Recipe {
        tree: &tree,
        name: &names.info,
        kind: options.kind,
        piece_length: chosen,
        threads: options.threads,
        private: context.args.on("private"),
        source: &options.source,
    };
    let hashed = hash(context, &recipe, origin)?;
    let (info, layers) = (hashed.info(&recipe), hashed.layers(options.kind));
    let hashes = info_hashes(options.kind, &info);
    let signature = key.map(|key| key.sign(&hashes));
    let envelope = envelope(context, &options, signature)?;
    let torrent = build::torrent(&envelope, &info, layers.as_deref());
    if hashed.piece_count > COMMON_PIECES_MAX || torrent.length() > COMMON_TORRENT_BYTES_MAX {
        context.voice.warn("some clients refuse torrents this large; use a larger --piece-length");
    }
    target.write(context, &torrent, &info)?;
    let made = Made {
        options: &options,
        names: &names,
        tree: &tree,
        size: hashed.size,
        piece_count: hashed.piece_count,
        hashes,
        chosen,
        torrent: &torrent,
        signature,
    };
    // The registry hands its copy to everybody.
    let public = Envelope { trackers: options.public_trackers(), ..envelope };
    let public = build::torrent(&public, &info, layers.as_deref());
    let registration = match registering {
        Registering::AsTold => register::register(context, &made.entry(context, &public)?)?,
        Registering::Not => Registration { tried: false, error: None, exit: 0 },
    };
    report(context, &made, &target, registration)
}

/// The files to be hashed, and the one that has to be fetched for it.
fn find(context: &Context, options: &Options) -> Result<(Tree, Option<Origin>), Failure> {
    match &options.input {
        Input::Path(path) => {
            // Known before the walk, which would go through the whole disk first.
            if options.name.is_none() && absolute(path)?.file_name().is_none() {
                return Err(Failure::usage("cannot derive a name; pass --name"));
            }
            let tree = walk(path, &options.rules)?;
            context.voice.say(&format!("Creating torrent for {}...", tree.root.display()));
            Ok((tree, None))
        }
        Input::Url(url) => {
            context.voice.say(&format!("Streaming and hashing {url}..."));
            let origin = Origin::open(context, url)?;
            Ok((origin.tree(options.name.as_deref(), &options.rules)?, Some(origin)))
        }
    }
}

/// Where the torrent goes.
pub enum Target {
    /// To stdout.
    Stdout,
    /// To a file.
    File(PathBuf),
    /// `<label>.torrent` in the current directory.
    Default,
}

impl Target {
    /// What the command line says of it.
    pub fn of(context: &Context, options: &Options) -> Result<Self, Failure> {
        match context.args.given("out") {
            Some(out) if out == "-" => Ok(Self::Stdout),
            Some(out) if out.is_empty() => Err(Failure::usage("--out needs a file name")),
            Some(out) => Ok(Self::File(PathBuf::from(out))),
            // With --name the file is known before the walk, which must leave it out.
            None => {
                Ok(options.name.as_deref().map_or(Self::Default, |name| Self::File(file_name(name).into())))
            }
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdout | Self::Default => None,
        }
    }

    /// With the label, which was not known before the walk.
    pub fn named(self, label: &str) -> Self {
        match self {
            Self::Default => Self::File(file_name(label).into()),
            other => other,
        }
    }

    /// Fails before any hashing if the file cannot be written afterwards, as far as that can be known.
    fn probe(&self, context: &Context, tree: &Tree) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        if let Some(old) = old_file(context, path)? {
            let size: u64 = tree.files.iter().map(|file| file.stamp.length).sum();
            let alike = |old: Metainfo| old.total_bytes() == size && old.files().len() == tree.files.len();
            if !Metainfo::take(old).is_ok_and(alike) {
                return Err(differs(path));
            }
        }
        save::probe(path)
    }

    /// Writes the file, unless that would replace another torrent.
    fn write(&self, context: &Context, torrent: &Rope<'_>, info: &Rope<'_>) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        if let Some(old) = old_file(context, path)?
            && !torrent.equals(&old)
            && !info_of(&old).is_some_and(|old| info.equals(old))
        {
            return Err(differs(path));
        }
        save::durably(path, |file| torrent.write_to(file))
    }
}

/// The file that must not be replaced by a different torrent, if there is one.
fn old_file(context: &Context, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if context.args.on("force") || !path.is_file() {
        return Ok(None);
    }
    let mut old = Vec::new();
    let read = File::open(path).and_then(|file| file.take(OLD_BYTES_MAX).read_to_end(&mut old));
    read.map(|_| Some(old)).map_err(|error| Failure::writing(path, &error))
}

/// The info dictionary of what may be a torrent.
fn info_of(torrent: &[u8]) -> Option<&[u8]> {
    let top = bencode::parse(torrent, &Limits::TORRENT, Form::Tolerant).ok()?;
    top.get(b"info").map(|info| info.raw())
}

fn differs(path: &Path) -> Failure {
    let message = format!("{} exists and differs", path.display());
    Failure::new(Class::Storage, message).hint("use --force, or another name with --out")
}

fn file_name(label: &str) -> String {
    let clean = |c: char| if c == '/' || c == '\\' || c.is_control() { '_' } else { c };
    format!("{}.torrent", label.chars().map(clean).collect::<String>())
}

/// The two names of a torrent.
struct Names {
    /// Registry, magnet link, output file.
    label: String,
    /// Info dictionary.
    info: Vec<u8>,
}

impl Names {
    /// A single local file keeps its own name in the info dictionary: the file tree's key must equal it.
    fn of(options: &Options, tree: &Tree) -> Result<Self, Failure> {
        let base = tree.base_name.clone();
        let given = options.name.clone();
        let Some(label) = given.clone().or_else(|| base.as_deref().map(lossy)) else {
            return Err(Failure::usage("cannot derive a name; pass --name"));
        };
        if !options.rules.raw_names && base.as_deref().is_some_and(|base| std::str::from_utf8(base).is_err())
        {
            return Err(Failure::input("file name is not UTF-8").hint("pass --raw-names"));
        }
        let info = match tree.shape {
            Shape::SingleFile => base.unwrap_or_default(),
            Shape::Directory => given.map(String::into_bytes).or(base).unwrap_or_default(),
        };
        Ok(Self { label, info })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn warn_of_files(context: &Context, tree: &Tree, names: &Names) {
    tree.warnings.iter().for_each(|warning| context.voice.warn(warning));
    if tree.shape == Shape::Directory && is_renamed(&names.info) {
        let name = lossy(&names.info);
        context.voice.warn(&format!("{name:?} will be renamed by downloaders on some systems"));
    }
}

fn warn_of_choices(context: &Context, options: &Options, tree: &Tree, chosen: u32, lengths: &[u64]) {
    let voice = context.voice;
    if options.tracker.has_passkey() && !options.trackers.is_empty() {
        voice.warn("the torrent and the magnet link contain your passkey");
    }
    let one_at_top = matches!(tree.files.as_slice(), [file] if file.path.len() == 1);
    if options.kind == Kind::V2 && tree.shape == Shape::Directory && one_at_top {
        voice.warn("a v2 torrent of a directory with one file is downloaded without the directory");
    }
    let factor = piece_length::padding_factor(options.kind, chosen, lengths);
    let payload: u64 = lengths.iter().sum();
    // A few small files are hashed at once whatever the padding; that is not worth a warning.
    if factor > 4.0 && (factor - 1.0) * payload as f64 > PADDING_BYTES_UNNOTICED {
        let better = piece_length::auto(options.kind, lengths);
        voice.warn(&format!(
            "padding makes the hashed data {factor:.0} times the payload; --piece-length {better} is better"
        ));
    }
}

fn envelope(context: &Context, options: &Options, signature: Option<Signature>) -> Result<Envelope, Failure> {
    Ok(Envelope {
        signature,
        trackers: options.trackers.clone(),
        comment: context.args.given_text("comment")?.unwrap_or_default(),
        created_by: context.env.get("WL_CREATED_BY").unwrap_or_default().into(),
        creation_date: options.creation_date,
        web_seeds: options.web_seeds.clone(),
    })
}

/// A finished torrent and what it was made from.
struct Made<'a> {
    options: &'a Options,
    names: &'a Names,
    tree: &'a Tree,
    size: u64,
    piece_count: u64,
    hashes: InfoHashes,
    chosen: u32,
    torrent: &'a Rope<'a>,
    signature: Option<Signature>,
}

impl Made<'_> {
    fn entry<'e>(&'e self, context: &Context, public: &'e Rope<'e>) -> Result<register::Entry<'e>, Failure> {
        let labelled = Labelled {
            options: self.options,
            name: &self.names.label,
            hashes: self.hashes,
            size: self.size,
            signature: self.signature,
        };
        labelled.entry(context, public)
    }

    fn magnet(&self, context: &Context) -> Magnet {
        let mut magnet = Magnet::new(self.hashes);
        magnet.name = Some(self.names.label.clone());
        magnet.trackers = self.options.trackers.clone();
        if context.args.on("with-webseeds") {
            magnet.web_seeds = self.options.web_seeds.clone();
        }
        magnet
    }
}

/// What a registry is told of a torrent beside the flags.
pub struct Labelled<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The label.
    pub name: &'a str,
    /// The torrent's hashes.
    pub hashes: InfoHashes,
    /// Bytes of all files.
    pub size: u64,
    /// The publisher's signature.
    pub signature: Option<Signature>,
}

impl<'a> Labelled<'a> {
    /// All a registry is told; `public` is the torrent without a passkey.
    pub fn entry<'e>(&self, context: &Context, public: &'e Rope<'e>) -> Result<register::Entry<'e>, Failure>
    where
        'a: 'e,
    {
        let text = |name| Ok::<_, Failure>(context.args.given_text(name)?.unwrap_or_default());
        Ok(register::Entry {
            tracker: &self.options.tracker,
            hashes: self.hashes,
            name: self.name,
            description: text("description")?,
            publisher: text("publisher")?,
            license: text("license")?,
            category: text("category")?,
            tags: text("tags")?,
            size: self.size,
            torrent: public,
            signature: self.signature,
        })
    }
}

fn report(
    context: &Context,
    made: &Made<'_>,
    target: &Target,
    registration: Registration,
) -> Result<Done, Failure> {
    let shown_target = target.file().map_or_else(|| "-".into(), |path| path.display().to_string());
    let hashes = made.hashes;
    let magnet = made.magnet(context).to_string();
    let mut text = format!("Torrent: {shown_target}\nHash:    {}\n", hashes.best_hex());
    let v1_of_hybrid = hashes.v1().filter(|_| made.options.kind == Kind::Hybrid).map(|v1| v1.to_string());
    if let Some(v1) = &v1_of_hybrid {
        let _ = writeln!(text, "V1:      {v1}");
    }
    let key = made.signature.map(|signature| signature.key_hex());
    if let Some(key) = &key {
        let _ = writeln!(text, "Key:     {key}");
    }
    let _ = writeln!(text, "Magnet:  {magnet}");
    let json = json!({
        "torrent": shown_target,
        "format": match made.options.kind { Kind::V1 => "v1", Kind::V2 => "v2", Kind::Hybrid => "hybrid" },
        "info_hash": hashes.best_hex(),
        "v1_info_hash": hashes.v1().map(|v1| v1.to_string()),
        "name": made.names.label,
        "size": made.size,
        "files": made.tree.files.len(),
        "piece_length": made.chosen,
        "piece_count": made.piece_count,
        "magnet": magnet,
        "registered": registration.error.is_none() && registration.tried,
        "registry": registration.tried.then(|| made.options.tracker.registry()),
        "registry_error": registration.error,
        "publisher_key": key,
        "signature": made.signature.map(|signature| signature.hex()),
    });
    let exit = if context.args.on("require-register") { registration.exit } else { 0 };
    let file = matches!(target, Target::Stdout).then(|| made.torrent.to_vec());
    Ok(Done { text, json, file, exit })
}
