//! What one announce costs the table, in nanoseconds, as it grows: ten peers in a torrent, those that still download
//! announce again; and the same in one torrent that holds everybody.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use weightless::base::{Now, PeerId, SwarmKey};
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};
use weightless_bench::peers::{self, Peers};

fn main() {
    let mut smallest = None;
    for count in [10_000, 1_000_000, 5_000_000] {
        let mixed = announces(Peers { count, torrents: count / 10 });
        let one = announces(Peers { count, torrents: 1 });
        let base = *smallest.get_or_insert(mixed.again_ns);
        println!(
            "{count:8} peers: first {:5.0} ns, again {:5.0} ns ({:.2} x the smallest); in one torrent first {:5.0} ns, \
             again {:5.0} ns",
            mixed.first_ns,
            mixed.again_ns,
            mixed.again_ns / base,
            one.first_ns,
            one.again_ns
        );
    }
}

struct Times {
    first_ns: f64,
    again_ns: f64,
}

fn announces(peers: Peers) -> Times {
    let policy = Policy {
        access: Access::Open,
        peer_ttl_s: 3600,
        idt_peer_ttl_s: 900,
        flush_interval_s: 10,
        total_peers_max: 0,
    };
    let mut tracker = Tracker::new(policy, 42, 7);
    let mut response = AnnounceResponse::default();
    let mut announce = |n: u32| {
        let left = if peers.is_leecher(n) { 1 << 30 } else { 0 };
        let request = AnnounceRequest {
            info_hash: AnnouncedHash::Short(SwarmKey(peers::info_hash(peers.torrent(n)))),
            peer_id: PeerId(peers::peer_id(n)),
            port: peers::port(n),
            uploaded: 0,
            downloaded: 0,
            left: Some(left),
            event: Event::None,
            peers_wanted: None,
        };
        let from = SocketAddr::new(IpAddr::V4(peers::source_ip(peers::source(n))), request.port);
        let reach = Reach { peers_max: 30, families: Families::Own };
        let served = tracker.announce(NOW, from, &request, reach, &mut response);
        black_box((served.is_ok(), response.peers4.len()));
    };
    let begun = Instant::now();
    (0..peers.count).for_each(&mut announce);
    let first_ns = begun.elapsed().as_secs_f64() * 1e9 / f64::from(peers.count);
    let mut rng = fastrand::Rng::with_seed(1);
    let mut again_ns = f64::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        (0..TIMES).for_each(|_| announce(peers.leecher(&mut rng)));
        again_ns = again_ns.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
    }
    Times { first_ns, again_ns }
}

const NOW: Now = Now { mono: 10_000_000, unix: 1_700_000_000 };
const TIMES: u32 = 200_000;
