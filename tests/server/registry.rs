//! Registry-api sections 1, 3, 5 and 6 as far as the machine decides: methods, parameters, authorisation, and how each
//! answer of the store looks on the wire.

use crate::support::{Daemon, Reply};
use weightless::mailbox::{FromStore, Ticket, ToReader, ToWriter};
use weightless::registry::{Answer, FileKind, HashText, Personal, Question, Row};
use weightless::server::{Mail, Settings};
use weightless::wire::passkey::PasskeyKey;

const LOCAL: &str = "127.0.0.1:1";
const REMOTE: &str = "192.0.2.1:1";

/// Every route with its methods.
const ROUTES: [(&str, &str); 8] = [
    ("/api/registry", "GET, HEAD, POST, DELETE, OPTIONS"),
    ("/api/registry/search", "GET, HEAD, OPTIONS"),
    ("/api/registry/torrent", "GET, HEAD, OPTIONS"),
    ("/api/registry/meta", "GET, HEAD, OPTIONS"),
    ("/api/registry/magnet", "GET, HEAD, OPTIONS"),
    ("/api/registry/verify", "POST, OPTIONS"),
    ("/api/blocklist", "GET, HEAD, DELETE, OPTIONS"),
    ("/health", "GET, HEAD, OPTIONS"),
];

fn request(line: &str, fields: &str) -> String {
    let length = if line.starts_with("POST") { "Content-Length: 2\r\n" } else { "" };
    let body = if length.is_empty() { "" } else { "{}" };
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n{length}{fields}\r\n{body}")
}

/// What became of a request: answered at once, or passed on.
fn ask(daemon: &mut Daemon, peer: &str, line: &str, fields: &str) -> Result<Mail, Reply> {
    let conn = daemon.open(peer);
    let (out, _) = daemon.send(conn, request(line, fields));
    if !out.is_empty() {
        return Err(Reply::read(&out, line.starts_with("HEAD")).expect("a reply").0);
    }
    let mut mail = daemon.mail();
    Ok(mail.pop().expect("mail for the store"))
}

fn question(mail: Result<Mail, Reply>) -> Question {
    match mail {
        Ok(Mail::Read(ToReader::Ask { question, .. })) => question,
        other => panic!("{other:?}"),
    }
}

/// The answer of the store to `line` as the client reads it.
fn answered(line: &str, answer: Answer) -> Reply {
    let mut daemon = Daemon::new();
    let Ok(Mail::Read(ToReader::Ask { ticket, .. })) = ask(&mut daemon, LOCAL, line, "") else {
        panic!("a question")
    };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
    let (_, out, _) = daemon.resume().expect("an answer");
    Reply::read(&out, line.starts_with("HEAD")).expect("a whole answer").0
}

fn hash() -> HashText {
    HashText("ab".repeat(20))
}

#[test]
fn every_route_has_its_methods_and_no_other() {
    for (path, allow) in ROUTES {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "TRACE"] {
            let mut daemon = Daemon::new();
            let target = format!("{method} {path}?info_hash={}&verified=true", "ab".repeat(20));
            let shown = format!("{method} {path}");
            match ask(&mut daemon, LOCAL, &target, "") {
                Ok(_) => assert!(allow.split(", ").any(|one| one == method), "{shown}"),
                Err(reply) if method == "OPTIONS" => {
                    assert_eq!((reply.status, reply.field("allow")), (204, Some(allow)), "{shown}");
                }
                Err(reply) => {
                    assert_eq!((reply.status, reply.field("allow")), (405, Some(allow)), "{shown}");
                    let json = "{\"error\":\"Method not allowed\"}\n";
                    assert!(path == "/health" || method == "HEAD" || reply.text() == json, "{shown}");
                    assert!(!allow.split(", ").any(|one| one == method), "{shown}");
                }
            }
        }
    }
}

/// What `/openapi.json` says is held against the running daemon elsewhere; here, that it says all.
#[test]
fn every_route_is_in_the_document_with_its_methods() {
    let reply = Daemon::new().get(LOCAL, "/openapi.json");
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("application/json")));
    let document: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for (path, allow) in ROUTES {
        let mut methods: Vec<_> = allow.split(", ").map(str::to_lowercase).collect();
        methods.retain(|method| method != "head" && method != "options");
        methods.sort();
        let documented: Vec<_> = paths[path].as_object().expect(path).keys().cloned().collect();
        assert_eq!(documented, methods, "{path}");
    }
    assert!(paths["/register_peer"]["post"].is_object() && paths["/get_peers"]["get"].is_object());
    assert_eq!(paths.len(), ROUTES.len() + 3, "and /metrics");
}

#[test]
fn what_is_missing_or_unreadable_is_named() {
    let text = |reply: Reply| (reply.status, reply.text());
    for line in [
        "GET /api/registry",
        "GET /api/registry?info_hash=",
        "GET /api/registry/torrent",
        "GET /api/registry/meta?x=y",
        "GET /api/registry/magnet",
        "DELETE /api/registry?INFO_HASH=a",
        "DELETE /api/blocklist",
        "POST /api/registry/verify?verified=true",
    ] {
        let reply = ask(&mut Daemon::new(), LOCAL, line, "").expect_err(line);
        assert_eq!(text(reply), (400, "{\"error\":\"Missing info_hash\"}\n".to_owned()), "{line}");
    }
    for line in [
        "GET /api/registry?info_hash=%ff",
        "GET /api/registry/search?q=%ff",
        "GET /api/registry/search?tags=%zz",
        "GET /api/registry/search?limit=%c3",
        "GET /api/blocklist?offset=%ff",
        "DELETE /api/registry?info_hash=a&reason=%ff",
        "GET /api/registry/torrent?info_hash=a&passkey=%ff",
    ] {
        let reply = ask(&mut Daemon::new(), LOCAL, line, "").expect_err(line);
        assert_eq!(text(reply), (400, "{\"error\":\"Invalid query parameter\"}\n".to_owned()), "{line}");
    }
    for verified in ["", "&verified=", "&verified=1", "&verified=TRUE"] {
        let line = format!("POST /api/registry/verify?info_hash=a{verified}");
        let reply = ask(&mut Daemon::new(), LOCAL, &line, "").expect_err(&line);
        assert_eq!(text(reply), (400, "{\"error\":\"Invalid verified\"}\n".to_owned()), "{line}");
    }
}

#[test]
fn parameters_are_form_decoded_and_the_first_counts() {
    let line = "GET /api/registry/search?q=a+b%2B&q=c&%71=d&category=&limit=7&unknown=%ff";
    let Question::Search(search) = question(ask(&mut Daemon::new(), LOCAL, line, "")) else { panic!() };
    assert_eq!((search.text.as_str(), search.category.as_str(), search.limit), ("a b+", "", 7));
    let upper = "GET /api/registry?info_hash=".to_owned() + &"AB".repeat(20);
    assert_eq!(question(ask(&mut Daemon::new(), LOCAL, &upper, "")), Question::Entry(hash()));
    let odd = question(ask(&mut Daemon::new(), LOCAL, "GET /api/registry?info_hash=Odd+Row", ""));
    assert_eq!(odd, Question::Entry(HashText("Odd Row".to_owned())));
}

/// The table of section 1: who may do what, with a key and without.
#[test]
fn writing_needs_the_key_or_this_machine() {
    let keyed = |settings: &mut Settings| settings.registry_key = Some(b"right".to_vec());
    let lines = [
        "POST /api/registry",
        "DELETE /api/registry?info_hash=a",
        "GET /api/blocklist",
        "DELETE /api/blocklist?info_hash=a",
        "POST /api/registry/verify?info_hash=a&verified=true",
    ];
    for line in lines {
        for fields in
            ["", "X-Weightless-Key:\r\n", "X-Weightless-Key: righ\r\n", "X-Weightless-Key: rightt\r\n"]
        {
            let reply = ask(&mut Daemon::with(keyed), LOCAL, line, fields).expect_err(line);
            assert_eq!(
                (reply.status, reply.text().as_str()),
                (401, "{\"error\":\"Unauthorized\"}\n"),
                "{line}"
            );
        }
        let right = "X-Weightless-Key: right\r\n";
        assert!(ask(&mut Daemon::with(keyed), REMOTE, line, right).is_ok(), "{line}");
        assert!(ask(&mut Daemon::new(), LOCAL, line, "").is_ok(), "{line}");
    }
    assert!(ask(&mut Daemon::new(), REMOTE, lines[0], "").is_ok(), "registering is open without a key");
    for line in &lines[1..] {
        let refused = |peer: &str, fields: &str| {
            let reply = ask(&mut Daemon::new(), peer, line, fields).expect_err(line);
            let text = "{\"error\":\"Forbidden: set REGISTRY_KEY\"}\n";
            assert_eq!((reply.status, reply.text().as_str()), (403, text), "{line} {peer} {fields}");
        };
        refused(REMOTE, "");
        for trace in
            ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: ::1", "Via: 1.1 p"]
        {
            refused(LOCAL, &format!("{trace}\r\n"));
        }
        refused(LOCAL, "Origin: http://localhost\r\n");
        refused("[2001:db8::1]:1", "");
        assert!(ask(&mut Daemon::new(), "[::1]:1", line, "").is_ok());
        assert!(ask(&mut Daemon::new(), "[::ffff:127.0.0.1]:1", line, "").is_ok());
    }
    for host in ["example.com", "192.0.2.1", "localhost.example.com"] {
        let request = format!("DELETE /api/registry?info_hash=a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(Daemon::new().ask(LOCAL, request).status, 403, "a rebound name: {host}");
    }
}

#[test]
fn a_takedown_carries_its_reason() {
    let mail = ask(&mut Daemon::new(), LOCAL, "DELETE /api/registry?info_hash=A&reason=a+b", "");
    match mail {
        Ok(Mail::Write(ToWriter::Takedown { hash, reason, at, .. })) => {
            assert_eq!((hash.0.as_str(), reason.as_str(), at), ("A", "a b", 1_700_000_040));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_answer_has_its_fields() {
    let row = || Row { json: b"{\"info_hash\":\"x\",".to_vec(), hashes: None };
    let entry = answered("GET /api/registry?info_hash=a", Answer::Entry(row()));
    assert_eq!((entry.status, entry.field("content-type")), (200, Some("application/json")));
    assert_eq!(entry.text(), "{\"info_hash\":\"x\",\"seeders\":0,\"leechers\":0}\n");
    let page = Answer::Page { rows: vec![row(), row()], total: 77 };
    let page = answered("GET /api/registry/search", page);
    assert_eq!(page.field("x-total-count"), Some("77"));
    assert_eq!(page.text().matches("seeders").count(), 2);
    let none = answered("GET /api/registry/search?q=x", Answer::Page { rows: Vec::new(), total: 0 });
    assert_eq!((none.text().as_str(), none.field("x-total-count")), ("[]\n", Some("0")));
    let magnet = answered("GET /api/registry/magnet?info_hash=a", Answer::Text("magnet:?xt=1".to_owned()));
    assert_eq!(
        (magnet.text().as_str(), magnet.field("content-type")),
        ("magnet:?xt=1\n", Some("text/plain"))
    );
}

fn file(sha256: Option<&str>) -> Answer {
    let kind = FileKind::Torrent;
    let (name, hash) = ("é \"x\"/y".to_owned(), "ff".to_owned());
    Answer::File { bytes: b"d4:infodee".to_vec(), kind, name, hash, sha256: sha256.map(str::to_owned) }
}

#[test]
fn a_download_can_be_cached_and_named() {
    let sha256 = "0123456789abcdef".repeat(4);
    let tag = "\"0123456789abcdef0123456789abcdef\"";
    for line in ["GET /api/registry/torrent?info_hash=a", "HEAD /api/registry/torrent?info_hash=a"] {
        let reply = answered(line, file(Some(&sha256)));
        assert_eq!((reply.status, reply.field("etag")), (200, Some(tag)), "{line}");
        assert_eq!(reply.field("content-type"), Some("application/x-bittorrent"));
        assert_eq!(reply.field("content-length"), Some("10"));
        assert_eq!(reply.field("cache-control"), Some("no-cache"));
        let named = "attachment; filename=\"_ x_y.torrent\"; filename*=UTF-8''%C3%A9%20x%5Fy.torrent";
        assert_eq!(reply.field("content-disposition"), Some(named));
        assert_eq!(reply.body.is_empty(), line.starts_with("HEAD"));
    }
    let Answer::File { bytes, name, hash, sha256: tagged, .. } = file(Some(&sha256)) else { unreachable!() };
    let small = Answer::File { kind: FileKind::Idtorrent, bytes, name, hash, sha256: tagged };
    let reply = answered("GET /api/registry/torrent?info_hash=a", small);
    assert_eq!((reply.field("content-type"), reply.field("etag")), (Some("application/json"), Some(tag)));
    let named = "attachment; filename=\"_ x_y.idtorrent\"; filename*=UTF-8''%C3%A9%20x%5Fy.idtorrent";
    assert_eq!(reply.field("content-disposition"), Some(named));
    let unchanged = answered("GET /api/registry/torrent?info_hash=a", Answer::NotModified { sha256 });
    assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some(tag)));
    assert_eq!(unchanged.field("cache-control"), Some("no-cache"));
    assert_eq!(unchanged.body, b"");
    let personal = answered("GET /api/registry/torrent?info_hash=a", file(None));
    assert_eq!((personal.field("etag"), personal.field("cache-control")), (None, Some("no-store")));
}

#[test]
fn what_the_client_has_and_who_it_is_go_to_the_store() {
    let line = "GET /api/registry/torrent?info_hash=".to_owned() + &"ab".repeat(20);
    let asked = |daemon: &mut Daemon, line: &str, fields: &str| ask(daemon, LOCAL, line, fields);
    let plain = Question::Torrent { hash: hash(), known: None, personal: None };
    assert_eq!(question(asked(&mut Daemon::new(), &line, "")), plain);
    let known = Some("\"a\",W/\"b\"".to_owned());
    let fields = "If-None-Match: \"a\"\r\nIf-None-Match: W/\"b\"\r\n";
    let expected = Question::Torrent { hash: hash(), known, personal: None };
    assert_eq!(question(asked(&mut Daemon::new(), &line, fields)), expected);

    let passkey = PasskeyKey::new(b"secret").sign("user").expect("a user id");
    let mut keyed = Daemon::with(|settings| {
        settings.tracker_secret = Some(b"secret".to_vec());
        settings.public_url = Some("https://T.example/bt".to_owned());
        settings.udp_port = Some(1337);
    });
    let hosts = vec!["t.example".to_owned(), "t.example".to_owned()];
    let personal = Some(Personal { passkey: passkey.clone(), hosts });
    let expected = Question::Torrent { hash: hash(), known: None, personal };
    assert_eq!(question(asked(&mut keyed, &format!("{line}&passkey={passkey}"), fields)), expected);
    for (daemon, passkey) in [(&mut keyed, "user.00"), (&mut Daemon::new(), passkey.as_str())] {
        let reply = asked(daemon, &format!("{line}&passkey={passkey}"), "").expect_err("a bad passkey");
        assert_eq!((reply.status, reply.text().as_str()), (401, "{\"error\":\"Unauthorized\"}\n"));
    }
    assert_eq!(question(asked(&mut keyed, &format!("{line}&passkey="), "")), plain, "empty is absent");
}

#[test]
fn a_magnet_names_the_trackers_a_client_can_reach() {
    let ask = |public: Option<&str>, udp_port: Option<u16>, request: &str| {
        let mut daemon = Daemon::with(|settings| {
            settings.public_url = public.map(str::to_owned);
            settings.udp_port = udp_port;
        });
        let conn = daemon.open(REMOTE);
        daemon.send(conn, request);
        match daemon.mail().pop() {
            Some(Mail::Read(ToReader::Ask { question: Question::Magnet { trackers, .. }, .. })) => trackers,
            other => panic!("{other:?}"),
        }
    };
    let get = |host: &str| format!("GET /api/registry/magnet?info_hash=a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let by_host = ["http://h:8080/announce", "udp://h:1337/announce"];
    assert_eq!(ask(None, Some(1337), &get("h:8080")), by_host);
    assert_eq!(ask(None, None, &get("h:8080")), by_host[..1]);
    let v6 = ["http://[::1]:1/announce", "udp://[::1]:2/announce"];
    assert_eq!(ask(None, Some(2), &get("[::1]:1")), v6);
    let public = ["https://t.example/bt/announce", "udp://t.example:1337/announce"];
    assert_eq!(ask(Some("https://t.example/bt"), Some(1337), &get("h")), public);
    let nameless = "GET /api/registry/magnet?info_hash=a HTTP/1.0\r\n\r\n";
    assert!(ask(None, Some(1), nameless).is_empty());
    assert!(ask(None, Some(1), &get("")).is_empty());
}

#[test]
fn an_answer_to_nobody_is_dropped() {
    let mut daemon = Daemon::new();
    let ticket = Ticket { connection: 3, serial: 9 };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer: file(None) });
    assert_eq!(daemon.resume(), None);
}
