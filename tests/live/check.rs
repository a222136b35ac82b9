//! `wl check`: what a newcomer tries first, against the daemon in each of its moods.

use crate::support::daemon::Daemon;
use crate::support::wl;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

fn urls(tracker: &Daemon) -> [String; 4] {
    let url = |scheme: &str, at: SocketAddr| format!("{scheme}://{at}/announce");
    [
        url("http", tracker.http(Ipv4Addr::LOCALHOST)),
        url("http", tracker.http(Ipv6Addr::LOCALHOST)),
        url("udp", tracker.udp(Ipv4Addr::LOCALHOST)),
        url("udp", tracker.udp(Ipv6Addr::LOCALHOST)),
    ]
}

#[test]
fn an_open_tracker_works_and_keeps_nobody() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    for url in urls(&tracker) {
        let (exit, text) = wl::check(&[], &url);
        assert_eq!(exit, Some(0), "{url}: {text}");
        assert!(
            text.contains("Announce:  ok, interval 1800, seeders 0, leechers 1, peers 0"),
            "{url}: {text}"
        );
        assert!(text.contains("Scrape:    ok, seeders 0, leechers 1, completed 0"), "{url}: {text}");
        assert!(text.ends_with("Result:    the tracker works\n"), "{url}: {text}");
        // The same hash again: whoever checked has left the swarm.
        let hash = "ab".repeat(20);
        for _ in 0..2 {
            let (_, text) = wl::check(&["--hash", &hash], &url);
            assert!(text.contains("leechers 1, peers 0"), "{url}: {text}");
        }
    }
}

#[test]
fn a_closed_tracker_is_told_from_a_broken_one() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    for url in urls(&tracker) {
        let (exit, text) = wl::check(&[], &url);
        assert_eq!(exit, Some(0), "{url}: {text}");
        assert!(text.contains("it serves known torrents only"), "{url}: {text}");
        let (exit, text) = wl::check(&["--hash", &"cd".repeat(20)], &url);
        assert_eq!(exit, Some(6), "{url}: {text}");
        assert!(text.contains("register it first"), "{url}: {text}");
    }
    drop(tracker);
    let nobody =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (exit, text) = wl::check(&[], &format!("http://{nobody}"));
    assert_eq!(exit, Some(5), "{text}");
}

#[test]
fn a_passkey_tracker_says_so_over_both_wires() {
    let home = tempfile::tempdir().expect("a folder");
    let settings = [("OPEN_TRACKER", "true"), ("TRACKER_SECRET", "super-secret-key")];
    let tracker = Daemon::start(home.path(), &settings);
    let passkey = "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221";
    for url in urls(&tracker) {
        let (exit, text) = wl::check(&[], &url);
        assert_eq!(exit, Some(6), "{url}: {text}");
        assert!(text.contains("wants a passkey"), "{url}: {text}");
        let (_, text) = wl::check(&[], &format!("{url}/{passkey}"));
        assert!(text.contains("Announce:  ok"), "{url}: {text}");
    }
}
