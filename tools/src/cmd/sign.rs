//! `wl sign`: puts a signature into a torrent that is already there, and into its registry entry if asked.

use super::one_argument;
use super::register::{self, Entry, Registration};
use crate::failure::Failure;
use crate::flags::{API_KEY, Command, TRACKER, switch};
use crate::key::{self, KEY};
use crate::tracker::Tracker;
use crate::{Context, Done, registry, save, signing};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use weightless::base::Rope;
use weightless::torrent::signature::Signature;
use weightless::torrent::signatures::{self, SIGNATURES_MAX};
use weightless::torrent::{Kind, Metainfo, rewrite_trackers};

/// The table of `wl sign`.
pub const COMMAND: Command = Command {
    name: "sign",
    usage: &["TORRENT"],
    about: "sign a torrent file with your key",
    flags: &[KEY, switch("register", "put the signature into the registry as well"), TRACKER, API_KEY],
    examples: &[
        ("wl sign data.torrent", "add or replace your signature; info hash and data stay as they are"),
        ("wl sign --key me.pem --register data.torrent", "tell the registry too"),
    ],
    run,
};

const TORRENT_BYTES_MAX: u64 = 64 << 20;

fn run(context: &Context) -> Result<Done, Failure> {
    let path = Path::new(one_argument(context, "TORRENT")?);
    let key = key::signing(context)?;
    let mut torrent = Vec::new();
    File::open(path)
        .and_then(|file| file.take(TORRENT_BYTES_MAX + 1).read_to_end(&mut torrent))
        .map_err(|error| Failure::reading(path, &error))?;
    let metainfo = Metainfo::read(&torrent).map_err(|why| Failure::input(format!("torrent: {why}")))?;
    let signature = key.sign(&metainfo.hashes());
    refuse_one_too_many(&metainfo, &signature)?;
    let signed =
        signatures::add(&torrent, &signature).map_err(|why| Failure::input(format!("torrent: {why}")))?;
    if signed != torrent {
        save::durably(path, |file| file.write_all(&signed))?;
    }
    if metainfo.kind() == Kind::V1 {
        context.voice.warn("a v1-only torrent is weakly protected: SHA-1 only");
    }
    let registration = match context.args.on("register") {
        true => register(context, &metainfo, &signed, signature)?,
        false => Registration { tried: false, error: None, exit: 0 },
    };
    let mut json = signing::object(&signature);
    json["torrent"] = path.display().to_string().into();
    json["info_hash"] = metainfo.hashes().best_hex().into();
    json["registered"] = (registration.tried && registration.error.is_none()).into();
    json["registry_error"] = registration.error.into();
    let text = format!("Signature: {}\n", signature.hex());
    Ok(Done { text, json, exit: registration.exit, file: None })
}

/// Readers look at so many objects; one more would only push another publisher out of sight.
fn refuse_one_too_many(metainfo: &Metainfo, signature: &Signature) -> Result<(), Failure> {
    let found = metainfo.signatures();
    let replaces = found.judged.iter().any(|judged| judged.key == Some(signature.key));
    if replaces || found.judged.len() < SIGNATURES_MAX {
        return Ok(());
    }
    Err(Failure::input(format!("torrent: {SIGNATURES_MAX} signatures already, and no reader looks at more")))
}

/// Registering replaces what a registry says about a torrent, so what it says now is asked first and said again.
fn register(
    context: &Context,
    metainfo: &Metainfo,
    torrent: &[u8],
    signature: Signature,
) -> Result<Registration, Failure> {
    let tracker = Tracker::of(context)?;
    let known = match registry::entry(context, &tracker, &metainfo.hashes().best_hex()) {
        Ok(known) => known,
        Err(failure) => {
            context.voice.warn(&format!("{}. The signature is in the file.", failure.message));
            let exit = failure.class as u8;
            return Ok(Registration { tried: true, error: Some(failure.message), exit });
        }
    };
    // The file may carry its maker's passkey.
    let public = |url: &[u8]| Some(tracker.without_passkey(std::str::from_utf8(url).ok()?)?.into_bytes());
    let clean = rewrite_trackers(torrent, public);
    let Ok(clean) = clean.map(Rope::from) else { return Ok(register::too_large(context)) };
    let text = |name: &str| known.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let own_name = metainfo.shown_name();
    let name = known.get("name").and_then(Value::as_str).unwrap_or(&own_name);
    register::post(
        context,
        &Entry {
            tracker: &tracker,
            hashes: metainfo.hashes(),
            name,
            description: text("description"),
            publisher: text("publisher"),
            license: text("license"),
            category: text("category"),
            tags: text("tags"),
            size: known.get("size").and_then(Value::as_u64).unwrap_or_else(|| metainfo.total_bytes()),
            torrent: &clean,
            signature: Some(signature),
        },
    )
}
