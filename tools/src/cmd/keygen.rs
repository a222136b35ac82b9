//! `wl keygen`: makes an Ed25519 key pair.

use crate::failure::{Class, Failure};
use crate::flags::Command;
use crate::key::{self, DEFAULT_FILE};
use crate::{Context, Done, env};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use weightless::torrent::signature::SecretKey;

/// The table of `wl keygen`.
pub const COMMAND: Command = Command {
    name: "keygen",
    usage: &["[FILE]"],
    about: "make a key pair to sign torrents with",
    flags: &[],
    examples: &[
        ("wl keygen", "wl-key.pem, which is yours alone, and wl-key.pub, which you publish"),
        ("wl keygen ~/.config/wl/key.pem", "where wl looks for a key when the current directory has none"),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let private = match context.args.positional.as_slice() {
        [] => PathBuf::from(DEFAULT_FILE),
        [file] if file == "-" => return Err(Failure::usage("a key pair needs a file name")),
        [file] => PathBuf::from(file),
        _ => return Err(Failure::usage("more than one FILE")),
    };
    let public = public_name(&private);
    let seed = env::random_seed();
    let seed = seed.ok_or_else(|| Failure::new(Class::Unexpected, "the system gave no random bytes"))?;
    let (private_pem, public_pem) = key::files(&seed);
    write(&private, &private_pem, 0o600)?;
    if let Err(failure) = write(&public, &public_pem, 0o644) {
        // Half a pair is worth nothing, and nobody has seen it yet.
        let _ = std::fs::remove_file(&private);
        return Err(failure);
    }
    let key = SecretKey::from_seed(&seed).public().to_string();
    let (private, public) = (private.display().to_string(), public.display().to_string());
    context.voice.say(&format!("Private key in {private}: keep it to yourself. Public key in {public}."));
    let json = json!({"key": key, "private": private, "public": public});
    Ok(Done { text: format!("Key: {key}\n"), json, ..Done::default() })
}

fn public_name(private: &Path) -> PathBuf {
    if private.extension().is_some_and(|extension| extension == "pem") {
        return private.with_extension("pub");
    }
    let mut name = private.as_os_str().to_os_string();
    name.push(".pub");
    name.into()
}

/// Writes a file that was not there before; nothing is left of one that could not be written whole.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let mut file = create(path, mode).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Class::Storage, format!("{} exists; a key is never overwritten", path.display()))
        }
        _ => Failure::writing(path, &error),
    })?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        Failure::writing(path, &error)
    })
}

#[cfg(unix)]
fn create(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
