//! Whom a download trusts: signatures before any data is asked for, web seeds where they are wanted, no secret in sight.

use crate::support::Place;
use crate::swarm::{Running, Seeder, create, get, names};
use crate::web::Web;
use std::fs;

#[test]
fn a_signature_that_is_asked_for_comes_before_any_data() {
    let place = Place::new();
    place.file("f.bin", 200_000);
    for key in ["one", "two"] {
        assert_eq!(place.wl(&format!("keygen {key}.pem")).code, 0);
    }
    create(&place, "f.bin", &["--out", "plain.torrent"]);
    create(&place, "f.bin", &["--out", "signed.torrent", "--sign", "--key", "one.pem"]);
    let seeder = Seeder::start(&place, &["plain.torrent"]);
    let peer = ["-o", "out", "--peer", &seeder.address];
    for words in [
        &["plain.torrent", "--require-signature"][..],
        &["plain.torrent", "--require-key", "one.pub"],
        &["signed.torrent", "--require-key", "two.pub"],
    ] {
        let ran = get(&place, &[words, &peer].concat());
        assert_eq!(ran.code, 7, "{words:?}: {}", ran.stderr);
        assert!(!place.path().join("out").exists(), "{words:?}: nothing is made");
    }
    let words = ["signed.torrent", "--require-key", "two.pub", "--require-key", "one.pub"];
    let ran = get(&place, &[&words, &peer[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("Done: out/f.bin\nVerified: "), "{}", ran.stdout);
    let ran = get(&place, &[&["signed.torrent", "--json", "--require-signature"], &peer[..]].concat());
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (said["signature"].as_str(), said["publisher_keys"].as_array().map(Vec::len)),
        (Some("valid"), Some(1))
    );
}

#[test]
fn a_web_seed_is_enough_unless_it_is_not_wanted() {
    let place = Place::new();
    let file = place.file("f.bin", 200_000);
    // It ignores ranges, which is fine for a small file.
    let web = Web::answering(&[("/f.bin", "200 OK", &fs::read(file).expect("a file"))]);
    create(&place, "f.bin", &["--webseed", &format!("{}/f.bin", web.url)]);
    let ran = get(&place, &["f.bin.torrent", "-o", "out", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((said["webseeds"].as_u64(), said["peers"].as_u64()), (Some(1), Some(0)), "{said}");
    let ran = get(&place, &["f.bin.torrent", "-o", "other", "--no-webseeds"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
}

#[test]
fn a_secret_is_nowhere_to_be_seen() {
    let place = Place::new();
    place.file("f.bin", 200_000);
    create(&place, "f.bin", &["--no-tracker"]);
    let web = Web::answering(&[("/announce", "200 OK", b"d14:failure reason6:Unauthe")]);
    let with = ["--secret", "s3cret", "--user-id", "bob", "--tracker", &web.url, "-v"];
    let mut said = String::new();
    for json in ["--json", "--json-events", "--no-pex"] {
        let ran = get(&place, &[&["f.bin.torrent", "-o", "out", json], &with[..]].concat());
        assert_eq!(ran.code, 6, "{}", ran.stderr);
        said += &(ran.stdout + &ran.stderr);
    }
    let ran =
        Running::wl(&place, &[&["seed", "--port", "0", "--for", "1", "f.bin.torrent"], &with[..]].concat())
            .wait();
    said += &(ran.stdout + &ran.stderr);
    assert!(!said.contains("s3cret"), "{said}");
    for name in names(place.path()) {
        let bytes = fs::read(place.path().join(&name)).expect("a file");
        assert!(!bytes.windows(6).any(|six| six == b"s3cret"), "{name}");
    }
    let seen = web.seen();
    assert!(
        seen.iter().any(|line| line.contains("/announce/bob.")) && !seen.concat().contains("s3cret"),
        "{seen:?}"
    );
}
