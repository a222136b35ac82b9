//! Transmission 3.00, in a network of the test's own (`network`).

use super::{ended, network};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ended by its own handle, politely if there is time.
pub struct Transmission(Child);

impl Transmission {
    /// Client `n` shares `torrent` in `folder`; in family 6 only IPv6 has a peer to find.
    pub fn start(home: &Path, torrent: &Path, n: u8, family: u8, folder: &Path) -> Self {
        let home = home.join(format!("transmission-{n}"));
        let watched = home.join("watched");
        fs::create_dir_all(&watched).expect("a folder");
        fs::copy(torrent, watched.join("data.torrent")).expect("a copy");
        let [v4, v6] = network::client(n);
        // It binds all its HTTP to the IPv4 address if there is one.
        let (v4, v6) = if family == 4 { (v4, "::1".into()) } else { (Ipv4Addr::UNSPECIFIED.to_string(), v6) };
        let settings = json!({
            "bind-address-ipv4": v4, "bind-address-ipv6": v6, "peer-port": 7000 + u16::from(n),
            "rpc-bind-address": "127.0.0.1", "rpc-port": 9000 + u16::from(n),
            "watch-dir": watched, "watch-dir-enabled": true, "utp-enabled": false, "pex-enabled": false,
            "dht-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
        });
        fs::write(home.join("settings.json"), settings.to_string()).expect("a file");
        let child = Command::new("transmission-daemon")
            .arg("--foreground")
            .arg("--config-dir")
            .arg(home)
            .arg("--download-dir")
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("transmission-daemon: `make test` installs it");
        Self(child)
    }

    /// It says goodbye to its trackers first, which may take a few seconds.
    pub fn end(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        ended("transmission-daemon", &mut self.0);
    }
}

impl Drop for Transmission {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
