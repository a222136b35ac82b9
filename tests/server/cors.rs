//! Registry-api section 7: which web pages may use the registry, and what they are told.

use crate::support::{Daemon, Reply};
use weightless::server::Origins;

const PAGE: &str = "https://page.example";

fn listed() -> Origins {
    Origins::Listed(vec!["https://other.example".to_owned(), PAGE.to_owned()])
}

fn ask(origins: Origins, line: &str, fields: &str) -> Reply {
    let mut daemon = Daemon::with(|settings| settings.origins = origins);
    let length = if line.starts_with("POST") { "Content-Length: 0\r\n" } else { "" };
    daemon.ask("127.0.0.1:1", format!("{line} HTTP/1.1\r\nHost: localhost\r\n{length}{fields}\r\n"))
}

#[test]
fn a_page_that_is_let_in_may_read_answers_and_errors() {
    let origin = format!("Origin: {PAGE}\r\n");
    for line in ["GET /api/registry", "GET /api/nothing", "PUT /api/registry", "GET /api/registry/meta"] {
        let any = ask(Origins::Any, line, &origin);
        assert_eq!(any.field("access-control-allow-origin"), Some("*"), "{line}");
        assert_eq!(any.field("vary"), None);
        let listed = ask(listed(), line, &origin.to_uppercase().replace("ORIGIN", "Origin"));
        assert_eq!(listed.field("access-control-allow-origin"), Some(PAGE), "{line}");
        assert_eq!(listed.field("vary"), Some("Origin"));
        for reply in [any, listed] {
            let exposed = reply.field("access-control-expose-headers");
            assert_eq!(exposed, Some("X-Total-Count, ETag, Content-Disposition"), "{line}");
            assert_eq!(reply.field("access-control-allow-credentials"), None);
            assert!(reply.status >= 400);
        }
    }
}

#[test]
fn everybody_else_is_told_nothing() {
    let silent = |reply: &Reply| !reply.head.to_ascii_lowercase().contains("access-control");
    let foreign = "Origin: https://evil.example\r\n";
    for (origins, fields) in [
        (Origins::None, foreign),
        (Origins::Any, ""),
        (listed(), foreign),
        (listed(), ""),
        (listed(), "Origin: null\r\n"),
    ] {
        for line in ["GET /api/registry", "OPTIONS /api/registry"] {
            let shown = format!("{origins:?} {line} {fields}");
            let reply =
                ask(origins.clone(), line, &format!("{fields}Access-Control-Request-Method: POST\r\n"));
            assert!(silent(&reply), "{shown}: {}", reply.head);
        }
    }
    for line in ["GET /", "GET /metrics", "GET /announce", "GET /scrape", "GET /robots.txt"] {
        assert!(silent(&ask(Origins::Any, line, &format!("Origin: {PAGE}\r\n"))), "{line}");
    }
}

#[test]
fn a_preflight_is_given_leave() {
    for line in ["/api/registry", "/api/registry/search", "/api/blocklist", "/api/registry/verify"] {
        let fields = format!("Origin: {PAGE}\r\nAccess-Control-Request-Method: POST\r\n");
        let reply = ask(listed(), &format!("OPTIONS {line}"), &fields);
        assert_eq!((reply.status, reply.field("access-control-allow-origin")), (204, Some(PAGE)));
        let methods = reply.field("access-control-allow-methods");
        assert_eq!(methods, Some("GET, HEAD, POST, DELETE, OPTIONS"));
        assert_eq!(reply.field("access-control-allow-headers"), Some("Content-Type, X-Weightless-Key"));
        assert_eq!(reply.field("access-control-max-age"), Some("600"));
        assert!(reply.field("allow").is_some(), "it is an OPTIONS all the same");
    }
    let plain = ask(listed(), "OPTIONS /api/registry", &format!("Origin: {PAGE}\r\n"));
    assert_eq!((plain.status, plain.field("access-control-max-age")), (204, None));
}

/// Without a key anybody may register, but a page that somebody happens to look at may not do it for them.
#[test]
fn a_strange_page_cannot_write_to_a_tracker_without_a_key() {
    let post = |origins: Origins, host: &str, origin: &str| {
        let mut daemon = Daemon::with(|settings| {
            settings.origins = origins;
            settings.public_url = Some("https://tracker.example".to_owned());
        });
        let conn = daemon.open("127.0.0.1:1");
        let request = format!(
            "POST /api/registry HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let (out, _) = daemon.send(conn, request);
        if out.is_empty() { 0 } else { Reply::all(&out)[0].status }
    };
    for (host, origin) in [
        ("localhost:8080", "http://evil.example"),
        ("localhost:8080", "http://localhost:3000"),
        ("localhost:8080", "null"),
        // A name that was bound to this machine's address after its page had been loaded.
        ("evil.example:8080", "http://evil.example:8080"),
    ] {
        assert_eq!(post(Origins::None, host, origin), 403, "{origin}");
        assert_eq!(post(listed(), host, origin), 403, "{origin}");
        assert_eq!(post(Origins::Any, host, origin), 0, "{origin}");
    }
    for (host, origin) in [
        ("localhost:8080", "http://localhost:8080"),
        ("192.0.2.9:8080", "http://192.0.2.9:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("tracker.example", "https://tracker.example"),
    ] {
        assert_eq!(post(Origins::None, host, origin), 0, "our own page at {host}");
    }
    assert_eq!(post(listed(), "tracker.example", PAGE), 0);
}

#[test]
fn with_a_key_the_origin_does_not_matter() {
    let mut daemon = Daemon::with(|settings| settings.registry_key = Some(b"key".to_vec()));
    let conn = daemon.open("192.0.2.1:1");
    let request = "POST /api/registry HTTP/1.1\r\nHost: t\r\nOrigin: http://evil.example\r\nX-Weightless-Key: key\r\n\
                   Content-Length: 2\r\n\r\n{}";
    assert_eq!(daemon.send(conn, request).0, b"", "it waits for the store");
}
