//! Another implementation's client as far as a tracker sees it: npm's bittorrent-tracker announces, scrapes and leaves
//! over each wire. (It has no IPv6 over UDP.)

use crate::support::daemon::Daemon;
use crate::support::http;
use crate::support::udp;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

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
