//! Idtorrent section 3: `/register_peer` and `/get_peers`, row by row, and that their swarms are those of announces.

use crate::support::{Daemon, HOST, PEER, Reply, UdpAnnounce};
use serde_json::{Value, json};
use weightless::base::{InfoHashes, V1Hash};
use weightless::mailbox::{AdmissionChange, FromStore};
use weightless::server::{Next, Origins};
use weightless::tracker::Access;
use weightless::wire::passkey::PasskeyKey;

const A: &str = "192.0.2.1:40000";
const B: &str = "192.0.2.2:40000";
const C: &str = "192.0.2.3:40000";
const SIX: &str = "[2001:db8::6]:40000";

fn id() -> String {
    "01".repeat(20)
}

fn post(daemon: &mut Daemon, peer: &str, target: &str, body: &str, fields: &str) -> Reply {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n{fields}\r\n");
    daemon.ask(peer, head + body)
}

fn register(daemon: &mut Daemon, peer: &str, body: &Value) -> Reply {
    post(daemon, peer, "/register_peer", &body.to_string(), "")
}

/// Registers with these fields beside the id; the answer.
fn registered(daemon: &mut Daemon, peer: &str, more: Value) -> Value {
    let mut body = json!({"file_id": id(), "port": 6881});
    more.as_object().expect("fields").iter().for_each(|(name, value)| body[name] = value.clone());
    let reply = register(daemon, peer, &body);
    assert_eq!(
        (reply.status, reply.field("content-type")),
        (200, Some("application/json")),
        "{}",
        reply.text()
    );
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    serde_json::from_slice(&reply.body).expect("JSON")
}

fn peers(daemon: &mut Daemon, peer: &str, more: &str) -> Value {
    let reply = daemon.get(peer, &format!("/get_peers?file_id={}{more}", id()));
    assert_eq!(
        (reply.status, reply.field("content-type")),
        (200, Some("application/json")),
        "{}",
        reply.text()
    );
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    serde_json::from_slice(&reply.body).expect("JSON")
}

/// `ip:port` of every peer, sorted, and seeders and leechers.
fn seen(daemon: &mut Daemon, peer: &str) -> (Vec<String>, u64, u64) {
    let answer = peers(daemon, peer, "");
    let list = answer["peers"].as_array().expect("a list");
    let mut all: Vec<_> = list
        .iter()
        .map(|peer| format!("{}:{}", peer["ip"].as_str().expect("an address"), peer["port"]))
        .collect();
    all.sort();
    (all, answer["seeders"].as_u64().expect("a number"), answer["leechers"].as_u64().expect("a number"))
}

fn refused(reply: Reply) -> (u16, String) {
    assert_eq!(reply.field("content-type"), Some("application/json"), "{}", reply.head);
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    (reply.status, body["error"].as_str().expect("a text").to_owned())
}

fn no(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

#[test]
fn a_client_comes_in_stays_and_leaves() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(A);
    let body = json!({"file_id": id().to_uppercase(), "port": 6881, "state": "seeding"}).to_string();
    let head = format!("POST /register_peer HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n", body.len());
    let (out, next) = daemon.send(conn, head + &body);
    assert_eq!(next, Next::Read, "the connection can be used again");
    let expected = format!(
        "{{\"status\":\"registered\",\"file_id\":\"{}\",\"interval\":300,\"ttl\":900,\"peers\":1,\
         \"your_ip\":\"192.0.2.1\"}}\n",
        id()
    );
    assert_eq!(Reply::read(&out, false).expect("a reply").0.text(), expected);
    registered(&mut daemon, SIX, json!({"port": 7000}));
    assert_eq!(
        peers(&mut daemon, B, ""),
        json!({
            "file_id": id(),
            "peers": [
                {"ip": "192.0.2.1", "port": 6881, "state": "seeding"},
                {"ip": "2001:db8::6", "port": 7000, "state": "leeching"},
            ],
            "seeders": 1, "leechers": 1, "interval": 300,
        })
    );
    let left = registered(&mut daemon, A, json!({"state": "stopped"}));
    assert_eq!((&left["status"], &left["peers"]), (&json!("removed"), &json!(1)));
    let unknown = registered(&mut daemon, C, json!({"state": "stopped"}));
    assert_eq!((&unknown["status"], &unknown["peers"]), (&json!("removed"), &json!(1)));
    assert_eq!(seen(&mut daemon, B), (vec!["2001:db8::6:7000".to_owned()], 0, 1));
    assert_eq!(daemon.get(A, "/prune_dead").status, 404);
}

#[test]
fn every_field_has_its_rule() {
    let good = || json!({"file_id": id(), "port": 6881});
    for (field, value, text) in [
        ("file_id", Value::Null, "missing file_id"),
        ("file_id", json!("01".repeat(19)), "file_id must be 40 hex characters"),
        ("file_id", json!("01".repeat(32)), "file_id must be 40 hex characters"),
        ("file_id", json!("0g".repeat(20)), "file_id must be 40 hex characters"),
        ("file_id", json!(7), "file_id must be 40 hex characters"),
        ("port", Value::Null, "missing port"),
        ("port", json!(0), "port must be 1-65535"),
        ("port", json!(65_536), "port must be 1-65535"),
        ("port", json!(-1), "port must be 1-65535"),
        ("port", json!("6881"), "port must be 1-65535"),
        ("port", json!(1.5), "port must be 1-65535"),
        ("state", json!("paused"), "bad state"),
        ("state", json!(7), "bad state"),
        ("left", json!(-1), "bad left"),
        ("left", json!("0"), "bad left"),
        ("left", json!(0.5), "bad left"),
        ("uploaded", json!(-1), "bad uploaded"),
        ("downloaded", json!("7"), "bad downloaded"),
        ("peer_id", json!("x".repeat(65)), "bad peer_id"),
        ("peer_id", json!(7), "bad peer_id"),
    ] {
        let mut body = good();
        body[field] = value.clone();
        assert_eq!(refused(register(&mut Daemon::new(), A, &body)), no(400, text), "{field}: {value}");
    }
    for (field, value) in [
        ("port", json!(65_535)),
        ("peer_id", json!("x".repeat(64))),
        ("peer_id", Value::Null),
        ("left", json!(u64::MAX)),
        ("ip", json!(7)),
        ("unknown", json!([{}])),
    ] {
        let mut body = good();
        body[field] = value.clone();
        assert_eq!(register(&mut Daemon::new(), A, &body).status, 200, "{field}: {value}");
    }
    for body in ["", "x", "[]", "7", "{\"file_id\":", "{} {}", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
        let reply = post(&mut Daemon::new(), A, "/register_peer", body, "");
        assert_eq!(refused(reply), no(400, "invalid JSON body"), "{body}");
    }
    // A body is taken up to its bound, at once or in chunks, and not beyond.
    for (bytes, status) in [(4096, 200), (4097, 413), (9000, 413)] {
        let body = good().to_string();
        let body = format!("{body}{}", " ".repeat(bytes - body.len()));
        assert_eq!(post(&mut Daemon::new(), A, "/register_peer", &body, "").status, status, "{bytes}");
        let chunked = format!(
            "POST /register_peer HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(Daemon::new().ask(A, chunked).status, status, "{bytes} in chunks");
    }
    let bare = Daemon::new().ask(A, format!("POST /register_peer HTTP/1.1\r\n{HOST}\r\n"));
    assert_eq!(refused(bare), no(411, "Length required"));
}

/// A swarm in which A has said `more`: what it is, as others see it.
fn role_after(more: Value) -> (u64, u64) {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, more);
    let (_, seeders, leechers) = seen(&mut daemon, B);
    (seeders, leechers)
}

#[test]
fn the_state_beats_what_is_left() {
    let (seeds, leeches) = ((1, 0), (0, 1));
    for (more, role) in [
        (json!({}), leeches),
        (json!({"left": 0}), seeds),
        (json!({"left": 5}), leeches),
        (json!({"state": "seeding"}), seeds),
        (json!({"state": "seeding", "left": 5}), seeds),
        (json!({"state": "leeching"}), leeches),
        (json!({"state": "leeching", "left": 5}), leeches),
        (json!({"state": "leeching", "left": 0}), leeches),
        (json!({"state": null, "left": null}), leeches),
    ] {
        assert_eq!(role_after(more.clone()), role, "{more}");
    }
}

#[test]
fn the_first_seeding_report_after_a_leeching_one_counts_a_completion() {
    let mut daemon = Daemon::new();
    let downloaded = |daemon: &mut Daemon| {
        let reply = daemon.get(C, &format!("/scrape?info_hash={}", crate::support::hash(1)));
        let text = reply.text();
        let at = text.find("10:downloadedi").expect("a count") + 14;
        text[at..].split('e').next().expect("its end").parse::<u64>().expect("a number")
    };
    registered(&mut daemon, B, json!({"state": "seeding"}));
    assert_eq!(downloaded(&mut daemon), 0, "whoever was never seen to leech");
    for (state, count) in [("leeching", 0), ("seeding", 1), ("seeding", 1), ("leeching", 1), ("seeding", 1)] {
        registered(&mut daemon, A, json!({"state": state}));
        assert_eq!(downloaded(&mut daemon), count, "{state}");
    }
}

/// Decision 1 of section 2: whatever wire a client comes by, all others see it.
#[test]
fn all_wires_share_one_swarm() {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, json!({"state": "seeding", "port": 1}));
    daemon.announce(B, &crate::support::hash(1), "left=5&port=2");
    let udp = daemon.udp_announce(C, UdpAnnounce { port: 3, ..UdpAnnounce::default() });
    assert_eq!(udp[12..20], [0, 0, 0, 2, 0, 0, 0, 1], "two leechers, a seeder");
    assert_eq!(udp[20..26], [192, 0, 2, 1, 0, 1], "the seeder first");
    assert!(udp[26..].as_chunks::<6>().0.contains(&[192, 0, 2, 2, 0, 2]));
    let reply = daemon.announce(B, &crate::support::hash(1), "left=5&port=2");
    assert_eq!((reply.ports(), reply.counts()), (vec![1, 3], (1, 2)));
    let all = ["192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3"].map(str::to_owned).to_vec();
    assert_eq!(seen(&mut daemon, PEER), (all, 1, 2));
    // One client on two wires is one client.
    registered(&mut daemon, B, json!({"port": 2}));
    assert_eq!(seen(&mut daemon, PEER).2, 2);
}

/// Clients behind one address are told apart by their ports alone; one that changes its port is not guessed to be the
/// same.
#[test]
fn two_clients_at_one_address_are_two() {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, json!({"port": 1, "peer_id": "x"}));
    registered(&mut daemon, A, json!({"port": 2, "peer_id": "x"}));
    registered(&mut daemon, A, json!({"port": 2, "peer_id": "y"}));
    assert_eq!(seen(&mut daemon, B).2, 2);
}

#[test]
fn the_address_is_the_senders() {
    let mut daemon = Daemon::new();
    let told = registered(&mut daemon, A, json!({"ip": "8.8.8.8"}));
    assert_eq!(told["your_ip"], "192.0.2.1");
    assert_eq!(seen(&mut daemon, B).0, ["192.0.2.1:6881"]);
    let mut daemon = Daemon::with(|settings| settings.trust_ip_param = true);
    for (peer, ip, told) in [
        ("10.0.0.7:1", "8.8.8.8", "8.8.8.8"),
        ("10.0.0.7:1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.7:1", "224.0.0.1", "10.0.0.7"),
        ("10.0.0.7:1", "t.example", "10.0.0.7"),
        (A, "8.8.8.8", "192.0.2.1"),
    ] {
        assert_eq!(registered(&mut daemon, peer, json!({"ip": ip}))["your_ip"], told, "{peer} {ip}");
    }
    let mut daemon = Daemon::with(|settings| {
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
    });
    let body = json!({"file_id": id(), "port": 1}).to_string();
    for (named, told) in [("198.51.100.7", Some("198.51.100.7")), ("unknown", None)] {
        let reply = post(
            &mut daemon,
            "10.0.0.1:1",
            "/register_peer",
            &body,
            &format!("X-Forwarded-For: {named}\r\n"),
        );
        match told {
            Some(ip) => assert!(reply.text().contains(&format!("\"your_ip\":\"{ip}\"")), "{}", reply.text()),
            None => assert_eq!(refused(reply), no(400, "Invalid remote address")),
        }
    }
}

#[test]
fn who_is_not_admitted_is_refused_on_both_routes() {
    let both = |daemon: &mut Daemon, expected: &(u16, String)| {
        let reply = register(daemon, A, &json!({"file_id": id(), "port": 1}));
        assert_eq!(&refused(reply), expected);
        assert_eq!(&refused(daemon.get(A, &format!("/get_peers?file_id={}", id()))), expected);
    };
    let registered_only = InfoHashes::V1(V1Hash([2; 20]));
    let mut closed = Daemon::registered(&[registered_only]);
    both(&mut closed, &no(403, "Unregistered torrent: info_hash not found in registry"));
    let served = json!({"file_id": "02".repeat(20), "port": 1});
    assert_eq!(register(&mut closed, A, &served).status, 200);
    both(
        &mut Daemon::with(|settings| settings.policy.access = Access::Listed),
        &no(403, "torrent not authorized"),
    );
    let mut blocked = Daemon::new();
    registered(&mut blocked, A, json!({}));
    let keys = vec![V1Hash([1; 20]).key()];
    blocked.server.delivered(blocked.now, FromStore::Admission(AdmissionChange::Blocked { keys }));
    both(&mut blocked, &no(403, "info_hash is blocked"));
    let mut full = Daemon::with(|settings| settings.policy.total_peers_max = 1);
    registered(&mut full, A, json!({"port": 1}));
    let reply = register(&mut full, B, &json!({"file_id": id(), "port": 1}));
    assert_eq!(reply.field("retry-after"), Some("1"));
    assert_eq!(refused(reply), no(503, "Tracker is full"));
    assert_eq!(seen(&mut full, B).2, 1, "asking takes no room");
}

#[test]
fn passkeys_are_asked_for_in_the_path() {
    let secret = b"a secret".to_vec();
    let key = PasskeyKey::new(&secret).sign("user").expect("an id");
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(secret));
    let body = json!({"file_id": id(), "port": 1}).to_string();
    for (suffix, status) in [
        (String::new(), 401),
        ("/".to_owned(), 401),
        ("/user.00".to_owned(), 401),
        (format!("/{key}/more"), 401),
        (format!("/{key}"), 200),
        (format!("/{key}/"), 200),
    ] {
        let reply = post(&mut daemon, A, &format!("/register_peer{suffix}"), &body, "");
        assert_eq!(reply.status, status, "{suffix}");
        let asked = daemon.get(A, &format!("/get_peers{suffix}?file_id={}", id()));
        assert_eq!(asked.status, status, "{suffix}");
        if status == 401 {
            assert_eq!(refused(reply), no(401, "Unauthorized"));
        }
    }
    // Where none are in use, one is a mistake.
    assert_eq!(post(&mut Daemon::new(), A, &format!("/register_peer/{key}"), &body, "").status, 401);
    for path in ["/register_peers", "/register_peer//", "/get_peersx", "/Register_Peer"] {
        assert_eq!(post(&mut Daemon::new(), A, path, &body, "").status, 404, "{path}");
    }
}

/// What a client with a passkey reports counts like an announce: the growth of its counters, once.
#[test]
fn bytes_are_counted_for_the_user_of_the_passkey() {
    let secret = b"a secret".to_vec();
    let key = PasskeyKey::new(&secret).sign("user").expect("an id");
    let mut daemon = Daemon::with(|settings| settings.tracker_secret = Some(secret));
    let pending = |daemon: &mut Daemon| {
        let text = daemon.get(A, "/metrics").text();
        ["up", "down"].map(|direction| {
            let name = format!("tracker_usage_pending_bytes{{tier=\"ram\",direction=\"{direction}\"}} ");
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&name))
                .unwrap_or_else(|| panic!("{name}: {text}"));
            line.parse::<u64>().expect("a number")
        })
    };
    for (peer, port, state, up, down, counted) in [
        // The first report of a session is what later ones are measured by.
        (A, 1, "leeching", 100, 7, [0, 0]),
        (A, 1, "leeching", 150, 7, [50, 0]),
        (A, 1, "seeding", 150, 10, [50, 3]),
        // Another device of the same user, behind the same address, and one elsewhere.
        (A, 2, "leeching", 5, 0, [50, 3]),
        (B, 1, "leeching", 0, 1, [50, 3]),
        (A, 2, "leeching", 6, 0, [51, 3]),
        (A, 1, "stopped", 160, 10, [61, 3]),
        (B, 1, "leeching", 20, 1, [81, 3]),
    ] {
        let body = json!({"file_id": id(), "port": port, "state": state, "uploaded": up, "downloaded": down});
        let reply = post(&mut daemon, peer, &format!("/register_peer/{key}"), &body.to_string(), "");
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(pending(&mut daemon), counted, "{body}");
    }
    // What is refused counts nothing.
    daemon.server.delivered(
        daemon.now,
        FromStore::Admission(AdmissionChange::Blocked { keys: vec![V1Hash([1; 20]).key()] }),
    );
    let body = json!({"file_id": id(), "port": 2, "uploaded": 500});
    assert_eq!(post(&mut daemon, A, &format!("/register_peer/{key}"), &body.to_string(), "").status, 403);
    assert_eq!(pending(&mut daemon), [81, 3]);
}

#[test]
fn methods_rates_and_pages_of_other_origins() {
    let mut daemon = Daemon::new();
    for (path, allow) in [("/register_peer", "POST, OPTIONS"), ("/get_peers", "GET, HEAD, OPTIONS")] {
        for method in ["PUT", "DELETE", "PATCH"] {
            let reply = daemon.ask(A, format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n"));
            assert_eq!((reply.status, reply.field("allow")), (405, Some(allow)));
            assert_eq!(refused(reply), no(405, "Method not allowed"));
        }
        let reply = daemon.ask(A, format!("OPTIONS {path} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!((reply.status, reply.field("allow")), (204, Some(allow)));
    }
    assert_eq!(daemon.get(A, "/register_peer").status, 405);
    let head = daemon.ask(A, format!("HEAD /get_peers?file_id={} HTTP/1.1\r\n{HOST}\r\n", id()));
    assert_eq!((head.status, head.body.len()), (200, 0));

    let mut slow = Daemon::with(|settings| settings.rate = (1, 1));
    registered(&mut slow, A, json!({}));
    let reply = register(&mut slow, A, &json!({"file_id": id(), "port": 1}));
    assert_eq!(reply.field("retry-after"), Some("1"));
    assert_eq!(refused(reply), no(429, "Too Many Requests"));
    assert_eq!(slow.get(A, &format!("/get_peers?file_id={}", id())).status, 429);
    assert_eq!(slow.ask(A, format!("PUT /get_peers HTTP/1.1\r\n{HOST}\r\n")).status, 429);
    assert_eq!(slow.get(B, &format!("/get_peers?file_id={}", id())).status, 200);

    let body = json!({"file_id": id(), "port": 1}).to_string();
    let origin = "Origin: https://page.example\r\n";
    let foreign = post(&mut daemon, A, "/register_peer", &body, origin);
    assert_eq!(refused(foreign), no(403, "Forbidden: origin not allowed"));
    let mut open = Daemon::with(|settings| settings.origins = Origins::Any);
    let reply = post(&mut open, A, "/register_peer", &body, origin);
    assert_eq!((reply.status, reply.field("access-control-allow-origin")), (200, Some("*")));
    let asked = open.ask(A, format!("GET /get_peers?file_id={} HTTP/1.1\r\n{HOST}{origin}\r\n", id()));
    assert_eq!((asked.status, asked.field("access-control-allow-origin")), (200, Some("*")));
    let leave = "Access-Control-Request-Method: POST\r\n";
    let reply = open.ask(A, format!("OPTIONS /register_peer HTTP/1.1\r\n{HOST}{origin}{leave}\r\n"));
    let methods = reply.field("access-control-allow-methods");
    assert_eq!((reply.status, methods), (204, Some("GET, HEAD, POST, DELETE, OPTIONS")));
}

#[test]
fn what_is_asked_for_has_its_rules() {
    for (query, text) in [
        ("", "missing file_id"),
        ("file_id=", "missing file_id"),
        ("file_id=01", "file_id must be 40 hex characters"),
        ("file_id=%ff", "file_id must be 40 hex characters"),
        ("file_id=ID&port=0", "port must be 1-65535"),
        ("file_id=ID&port=65536", "port must be 1-65535"),
        ("file_id=ID&port=x", "port must be 1-65535"),
        ("file_id=ID&limit=0", "limit must be 1-1000"),
        ("file_id=ID&limit=1001", "limit must be 1-1000"),
        ("file_id=ID&limit=-1", "limit must be 1-1000"),
        ("file_id=ID&limit=99999999999", "limit must be 1-1000"),
        ("file_id=ID&compact=2", "compact must be 0 or 1"),
    ] {
        let target = format!("/get_peers?{}", query.replace("ID", &id()));
        assert_eq!(refused(Daemon::new().get(A, &target)), no(400, text), "{query}");
    }
    let mut daemon = Daemon::new();
    assert_eq!(
        peers(&mut daemon, A, "&limit=1000&port=65535&compact=0&x=y"),
        json!({"file_id": id(), "peers": [], "seeders": 0, "leechers": 0, "interval": 300}),
        "an id nobody knows"
    );
    for port in 1..=60 {
        registered(&mut daemon, B, json!({"port": port, "left": port % 2}));
    }
    let count =
        |daemon: &mut Daemon, more: &str| peers(daemon, A, more)["peers"].as_array().expect("a list").len();
    assert_eq!(count(&mut daemon, ""), 50);
    assert_eq!(count(&mut daemon, "&limit=1000"), 50);
    assert_eq!(count(&mut daemon, "&limit=7"), 7);
    // Its own port is the caller's only together with its address.
    assert_eq!(peers(&mut daemon, B, "&limit=50&port=2")["seeders"], 30);
    let listed = peers(&mut daemon, B, "&limit=50&port=2").to_string();
    assert!(!listed.contains("\"port\":2,"), "{listed}");
    assert!(peers(&mut daemon, A, "&limit=50&port=2").to_string().contains("\"port\":2,"));
}

#[test]
fn seeders_and_the_own_family_come_first_in_random_order() {
    let mut daemon = Daemon::new();
    for port in 1..=4 {
        let left = u16::from(port > 2);
        registered(&mut daemon, A, json!({"port": port, "left": left}));
        registered(&mut daemon, SIX, json!({"port": port + 10, "left": left}));
    }
    let order = |daemon: &mut Daemon, peer: &str| -> Vec<u64> {
        let answer = peers(daemon, peer, "");
        answer["peers"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|peer| peer["port"].as_u64().expect("a port"))
            .collect()
    };
    let mut firsts = std::collections::HashSet::new();
    for _ in 0..64 {
        let mut ports = order(&mut daemon, B);
        firsts.insert(ports[0]);
        ports.chunks_mut(2).for_each(<[_]>::sort);
        assert_eq!(ports, [1, 2, 3, 4, 11, 12, 13, 14]);
        let mut ports = order(&mut daemon, SIX);
        ports.chunks_mut(2).for_each(<[_]>::sort);
        assert_eq!(ports, [11, 12, 13, 14, 1, 2, 3, 4]);
    }
    assert_eq!(firsts.len(), 2, "not always the same one first");
}

#[test]
fn the_smallest_clients_get_lines() {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, json!({"port": 1, "left": 0}));
    registered(&mut daemon, SIX, json!({"port": 2}));
    let reply = daemon.get(B, &format!("/get_peers?file_id={}&compact=1", id()));
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/plain")));
    assert_eq!(reply.field("cache-control"), Some("no-store"));
    assert_eq!(reply.text(), "192.0.2.1:1\n[2001:db8::6]:2\n");
    let none = daemon.get(B, &format!("/get_peers?file_id={}&compact=1", "09".repeat(20)));
    assert_eq!((none.status, none.body.len()), (200, 0));
}

/// Who registers lives for IDT_PEER_TTL, who announces for PEER_TTL; the last word counts.
#[test]
fn a_client_that_does_not_come_back_is_forgotten() {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, json!({"port": 1}));
    registered(&mut daemon, A, json!({"port": 2}));
    daemon.announce(B, &crate::support::hash(1), "left=5&port=3");
    registered(&mut daemon, C, json!({"port": 4}));
    daemon.announce(C, &crate::support::hash(1), "left=5&port=4");
    daemon.advance(600_000);
    registered(&mut daemon, A, json!({"port": 1}));
    daemon.advance(299_000);
    assert_eq!(seen(&mut daemon, PEER).2, 4, "after 899 s");
    daemon.advance(2_000);
    let left = ["192.0.2.1:1", "192.0.2.2:3", "192.0.2.3:4"].map(str::to_owned).to_vec();
    assert_eq!(seen(&mut daemon, PEER), (left, 0, 3), "after 901 s");
    let active = |daemon: &mut Daemon| {
        let text = daemon.get(PEER, "/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix("tracker_active_peers ")).expect("a gauge");
        line.parse::<u64>().expect("a number")
    };
    // Nobody asks: what is over is freed within a minute.
    daemon.advance(599_000);
    assert_eq!(active(&mut daemon), 3);
    daemon.advance(61_000);
    assert_eq!(active(&mut daemon), 2);
}

/// With a lifetime shorter than usual, clients are told to come back in time.
#[test]
fn the_interval_fits_the_lifetime() {
    let mut daemon = Daemon::with(|settings| settings.policy.idt_peer_ttl_s = 60);
    let told = registered(&mut daemon, A, json!({}));
    assert_eq!((&told["interval"], &told["ttl"]), (&json!(20), &json!(60)));
    assert_eq!(peers(&mut daemon, A, "")["interval"], 20);
    assert_eq!(registered(&mut Daemon::new(), A, json!({}))["interval"], 300);
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let mut daemon = Daemon::new();
    registered(&mut daemon, A, json!({}));
    register(&mut daemon, A, &json!({}));
    peers(&mut daemon, SIX, "");
    let text = daemon.get(A, "/metrics").text();
    for line in [
        "proto=\"http\",family=\"ipv4\",kind=\"register_peer\",result=\"ok\"} 1",
        "proto=\"http\",family=\"ipv4\",kind=\"register_peer\",result=\"invalid\"} 1",
        "proto=\"http\",family=\"ipv6\",kind=\"get_peers\",result=\"ok\"} 1",
    ] {
        assert!(text.contains(&format!("tracker_requests_total{{{line}")), "{line}");
    }
}

/// A swarm too large for one block answers by the same rules.
#[test]
fn a_large_swarm_is_listed_like_a_small_one() {
    let mut daemon = Daemon::with(|settings| settings.peers_max = 1000);
    for port in 1..=300u32 {
        registered(
            &mut daemon,
            A,
            json!({"port": port, "state": if port <= 100 { "seeding" } else { "leeching" }}),
        );
    }
    let answer = peers(&mut daemon, A, "&limit=150&port=7");
    assert_eq!((&answer["seeders"], &answer["leechers"]), (&json!(100), &json!(200)));
    let list = answer["peers"].as_array().expect("a list");
    assert_eq!(list.len(), 150);
    for (at, peer) in list.iter().enumerate() {
        assert_eq!(peer["state"], if at < 99 { "seeding" } else { "leeching" }, "{at}");
        assert_ne!(peer["port"], 7);
    }
    daemon.advance(901_000);
    assert_eq!(seen(&mut daemon, B), (Vec::new(), 0, 0));
}
