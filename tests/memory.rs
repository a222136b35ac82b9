//! What peers cost in memory, as Linux counts it: each case in a process of its own, because memory that was given back
//! is used again. `cargo test --release --test memory -- --ignored --nocapture`

use std::net::SocketAddr;
use weightless::base::{Now, PeerId, SwarmKey, UserId};
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};

#[test]
#[ignore = "takes a minute unoptimised, and its figures are for release builds"]
fn peers_and_torrents_are_small() {
    if let Ok(case) = std::env::var(CASE) {
        return match CASES.get(case.parse::<usize>().expect("a number")) {
            Some(case) => measure(case),
            None => measure_sessions(),
        };
    }
    for case in 0..=CASES.len() {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this test"));
        command.args(["--ignored", "--nocapture", "--quiet"]).env(CASE, case.to_string());
        assert!(command.status().expect("it starts").success());
    }
}

/// Peers, torrents, and the bytes that each peer may take.
const CASES: [(u32, u32, f64); 3] =
    [(1_000_000, 100_000, 30.0), (1_000_000, 1, 20.0), (200_000, 200_000, 130.0)];
/// Names the case to a process that measures one.
const CASE: &str = "WEIGHTLESS_MEMORY_CASE";

fn measure(&(peers, torrents, bytes_max): &(u32, u32, f64)) {
    let before = resident_bytes();
    let tracker = filled(peers, torrents);
    let each = (resident_bytes() - before) as f64 / f64::from(peers);
    println!("{peers} peers in {torrents} torrents: {each:.1} bytes a peer");
    assert_eq!(tracker.totals().peers(), u64::from(peers));
    assert!(each <= bytes_max, "{each:.1} bytes a peer, {bytes_max} are allowed");
}

/// Accounting alone: what its sessions take beside the peers.
fn measure_sessions() {
    let (sessions, users, bytes_max) = (1_000_000, 10_000, 110.0);
    let users: Vec<_> =
        (0..users).map(|n| UserId::new(format!("user-{n}").as_bytes()).expect("a user id")).collect();
    let before = resident_bytes();
    let (mut tracker, now) = (empty(), Now { mono: 1_000_000, unix: 1_700_000_000 });
    tracker.set_accounting(now, true, &[]);
    for n in 0..sessions {
        let (from, request) = announce(n, sessions / 10);
        tracker.account(now, &users[n as usize % users.len()], from, &request);
    }
    let each = (resident_bytes() - before) as f64 / f64::from(sessions);
    println!("{sessions} sessions of {} users: {each:.1} bytes a session", users.len());
    assert_eq!(tracker.usage_sessions(), (u64::from(sessions), 0));
    assert!(each <= bytes_max, "{each:.1} bytes a session, {bytes_max} are allowed");
}

fn filled(peers: u32, torrents: u32) -> Tracker {
    let mut tracker = empty();
    let mut response = AnnounceResponse::default();
    let now = Now { mono: 1_000_000, unix: 1_700_000_000 };
    let reach = Reach { peers_max: 50, families: Families::Own };
    for n in 0..peers {
        let (from, request) = announce(n, torrents);
        tracker.announce(now, from, &request, reach, &mut response).expect("open");
    }
    tracker
}

fn empty() -> Tracker {
    let policy = Policy {
        access: Access::Open,
        peer_ttl_s: 3600,
        idt_peer_ttl_s: 900,
        flush_interval_s: 10,
        total_peers_max: 0,
    };
    Tracker::new(policy, 42, 7)
}

/// Where client `n` is, and what it says.
fn announce(n: u32, torrents: u32) -> (SocketAddr, AnnounceRequest) {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&(n % torrents).wrapping_mul(0x9e37_79b1).to_be_bytes());
    let mut id = [0; 20];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let request = AnnounceRequest {
        info_hash: AnnouncedHash::Short(SwarmKey(key)),
        peer_id: PeerId(id),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: Some(u64::from(n % 4)),
        event: Event::Started,
        peers_wanted: None,
    };
    let [a, b, c, d] = (n + 0x0b00_0000).to_be_bytes();
    (SocketAddr::from(([a, b, c, d], 6881)), request)
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}
