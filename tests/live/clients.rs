//! Other people's clients, as far as a tracker sees them: npm's bittorrent-tracker and Transmission announce, scrape
//! and leave over each wire. (Transmission takes no peers at 127.0.0.0/8, so what it does with them is not seen here.)

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::{udp, until, wl};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[test]
fn the_npm_client_announces_scrapes_and_leaves() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    let (http_port, udp_port) = (tracker.http_port, tracker.udp_port);
    for url in [
        format!("http://127.0.0.1:{http_port}/announce"),
        format!("http://[::1]:{http_port}/announce"),
        format!("udp://127.0.0.1:{udp_port}"),
    ] {
        http::announce(tracker.http(Ipv4Addr::LOCALHOST), &[7; 20], b"-TS0001-someone-else", 1234, 10, "");
        let output = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/announce.mjs"))
            .args([&url, &"07".repeat(20), "7001"])
            .env("NODE_MODULES", std::env::var_os("WL_TEST_NODE_MODULES").unwrap_or_default())
            .output()
            .expect("node: `make test` installs what it needs");
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        let object: serde_json::Value =
            serde_json::from_str(&said).unwrap_or_else(|e| panic!("{url}: {e}: {said}{why}"));
        assert_eq!(object["update"], serde_json::json!({"complete": 0, "incomplete": 2}), "{url}");
        assert_eq!(object["peers"], serde_json::json!(["127.0.0.1:1234"]), "{url}");
        assert_eq!(object["scrape"]["incomplete"], 2, "{url}");
        let counts = udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST)).scrape(&[7; 20]);
        assert_eq!(counts, (0, 0, 1), "{url}: it has left");
    }
}

#[test]
fn transmission_announces_over_http() {
    transmission_announces(|_| None);
}

#[test]
fn transmission_announces_over_udp() {
    transmission_announces(|tracker| Some(format!("udp://127.0.0.1:{}/announce", tracker.udp_port)));
}

/// Seeds a v1 torrent (Transmission 3 reads no hybrids) until the tracker names it as a seeder, then ends it.
fn transmission_announces(second: impl Fn(&Daemon) -> Option<String>) {
    let home = tempfile::tempdir().expect("a folder");
    let original = home.path().join("original/data");
    std::fs::create_dir_all(&original).expect("a folder");
    std::fs::write(original.join("one.bin"), vec![7; 300_000]).expect("a file");
    let tracker = Daemon::start(home.path(), &[]);
    let second = second(&tracker);
    let mut flags = vec!["--format", "v1"];
    flags.extend(second.as_deref().map(|url| ["--announce", url]).into_iter().flatten());
    let created = wl::create(home.path(), &tracker.base_url(), &original, &flags);
    let watched = home.path().join("watched");
    std::fs::create_dir(&watched).expect("a folder");
    std::fs::copy(&created.torrent, watched.join("data.torrent")).expect("a copy");
    let mut transmission = Transmission::start(home.path(), &watched);
    let hash = hex20(&created.info_hash);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    until("Transmission to be named as a seeder", || {
        let answer = http::announce(at, &hash, b"-TS0001-whoasksheree", 4321, 10, "");
        matches!(answer, Announced::Peers { seeders: 1, .. }).then_some(())
    });
    transmission.end();
    // Transmission 3 says goodbye over UDP; over HTTP it ends before it does, with any tracker.
    if second.is_some() {
        until("Transmission to leave", || {
            (udp::Client::connect(tracker.udp(Ipv4Addr::LOCALHOST)).scrape(&hash).0 == 0).then_some(())
        });
    }
}

/// Ended by its own handle, politely if there is time.
struct Transmission(Child);

impl Transmission {
    fn start(home: &Path, watched: &Path) -> Self {
        let free = |n: u16| {
            std::net::TcpListener::bind(("127.0.0.1", n)).expect("a port").local_addr().expect("it").port()
        };
        let child = Command::new("transmission-daemon")
            .args([
                "--foreground",
                "--no-portmap",
                "--no-dht",
                "--no-lpd",
                "--no-auth",
                "--no-incomplete-dir",
            ])
            .arg("--config-dir")
            .arg(home.join("transmission"))
            .arg("--watch-dir")
            .arg(watched)
            .arg("--download-dir")
            .arg(home.join("original"))
            .args(["--port", &free(0).to_string(), "--peerport", &free(0).to_string()])
            .args(["--rpc-bind-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("transmission-daemon: `make test` installs it");
        Self(child)
    }

    /// It says goodbye to its trackers first, which may take a few seconds.
    fn end(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        crate::support::ended("transmission-daemon", &mut self.0);
    }
}

impl Drop for Transmission {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hex20(text: &str) -> [u8; 20] {
    std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
}
