//! Transmission 3.00 announces, scrapes and meets others over each wire and family, in a network of its own because it
//! takes no peers in 127.0.0.0/8.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::network::{self, TRACKER, TRACKER_V6_NAME};
use crate::support::transmission::Transmission;
use crate::support::{files, udp, until, wl};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use weightless::torrent::Metainfo;

#[test]
fn two_transmissions_meet_over_http_and_ipv4() {
    meet(4, |tracker| format!("http://{}:{}/announce", TRACKER[0], tracker.http_port));
}

#[test]
fn two_transmissions_meet_over_http_and_ipv6() {
    meet(6, |tracker| format!("http://[{}]:{}/announce", TRACKER[1], tracker.http_port));
}

#[test]
fn two_transmissions_meet_over_udp_and_ipv4() {
    meet(4, |tracker| format!("udp://{}:{}/announce", TRACKER[0], tracker.udp_port));
}

/// It announces and scrapes; it reads every UDP answer as IPv4 addresses, so it cannot meet anybody this way. A name,
/// because it takes no IPv6 address in a UDP tracker's URL.
#[test]
fn transmission_announces_and_scrapes_over_udp_and_ipv6() {
    let home = tempfile::tempdir().expect("a folder");
    if network::entered(home.path()) {
        let scene = Scene::set(home.path(), |tracker| {
            format!("udp://{TRACKER_V6_NAME}:{}/announce", tracker.udp_port)
        });
        let _seeder = scene.seeder(6);
        scene.wait_scraped("udp", 6, 1);
    }
}

/// Transmission 3 says goodbye over UDP; over HTTP it ends before it does, with any tracker.
#[test]
fn transmission_leaves_over_udp() {
    let home = tempfile::tempdir().expect("a folder");
    if network::entered(home.path()) {
        let scene =
            Scene::set(home.path(), |tracker| format!("udp://{}:{}/announce", TRACKER[0], tracker.udp_port));
        scene.seeder(4).end();
        let at = scene.tracker.udp(ip(0));
        until("Transmission to leave", || {
            (udp::Client::connect(at).scrape(&scene.hash).0 == 0).then_some(())
        });
    }
}

/// One seeds, the other gets the data from it: the tracker is all they know of each other.
fn meet(family: u8, url: impl Fn(&Daemon) -> String) {
    let home = tempfile::tempdir().expect("a folder");
    if !network::entered(home.path()) {
        return;
    }
    let scene = Scene::set(home.path(), url);
    let _seeder = scene.seeder(family);
    let copy = scene.home.join("copy");
    let _leecher = Transmission::start(&scene.home, &scene.torrent, 3, family, &copy);
    let (from, to) = (scene.home.join("original/data/one.bin"), copy.join("data/one.bin"));
    let original = fs::read(from).expect("the original");
    until("the copy", || (fs::read(&to).ok()? == original).then_some(()));
    files::assert_same(&scene.home.join("original/data"), &copy.join("data"));
    let wire = if scene.url.starts_with("udp") { "udp" } else { "http" };
    scene.wait_scraped(wire, family, 2);
}

/// A tracker, and a registered v1 torrent (Transmission 3 reads no hybrids) that names one way to it.
struct Scene {
    home: PathBuf,
    tracker: Daemon,
    url: String,
    torrent: PathBuf,
    hash: [u8; 20],
}

impl Scene {
    fn set(home: &Path, url: impl Fn(&Daemon) -> String) -> Self {
        let original = home.join("original/data");
        fs::create_dir_all(&original).expect("a folder");
        fs::write(original.join("one.bin"), vec![7; 300_000]).expect("a file");
        let bind = format!("{},[{}]", TRACKER[0], TRACKER[1]);
        let tracker = Daemon::start(home, &[("BIND", &bind)]);
        let base = format!("http://{}:{}", TRACKER[0], tracker.http_port);
        let created = wl::create(home, &base, &original, &["--format", "v1"]);
        assert!(created.registered, "{created:?}");
        let metainfo = Metainfo::read(&fs::read(&created.torrent).expect("the torrent")).expect("a good one");
        let url = url(&tracker);
        let torrent = home.join("one-way.torrent");
        let announce = format!("d8:announce{}:{url}4:info", url.len());
        fs::write(&torrent, [announce.as_bytes(), metainfo.info(), b"e"].concat()).expect("a file");
        let hash = metainfo.hashes().v1().expect("a v1 hash").0;
        Self { home: home.to_path_buf(), tracker, url, torrent, hash }
    }

    /// A client that has the data, known to the tracker.
    fn seeder(&self, family: u8) -> Transmission {
        let seeder = Transmission::start(&self.home, &self.torrent, 2, family, &self.home.join("original"));
        let at = self.tracker.http(ip(0));
        until("Transmission to be named as a seeder", || {
            let answer = http::announce(at, &self.hash, b"-TS0001-whoasksheree", 4321, 10, "");
            matches!(answer, Announced::Peers { seeders: 1, .. }).then_some(())
        });
        seeder
    }

    fn wait_scraped(&self, wire: &str, family: u8, times: u64) {
        let line = format!("{{proto=\"{wire}\",family=\"ipv{family}\",kind=\"scrape\",result=\"ok\"}} ");
        until("Transmission to scrape", || {
            let metrics = http::get(self.tracker.http(ip(0)), "/metrics").text();
            let count = metrics.lines().find_map(|l| l.split_once(&line)?.1.parse::<u64>().ok())?;
            (count >= times).then_some(())
        });
    }
}

fn ip(family: usize) -> IpAddr {
    TRACKER[family].parse().expect("an address")
}
