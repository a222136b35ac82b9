//! The registry over HTTP, as its page has it: what is stored, found, fetched, refused, taken down and restored, with
//! every status that a client can bring about.

use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced, Reply};
use crate::support::{files, udp, wl};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use weightless::wire::passkey::PasskeyKey;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PEER: &[u8; 20] = b"-TS0001-abcdefghijkl";

fn get(at: SocketAddr, target: &str) -> Reply {
    http::ask(at, "GET", target, "")
}

fn error(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.field("content-type"), Some("application/json"), "{}", reply.head);
    (reply.status, reply.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn refused(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

/// A hybrid torrent made by `wl`, not registered: its file, v2 and v1 hash.
fn torrent(home: &Path, seed: u64) -> (Vec<u8>, String, String) {
    let name = format!("data {seed} é.bin");
    fs::write(home.join(&name), files::noise(seed, 70_000)).expect("a file");
    let created = wl::create(home, "http://127.0.0.1:1", &home.join(&name), &[]);
    let file = fs::read(&created.torrent).expect("the torrent");
    (file, created.info_hash, created.v1_info_hash.expect("a hybrid"))
}

#[test]
fn every_refusal_of_a_registration_has_its_status() {
    let home = tempfile::tempdir().expect("a folder");
    let (file, v2, v1) = torrent(home.path(), 1);
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    let (other, data) = ("c0".repeat(32), BASE64.encode(&file));
    let post = |entry: Value| http::register(at, &entry);
    let stored = post(json!({"info_hash": v2, "name": "n", "torrent_data": data}));
    assert_eq!((stored.status, &*stored.text()), (201, "{\"status\":\"created\"}\n"));
    assert_eq!(http::ask(at, "DELETE", &format!("/api/registry?info_hash={other}"), "").status, 200);
    let hash = "d0".repeat(32);
    for (entry, status, text) in [
        (json!({"name": "n"}), 400, "Missing info_hash or name"),
        (json!({"info_hash": "x", "name": "n"}), 400, "Invalid info_hash: must be 40 or 64 hex characters"),
        (json!([]), 400, "Invalid JSON body"),
        (json!({"info_hash": hash, "name": "n", "torrent_data": "!"}), 400, "Invalid torrent_data"),
        (
            json!({"info_hash": hash, "name": "n", "torrent_data": "ZGU="}),
            400,
            "torrent_data is not a valid torrent",
        ),
        (
            json!({"info_hash": hash, "name": "n", "torrent_data": data}),
            422,
            "torrent_data does not match info_hash",
        ),
        (
            json!({"info_hash": v2, "v1_info_hash": "d0".repeat(20), "name": "n", "torrent_data": data}),
            422,
            "torrent_data does not match v1_info_hash",
        ),
        (
            json!({"info_hash": v1, "name": "n", "torrent_data": data}),
            422,
            "info_hash must be the v2 hash of a hybrid torrent",
        ),
        (json!({"info_hash": other, "name": "n"}), 403, "info_hash is blocked"),
        (json!({"info_hash": &other[..40], "name": "n"}), 403, "info_hash is blocked"),
        (json!({"info_hash": v1, "name": "n"}), 409, "hash already belongs to another entry"),
        (
            json!({"info_hash": hash, "v1_info_hash": v1, "name": "n"}),
            409,
            "hash already belongs to another entry",
        ),
        (json!({"info_hash": hash, "name": "n", "x": "x".repeat(1 << 20)}), 413, "Request body too large"),
    ] {
        let shown = entry.to_string();
        let answer = error(&post(entry));
        assert_eq!(answer, refused(status, text), "{}", &shown[..shown.len().min(150)]);
    }
    assert_eq!(error(&get(at, &format!("/api/registry?info_hash={hash}"))), refused(404, "Not found"));
}

#[test]
fn what_is_stored_is_fetched_byte_for_byte_by_every_hash() {
    let home = tempfile::tempdir().expect("a folder");
    let (file, v2, v1) = torrent(home.path(), 2);
    let tracker = Daemon::start(home.path(), &[("CORS_ORIGIN", "https://page.example")]);
    let at = tracker.http(LOCALHOST);
    let entry =
        json!({"info_hash": v2, "name": "Ünïts 1/2", "torrent_data": BASE64.encode(&file), "tags": "a,b"});
    assert_eq!(http::register(at, &entry).status, 201);
    for hash in [&v2, &v1, &v2[..40].to_owned(), &v2.to_uppercase()] {
        let reply = get(at, &format!("/api/registry/torrent?info_hash={hash}"));
        assert!(reply.status == 200 && reply.body == file, "{hash}: {}", reply.head);
        let tag = reply.field("etag").expect("a tag").to_owned();
        let again = format!("/api/registry/torrent?info_hash={hash}");
        let unchanged = http::ask(at, "GET", &again, &format!("If-None-Match: W/{tag}\r\n"));
        assert_eq!((unchanged.status, unchanged.field("etag"), unchanged.body.len()), (304, Some(&*tag), 0));
        let named = "attachment; filename=\"_n_ts 1_2.torrent\"; \
                     filename*=UTF-8''%C3%9Cn%C3%AFts%201%5F2.torrent";
        assert_eq!(reply.field("content-disposition"), Some(named));
        assert_eq!(get(at, &format!("/api/registry/meta?info_hash={hash}")).json()["total_size"], 70_000);
        let magnet = get(at, &format!("/api/registry/magnet?info_hash={hash}")).text();
        let (http_port, udp_port) = (tracker.http_port, tracker.udp_port);
        assert_eq!(
            magnet,
            format!(
                "magnet:?xt=urn:btih:{v1}&xt=urn:btmh:1220{v2}&dn=%C3%9Cn%C3%AFts%201%2F2\
                 &tr=http%3A%2F%2F127.0.0.1%3A{http_port}%2Fannounce&tr=udp%3A%2F%2F127.0.0.1%3A{udp_port}%2Fannounce\n"
            )
        );
    }
    let page = http::ask(at, "GET", "/api/registry/search", "Origin: https://page.example\r\n");
    assert_eq!(page.field("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(page.field("x-total-count"), Some("1"));
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let home = tempfile::tempdir().expect("a folder");
    let (file, v2, _) = torrent(home.path(), 3);
    let tracker = Daemon::start(home.path(), &[("PUBLIC_URL", "https://t.example")]);
    let at = tracker.http(LOCALHOST);
    let entry = json!({"info_hash": v2, "name": "n", "torrent_data": BASE64.encode(&file)});
    assert_eq!(http::register(at, &entry).status, 201);
    for target in [
        &format!("/api/registry?info_hash={v2}"),
        &format!("/api/registry/torrent?info_hash={v2}"),
        &format!("/api/registry/meta?info_hash={v2}"),
        &format!("/api/registry/magnet?info_hash={v2}"),
        "/api/registry?info_hash=unknown",
        "/api/registry/search",
        "/api/blocklist",
        "/api/nothing",
        "/openapi.json",
        "/health",
        "/robots.txt",
        "/favicon.ico",
        "/",
    ] {
        let same = |reply: &Reply| {
            let fields = reply.head.lines().filter(|line| !line.starts_with("Date: "));
            fields.map(str::to_owned).collect::<Vec<_>>()
        };
        let (got, head) = (get(at, target), http::ask(at, "HEAD", target, ""));
        assert_eq!((same(&head), head.body.len()), (same(&got), 0), "{target}");
        assert!(got.status == 204 || !got.body.is_empty(), "{target}");
    }
    let magnet = get(at, &format!("/api/registry/magnet?info_hash={v2}")).text();
    assert!(
        magnet.contains("&tr=https%3A%2F%2Ft.example%2Fannounce&tr=udp%3A%2F%2Ft.example%3A"),
        "{magnet}"
    );
}

/// Section 5: every hash form, both wires, across restarts; then the way back.
#[test]
fn a_takedown_holds_for_every_hash_on_both_wires_until_it_is_lifted() {
    let home = tempfile::tempdir().expect("a folder");
    let (file, v2, v1) = torrent(home.path(), 4);
    let entry = json!({"info_hash": v2, "name": "n", "torrent_data": BASE64.encode(&file)});
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
    let short = |hex: &str| <[u8; 20]>::try_from(&bytes(hex)[..20]).expect("20 bytes");
    let forms = [bytes(&v1), bytes(&v2), bytes(&v2)[..20].to_vec()];
    let served = |tracker: &Daemon, blocked: bool| {
        let expected = |answer: Announced| match answer {
            Announced::Refused(why) => blocked && why == "info_hash is blocked",
            Announced::Peers { .. } => !blocked,
        };
        for form in &forms {
            let answer = http::announce(tracker.http(LOCALHOST), form, PEER, 6881, 5, "");
            assert!(expected(answer), "{} over HTTP, blocked: {blocked}", form.len());
        }
        for hash in [short(&v1), short(&v2)] {
            let answer = udp::Client::connect(tracker.udp(LOCALHOST)).announce(&hash, PEER, 6881, 5, 0);
            assert!(expected(answer), "UDP, blocked: {blocked}");
        }
        let hash = http::escaped(&bytes(&v1));
        let scrape = get(tracker.http(LOCALHOST), &format!("/scrape?info_hash={hash}"));
        assert_eq!(scrape.body == b"d5:filesdee", blocked, "{}", scrape.text());
    };
    let mut tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    assert_eq!(http::register(at, &entry).status, 201);
    served(&tracker, false);
    let verify = format!("/api/registry/verify?info_hash={v1}&verified=true");
    assert_eq!(http::ask(at, "POST", &verify, "").text(), "{\"status\":\"updated\"}\n");
    let found = get(at, &format!("/api/registry?info_hash={v2}")).json();
    assert_eq!(
        (&found["verified"], &found["leechers"], &found["size"]),
        (&json!(true), &json!(1), &json!(70_000))
    );

    let delete = format!("/api/registry?info_hash={v1}&reason=asked+to");
    for _ in 0..2 {
        assert_eq!(http::ask(at, "DELETE", &delete, "").text(), "{\"status\":\"deleted\"}\n");
    }
    served(&tracker, true);
    assert_eq!(get(at, "/api/registry/search").text(), "[]\n");
    assert!(tracker.terminate().success());

    tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    served(&tracker, true);
    let list = get(at, "/api/blocklist?limit=1");
    assert_eq!(
        (list.field("x-total-count"), list.json()[0]["reason"].as_str()),
        (Some("2"), Some("asked to"))
    );
    let unblock = format!("/api/blocklist?info_hash={v2}");
    assert_eq!(http::ask(at, "DELETE", &unblock, "").text(), "{\"status\":\"unblocked\"}\n");
    assert_eq!(error(&http::ask(at, "DELETE", &unblock, "")), refused(404, "Not found"));
    assert_eq!(get(at, &format!("/api/registry?info_hash={v2}")).status, 404, "the row does not come back");
    assert_eq!(http::register(at, &entry).status, 201);
    served(&tracker, false);
}

/// An uploaded torrent never publishes its uploader's passkey, and whoever downloads with a passkey announces with it.
#[test]
fn passkeys_are_taken_out_and_put_in() {
    let home = tempfile::tempdir().expect("a folder");
    let key = PasskeyKey::new(b"a secret of some length");
    let (uploader, reader) = (key.sign("uploader").expect("an id"), key.sign("reader").expect("an id"));
    let tracker = Daemon::start(home.path(), &[("TRACKER_SECRET", "a secret of some length")]);
    let at = tracker.http(LOCALHOST);
    let (file, v2, _) = torrent(home.path(), 5);
    let info = &file[file.windows(6).position(|six| six == b"4:info").expect("an info dictionary")..];
    let string = |text: String| format!("{}:{text}", text.len());
    let with = |suffix: &str| {
        let url = string(format!("http://127.0.0.1:{}/announce{suffix}", tracker.http_port));
        [b"d8:announce", url.as_bytes(), info].concat()
    };
    let data = BASE64.encode(&with(&format!("/{uploader}")));
    let stored = http::register(at, &json!({"info_hash": v2, "name": "n", "torrent_data": data}));
    assert_eq!(stored.status, 201, "{}", stored.text());
    let target = format!("/api/registry/torrent?info_hash={v2}");
    assert!(get(at, &target).body == with(""));
    let copy = get(at, &format!("{target}&passkey={reader}"));
    assert!(copy.body == with(&format!("/{reader}")), "{}", copy.head);
    assert_eq!((copy.field("cache-control"), copy.field("etag")), (Some("no-store"), None));
    let bad = get(at, &format!("{target}&passkey={}", reader.replace("reader", "other")));
    assert_eq!(error(&bad), refused(401, "Unauthorized"));
    let peer = "&peer_id=-TS0001-abcdefghijkl&port=1&left=1";
    let hash = http::escaped(&data_encoding::HEXLOWER.decode(v2.as_bytes()).expect("hex"));
    let announced = get(at, &format!("/announce/{reader}?info_hash={hash}{peer}")).text();
    assert!(announced.contains("8:interval") && !announced.contains("failure"), "{announced}");
}
