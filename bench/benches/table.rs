//! What one announce costs the table, in nanoseconds, as it grows: ten peers in a torrent, then everybody in one.
//!
//! The machine may be busy with other things: each figure is the median of many short stretches, of which only a few
//! are interrupted.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use weightless::base::{Now, PeerId, SwarmKey};
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};
use weightless_bench::population::{Population, address};

fn main() {
    for peers in [10_000, 1_000_000, 5_000_000] {
        for torrents in [peers / 10, 1] {
            let times = announces(Population::new(peers, torrents, 50));
            println!(
                "{peers:8} peers in {torrents:7} torrents: first {:5.0} ns, again {:5.0} ns, by sixteens {:5.0} ns",
                times.first_ns, times.again_ns, times.together_ns
            );
        }
    }
}

/// Per announce.
struct Times {
    /// Of a peer that was not there.
    first_ns: f64,
    /// Of one that was.
    again_ns: f64,
    /// The same, sixteen foreseen at a time.
    together_ns: f64,
}

/// One announce, as the wire would have it.
struct Announce {
    from: SocketAddr,
    request: AnnounceRequest,
}

impl Announce {
    fn of(population: &Population, peer: u32) -> Self {
        let request = AnnounceRequest {
            info_hash: AnnouncedHash::Short(SwarmKey(population.info_hash(peer))),
            peer_id: PeerId(population.peer_id(peer)),
            port: population.port(peer),
            uploaded: 0,
            downloaded: 0,
            left: Some(population.left(peer)),
            event: Event::None,
            peers_wanted: None,
        };
        Self { from: SocketAddr::new(IpAddr::V4(address(population.source(peer))), request.port), request }
    }
}

fn announces(population: Population) -> Times {
    let policy = Policy {
        access: Access::Open,
        peer_ttl_s: 3600,
        idt_peer_ttl_s: 900,
        flush_interval_s: 10,
        total_peers_max: 0,
    };
    let mut tracker = Tracker::new(policy, 42, 7);
    let mut response = AnnounceResponse::default();
    let mut serve = |tracker: &mut Tracker, announce: &Announce| {
        let reach = Reach { peers_max: 30, families: Families::Own };
        let served = tracker.announce(NOW, announce.from, &announce.request, reach, &mut response);
        black_box((served.is_ok(), response.peers4.len()));
    };
    let mut first = Vec::new();
    let everybody: Vec<u32> = (0..population.peers).collect();
    for stretch in everybody.chunks(STRETCH) {
        let some: Vec<Announce> = stretch.iter().map(|peer| Announce::of(&population, *peer)).collect();
        first.push(timed(|| some.iter().for_each(|announce| serve(&mut tracker, announce))));
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut again, mut together) = (Vec::new(), Vec::new());
    for stretch in 0..STRETCHES {
        // Those that have everything are given fewer peers; only the others are asked for here.
        let mut leecher = || {
            (0..32).map(|_| rng.u32(..population.peers)).find(|peer| population.left(*peer) > 0).unwrap_or(0)
        };
        let some: Vec<Announce> = (0..STRETCH).map(|_| Announce::of(&population, leecher())).collect();
        if stretch % 2 == 0 {
            again.push(timed(|| some.iter().for_each(|announce| serve(&mut tracker, announce))));
            continue;
        }
        together.push(timed(|| {
            for sixteen in some.chunks(16) {
                tracker.foresee(sixteen.iter().map(|one| (one.request.info_hash.key(), one.from)));
                sixteen.iter().for_each(|announce| serve(&mut tracker, announce));
            }
        }));
    }
    Times { first_ns: median(first), again_ns: median(again), together_ns: median(together) }
}

/// Nanoseconds for one of a stretch.
fn timed(f: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    f();
    begun.elapsed().as_secs_f64() * 1e9 / STRETCH as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

const NOW: Now = Now { mono: 10_000_000, unix: 1_700_000_000 };
/// Announces timed together: shorter than what the scheduler gives out at a time.
const STRETCH: usize = 1000;
const STRETCHES: usize = 800;
