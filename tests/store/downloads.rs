//! Registry-api section 3: downloads that the client has already, copies for one user, magnet links.

use super::support::*;
use weightless::registry::registration::sha256_hex;
use weightless::registry::{Answer, HashText, Personal, Question};

const PASSKEY: &str = "user.0123";

fn ask(desk: &mut Desk, known: Option<&str>, hosts: Option<&[&str]>) -> Answer {
    let personal = hosts.map(|hosts| Personal {
        passkey: PASSKEY.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    });
    let hash = HashText::new(v1_of(V1_INFO));
    desk.ask(Question::Torrent { hash, known: known.map(str::to_owned), personal })
}

fn holding(torrent: &str) -> Desk {
    let mut desk = Desk::memory();
    let (hash, data) = (v1_of(V1_INFO), base64(torrent.as_bytes()));
    let body = format!(r#"{{"info_hash":"{hash}","name":"t","torrent_data":"{data}"}}"#);
    assert_eq!(desk.register(&body), created());
    desk
}

#[test]
fn a_file_the_client_has_is_not_sent_again() {
    let torrent = format!("d4:info{V1_INFO}e");
    let mut desk = holding(&torrent);
    let sha256 = sha256_hex(torrent.as_bytes());
    let tag = format!("\"{}\"", &sha256[..32]);
    for known in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        assert_eq!(ask(&mut desk, Some(known), None), Answer::NotModified { sha256: sha256.clone() });
    }
    for known in [None, Some("\"x\""), Some("")] {
        let Answer::File { bytes, sha256: Some(sent), .. } = ask(&mut desk, known, None) else { panic!() };
        assert_eq!((bytes, sent), (torrent.clone().into_bytes(), sha256.clone()));
    }
}

#[test]
fn a_copy_for_one_user_announces_with_the_passkey_and_has_the_same_info() {
    let string = |text: &str| format!("{}:{text}", text.len());
    let [http, udp, other] =
        ["http://T.example:80/announce?a=b", "udp://t.example/announce", "udp://other.example/announce"];
    let torrent = |http: &str, udp: &str, other: &str| {
        let [http, udp, other] = [http, udp, other].map(string);
        format!("d8:announce{http}13:announce-listll{http}el{udp}{other}ee4:info{V1_INFO}e")
    };
    let mut desk = holding(&torrent(http, udp, other));
    let with = |url: &str| url.replace("/announce", &format!("/announce/{PASSKEY}"));
    for (hosts, expected) in [
        // Other people's trackers must not learn it.
        (&["t.example"][..], torrent(&with(http), &with(udp), other)),
        // Asked by a name that is in no URL: nobody can say which are ours.
        (&["10.0.0.1"][..], torrent(&with(http), &with(udp), &with(other))),
    ] {
        let Answer::File { bytes, sha256: None, .. } = ask(&mut desk, Some("*"), Some(hosts)) else {
            panic!()
        };
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }
    let Answer::File { bytes, .. } = ask(&mut desk, None, None) else { panic!() };
    assert_eq!(bytes, torrent(http, udp, other).into_bytes(), "what is stored stays as it is");
}

#[test]
fn a_magnet_names_what_the_entry_has() {
    let mut desk = Desk::memory();
    let entry = |hash: &str, v1: &str| {
        serde_json::json!({ "info_hash": hash, "v1_info_hash": v1, "name": "a b&é~" }).to_string()
    };
    assert_eq!(desk.register(&entry(&long(1), &short(2))), created());
    assert_eq!(desk.register(&entry(&long(3), "")), created());
    assert_eq!(desk.register(&entry(&short(4), "")), created());
    let trackers = vec!["http://h:8080/announce".to_owned(), "udp://h:1/announce".to_owned()];
    let rest = "&dn=a%20b%26%C3%A9~&tr=http%3A%2F%2Fh%3A8080%2Fannounce&tr=udp%3A%2F%2Fh%3A1%2Fannounce";
    for (hash, topics) in [
        (short(2), format!("xt=urn:btih:{}&xt=urn:btmh:1220{}", short(2), long(1))),
        (long(3), format!("xt=urn:btmh:1220{}", long(3))),
        (short(4), format!("xt=urn:btih:{}", short(4))),
    ] {
        let question = Question::Magnet { hash: HashText::new(hash), trackers: trackers.clone() };
        assert_eq!(desk.ask(question), Answer::Text(format!("magnet:?{topics}{rest}")));
    }
    let unknown = Question::Magnet { hash: HashText::new(short(9)), trackers };
    assert_eq!(desk.ask(unknown), error(404, "Not found"));
}
