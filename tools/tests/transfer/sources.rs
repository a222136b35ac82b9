//! What can be downloaded from: every form of SOURCE, and what is said of anything else.

use crate::support::{Place, Ran, generated};
use crate::swarm::{NOBODY, Running, Seeder, command, create, get};
use crate::web::Web;
use std::io::Write;
use std::process::Stdio;

const LENGTH: usize = 700_000;

fn published() -> (Place, Seeder) {
    let place = Place::new();
    place.file("f.bin", LENGTH);
    create(&place, "f.bin", &[]);
    let seeder = Seeder::start(&place, &["f.bin.torrent"]);
    (place, seeder)
}

fn arrived(place: &Place, ran: &Ran, output: &str) {
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, format!("Done: {output}/f.bin\n").as_str()),
        "{}",
        ran.stderr
    );
    assert_eq!(std::fs::read(place.path().join(output).join("f.bin")).expect("the file"), generated(LENGTH));
}

fn hashes(place: &Place) -> (String, String) {
    let shown = place.json("show f.bin.torrent");
    let text = |key: &str| shown[key].as_str().expect(key).to_owned();
    (text("info_hash"), text("v1_info_hash"))
}

/// With the metadata from peers: `magnet:` of a hybrid, of its v2 hash alone, of its v1 hash alone, and bare hashes.
#[test]
fn links_and_hashes_are_completed_from_peers_alone() {
    let (place, seeder) = published();
    let (v2, v1) = hashes(&place);
    let bytes = data_encoding::HEXLOWER.decode(v1.as_bytes()).expect("hex");
    let sources = [
        place.wl("magnet f.bin.torrent").stdout.trim().to_owned(),
        format!("magnet:?xt=urn:btmh:1220{v2}"),
        format!("magnet:?xt=urn:btih:{v1}&dn=other&x.pe={}", seeder.address),
        v2.clone(),
        v1.clone(),
        data_encoding::BASE32.encode(&bytes),
        data_encoding::BASE32.encode(&bytes).to_lowercase(),
    ];
    for (n, source) in sources.iter().enumerate() {
        let output = format!("out{n}");
        let ran = get(&place, &[source, "-o", &output, "--peer", &seeder.address]);
        arrived(&place, &ran, &output);
        assert!(
            ran.stderr.contains("registry has no entry; fetching metadata from peers (BEP 9)..."),
            "{}",
            ran.stderr
        );
        let saved =
            std::fs::read(place.path().join(&output).join("f.bin.torrent")).expect("the torrent is kept");
        let shown = place.json(&format!("show {output}/f.bin.torrent"));
        assert_eq!(shown["info_hash"].as_str(), Some(v2.as_str()), "{} bytes", saved.len());
    }
    let ran = get(&place, &[&v1, "-o", "lean", "--no-save-torrent", "--peer", &seeder.address]);
    arrived(&place, &ran, "lean");
    assert_eq!(crate::swarm::names(&place.path().join("lean")), ["f.bin"]);
}

#[test]
fn files_urls_and_stdin_are_read() {
    let (place, seeder) = published();
    let torrent = std::fs::read(place.path().join("f.bin.torrent")).expect("a torrent");
    let web = Web::answering(&[("/x.torrent", "200 OK", &torrent), ("/page", "200 OK", b"<html>")]);
    let url = format!("{}/x.torrent", web.url);
    for (n, source) in ["f.bin.torrent", &url].iter().enumerate() {
        let output = format!("out{n}");
        arrived(&place, &get(&place, &[source, "--output", &output, "--peer", &seeder.address]), &output);
        let saved =
            std::fs::read(place.path().join(&output).join("f.bin.torrent")).expect("the torrent is kept");
        assert_eq!(saved, torrent, "byte for byte");
    }
    let link = place.wl("magnet f.bin.torrent").stdout;
    for (n, input) in [torrent.as_slice(), link.as_bytes()].into_iter().enumerate() {
        let output = format!("in{n}");
        let mut command = command(place.path(), &["get", "-", "-o", &output, "--peer", &seeder.address]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("wl starts");
        child.stdin.take().expect("piped").write_all(input).expect("it reads");
        let done = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&done.stdout), format!("Done: {output}/f.bin\n"));
    }
    let page = get(&place, &[&format!("{}/page", web.url)]);
    assert_eq!(page.code, 3, "{}", page.stderr);
    assert!(
        page.stderr.contains("not a magnet link, torrent, idtorrent, URL or info hash"),
        "{}",
        page.stderr
    );
    let gone = get(&place, &[&format!("{}/gone", web.url)]);
    assert_eq!(gone.code, 6, "{}", gone.stderr);
    let nobody = get(&place, &[&format!("{NOBODY}/x.torrent")]);
    assert_eq!(nobody.code, 5, "{}", nobody.stderr);
}

/// The registries a link names come before that of `--tracker`, and none of them is believed.
#[test]
fn a_registry_is_asked_first_and_its_answer_must_be_what_was_asked_for() {
    let (place, seeder) = published();
    let torrent = std::fs::read(place.path().join("f.bin.torrent")).expect("a torrent");
    place.file("other.bin", 5);
    create(&place, "other.bin", &[]);
    let other = std::fs::read(place.path().join("other.bin.torrent")).expect("a torrent");
    let liar = Web::answering(&[("/api/registry/torrent", "200 OK", &other)]);
    let honest = Web::answering(&[("/api/registry/torrent", "200 OK", &torrent)]);
    let (v2, _) = hashes(&place);
    let link = format!("magnet:?xt=urn:btmh:1220{v2}&tr={}/announce", liar.url);
    let peer = ["--peer", &seeder.address];

    let ran = get(&place, &[&[link.as_str(), "-o", "a", "--tracker", &honest.url], &peer[..]].concat());
    arrived(&place, &ran, "a");
    assert!(ran.stderr.contains("Warning: ") && !ran.stderr.contains("BEP 9"), "{}", ran.stderr);
    assert!(liar.seen().iter().any(|line| line.contains("/api/registry/torrent")), "{:?}", liar.seen());
    // Without the honest one peers are asked.
    let ran = get(&place, &[&[link.as_str(), "-o", "b"], &peer[..]].concat());
    arrived(&place, &ran, "b");
    assert!(ran.stderr.contains("BEP 9"), "{}", ran.stderr);
}

#[test]
fn what_is_nothing_of_the_kind_is_refused_in_words() {
    let place = Place::new();
    place.bytes("junk", b"hello");
    for (source, code, says) in [
        ("junk", 3, "wl: not a magnet link, torrent, idtorrent, URL or info hash"),
        ("missing", 3, "wl: missing: no such file or directory"),
        ("magnet:?dn=x", 3, "wl: "),
        ("", 2, "wl: SOURCE is empty"),
    ] {
        let ran = get(&place, &[source]);
        assert_eq!(ran.code, code, "{source}: {}", ran.stderr);
        assert!(ran.stderr.starts_with(says) && ran.stdout.is_empty(), "{source}: {}", ran.stderr);
    }
    for words in [
        &["--timeout", "soon"][..],
        &["--port", "65536"],
        &["--peer", "localhost"],
        &["--max-peers", "0"],
        &["--down", "5"],
        &["--up", "x"],
        &["--ratio", "-1"],
        &["--for", "1d"],
        &["--memory", "1K"],
        &["--files", "3-1"],
        &["--threads", "0"],
        &["--sed"],
    ] {
        let ran = Running::wl(&place, &[&["get", "junk"], words].concat()).wait();
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words[0].trim_start_matches('-').get(..2).unwrap()), "{}", ran.stderr);
    }
}
