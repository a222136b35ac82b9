//! A peer far away is asked for as much as the way to it holds.

use crate::relay::{Link, Seen, run};
use crate::support::Scene;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A way of 100 ms, there and back, and 200 Mbit/s holds 2.5 MB. Nothing is timed: bytes that are on their way are
/// counted, and a slow machine has as many of them.
#[test]
fn a_long_way_is_kept_full() {
    const BYTES_PER_S: u64 = 25_000_000;
    const HOLDS: u64 = BYTES_PER_S / 10;
    for piece_length in ["16384", "1048576"] {
        let scene = Scene::new(32, &["--format", "v1", "--piece-length", piece_length]);
        let seeder = scene.seed(&[]);
        let far = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), seeder.port());
        let link =
            Link { delay: Duration::from_millis(50), bytes_per_s: Some(BYTES_PER_S), buffer_bytes: 64 << 20 };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let near = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || run(&listener, far, link, &shared));
        scene.get(near).wait_for("complete");
        let held = seen.held_bytes_max.load(Ordering::Relaxed);
        assert!(held as u64 >= HOLDS, "at most {held} bytes were on their way with pieces of {piece_length}");
        scene.assert_copied();
    }
}
