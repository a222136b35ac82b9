//! Signing, section 4: signatures at the registry, row by row.

use super::support::*;
use weightless::base::{InfoHashes, V1Hash, V2Hash};
use weightless::registry::Answer;
use weightless::torrent::signature::{SecretKey, Signature};
use weightless::torrent::{signatures, v1_hash, v2_hash};

fn hybrid() -> InfoHashes {
    InfoHashes::Hybrid(v1_hash(HYBRID_INFO.as_bytes()), v2_hash(HYBRID_INFO.as_bytes()))
}

fn v2_only() -> InfoHashes {
    InfoHashes::V2(v2_hash(HYBRID_INFO.as_bytes()))
}

fn sign(seed: u8, hashes: InfoHashes) -> Signature {
    SecretKey::from_seed(&[seed; 32]).sign(&hashes)
}

/// The two fields as they go into a body.
fn fields(signature: &Signature) -> String {
    format!(r#","publisher_key":"{}","signature":"{}""#, signature.key_hex(), signature.hex())
}

fn bare(hash: &str, more: &str) -> String {
    format!(r#"{{"info_hash":"{hash}","name":"t"{more}}}"#)
}

fn dropped() -> Answer {
    Answer::Json { status: 201, body: br#"{"status":"created","signature":"dropped"}"#.to_vec() }
}

#[test]
fn a_signature_is_judged_before_it_is_stored_and_shown_behind_the_tags() {
    let mut desk = Desk::memory();
    let v2 = v2_of(HYBRID_INFO);
    let good = sign(1, hybrid());
    let with = |fields: &str| with_torrent(&v2, HYBRID_INFO, &format!(r#","tags":"a"{fields}"#));
    let mismatch = || error(422, "signature does not match");
    for wrong in [sign(1, v2_only()), sign(1, InfoHashes::V1(v1_hash(HYBRID_INFO.as_bytes())))] {
        assert_eq!(desk.register(&with(&fields(&wrong))), mismatch(), "half of a hybrid");
    }
    let weak = Signature { key: std::array::from_fn(|i| u8::from(i == 0)), bytes: good.bytes };
    assert_eq!(desk.register(&with(&fields(&weak))), error(422, "weak key"));
    let stranger = Signature { key: sign(2, hybrid()).key, ..good };
    assert_eq!(desk.register(&with(&fields(&stranger))), mismatch());
    assert_eq!(desk.entry(&v2), error(404, "Not found"));
    assert_eq!(
        desk.register(&with(
            &fields(&good)
                .to_uppercase()
                .replace("PUBLISHER_KEY", "publisher_key")
                .replace("SIGNATURE", "signature")
        )),
        created()
    );
    let shown = format!(r#""size":5,"tags":"a"{},"#, fields(&good));
    let json = desk.entry_json(&v2);
    assert!(json.ends_with(&shown) && json.contains(r#""verified":false"#), "{json}");
}

#[test]
fn the_two_fields_have_their_form() {
    let mut desk = Desk::memory();
    let good = sign(1, v2_only());
    let (key, hex) = (good.key_hex(), good.hex());
    let together = "publisher_key and signature must come together";
    for (given, status, text) in [
        (format!(r#","publisher_key":"{key}""#), 400, together),
        (format!(r#","signature":"{hex}""#), 400, together),
        (format!(r#","publisher_key":"{key}","signature":"""#), 400, together),
        (format!(r#","publisher_key":"","signature":"{hex}""#), 400, together),
        (r#","publisher_key":"""#.to_string(), 400, together),
        (format!(r#","publisher_key":"{}","signature":"{hex}""#, &key[1..]), 400, "Invalid publisher_key"),
        (format!(r#","publisher_key":"g{}","signature":"{hex}""#, &key[1..]), 400, "Invalid publisher_key"),
        (format!(r#","publisher_key":"{key}","signature":"{}""#, &hex[2..]), 400, "Invalid signature"),
        (format!(r#","publisher_key":"{key}","signature":"{hex}00""#), 400, "Invalid signature"),
        (format!(r#","publisher_key":"{key}","signature":7"#), 400, "Invalid JSON body"),
    ] {
        assert_eq!(desk.register(&bare(&v2_of(HYBRID_INFO), &given)), error(status, text), "{given}");
    }
}

#[test]
fn without_a_torrent_the_hashes_of_the_body_are_signed() {
    let mut desk = Desk::memory();
    let (v1, v2) = (short(3), long(3));
    let hashes = InfoHashes::Hybrid(
        V1Hash::from_hex(v1.as_bytes()).unwrap(),
        V2Hash::from_hex(v2.as_bytes()).unwrap(),
    );
    let both = format!(r#","v1_info_hash":"{}""#, short(4));
    let hybrid = InfoHashes::Hybrid(V1Hash::from_hex(short(4).as_bytes()).unwrap(), hashes.v2().unwrap());
    let signed = fields(&sign(1, hybrid));
    assert_eq!(desk.register(&bare(&v2, &signed)), error(422, "signature does not match"));
    assert_eq!(desk.register(&bare(&v2, &format!("{both}{signed}"))), created());
    let v1_only = fields(&sign(1, InfoHashes::V1(hashes.v1().unwrap())));
    assert_eq!(desk.takedown(&v2, "").0, ok("deleted"));
    assert_eq!(desk.register(&bare(&short(5), &v1_only)), error(422, "signature does not match"));
}

#[test]
fn a_signature_of_the_v2_hash_falls_when_a_hybrid_shows_up() {
    let mut desk = Desk::memory();
    let v2 = v2_of(HYBRID_INFO);
    assert_eq!(desk.register(&bare(&v2, &fields(&sign(1, v2_only())))), created());
    assert!(desk.entry_json(&v2).contains("publisher_key"));
    assert_eq!(desk.register(&with_torrent(&v2, HYBRID_INFO, "")), dropped());
    assert!(!desk.entry_json(&v2).contains("publisher_key"));
    // Once the file is there, it says what must be signed, whatever the body leaves out.
    let half = fields(&sign(1, v2_only()));
    let clear_v1 = format!(r#","v1_info_hash":""{half}"#);
    assert_eq!(desk.register(&bare(&v2, &clear_v1)), error(422, "signature does not match"));
    assert_eq!(desk.register(&bare(&v2, &fields(&sign(1, hybrid())))), created());
}

#[test]
fn an_update_keeps_replaces_or_clears_the_signature() {
    let mut desk = Desk::memory();
    let v2 = v2_of(HYBRID_INFO);
    let (first, second) = (sign(1, hybrid()), sign(2, hybrid()));
    assert_eq!(desk.register(&with_torrent(&v2, HYBRID_INFO, &fields(&first))), created());
    assert_eq!(desk.verify(&v2, true), ok("updated"));
    assert_eq!(desk.register(&bare(&v2, r#","description":"new""#)), created());
    let json = desk.entry_json(&v2);
    assert!(json.contains(&first.hex()) && json.contains(r#""verified":true"#), "{json}");
    // The same key again is no other publisher; another one is, and the operator's word was not for it.
    assert_eq!(desk.register(&bare(&v2, &fields(&first))), created());
    assert!(desk.entry_json(&v2).contains(r#""verified":true"#));
    assert_eq!(desk.register(&bare(&v2, &fields(&second))), created());
    let json = desk.entry_json(&v2);
    assert!(json.contains(&second.hex()) && json.contains(r#""verified":false"#), "{json}");
    assert_eq!(desk.register(&bare(&v2, r#","publisher_key":"","signature":"""#)), created());
    assert!(!desk.entry_json(&v2).contains("signature"));
}

#[test]
fn a_file_brings_its_own_signature() {
    let mut desk = Desk::memory();
    let v2 = v2_of(HYBRID_INFO);
    let mut signed = torrent(HYBRID_INFO);
    let bad = Signature { key: sign(9, hybrid()).key, ..sign(1, hybrid()) };
    for signature in [sign(1, hybrid()), sign(2, hybrid()), bad] {
        signed = signatures::add(&signed, &signature).unwrap();
    }
    let lowest = [1, 2].map(|seed| sign(seed, hybrid())).into_iter().min_by_key(|it| it.key).unwrap();
    let upload = |more: &str| bare(&v2, &format!(r#","torrent_data":"{}"{more}"#, base64(&signed)));
    assert_eq!(desk.register(&upload("")), created());
    assert!(desk.entry_json(&v2).contains(&lowest.hex()));
    assert_eq!(desk.register(&upload(&fields(&sign(3, hybrid())))), created());
    assert!(desk.entry_json(&v2).contains(&sign(3, hybrid()).hex()), "the body wins");
    assert_eq!(desk.register(&upload(r#","publisher_key":"","signature":"""#)), created());
    assert!(!desk.entry_json(&v2).contains("signature"));
}
