//! `wl magnet`.

use super::one_argument;
use crate::failure::Failure;
use crate::flags::{Command, SECRET, TRACKER, USER_ID, switch};
use crate::source::Loaded;
use crate::tracker::Tracker;
use crate::{Context, Done, source};
use serde_json::json;
use weightless::torrent::Magnet;

/// The table of `wl magnet`.
pub const COMMAND: Command = Command {
    name: "magnet",
    usage: &["SOURCE"],
    about: "print the magnet link of a torrent",
    flags: &[
        switch("no-tracker", "leave the trackers out"),
        switch("with-webseeds", "put the web seeds in"),
        switch("passkey", "announce with the passkey of --user-id and --secret"),
        TRACKER,
        USER_ID,
        SECRET,
    ],
    examples: &[
        ("wl magnet data.torrent", "the link with its trackers"),
        ("wl magnet --no-tracker --with-webseeds data.torrent", "a link that names web seeds only"),
    ],
    run,
};

fn run(context: &Context) -> Result<Done, Failure> {
    let Loaded::Torrent(metainfo) = source::load(context, one_argument(context, "SOURCE")?)? else {
        return Err(Failure::usage("an idtorrent has no magnet link"));
    };
    let mut magnet = Magnet::new(metainfo.hashes());
    magnet.name = Some(metainfo.shown_name());
    if !context.args.on("no-tracker") {
        magnet.trackers = metainfo.about.trackers.concat();
    }
    if context.args.on("passkey") {
        let tracker = Tracker::with_passkey(context)?;
        if !tracker.has_passkey() {
            return Err(Failure::usage("--passkey needs --user-id and TRACKER_SECRET"));
        }
        context.voice.warn("the magnet link contains your passkey");
        let plain = tracker.plain_announce();
        magnet.trackers.retain(|url| *url != plain);
        magnet.trackers.insert(0, tracker.announce());
    }
    if context.args.on("with-webseeds") {
        magnet.web_seeds = metainfo.about.web_seeds.clone();
    }
    Ok(Done { text: format!("{magnet}\n"), json: json!({"magnet": magnet.to_string()}), ..Done::default() })
}
