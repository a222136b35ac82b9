//! `sort=seeders` ranks every match: the store hears of every change, however many there are, and whatever its mailbox
//! refuses.

use crate::support::{Daemon, HOST, PEER};
use std::collections::HashMap;
use weightless::base::{InfoHashes, SwarmKey, V1Hash};
use weightless::mailbox::{Loaded, ToReader, ToWriter};
use weightless::server::{Mail, Server};
use weightless::tracker::Access;

fn hash(n: u32) -> V1Hash {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_be_bytes());
    V1Hash(hash)
}

fn loaded(entries: u32) -> Loaded {
    let registered = (0..entries).map(|n| (InfoHashes::V1(hash(n)), 0)).collect();
    Loaded { registered, ..Loaded::default() }
}

fn registered(settings: &mut weightless::server::Settings) {
    settings.policy.access = Access::Registered;
    settings.policy.total_peers_max = 0;
}

fn seed(daemon: &mut Daemon, n: u32) {
    let hash: String = hash(n).0.iter().map(|byte| format!("%{byte:02x}")).collect();
    assert_eq!(daemon.announce(PEER, &hash, "left=0").failure(), None);
}

/// What the store knows after everything it is told, when its mailbox refuses every `refused`th message at first.
fn told(daemon: &mut Daemon, refused: usize) -> HashMap<SwarmKey, u32> {
    let (mut known, mut messages, mut turns) = (HashMap::new(), 0, 0);
    loop {
        daemon.server.woke(daemon.now);
        let mut quiet = true;
        while let Some(mail) = daemon.server.next_mail() {
            let Mail::Read(ToReader::Seeders(changes)) = mail else { continue };
            assert!(changes.len() <= 4096 + 64, "{} in one message", changes.len());
            (quiet, messages) = (false, messages + 1);
            if messages % 100 < refused {
                daemon.server.refused(daemon.now, Mail::Read(ToReader::Seeders(changes)));
            } else {
                known.extend(changes);
            }
        }
        let again = daemon.server.next_deadline().filter(|due| *due <= daemon.now.mono + 1_000);
        if quiet && again.is_none() {
            return known;
        }
        daemon.now.mono = again.unwrap_or(daemon.now.mono).max(daemon.now.mono);
        turns += 1;
        assert!(turns < 5_000, "told without end");
    }
}

fn search(daemon: &mut Daemon) {
    let conn = daemon.open(PEER);
    daemon.send(conn, format!("GET /api/registry/search?sort=seeders HTTP/1.1\r\n{HOST}\r\n"));
}

#[test]
fn after_a_start_with_many_swarms_every_rank_is_told() {
    const ENTRIES: u32 = 70_000;
    let mut before = Daemon::loaded(&loaded(ENTRIES), registered);
    (0..ENTRIES).for_each(|n| seed(&mut before, n));
    before.server.stop(before.now, true);
    let mut stored = loaded(ENTRIES);
    for mail in before.mail() {
        if let Mail::Write(ToWriter::Snapshot(slice)) = mail {
            stored.slices.push(slice);
        }
    }
    let mut settings = crate::support::settings();
    (settings.rate, settings.policy.access) = ((0, 0), Access::Registered);
    let mut after = Daemon { server: Server::new(settings, 9, &stored, before.now), now: before.now };
    let known = told(&mut after, 0);
    assert_eq!(known.len(), ENTRIES as usize);
    assert!(known.values().all(|seeders| *seeders == 1));
}

#[test]
fn what_a_full_mailbox_refused_is_told_again() {
    let mut daemon = Daemon::loaded(&loaded(9_000), registered);
    (0..9_000).for_each(|n| seed(&mut daemon, n));
    let mut known = told(&mut daemon, 3);
    // What is few waits for a search.
    assert!(known.len() >= 4096);
    search(&mut daemon);
    for mail in daemon.mail() {
        if let Mail::Read(ToReader::Seeders(changes)) = mail {
            known.extend(changes);
        }
    }
    assert_eq!(known.len(), 9_000);
}
