//! A second client, written by other people: aria2 downloads a v1 torrent (it computes wrong hashes of hybrids). It
//! never scrapes, and has no IPv6 over UDP.

use crate::support::daemon::Daemon;
use crate::support::peer::Peer;
use crate::support::{ended, files, wl};
use std::fs;
use std::process::{Command, Stdio};

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

    let mut aria2 = Command::new("aria2c")
        .arg(&created.torrent)
        .arg("--dir")
        .arg(&copy)
        .args(["--bt-exclude-tracker=*", &format!("--bt-tracker={url}")])
        // The port of its DHT is where it hears from UDP trackers; it needs one of the two.
        .args(["--seed-time=0", "--enable-dht6=false", "--bt-enable-lpd=false"])
        .arg(format!("--enable-dht={}", url.starts_with("udp")))
        .arg("--dht-entry-point=127.0.0.1:9")
        .arg("--dht-listen-port=20000-60000")
        .arg(format!("--dht-file-path={}", home.path().join("dht.dat").display()))
        .args(["--enable-peer-exchange=false", "--listen-port=20000-60000", "--no-conf", "--quiet"])
        // Should the first announce come too early, the next one is not half an hour away.
        .args(["--bt-tracker-interval=2", "--bt-stop-timeout=50"])
        .stdin(Stdio::null())
        .spawn()
        .expect("aria2c: `make test` installs it");
    assert!(ended("aria2c", &mut aria2).success());
    files::assert_same(&original, &copy.join("data"));
    seeder.leave();
}
