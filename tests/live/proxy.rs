//! Operations section 8: the sample configuration for a reverse proxy, in a real nginx in front of the daemon.

use crate::support::daemon::Daemon;
use crate::support::{PATIENCE, ended, http, until};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use weightless::wire::passkey::PasskeyKey;

const THROUGH: &str = "proxy_pass http://weightless;";
const SECRET: &str = "a secret of some length";

/// nginx with the sample, without TLS and on ports of its own. Dropped, it is killed.
pub struct Proxy {
    child: Child,
    at: SocketAddr,
}

impl Proxy {
    /// An address that nobody listens at.
    pub fn address() -> SocketAddr {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        free.local_addr().expect("bound")
    }

    /// In front of `tracker`, below a path that starts and ends with a slash.
    pub fn before(tracker: &Daemon, at: SocketAddr, path: &str, home: &Path) -> Self {
        let sample = include_str!("../../packaging/nginx.conf");
        let mut ours = String::new();
        for line in sample.lines().filter(|line| !line.trim_start().starts_with("ssl_certificate")) {
            ours += &line.replace("/var/log/nginx", home.to_str().expect("UTF-8"));
            ours.push('\n');
        }
        for (theirs, mine) in [
            ("listen 443 ssl;", format!("listen {at};")),
            ("listen [::]:443 ssl;", String::new()),
            ("server 127.0.0.1:8080;", format!("server 127.0.0.1:{};", tracker.http_port)),
            // The two lines that `docs/operating.md` changes.
            ("location / {", format!("location {path} {{")),
            (
                "proxy_pass http://weightless;",
                if path == "/" { THROUGH.to_owned() } else { THROUGH.replace(';', "/;") },
            ),
        ] {
            assert!(ours.contains(theirs), "{theirs}");
            ours = ours.replace(theirs, &mine);
        }
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {};\n", home.join(name).display()))
            .collect();
        let pid = home.join("nginx.pid");
        let config = format!(
            "daemon off; master_process off; pid {}; error_log stderr crit;\nevents {{}}\nhttp {{\n{paths}{ours}}}\n",
            pid.display()
        );
        let file = home.join("nginx.conf");
        fs::write(&file, config).expect("a file");
        let mut command = Command::new(nginx());
        command.arg("-p").arg(home).arg("-e").arg("stderr").arg("-c").arg(&file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx starts");
        let proxy = Self { child, at };
        until("nginx to listen", || TcpStream::connect(at).ok());
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `make test` puts it beside the python of the tests: a package that is installed would start a server.
fn nginx() -> std::path::PathBuf {
    let python = std::env::var_os("WL_TEST_PYTHON").expect("WL_TEST_PYTHON: run the tests by `make test`");
    let venv = Path::new(&python).parent().and_then(Path::parent).expect("a python in a venv");
    venv.join("nginx/usr/sbin/nginx")
}

/// A GET from another address of this machine, with a lie about it. What comes back, head and all.
fn get_from(from: Ipv4Addr, to: SocketAddr, target: &str) -> Vec<u8> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("loopback has many addresses");
    socket.connect(&to.into()).expect("accepts");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: tracker.example.org\r\nX-Forwarded-For: 192.0.2.77\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("takes it");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    answer
}

#[test]
fn behind_the_sample_proxy_clients_have_their_addresses_and_passkeys_stay_out_of_logs() {
    let home = tempfile::tempdir().expect("a folder");
    let settings = [
        ("TRACKER_SECRET", SECRET),
        ("TRUSTED_PROXIES", "127.0.0.1/32"),
        ("OPEN_TRACKER", "true"),
        ("RATE_LIMIT", "5"),
    ];
    let tracker = Daemon::start(home.path(), &settings);
    let proxy = Proxy::before(&tracker, Proxy::address(), "/", home.path());
    let passkey = PasskeyKey::new(SECRET.as_bytes()).sign("somebody").expect("an id");
    // Every byte of the hash arrives as it was sent, slashes and zeros too.
    let hash: [u8; 20] = std::array::from_fn(|n| [0, b'/', b'.', b'.', b'/', b'%', 0xff, b'+'][n % 8]);
    let announce = |from: u8, left: u64| {
        let target = http::announce_target(&hash, b"-TS0001-behind-proxy", 6800 + u16::from(from), left);
        let target = target.replace("/announce?", &format!("/announce/{passkey}?"));
        get_from(Ipv4Addr::new(127, 0, 0, from), proxy.at, &target)
    };
    let first = String::from_utf8_lossy(&announce(8, 0)).into_owned();
    assert!(first.starts_with("HTTP/1.1 200") && !first.contains("failure"), "{first}");
    let second = announce(9, 1);
    let seeder = [127, 0, 0, 8, 0x1a, 0x98];
    assert!(second.windows(6).any(|six| six == seeder), "{}", String::from_utf8_lossy(&second));
    let target = format!("/api/registry/torrent?info_hash={}&passkey={passkey}", "ab".repeat(20));
    let absent = get_from(Ipv4Addr::new(127, 0, 0, 8), proxy.at, &target);
    assert!(absent.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&absent));
    let target = format!("/scrape/{passkey}?info_hash={}", http::escaped(&hash));
    let scraped = String::from_utf8_lossy(&get_from(Ipv4Addr::LOCALHOST, proxy.at, &target)).into_owned();
    assert!(scraped.contains("d5:filesd20:"), "{scraped}");

    // More than nginx lets through by itself: it is our bound that counts, with our words.
    let entry = json!({"info_hash": "cd".repeat(20), "name": "n", "x": "x".repeat(3 << 20)});
    let refused = http::register(proxy.at, &entry);
    assert_eq!((refused.status, &refused.json()["error"]), (413, &json!("Request body too large")));

    // A proxy that cannot reach us has much to say.
    assert_eq!(tracker.terminate().code(), Some(0));
    assert!(announce(8, 0).starts_with(b"HTTP/1.1 502"));
    let log = |name: &str| fs::read_to_string(home.path().join(name)).expect("nginx has made it");
    let (access, errors) = (log("weightless.log"), log("weightless-error.log"));
    assert!(access.contains("127.0.0.9 [") && access.contains("\"GET /announce/-\" 200 "), "{access}");
    assert!(
        access.contains("\"GET /scrape/-\"") && access.contains("\"GET /api/registry/torrent\" 404 "),
        "{access}"
    );
    assert!(!access.contains(&passkey) && !access.contains("somebody"), "{access}");
    assert!(!errors.contains("somebody"), "{errors}");
    let mut proxy = proxy;
    proxy.child.kill().expect("ours");
    ended("nginx", &mut proxy.child);
}

#[test]
fn below_a_path_passkeys_stay_out_of_logs_too() {
    let home = tempfile::tempdir().expect("a folder");
    let settings =
        [("TRACKER_SECRET", SECRET), ("TRUSTED_PROXIES", "127.0.0.1/32"), ("OPEN_TRACKER", "true")];
    let tracker = Daemon::start(home.path(), &settings);
    let proxy = Proxy::before(&tracker, Proxy::address(), "/bt/", home.path());
    let passkey = PasskeyKey::new(SECRET.as_bytes()).sign("somebody").expect("an id");
    let hash: [u8; 20] = std::array::from_fn(|n| [0, b'/', b'.', b'.', b'/', b'%', 0xff, b'+'][n % 8]);
    let target = http::announce_target(&hash, b"-TS0001-behind-proxy", 6881, 0);
    let announced = get_from(
        Ipv4Addr::LOCALHOST,
        proxy.at,
        &format!("/bt{}", target.replace('?', &format!("/{passkey}?"))),
    );
    assert!(announced.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&announced));
    let target = format!("/bt/scrape/{passkey}?info_hash={}", http::escaped(&hash));
    let scraped = get_from(Ipv4Addr::LOCALHOST, proxy.at, &target);
    let known = [b"d5:filesd20:".as_slice(), &hash, b"d8:completei1e"].concat();
    assert!(
        scraped.windows(known.len()).any(|found| found == known),
        "{}",
        String::from_utf8_lossy(&scraped)
    );
    let log = fs::read_to_string(home.path().join("weightless.log")).expect("nginx has made it");
    assert!(
        log.contains("\"GET /bt/announce/-\" 200 ") && log.contains("\"GET /bt/scrape/-\" 200 "),
        "{log}"
    );
    assert!(!log.contains("somebody"), "{log}");
}
