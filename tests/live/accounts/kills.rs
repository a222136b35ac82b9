//! `kill -9` at random moments while sessions keep announcing over both wires and the hub has moods: in the end its
//! totals are the counters that were reported last, and at no time are they more. `WL_TEST_KILLS=200` for more rounds.

use super::*;
use crate::support::hub::Fate;
use crate::support::udp;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const USERS: usize = 6;
const SESSIONS_EACH: usize = 4;

#[test]
fn totals_are_the_last_reports_whenever_it_is_killed() {
    let rounds: u32 = std::env::var("WL_TEST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8);
    let home = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(home.path(), KEY);
    let reported: Vec<AtomicU64> = (0..USERS * SESSIONS_EACH).map(|_| AtomicU64::new(0)).collect();
    let first = tracker(home.path(), &hub, &[]);
    (0..reported.len()).for_each(|session| assert!(announce(first.http(Ipv4Addr::LOCALHOST), session, 0)));
    wait_sessions(home.path(), reported.len() as u64);
    assert_eq!(first.terminate().code(), Some(0));

    let mut chance = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    eprintln!("seed {chance}");
    let mut roll = |sides: u64| {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (chance >> 33) % sides
    };
    for round in 0..rounds {
        let moods = [Fate::Pass, Fate::Pass, Fate::LoseAnswer, Fate::Status(500), Fate::Swallow, Fate::Pass];
        hub.usually(moods[roll(6) as usize]);
        let tracker = tracker(home.path(), &hub, &[]);
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (reported, killed, at) = (&reported, &killed, tracker.http(Ipv4Addr::LOCALHOST));
            for thread in 0..2 {
                scope.spawn(move || {
                    let mut session = thread;
                    while !killed.load(Ordering::Relaxed) {
                        let up = reported[session].fetch_add(100 + session as u64, Ordering::Relaxed)
                            + 100
                            + session as u64;
                        announce(at, session, up);
                        session = (session + 2) % reported.len();
                    }
                });
            }
            // The moment of the kill is what is random here; up to two cuts come before it.
            std::thread::sleep(Duration::from_micros(20_000 + roll(2_200_000)));
            killed.store(true, Ordering::Relaxed);
            tracker.kill();
        });
        check(&hub, &reported, round, |total, sum| total <= sum);
    }
    hub.usually(Fate::Pass);
    let tracker = tracker(home.path(), &hub, &[]);
    let udp = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST));
    for (session, up) in reported.iter().enumerate() {
        let (hash, id) = names(session);
        let path = format!("/announce/{}", passkey(&user(session)));
        let answer = udp.report(&hash, &id, (up.load(Ordering::Relaxed), 0), &path);
        assert!(matches!(answer, http::Announced::Peers { .. }), "{answer:?}");
    }
    wait_sent(&tracker);
    check(&hub, &reported, rounds, |total, sum| total == sum);
    eprintln!("{} batches applied, {} requests", hub.applied(), hub.seen().len());
}

/// Every user's total at the hub against the sum of what its sessions have reported.
fn check(hub: &Hub, reported: &[AtomicU64], round: u32, holds: impl Fn(u64, u64) -> bool) {
    for n in 0..USERS {
        let sessions =
            reported.iter().enumerate().filter(|(session, _)| user(*session) == format!("user-{n}"));
        let sum = sessions.map(|(_, up)| up.load(Ordering::Relaxed)).sum();
        let (total, _) = hub.total(&format!("user-{n}"));
        assert!(holds(total, sum), "user-{n}, round {round}: {total} at the hub, {sum} reported");
    }
}

fn user(session: usize) -> String {
    format!("user-{}", session % USERS)
}

fn names(session: usize) -> ([u8; 20], [u8; 20]) {
    let mut id = *b"-TS0001-killed-often";
    id[19] = b'a' + session as u8;
    ([(session % 3) as u8 + 1; 20], id)
}

/// Announces over HTTP; false when the daemon was gone before it answered.
fn announce(at: SocketAddr, session: usize, up: u64) -> bool {
    let (hash, id) = names(session);
    let (hash, id, passkey) = (escaped(&hash), escaped(&id), passkey(&user(session)));
    let request = format!(
        "GET /announce/{passkey}?info_hash={hash}&peer_id={id}&port=6881&uploaded={up}&downloaded=0&left=9&compact=1 \
         HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    );
    let answer = || {
        let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let answer = answer().unwrap_or_default();
    assert!(!answer.contains("failure reason"), "{answer}");
    answer.contains("interval")
}
