//! The page at `/`: who gets it, what is asked of the store for it, how it is framed and fenced in, and what becomes of
//! it when the store cannot answer. What a browser makes of it is in the live tests.

use crate::support::{Daemon, HOST, NOW, Reply, hash, settings};
use weightless::base::{InfoHashes, V1Hash};
use weightless::mailbox::{FromStore, Ticket, ToReader};
use weightless::registry::html::{Html, Part};
use weightless::registry::{Answer, HashText, Question, Search, Sort, api};
use weightless::server::Mail;

const PEER: &str = "192.0.2.1:1";
const FILES: [(&str, &str); 4] = [
    ("/web/app.js", "text/javascript; charset=utf-8"),
    ("/web/worker.js", "text/javascript; charset=utf-8"),
    ("/web/style.css", "text/css; charset=utf-8"),
    ("/web/icon.svg", "image/svg+xml"),
];

fn request(method: &str, target: &str, accept: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\n{HOST}Accept: {accept}\r\n\r\n")
}

/// What the store is asked for the page at `target`.
fn asked(daemon: &mut Daemon, target: &str) -> (Ticket, Question) {
    let conn = daemon.open(PEER);
    let (out, _) = daemon.send(conn, request("GET", target, "text/html"));
    assert!(out.is_empty(), "{}", String::from_utf8_lossy(&out));
    let mut mail = daemon.mail();
    let Some(Mail::Read(ToReader::Ask { ticket, question })) = mail.pop() else { panic!("{mail:?}") };
    (ticket, question)
}

fn answered(daemon: &mut Daemon, ticket: Ticket, answer: Answer) -> Reply {
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer });
    let (conn, mut out, _) = daemon.resume().expect("an answer");
    // A long one is written from where it lies.
    loop {
        let more = daemon.server.output(conn).to_vec();
        if more.is_empty() {
            break;
        }
        daemon.server.sent(daemon.now, conn, more.len());
        out.extend(more);
    }
    Reply::read(&out, false).expect("a whole answer").0
}

fn html(tail: &str) -> Html {
    let part = |byte| Part {
        html: format!("<p id=\"of-{byte}\">"),
        hashes: (byte > 0).then_some(InfoHashes::V1(V1Hash([byte; 20]))),
    };
    Html { title: "A <b> & c".to_owned(), parts: vec![part(1), part(2), part(0)], tail: tail.to_owned() }
}

#[test]
fn only_who_names_html_gets_the_page() {
    for accept in ["text/html", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "a/b, TEXT/HTML ;q=0.1"] {
        let question = asked_with(accept);
        assert!(question.is_some(), "{accept}");
    }
    for accept in ["*/*", "text/*", "text/plain", "", "text/html;q=0", "text/htmlx", "application/json"] {
        let mut daemon = Daemon::new();
        let reply = daemon.ask(PEER, request("GET", "/", accept));
        assert_eq!(reply.text(), "Weightless Tracker v1.0", "{accept}");
        assert_eq!(reply.field("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.field("vary"), Some("Accept"), "a cache must keep both apart");
    }
    let plain = Daemon::new().get(PEER, "/");
    assert_eq!((plain.status, plain.text().as_str()), (200, "Weightless Tracker v1.0"));
}

fn asked_with(accept: &str) -> Option<Mail> {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let (out, _) = daemon.send(conn, request("GET", "/", accept));
    assert!(out.is_empty(), "{accept}");
    daemon.mail().pop()
}

#[test]
fn the_address_says_what_is_looked_for() {
    let mut daemon = Daemon::with(|settings| {
        settings.public_url = Some("https://t.example".to_owned());
        settings.udp_port = Some(1337);
    });
    let (_, question) = asked(&mut daemon, "/");
    assert_eq!(question, Question::ListPage(Search { limit: 25, ..Search::default() }));
    let query = "/?q=a+b%25&category=c&publisher=%C3%A9&tags=t&sort=seeders&offset=50&limit=3&unknown=1";
    let (_, question) = asked(&mut daemon, query);
    let search = Search {
        text: "a b%".to_owned(),
        category: "c".to_owned(),
        publisher: "é".to_owned(),
        tags: "t".to_owned(),
        sort: Sort::Seeders,
        limit: 25,
        offset: 50,
    };
    assert_eq!(question, Question::ListPage(search));
    let (_, question) = asked(&mut daemon, &format!("/?q=x&info_hash={}", "AB".repeat(20)));
    let trackers = vec!["https://t.example/announce".to_owned(), "udp://t.example:1337/announce".to_owned()];
    assert_eq!(question, Question::EntryPage { hash: HashText("ab".repeat(20)), trackers });

    let bad = daemon.ask(PEER, request("GET", "/?q=%ff", "text/html"));
    assert_eq!((bad.status, bad.field("content-type")), (400, Some("text/html; charset=utf-8")));
}

#[test]
fn pages_carry_live_counts_and_a_strict_policy() {
    let mut daemon =
        Daemon::with(|settings| settings.public_url = Some("https://t.example/\"<x>".to_owned()));
    daemon.announce("192.0.2.9:1", &hash(1), "left=0");
    daemon.announce("192.0.2.10:1", &hash(1), "left=0&peer_id=-XX0001-abcdefghijkm");
    daemon.announce("192.0.2.11:1", &hash(2), "left=7");
    daemon.mail();
    let (ticket, _) = asked(&mut daemon, "/");
    let reply = answered(&mut daemon, ticket, Answer::Html(html("</p><!--end-->")));
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = reply.text();
    for part in [
        "<!doctype html>",
        "<title>A &lt;b&gt; &amp; c · Weightless</title>",
        "data-public=\"https://t.example/&quot;&lt;x&gt;\"",
        "<p id=\"of-1\"><span class=\"n seeds up\">2 seeders</span> <span class=\"n\">0 leechers</span>",
        "<p id=\"of-2\"><span class=\"n seeds\">0 seeders</span> <span class=\"n\">1 leecher</span>",
        "<p id=\"of-0\"><span class=\"n seeds\">0 seeders</span>",
        "</p><!--end-->",
        "</html>",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let policy = reply.field("content-security-policy").expect("a policy");
    for rule in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains("http"), "{policy}");
    assert_eq!(reply.field("vary"), Some("Accept"));
    assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.field("cache-control"), Some("no-cache"));
    assert!(!text.contains("{title}") && !text.contains("{page}") && !text.contains("{public}"));
}

/// HEAD asks the store as well: the length is that of the page.
#[test]
fn head_has_the_fields_of_the_page() {
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    let (out, _) = daemon.send(conn, request("HEAD", "/", "text/html"));
    assert!(out.is_empty());
    let Some(Mail::Read(ToReader::Ask { ticket, .. })) = daemon.mail().pop() else { panic!("a question") };
    daemon.server.delivered(daemon.now, FromStore::Answered { ticket, answer: Answer::Html(html("</p>")) });
    let (_, out, _) = daemon.resume().expect("an answer");
    let head = Reply::read(&out, true).expect("a whole head").0;
    let (ticket, _) = asked(&mut daemon, "/");
    let page = answered(&mut daemon, ticket, Answer::Html(html("</p>")));
    assert_eq!(head.field("content-length"), page.field("content-length"));
    assert_eq!(head.field("content-length"), Some(page.body.len().to_string().as_str()));
    assert!(out.ends_with(b"\r\n\r\n"), "no body");
}

#[test]
fn the_page_knows_whether_clients_need_a_passkey() {
    let mut daemon = Daemon::new();
    let mut newer = settings();
    newer.rate = (0, 0);
    let page = |daemon: &mut Daemon| {
        let (ticket, _) = asked(daemon, "/");
        answered(daemon, ticket, Answer::Html(html("</p>"))).text()
    };
    assert!(page(&mut daemon).contains("data-passkey=\"\""));
    newer.tracker_secret = Some(b"secret".to_vec());
    daemon.server.reload(daemon.now, newer);
    assert!(page(&mut daemon).contains("data-passkey=\"1\""));
}

#[test]
fn a_long_page_arrives_whole() {
    let mut daemon = Daemon::new();
    let (ticket, _) = asked(&mut daemon, "/");
    let long = "x".repeat(300_000);
    let reply = answered(&mut daemon, ticket, Answer::Html(html(&long)));
    assert!(reply.text().contains(&long) && reply.text().ends_with("</html>\n"));
}

#[test]
fn what_goes_wrong_is_said_on_a_page() {
    for (error, words) in [
        (api::NOT_FOUND, "Nothing is registered"),
        (api::DATABASE_BUSY, "busy"),
        (api::DATABASE_ERROR, "log"),
    ] {
        let mut daemon = Daemon::new();
        let (ticket, _) = asked(&mut daemon, "/?info_hash=x");
        let reply = answered(&mut daemon, ticket, Answer::Error(error));
        assert_eq!(reply.status, error.status);
        assert_eq!(reply.field("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(reply.field("retry-after").is_some(), error.status == 503);
        // The rest of the page is there: files can be hashed all the same.
        assert!(reply.text().contains(words) && reply.text().contains("id=\"share\""), "{}", reply.text());
    }
    // A full mailbox.
    let mut daemon = Daemon::new();
    let conn = daemon.open(PEER);
    daemon.send(conn, request("GET", "/", "text/html"));
    let mail = daemon.mail().pop().expect("a question");
    daemon.server.refused(NOW, mail);
    let (_, out, _) = daemon.resume().expect("an answer");
    let reply = Reply::read(&out, false).expect("a whole answer").0;
    assert_eq!((reply.status, reply.field("content-type")), (503, Some("text/html; charset=utf-8")));
}

/// Pages ask the store, so they take part in the limit; the line for monitors and the files without which a page would
/// be broken do not.
#[test]
fn pages_take_part_in_the_limit_of_requests() {
    let mut daemon = Daemon::with(|settings| settings.rate = (1, 2));
    for _ in 0..2 {
        asked(&mut daemon, "/");
    }
    let reply = daemon.ask(PEER, request("GET", "/", "text/html"));
    assert_eq!((reply.status, reply.field("retry-after")), (429, Some("1")));
    assert!(reply.text().contains("Too many requests"), "{}", reply.text());
    assert_eq!(daemon.ask(PEER, request("GET", "/", "*/*")).status, 200);
    for (file, _) in FILES {
        assert_eq!(daemon.get(PEER, file).status, 200, "{file}");
    }
}

#[test]
fn files_are_served_from_memory_and_revalidated() {
    let mut daemon = Daemon::new();
    for (file, kind) in FILES {
        let reply = daemon.get(PEER, file);
        assert_eq!((reply.status, reply.field("content-type")), (200, Some(kind)), "{file}");
        assert_eq!(reply.field("cache-control"), Some("no-cache"));
        assert_eq!(reply.field("x-content-type-options"), Some("nosniff"));
        assert!(reply.field("content-security-policy").is_some(), "a worker takes its own");
        assert!(!reply.body.is_empty());
        let tag = reply.field("etag").expect("a tag").to_owned();
        let again = |tag: &str| format!("GET {file} HTTP/1.1\r\n{HOST}If-None-Match: {tag}\r\n\r\n");
        let fresh = daemon.ask(PEER, again(&tag));
        assert_eq!(
            (fresh.status, fresh.field("etag"), fresh.body.len()),
            (304, Some(tag.as_str()), 0),
            "{file}"
        );
        assert_eq!(daemon.ask(PEER, again("\"another\"")).status, 200, "{file}");
        let head = daemon.ask(PEER, format!("HEAD {file} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(head.field("content-length"), reply.field("content-length"), "{file}");
        let post = daemon.ask(PEER, format!("POST {file} HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n"));
        assert_eq!((post.status, post.field("allow")), (405, Some("GET, HEAD, OPTIONS")), "{file}");
        assert!(daemon.mail().is_empty(), "nobody is asked for a file");
    }
    for path in ["/web", "/web/", "/web/index.html", "/web/app.js/", "/web/../Cargo.toml"] {
        assert_eq!(daemon.get(PEER, path).status, 404, "{path}");
    }
}
