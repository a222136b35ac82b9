//! Keys, `sign`, `create --sign`, and what `show` and `verify` say of signatures.

use crate::registering::Registry;
use crate::support::Place;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
const KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const SIGNED: &str = "22ab78f140ff91122ffba36a057e2205a58e55c3f9fb754f7c8c84889a03a2ac\
                      e7c66605178fbec51db4df245e91825ff9c3ab75b43e9e79fed3674ef48a6b0b";

fn key(place: &Place, path: &str) {
    let path = place.bytes(path, PEM.as_bytes());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_key_pair_is_made_once_and_for_its_owner_only() {
    let place = Place::new();
    let ran = place.wl("keygen");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let key = ran.stdout.strip_prefix("Key: ").unwrap().trim().to_string();
    assert_eq!(key.len(), 64);
    let mode = std::fs::metadata(place.path().join("wl-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(place.path().join("wl-key.pem")).unwrap();
    let again = place.wl("keygen");
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert!(again.stderr.contains("wl-key.pem exists; a key is never overwritten"));
    assert_eq!(std::fs::read(place.path().join("wl-key.pem")).unwrap(), before);
    // A public key in the way: no half of a pair stays.
    place.bytes("other.pub", b"x");
    assert_eq!(place.wl("keygen other.pem").code, 4);
    assert!(!place.path().join("other.pem").exists());
    assert_eq!(place.json("keygen plain")["public"], "plain.pub");
    assert_ne!(place.json("keygen second.pem")["key"], key);
    assert_eq!(place.wl("keygen nowhere/key.pem").code, 4);
    assert_eq!(place.wl("keygen -").code, 2);
    // What was made is what signs.
    place.file("f.bin", 5);
    let made = place.json("create --no-register --sign f.bin");
    assert_eq!(made["publisher_key"], key);
}

#[test]
fn create_and_sign_give_the_specified_signature() {
    let place = Place::new();
    place.file("f.bin", 1);
    key(&place, "wl-key.pem");
    let ran = place.wl("create --no-register --no-tracker --no-date --sign f.bin");
    assert!(ran.stdout.contains(&format!("\nKey:     {KEY}\nMagnet:")), "{}", ran.stdout);
    let file = place.path().join("f.bin.torrent");
    let created = std::fs::read(&file).unwrap();
    assert_eq!(created.len(), 358);
    place.wl("create --no-register --no-tracker --no-date --force f.bin");
    let ran = place.wl("sign f.bin.torrent");
    assert_eq!((ran.code, ran.stdout), (0, format!("Signature: {SIGNED}\n")), "{}", ran.stderr);
    assert_eq!(std::fs::read(&file).unwrap(), created);
    let object = place.json("sign f.bin.torrent");
    assert_eq!((&object["alg"], &object["v"]), (&"ed25519".into(), &1.into()));
    assert_eq!((&object["pub"], &object["sig"]), (&KEY.into(), &SIGNED.into()));
    assert_eq!(std::fs::read(&file).unwrap(), created, "the same signature again");
    // Another publisher joins; the first one's object stays.
    place.wl("keygen second.pem");
    assert_eq!(place.wl("sign --key second.pem f.bin.torrent").code, 0);
    assert_eq!(std::fs::read(&file).unwrap().len(), 358 + 134);
    let shown = place.json("show f.bin.torrent");
    let signatures = shown["signatures"].as_array().unwrap();
    assert!(signatures.len() == 2 && signatures.iter().all(|signature| signature["valid"] == true));
    assert_eq!(shown["info_hash"], "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7");
}

#[test]
fn without_a_usable_key_nothing_is_written() {
    let place = Place::new();
    place.file("f.bin", 1);
    let ran = place.wl("create --no-register --sign f.bin");
    assert_eq!((ran.code, ran.stderr.as_str()), (2, "wl: no signing key; run wl keygen\n"));
    for (name, content, says) in [
        ("encrypted", PEM.replace("PRIVATE", "ENCRYPTED PRIVATE"), "key file is encrypted; decrypt it first"),
        ("rsa", PEM.replace("PRIVATE", "RSA PRIVATE"), "not an Ed25519 key"),
        ("public", format!("{KEY}\n"), "a public key cannot sign"),
    ] {
        place.bytes(name, content.as_bytes());
        let ran = place.wl(&format!("create --no-register --sign --key {name} f.bin"));
        assert_eq!((ran.code, ran.stderr), (3, format!("wl: {name}: {says}\n")));
    }
    assert_eq!(place.wl("create --no-register --sign --key nothing f.bin").code, 3);
    assert_eq!(place.wl("create --no-register --key rsa f.bin").code, 2);
    assert!(!place.path().join("f.bin.torrent").exists());
    // The order of places: the variable, then the directory, then the user's configuration.
    key(&place, "config/wl/key.pem");
    let config = place.path().join("config").display().to_string();
    let place = place.env("XDG_CONFIG_HOME", config);
    assert_eq!(place.json("create --no-register --sign f.bin")["publisher_key"], KEY);
    let loose = place.path().join("config/wl/key.pem");
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.wl("sign f.bin.torrent").stderr.contains("private key can be read by others; chmod 600"));
    place.bytes("wl-key.pem", b"junk");
    assert_eq!(place.wl("sign f.bin.torrent").code, 3, "the directory's key comes first");
    let place = place.env("WL_KEY", loose.display().to_string());
    assert_eq!(place.wl("sign f.bin.torrent").code, 0);
}

#[test]
fn show_and_verify_say_whose_word_it_is() {
    let place = Place::new();
    place.file("f.bin", 1);
    key(&place, "wl-key.pem");
    place.wl("keygen other.pem");
    place.wl("create --no-register f.bin");
    assert!(place.wl("show f.bin.torrent").stdout.contains("Signature:     not signed\n"));
    let ran = place.wl("verify f.bin.torrent");
    assert!(ran.code == 0 && ran.stdout.ends_with("not signed\n"), "{}", ran.stdout);
    assert_eq!(place.wl(&format!("verify --require-key {KEY} f.bin.torrent")).code, 7);
    place.wl("sign f.bin.torrent");
    let known = format!("signed by key {KEY} (identity not checked)\n");
    assert!(place.wl("show f.bin.torrent").stdout.contains(&known));
    assert!(place.wl("verify f.bin.torrent").stdout.ends_with(&known));
    place.bytes("hex", KEY.as_bytes());
    let required = "signed by the required key 03a107bff3ce10be...\n";
    for key in [KEY, "wl-key.pem", "hex"] {
        let ran = place.wl(&format!("verify --require-key {key} f.bin.torrent"));
        assert!(ran.code == 0 && ran.stdout.ends_with(required), "{key}: {}{}", ran.stdout, ran.stderr);
    }
    let both = place.wl(&format!("verify --require-key {KEY} --require-key other.pub f.bin.torrent"));
    assert!(both.code == 7 && both.stdout.contains("FAILED no signature by "), "{}", both.stdout);
    assert_eq!(place.wl("verify --require-key 00 f.bin.torrent").code, 3);
    assert_eq!(place.wl(&format!("verify --require-key {} f.bin.torrent", "0".repeat(64))).code, 2);
    // Data is left alone when only signatures are asked for.
    std::fs::remove_file(place.path().join("f.bin")).unwrap();
    assert_eq!(place.wl("verify --signature-only f.bin.torrent").stdout, known);
    assert_eq!(place.wl("verify f.bin.torrent").code, 7);
}

#[test]
fn an_invalid_signature_is_named_and_fails_the_check() {
    let place = Place::new();
    place.file("f.bin", 1);
    key(&place, "wl-key.pem");
    place.wl("create --no-register --format v1 --sign f.bin");
    assert!(place.wl("show f.bin.torrent").stdout.contains("(identity not checked); weak: SHA-1 only\n"));
    let file = place.path().join("f.bin.torrent");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(6).position(|window| window == b"3:sig6").unwrap();
    bytes[at + 10] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let shown = place.wl("show f.bin.torrent");
    assert!(shown.code == 0 && shown.stdout.contains("INVALID signature: "), "{}", shown.stdout);
    assert!(shown.stdout.contains(&format!("(key {KEY})")));
    let ran = place.wl("verify f.bin.torrent");
    assert!(ran.code == 7 && ran.stdout.contains("OK f.bin\n"), "{}", ran.stdout);
    let ran = place.wl("verify --json f.bin.torrent");
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["ok"], &object["exit"]), (&false.into(), &7.into()));
    assert_eq!(object["signatures"][0]["valid"], false);
    place.bytes("odd.torrent", b"d4:infod6:lengthi1e4:name1:x12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae10:signaturesi1ee");
    let ran = place.wl("show odd.torrent");
    assert!(ran.stderr.contains("signatures is not a list"), "{}", ran.stderr);
    assert!(ran.stdout.contains("not signed"));
}

#[test]
fn a_registration_carries_the_signature() {
    let registry = Registry::answering("201 Created", "", "{\"status\":\"created\"}\n");
    let place = Place::new();
    place.file("f.bin", 1);
    key(&place, "wl-key.pem");
    let ran = place.wl(&format!("create --sign --tracker {} f.bin", registry.url));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (_, body) = registry.request();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["publisher_key"], &body["signature"]), (&KEY.into(), &SIGNED.into()));
    // `sign --register` says again what the registry said, so that nothing is lost.
    let said =
        r#"{"info_hash":"e331","name":"Label","verified":true,"description":"d","tags":"a,b","size":1}"#;
    let registry = Registry::answering_each(&[("200 OK", said), ("201 Created", "{}")]);
    let ran = place.wl(&format!("sign --register --tracker {} f.bin.torrent", registry.url));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (head, body) = registry.request();
    assert!(head.starts_with("POST /api/registry "), "{head}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["name"], &body["description"]), (&"Label".into(), &"d".into()));
    assert_eq!((&body["tags"], &body["signature"]), (&"a,b".into(), &SIGNED.into()));
    let ran = place.wl("sign --register --tracker http://127.0.0.1:1 f.bin.torrent");
    assert!(ran.code == 5 && ran.stdout.starts_with("Signature: "), "{}", ran.stderr);
}

/// A registry with one torrent and one entry, for as long as the test runs.
fn registry_of(torrent: Vec<u8>, entry: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                assert_eq!(stream.read(&mut byte).expect("a request"), 1);
                head.push(byte[0]);
            }
            let body =
                if head.starts_with(b"GET /api/registry/torrent?") { &torrent } else { entry.as_bytes() };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(&[head.as_bytes(), body].concat()).expect("an answer");
        }
    });
    url
}

#[test]
fn what_a_registry_vouches_for_is_said() {
    let place = Place::new();
    place.file("f.bin", 1);
    key(&place, "wl-key.pem");
    let hash = "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7";
    place.wl("create --no-register --no-tracker f.bin");
    let unsigned = std::fs::read(place.path().join("f.bin.torrent")).unwrap();
    place.wl("sign f.bin.torrent");
    let signed = std::fs::read(place.path().join("f.bin.torrent")).unwrap();
    let entry = |verified: bool, signature: &str| {
        format!(
            r#"{{"name":"f.bin","verified":{verified},"publisher_key":"{KEY}","signature":"{signature}"}}"#
        )
    };
    // The signature may be in the torrent, in the entry, or in both: it is said once.
    for torrent in [signed.clone(), unsigned.clone()] {
        let url = registry_of(torrent, entry(true, SIGNED));
        let says = format!("signed by key {KEY}; publisher confirmed by the operator of {url}\n");
        let shown = place.wl(&format!("show --tracker {url} {hash}"));
        assert!(shown.stdout.contains(&format!("Signature:     {says}Files:")), "{}", shown.stdout);
        assert_eq!(place.wl(&format!("verify --signature-only --tracker {url} {hash}")).stdout, says);
        let shown = place.json(&format!("show --tracker {url} magnet:?xt=urn:btmh:1220{hash}"));
        assert_eq!(shown["signatures"][0]["confirmed_by"], url.as_str());
        let ran = place.wl(&format!("verify --signature-only --require-key {KEY} --tracker {url} {hash}"));
        assert!(ran.code == 0 && ran.stdout.contains("signed by the required key"), "{}", ran.stdout);
    }
    let url = registry_of(signed.clone(), entry(false, SIGNED));
    let shown = place.wl(&format!("show --tracker {url} {hash}")).stdout;
    assert!(shown.contains("(identity not checked)\n") && !shown.contains("confirmed"), "{shown}");
    // An operator's word for a signature that does not hold is worth nothing.
    let url = registry_of(unsigned.clone(), entry(true, &SIGNED.replace("22ab", "22ac")));
    let shown = place.wl(&format!("show --tracker {url} {hash}")).stdout;
    assert!(shown.contains("INVALID signature: ") && !shown.contains("confirmed"), "{shown}");
    let url = registry_of(unsigned, "junk".into());
    let ran = place.wl(&format!("show --tracker {url} {hash}"));
    assert!(ran.code == 0 && ran.stderr.contains("only the torrent's signatures"), "{}", ran.stderr);
}
