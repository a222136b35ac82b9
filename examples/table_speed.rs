//! Nanoseconds per announce of a known client at several sizes of the table, peer lists of 50 included.
//! `cargo run --release --example table_speed [peers torrents]...`

use std::net::SocketAddr;
use weightless::base::{Now, PeerId, SwarmKey};
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};

fn main() {
    let sizes: Vec<u32> = std::env::args().skip(1).map(|n| n.parse().expect("a number")).collect();
    let sizes = match sizes.as_chunks::<2>().0 {
        [] => &[[10_000, 1_000], [1_000_000, 100_000], [5_000_000, 500_000], [1_000_000, 1]],
        given => given,
    };
    for &[peers, torrents] in sizes {
        measure(peers, torrents);
    }
}

fn measure(peers: u32, torrents: u32) {
    let policy = Policy {
        access: Access::Open,
        peer_ttl_s: 3600,
        idt_peer_ttl_s: 900,
        flush_interval_s: 10,
        total_peers_max: 0,
    };
    let mut tracker = Tracker::new(policy, 42, 7);
    let mut response = AnnounceResponse::default();
    let started = cpu_ns();
    (0..peers).for_each(|n| announce(&mut tracker, n, torrents, 0, &mut response));
    let fill_ns = (cpu_ns() - started) as f64 / f64::from(peers);
    // In random order: nothing is warm but what is small.
    let mut best = f64::MAX;
    let mut chance: u32 = 1;
    for round in 1..=5 {
        let started = cpu_ns();
        for _ in 0..ROUND {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = ((u64::from(chance) * u64::from(peers)) >> 32) as u32;
            announce(&mut tracker, n, torrents, round, &mut response);
        }
        best = best.min((cpu_ns() - started) as f64 / f64::from(ROUND));
    }
    println!("{peers} peers, {torrents} torrents: {fill_ns:.0} ns to come, {best:.0} ns to announce again");
}

fn announce(tracker: &mut Tracker, n: u32, torrents: u32, round: u64, response: &mut AnnounceResponse) {
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
        event: Event::None,
        peers_wanted: None,
    };
    let [a, b, c, d] = (n + 0x0b00_0000).to_be_bytes();
    let now = Now { mono: 1_000_000 + round * 60_000, unix: 1_700_000_000 };
    let reach = Reach { peers_max: 50, families: Families::Own };
    tracker
        .announce(now, SocketAddr::from(([a, b, c, d], 6881)), &request, reach, response)
        .expect("an open tracker");
}

/// What this process has had of a core: other load on the machine does not count.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number")
}

/// Announces in one round.
const ROUND: u32 = 2_000_000;
