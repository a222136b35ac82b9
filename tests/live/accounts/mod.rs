//! Accounts (accounts, sections 5, 7 and 10) with the real daemon and a real hub.

mod answers;
mod crashes;
mod https;
mod kills;
mod rows;
mod shared;

use crate::support::daemon::Daemon;
use crate::support::http::escaped;
use crate::support::hub::Hub;
use crate::support::{http, until};
use rusqlite::{Connection, OpenFlags};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use weightless::wire::passkey::PasskeyKey;

const SECRET: &str = "a tracker's secret";
const KEY: &str = "the hub's key";

/// The daemon with passkeys, cuts every second, and this hub.
fn tracker(home: &Path, hub: &Hub, more: &[(&str, &str)]) -> Daemon {
    let mut settings = vec![("HUB_URL", hub.url.as_str()), ("REGISTRY_KEY", KEY)];
    settings.extend(without_hub(&[]));
    settings.extend(more);
    Daemon::start(home, &settings)
}

fn without_hub(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let mut settings = vec![("TRACKER_SECRET", SECRET), ("OPEN_TRACKER", "true"), ("FLUSH_INTERVAL", "1")];
    settings.extend(more);
    settings
}

fn passkey(user: &str) -> String {
    PasskeyKey::new(SECRET.as_bytes()).sign(user).expect("a user id")
}

/// A client of a user, in one torrent.
#[derive(Clone)]
struct Client {
    at: SocketAddr,
    passkey: String,
    hash: Vec<u8>,
    peer_id: [u8; 20],
}

impl Client {
    fn of(tracker: &Daemon, user: &str) -> Self {
        let at = tracker.http(Ipv4Addr::LOCALHOST);
        Self { at, passkey: passkey(user), hash: vec![7; 20], peer_id: *b"-TS0001-accounted-01" }
    }

    /// Reports counters; the tracker must take them.
    fn reports(&self, uploaded: u64, downloaded: u64, event: &str) {
        assert_eq!(self.tries(uploaded, downloaded, event), None);
    }

    /// The same; why it was refused, if it was.
    fn tries(&self, uploaded: u64, downloaded: u64, event: &str) -> Option<String> {
        let (hash, id) = (escaped(&self.hash), escaped(&self.peer_id));
        let reply = http::get(
            self.at,
            &format!(
                "/announce/{}?info_hash={hash}&peer_id={id}&port=6881&uploaded={uploaded}&downloaded={downloaded}&left=9\
                 &compact=1&event={event}",
                self.passkey
            ),
        );
        let text = reply.text();
        text.split_once("14:failure reason").map(|(_, rest)| rest.to_owned())
    }
}

/// Bytes of one tier, up and down, as the metrics say.
fn pending(tracker: &Daemon, tier: &str) -> (u64, u64) {
    let page = http::get(tracker.http(Ipv4Addr::LOCALHOST), "/metrics").text();
    let value = |direction| {
        let name = format!("tracker_usage_pending_bytes{{tier=\"{tier}\",direction=\"{direction}\"}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{page}"));
        line.parse().expect("a number")
    };
    (value("up"), value("down"))
}

/// Waits until nothing is counted that is not on disk.
fn wait_cut(tracker: &Daemon) {
    until("the cut", || (pending(tracker, "ram") == (0, 0)).then_some(()));
}

/// Waits until the hub has acknowledged everything.
fn wait_sent(tracker: &Daemon) {
    until("the hub to have everything", || {
        let all = ["ram", "backlog", "batch"].map(|tier| pending(tracker, tier));
        (all == [(0, 0); 3]).then_some(())
    });
}

/// A number from the tracker's database.
fn number(home: &Path, sql: &str) -> u64 {
    let db = Connection::open_with_flags(home.join("weightless.db"), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let db = db.expect("the tracker's database");
    db.busy_timeout(crate::support::PATIENCE).expect("a time limit");
    db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number").cast_unsigned()
}

/// Waits until that many sessions are on disk.
fn wait_sessions(home: &Path, count: u64) {
    until("the sessions on disk", || {
        (number(home, "SELECT count(*) FROM usage_base") == count).then_some(())
    });
}

const UNREJECTED: &str = "SELECT count(*) FROM usage_batch WHERE state <> 'rejected'";
