//! `wl serve`: create, register, seed in one command, and again after a restart.

use crate::support::{Place, generated};
use crate::swarm::{Running, Seeder, get};
use crate::web::Web;
use std::fs;

const ANNOUNCED: (&str, &str, &[u8]) = ("/announce", "200 OK", b"d8:intervali1800e5:peers0:e");

fn serve(place: &Place, words: &[&str]) -> Running {
    Running::wl(place, &[&["serve", "--port", "0"], words].concat())
}

#[test]
fn data_is_made_into_a_torrent_registered_and_seeded() {
    let place = Place::new();
    place.file("d/a.bin", 300_000);
    place.file("d/b.bin", 5);
    let web = Web::answering(&[("/api/registry", "201 Created", b"{}"), ANNOUNCED]);
    let mut running = serve(&place, &["--tracker", &web.url, "--category", "x", "d"]);
    let hash = running.line_with("Hash:    ").split_off(9);
    assert!(running.line_with("Magnet:  ").contains("&dn=d&"));
    let seeder = Seeder::ready(running);
    let ran = get(&place, &["d.torrent", "-o", "out", "--peer", &seeder.address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(fs::read(place.path().join("out/d/a.bin")).expect("a file"), generated(300_000));
    assert_eq!(place.json("show d.torrent")["info_hash"].as_str(), Some(hash.as_str()));
    assert!(web.seen().iter().any(|line| line.starts_with("POST /api/registry ")), "{:?}", web.seen());
    seeder.running.signal("TERM");
    let ran = seeder.running.wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("Registered with "), "{}", ran.stderr);
}

/// A restart hashes nothing as long as the data looks the same; data that changed is another torrent, and that replaces
/// the old one only when told to.
#[test]
fn a_restart_takes_the_torrent_that_is_there() {
    let place = Place::new();
    place.file("d/a.bin", 300_000);
    let words = ["--out", "state/t.torrent", "--no-register", "--for", "0", "d"];
    let begin = |more: &[&str]| serve(&place, &[more, &words].concat()).wait();
    let first = begin(&[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stderr.contains("Creating torrent for "), "{}", first.stderr);
    let torrent = fs::read(place.path().join("state/t.torrent")).expect("the torrent");
    let second = begin(&[]);
    assert_eq!(
        (second.code, &second.stdout.lines().count()),
        (0, &first.stdout.lines().count()),
        "{}",
        second.stderr
    );
    assert!(!second.stderr.contains("Creating torrent for "), "{}", second.stderr);
    assert_eq!(fs::read(place.path().join("state/t.torrent")).expect("the torrent"), torrent);
    // Told otherwise it is made again.
    let other = begin(&["--comment", "c", "--announce", "http://192.0.2.1/announce"]);
    assert!(other.code == 0 && other.stderr.contains("Creating torrent for "), "{}", other.stderr);

    place.file("d/new.bin", 7);
    let changed = begin(&[]);
    assert_eq!(changed.code, 4, "{}", changed.stderr);
    assert!(changed.stderr.contains("state/t.torrent exists and differs"), "{}", changed.stderr);
    assert_eq!(begin(&["--force"]).code, 0);
    let again = begin(&[]);
    assert!(again.code == 0 && !again.stderr.contains("Creating torrent for "), "{}", again.stderr);
    let mut data = generated(300_000);
    data[0] ^= 1;
    place.bytes("d/a.bin", &data);
    assert_eq!(begin(&[]).code, 4, "the data has changed under its name");
}

/// The registry comes up after the seeder, as after a power cut.
#[test]
fn a_registry_that_does_not_answer_is_asked_again() {
    let place = Place::new();
    place.file("f.bin", 1000);
    let web = Web::answering(&[("/api/registry", "503 Service Unavailable", b"{}"), ANNOUNCED]);
    let running = serve(&place, &["--tracker", &web.url, "--for", "7", "f.bin"]);
    let ran = running.wait();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let posts = web.seen().iter().filter(|line| line.starts_with("POST ")).count();
    assert_eq!(posts, 2, "at once, and after five seconds: {:?}", web.seen());
    let required = serve(&place, &["--tracker", &web.url, "--require-register", "f.bin"]).wait();
    assert_eq!(required.code, 5, "{}", required.stderr);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let place = Place::new();
    place.file("f.bin", 1000);
    for (words, code) in
        [(&["--out", "-", "f.bin"][..], 2), (&[], 2), (&["missing"], 3), (&["--stream", "http://x/y"], 2)]
    {
        assert_eq!(serve(&place, &[&["--no-register"], words].concat()).wait().code, code, "{words:?}");
    }
}

#[test]
fn a_signed_torrent_shows_its_key() {
    let place = Place::new();
    place.file("f.bin", 1000);
    assert_eq!(place.wl("keygen key.pem").code, 0);
    let words = ["--no-register", "--sign", "--key", "key.pem", "f.bin"];
    let mut running = serve(&place, &words);
    let key = running.line_with("Key:     ").split_off(9);
    assert!(key.len() == 64 && place.json("show f.bin.torrent").to_string().contains(&key), "{key}");
    drop(running);
    let mut running = serve(&place, &[&["--json-events"], &words[..]].concat());
    let event: serde_json::Value = serde_json::from_str(&running.line()).expect("JSON");
    assert_eq!(event["publisher_key"].as_str(), Some(key.as_str()), "{event}");
}
