//! `wl passkey`: signs a user's passkey and shows the announce URLs it is part of.

use super::one_argument;
use crate::failure::Failure;
use crate::flags::{Command, Flag, SECRET, TRACKER, one};
use crate::tracker::{Tracker, secret, sign};
use crate::{Context, Done};
use serde_json::json;
use weightless::wire::passkey::host_of_url;

/// The table of `wl passkey`.
pub const COMMAND: Command = Command {
    name: "passkey",
    usage: &["USER"],
    about: "sign a user's passkey and print the announce URLs with it",
    flags: &[TRACKER, SECRET, UDP_PORT],
    examples: &[
        ("wl passkey --tracker https://tracker.example.org alice", "with the secret from TRACKER_SECRET"),
        ("wl passkey --secret @secret.txt --udp-port off --json bob", "for a program, HTTP only"),
    ],
    run,
};

const UDP_PORT: Flag = one("udp-port", "PORT", "port of the tracker's UDP URL, or off").default("1337");

fn run(context: &Context) -> Result<Done, Failure> {
    let user = one_argument(context, "USER")?.to_str().map(str::to_owned).unwrap_or_default();
    let tracker = Tracker::of(context)?;
    let secret = secret(context, &SECRET)?;
    if secret.is_empty() {
        let failure = Failure::usage("a passkey is signed with the tracker's secret, and none was given");
        return Err(failure.hint("set TRACKER_SECRET or --secret @FILE"));
    }
    let passkey = sign(&user, &secret)?;
    let http = format!("{}/{passkey}", tracker.plain_announce());
    let udp = udp_url(context, &http, &passkey)?;
    context.voice.say("Whoever has this passkey announces as this user: hand it to nobody else.");
    let mut text = format!("Passkey: {passkey}\nHTTP:    {http}\n");
    if let Some(udp) = &udp {
        text.push_str(&format!("UDP:     {udp}\n"));
    }
    let json = json!({"user": user, "passkey": passkey, "announce": http, "announce_udp": udp});
    Ok(Done { text, json, ..Done::default() })
}

/// The same over UDP, on the host of the HTTP URL. Clients send its path along if they know BEP 41.
fn udp_url(context: &Context, http: &str, passkey: &str) -> Result<Option<String>, Failure> {
    let port = context.args.text(&UDP_PORT, &context.env)?;
    if port == "off" {
        return Ok(None);
    }
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| Failure::usage("--udp-port is 1-65535 or off"))?;
    let host = host_of_url(http).ok_or_else(|| Failure::usage("--tracker must be an http(s) URL"))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(Some(format!("udp://{host}:{port}/announce/{passkey}")))
}
