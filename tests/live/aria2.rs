//! A second client, written by other people: aria2 downloads a v1 torrent (it computes wrong hashes of hybrids). It
//! never scrapes, and has no IPv6 over UDP.

use crate::support::aria2::{Aria2, Seeds};
use crate::support::daemon::Daemon;
use crate::support::peer::Peer;
use crate::support::{files, wl};
use std::fs;

#[test]
fn aria2_meets_libtorrent_over_http_and_ipv4() {
    meets_libtorrent("127.0.0.1:0", |tracker| format!("http://127.0.0.1:{}/announce", tracker.http_port));
}

#[test]
fn aria2_meets_libtorrent_over_http_and_ipv6() {
    meets_libtorrent("[::1]:0", |tracker| format!("http://[::1]:{}/announce", tracker.http_port));
}

#[test]
fn aria2_meets_libtorrent_over_udp_and_ipv4() {
    meets_libtorrent("127.0.0.1:0", |tracker| format!("udp://127.0.0.1:{}/announce", tracker.udp_port));
}

fn meets_libtorrent(listen: &str, url: impl Fn(&Daemon) -> String) {
    let home = tempfile::tempdir().expect("a folder");
    let (original, copy) = (home.path().join("original/data"), home.path().join("copy"));
    files::nested_folder(&original);
    fs::create_dir(&copy).expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let created = wl::create(home.path(), &tracker.base_url(), &original, &["--format", "v1"]);
    assert!(created.registered, "{created:?}");

    let url = url(&tracker);
    let seeder = Peer::start(&created.torrent, &home.path().join("original"), &url, listen);
    assert_eq!(seeder.wait("checked")["complete"], true);
    seeder.wait_announced(1);

    Aria2::start(home.path(), &created.torrent, &copy, &url, Seeds::No).end();
    files::assert_same(&original, &copy.join("data"));
    seeder.leave();
}
