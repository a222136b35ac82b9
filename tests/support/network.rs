//! A network of the test's own, for clients that take no peers at loopback addresses: the test runs again in new
//! network and mount namespaces where `lo` has addresses that look like the world's.

use super::apart;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the tracker is to listen.
pub const TRACKER: [&str; 2] = ["10.66.0.1", "2001:db8:66::1"];
/// A name for the second of them.
pub const TRACKER_V6_NAME: &str = "tracker6";

/// The address of client `n` (2 or 3) in each family.
pub fn client(n: u8) -> [String; 2] {
    [format!("10.66.0.{n}"), format!("2001:db8:66::{n}")]
}

/// Runs the calling test again inside, and says whether this is that run. The outer run has nothing left to do.
pub fn entered(home: &Path) -> bool {
    let inside = apart::entered(&["--net", "--mount"]);
    if inside {
        furnish(home);
    }
    inside
}

fn furnish(home: &Path) {
    let hosts = home.join("hosts");
    let text = format!("127.0.0.1 localhost\n{} {TRACKER_V6_NAME}\n", TRACKER[1]);
    fs::write(&hosts, text).expect("a file in the test's folder");
    let ip = |args: &str| apart::run(Command::new("ip").args(args.split(' ')));
    ip("link set lo up");
    for n in 1..=3 {
        ip(&format!("addr add 10.66.0.{n}/24 dev lo"));
        ip(&format!("-6 addr add 2001:db8:66::{n}/64 dev lo nodad"));
    }
    // Transmission uses IPv6 when there is a way into the world by it.
    ip("-6 route add default dev lo");
    apart::run(Command::new("mount").arg("--bind").arg(&hosts).arg("/etc/hosts"));
}
