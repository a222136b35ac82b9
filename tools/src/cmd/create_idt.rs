//! `wl create --idt`: one small file, hashed by chunks, written and registered like a torrent.

use super::create_flags::Choice;
use super::register::{self, Made, Registration};
use crate::failure::{Class, Failure};
use crate::flags::API_KEY;
use crate::hash::chunks;
use crate::hash::walk::{Found, Rules, Symlinks, Tree, walk};
use crate::http;
use crate::progress::Progress;
use crate::tracker::secret;
use crate::{Context, Done, save};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Request;
use weightless::torrent::small::{self, Idtorrent, Malformed};

/// Runs `wl create --idt`.
pub fn run(context: &Context) -> Result<Done, Failure> {
    let choice = Choice::read(context)?;
    let tree = find(&choice)?;
    let file = tree.files.first().ok_or_else(|| Failure::input("no files found"))?;
    let name = file_name(file)?;
    let target = Target::of(context, &name)?;
    target.probe(context, file.stamp.length)?;
    context.voice.say(&format!("Creating idtorrent for {}...", tree.root.display()));
    let made = hash(context, &choice, file, name)?;
    let metafile = made.write();
    target.write(context, &made, &metafile)?;
    let registration = register(context, &choice, &made, &metafile)?;
    let mut done = report(&choice, &made, &metafile, &target, &registration);
    if context.args.on("require-register") {
        done.exit = registration.exit;
    }
    if context.args.on("also-torrent") {
        let torrent = super::create::torrent(context)?;
        done.text.push_str(&torrent.text);
        done.json["also_torrent"] = torrent.json;
        done.exit = done.exit.max(torrent.exit);
    }
    Ok(done)
}

/// The one file, if it is small enough.
fn find(choice: &Choice) -> Result<Tree, Failure> {
    let metadata = std::fs::metadata(&choice.path).map_err(|error| Failure::reading(&choice.path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::usage("idtorrent holds one file"));
    }
    if metadata.is_file() && metadata.len() > choice.file_bytes_max {
        let message = Malformed::TooLarge(choice.file_bytes_max).to_string();
        return Err(Failure::input(message).hint("use a torrent or --max-size"));
    }
    if small::chunk_count(metadata.len(), choice.chunk_bytes).is_err() {
        let message = format!("more than {} chunks", small::CHUNKS_MAX);
        return Err(Failure::input(message).hint("use a larger --chunk-size"));
    }
    let rules = Rules { exclude: Vec::new(), symlinks: Symlinks::Skip, raw_names: true, output: None };
    walk(&choice.path, &rules)
}

fn file_name(file: &Found) -> Result<String, Failure> {
    let name = file.path.first().cloned().unwrap_or_default();
    let name = String::from_utf8(name).map_err(|_| Failure::input("file name is not UTF-8"))?;
    match small::is_file_name(&name) {
        true => Ok(name),
        false => Err(Failure::input(Malformed::FileName.to_string()).hint("rename the file")),
    }
}

fn hash(context: &Context, choice: &Choice, file: &Found, name: String) -> Result<Idtorrent, Failure> {
    let reading = |error| Failure::reading(&file.disk, &error);
    let changed = || Failure::input(format!("{}: file changed while hashing", file.disk.display()));
    let length = file.stamp.length;
    let mut progress = Progress::new(context, "hashing", length);
    let (mut hashes, mut done) = (Vec::new(), 0);
    // One byte more than there should be tells that the file has grown.
    let reader = File::open(&file.disk).map_err(reading)?.take(length + 1);
    let read = chunks::hash(reader, choice.chunk_bytes, |_, hash, bytes| {
        hashes.push(hash);
        done += u64::from(bytes);
        progress.at(done);
    });
    progress.end();
    if read.map_err(reading)? != length || !file.unchanged() {
        return Err(changed());
    }
    let mut made = Idtorrent::new(name, length, u64::from(choice.chunk_bytes), hashes)
        .map_err(|why| Failure::input(format!("idtorrent: {why}")))?;
    made.trackers.clone_from(&choice.trackers);
    made.comment.clone_from(&choice.comment);
    Ok(made)
}

/// Where the idtorrent goes.
enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    fn of(context: &Context, name: &str) -> Result<Self, Failure> {
        match context.args.given("out") {
            Some(out) if out == "-" => Ok(Self::Stdout),
            Some(out) if out.is_empty() => Err(Failure::usage("--out needs a file name")),
            Some(out) => Ok(Self::File(PathBuf::from(out))),
            None => Ok(Self::File(PathBuf::from(format!("{name}.idtorrent")))),
        }
    }

    /// Fails before any hashing if the file cannot be written afterwards, as far as that can be known.
    fn probe(&self, context: &Context, length: u64) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        if let Some(old) = old_file(context, path)?
            && read(&old).is_none_or(|old| old.file_size() != length)
        {
            return Err(differs(path));
        }
        save::probe(path)
    }

    /// Writes the file, unless that would replace one of another swarm.
    fn write(&self, context: &Context, made: &Idtorrent, metafile: &[u8]) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        if let Some(old) = old_file(context, path)?
            && read(&old).is_none_or(|old| old.file_id() != made.file_id())
        {
            return Err(differs(path));
        }
        save::durably(path, |file| file.write_all(metafile))
    }

    fn shown(&self) -> String {
        match self {
            Self::Stdout => "-".into(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// The file that must not be replaced by a different one, if there is one.
fn old_file(context: &Context, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if context.args.on("force") || !path.is_file() {
        return Ok(None);
    }
    let mut old = Vec::new();
    let bytes_max = small::METAFILE_BYTES_MAX as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(bytes_max).read_to_end(&mut old));
    read.map(|_| Some(old)).map_err(|error| Failure::writing(path, &error))
}

fn read(metafile: &[u8]) -> Option<Idtorrent> {
    Idtorrent::read(metafile, small::FILE_BYTES_MAX).ok()
}

fn differs(path: &Path) -> Failure {
    let message = format!("{} exists and differs", path.display());
    Failure::new(Class::Storage, message).hint("use --force, or another name with --out")
}

/// The label in the registry.
fn label<'a>(choice: &'a Choice, made: &'a Idtorrent) -> &'a str {
    choice.name.as_deref().unwrap_or(made.file_name())
}

fn register(
    context: &Context,
    choice: &Choice,
    made: &Idtorrent,
    metafile: &[u8],
) -> Result<Registration, Failure> {
    if context.args.on("no-register") {
        return Ok(Registration { tried: false, error: None, exit: 0 });
    }
    let mut body = json!({
        "info_hash": made.file_id().to_string(),
        "name": label(choice, made),
        "size": made.file_size(),
        "idt_data": BASE64.encode(metafile),
    });
    for field in ["description", "publisher", "license", "category", "tags"] {
        body[field] = context.args.given_text(field)?.unwrap_or_default().into();
    }
    let body = body.to_string().into_bytes();
    let url = choice.tracker.registry();
    let mut request = Request::post(&url).header("Content-Type", "application/json");
    let key = secret(context, &API_KEY)?;
    if !key.is_empty() {
        request = request.header("X-Weightless-Key", key);
    }
    let timeout = Duration::from_secs(10 + (body.len() >> 20) as u64);
    let request = request.body(body).map_err(|_| Failure::usage("not a usable tracker URL or API key"))?;
    let answer = http::send(&http::agent(context, timeout, 0), request, 1 << 20);
    Ok(register::judge(context, &url, Made::Idtorrent, answer))
}

fn report(
    choice: &Choice,
    made: &Idtorrent,
    metafile: &[u8],
    target: &Target,
    registration: &Registration,
) -> Done {
    let id = made.file_id().to_string();
    let text = format!("Idtorrent: {}\nId:      {id}\n", target.shown());
    let json: Value = json!({
        "idtorrent": target.shown(),
        "format": "idtorrent",
        "file_id": id,
        "info_hash": id,
        "file_name": made.file_name(),
        "name": label(choice, made),
        "size": made.file_size(),
        "chunk_size": made.chunk_size(),
        "chunks": made.chunk_hashes().len(),
        "registered": registration.error.is_none() && registration.tried,
        "registry": registration.tried.then(|| choice.tracker.registry()),
        "registry_error": registration.error,
    });
    let file = matches!(target, Target::Stdout).then(|| metafile.to_vec());
    Done { text, json, file, exit: 0 }
}
