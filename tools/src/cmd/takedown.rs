//! `wl takedown`: removes an entry from a registry and blocks its hashes.

use super::{one_argument, search};
use crate::failure::{Class, Failure};
use crate::flags::{API_KEY, Command, TRACKER, one, switch};
use crate::http::{self, Unreachable};
use crate::tracker::{Tracker, secret};
use crate::{Context, Done, source};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use std::time::Duration;
use ureq::http::Request;

/// The table of `wl takedown`.
pub const COMMAND: Command = Command {
    name: "takedown",
    usage: &["HASH"],
    about: "remove an entry from the registry and block its hashes",
    flags: &[
        TRACKER,
        API_KEY,
        one("reason", "TEXT", "why, for the blocklist"),
        switch("yes", "do it without a question"),
    ],
    examples: &[
        ("wl takedown --yes e331e866...47e7", "remove and block one torrent"),
        (
            "wl takedown --yes --reason 'rights holder' --api-key @key.txt e331e866...47e7",
            "the same, with a reason",
        ),
    ],
    run,
};

const TIMEOUT: Duration = Duration::from_secs(30);

fn run(context: &Context) -> Result<Done, Failure> {
    let hash = one_argument(context, "HASH")?.to_str().map(str::to_ascii_lowercase);
    let hash = hash.filter(|text| source::hash(text).is_some());
    let hash = hash.ok_or_else(|| Failure::usage("HASH must be 40 or 64 hex digits"))?;
    if !context.args.on("yes") && context.env.stdout_is_terminal {
        return Err(Failure::usage(format!("add --yes to remove and block {hash}")));
    }
    let tracker = Tracker::of(context)?;
    let reason = context.args.given_text("reason")?.unwrap_or_default();
    let mut url = format!("{}?info_hash={hash}", tracker.registry());
    if !reason.is_empty() {
        url.push_str(&format!("&reason={}", utf8_percent_encode(&reason, NON_ALPHANUMERIC)));
    }
    let mut request = Request::delete(&url);
    let key = secret(context, &API_KEY)?;
    if !key.is_empty() {
        request = request.header("X-Weightless-Key", key);
    }
    let request = request.body(Vec::new()).map_err(|_| Failure::usage("not a usable URL or key"))?;
    let reply =
        http::send(&http::agent(context, TIMEOUT, 0), request, 1 << 20).map_err(|Unreachable(why)| {
            Failure::new(Class::Network, format!("registry {}: {why}", tracker.base))
        })?;
    match reply.status {
        200 => {
            let text = format!("Removed and blocked: {hash}\n");
            Ok(Done { text, json: json!({"removed": hash}), ..Done::default() })
        }
        status @ (401 | 403) => Err(search::refused(status, &reply.body).hint("set WL_API_KEY or --api-key")),
        status => Err(search::refused(status, &reply.body)),
    }
}
