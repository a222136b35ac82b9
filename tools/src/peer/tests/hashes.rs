//! Hashes of v2 torrents on the wire: layers for magnet links, block hashes served, metadata, and what comes too late.

use super::lab::{FULL, Greeting, Lab, Role, Said, V1_FAST, at, without_layers};
use crate::disk::tests::{Made, made};
use crate::peer::action::Failed;
use crate::peer::extended::{MetadataMessage, parse_metadata, write_metadata};
use crate::peer::limits::METADATA_WAITING_MAX;
use crate::peer::outgoing::WAITING_BYTES_MAX;
use crate::peer::wire::{HashRange, Message, write};
use weightless::torrent::Kind;

const PIECE: u32 = 32768;
const BYTES: usize = 32768 * 70 + 5;

fn magnet(kind: Kind) -> Made {
    without_layers(&made(kind, PIECE, &[("a", BYTES)]), kind, PIECE)
}

#[test]
fn a_v2_torrent_without_layers_comes_from_one_seed() {
    let mut lab = Lab::with(magnet(Kind::V2), true, |_| ());
    let key = lab.join("203.0.113.1:1", FULL);
    lab.say(key, &Message::HaveAll);
    lab.say(key, &Message::Unchoke);
    lab.turn(0);
    let heard = lab.heard(key);
    assert!(heard.iter().any(|said| matches!(said, Said::HashRequest(_))), "{heard:?}");
    assert!(!heard.iter().any(|said| matches!(said, Said::Request(_))), "nothing could be proved yet");
    let range = heard.iter().find_map(|said| match said {
        Said::HashRequest(range) => Some(*range),
        _ => None,
    });
    let range = range.expect("just now");
    let hashes = lab.hashes(&range).expect("an answer");
    lab.say(key, &Message::Hashes { range, hashes: &hashes });
    lab.peer(key).role = Role::Seed { wrong_one_in: 0 };
    assert!(lab.until(50, 200, |lab| lab.node.is_complete()));
}

#[test]
fn wrong_hashes_are_an_offence_and_late_ones_are_not() {
    let mut lab = Lab::with(magnet(Kind::V2), true, |_| ());
    let slow = lab.join_seed("203.0.113.1:1", FULL, Role::Script);
    let asked = |lab: &mut Lab, key| {
        let mut heard = lab.heard(key).into_iter();
        heard.find_map(|said| if let Said::HashRequest(range) = said { Some(range) } else { None })
    };
    let range = asked(&mut lab, slow).expect("it asks");
    let hashes = lab.hashes(&range).expect("an answer");
    let other = lab.join_seed("203.0.113.2:1", FULL, Role::Script);
    // Its time is over, and somebody else is asked.
    for _ in 0..11 {
        lab.turn(1000);
    }
    assert_eq!(asked(&mut lab, other), Some(range));
    lab.say(other, &Message::Hashes { range, hashes: &hashes });
    lab.say(slow, &Message::Hashes { range, hashes: &hashes });
    assert!(!lab.is_closed(slow) && !lab.is_closed(other));
    // Once more was asked by nobody.
    lab.say(slow, &Message::Hashes { range, hashes: &hashes });
    assert!(lab.is_banned("203.0.113.1:1") && !lab.is_closed(other));

    let mut lab = Lab::with(magnet(Kind::V2), true, |_| ());
    let liar = lab.join_seed("203.0.113.1:1", FULL, Role::Script);
    let range = asked(&mut lab, liar).expect("it asks");
    let mut hashes = lab.hashes(&range).expect("an answer");
    hashes[5] ^= 1;
    lab.say(liar, &Message::Hashes { range, hashes: &hashes });
    assert!(lab.is_banned("203.0.113.1:1"));
    lab.join_seed("203.0.113.2:1", FULL, Role::Seed { wrong_one_in: 0 });
    assert!(lab.until(50, 400, |lab| lab.node.is_complete()));
}

#[test]
fn a_hybrid_from_v1_peers_is_proven_in_the_end() {
    let mut lab = Lab::with(magnet(Kind::Hybrid), true, |_| ());
    lab.join_seed("203.0.113.1:1", Greeting { v2: false, ..V1_FAST }, Role::Seed { wrong_one_in: 0 });
    assert!(lab.until(50, 400, |lab| lab.node.is_complete()));
    let ledger = lab.node.swarm().ledger().expect("begun");
    assert_eq!(ledger.learned_layers().len(), 1, "the layer was computed");

    // The SHA-1s are of other data than the root.
    let right = made(Kind::Hybrid, PIECE, &[("a", BYTES)]);
    let mut other = right.files.clone();
    other[0][0] ^= 1;
    let other = crate::disk::tests::made_of(Kind::Hybrid, PIECE, &["a"], other, false);
    let lying = crate::disk::tests::contradiction_of(&without_layers(&right, Kind::Hybrid, PIECE), &other);
    let mut lab = Lab::with(lying, true, |_| ());
    lab.join_seed("203.0.113.1:1", Greeting { v2: false, ..V1_FAST }, Role::Seed { wrong_one_in: 0 });
    assert!(lab.until(50, 400, |lab| lab.node.failed.is_some()));
    assert!(matches!(lab.node.failed, Some(Failed::Contradiction)) && lab.node.banned.is_empty());
}

#[test]
fn block_hashes_are_served_every_time_they_are_asked_for() {
    let mut lab = Lab::seeding(Kind::V2, PIECE, BYTES);
    let key = lab.join("203.0.113.1:1", FULL);
    let root = lab.content().file_root(0).expect("v2");
    let range = HashRange { root, base: 0, index: 4, length: 4, proofs: 7 };
    for round in 0..3 {
        lab.say(key, &Message::HashRequest(range));
        lab.turn(0);
        let heard = lab.heard(key);
        assert!(
            heard.iter().any(|said| matches!(said, Said::Hashes(of, 10) if *of == range)),
            "{round}: {heard:?}"
        );
    }
    let (queued, bad) = (HashRange { index: 8, ..range }, HashRange { length: 3, ..range });
    (0..9).for_each(|_| lab.say(key, &Message::HashRequest(queued)));
    lab.turn(0);
    let answers =
        lab.heard(key).into_iter().filter(|said| matches!(said, Said::Hashes(..) | Said::HashReject(_)));
    assert_eq!(answers.count(), 9);
    for number in 0..16 {
        assert!(!lab.is_closed(key), "{number}");
        lab.say(key, &Message::HashRequest(bad));
    }
    assert!(lab.is_closed(key));
}

#[test]
fn metadata_comes_from_honest_peers_and_liars_are_banned() {
    let torrent = made(Kind::Hybrid, PIECE, &[("a", BYTES)]);
    let info = torrent.content.metainfo().expect("a torrent").info().to_vec();
    let mut lab = Lab::unbegun(torrent, |_| ());
    let liar = lab.join("203.0.113.1:1", FULL);
    let size = Some(info.len() as u32);
    lab.hello(liar, |own| own.metadata_size = size);
    lab.turn(0);
    give_metadata(&mut lab, liar, &vec![b'x'; info.len()]);
    assert!(lab.is_banned("203.0.113.1:1"));
    // One that claims 64 MiB and sends nothing costs nothing and holds nobody up.
    let bomb = lab.join("203.0.113.2:1", FULL);
    lab.hello(bomb, |own| own.metadata_size = Some(64 << 20));
    let honest = lab.join("203.0.113.3:1", FULL);
    lab.say(honest, &Message::Bitfield(&lab.all_bits()));
    lab.hello(honest, |own| own.metadata_size = size);
    lab.turn(0);
    give_metadata(&mut lab, honest, &info);
    lab.say(honest, &Message::Unchoke);
    lab.turn(0);
    assert!(lab.node.swarm().ledger().is_some(), "the info dictionary is here");
    lab.peer(honest).role = Role::Seed { wrong_one_in: 0 };
    assert!(lab.until(50, 400, |lab| lab.node.is_complete()));
    assert_eq!(lab.node.banned, [at("203.0.113.1:1")]);
}

fn give_metadata(lab: &mut Lab, key: u64, info: &[u8]) {
    for said in lab.heard(key) {
        let Said::Extended(1, payload) = said else { continue };
        let Some(MetadataMessage::Request { piece }) = parse_metadata(&payload) else { continue };
        let from = 16384 * piece as usize;
        let bytes = &info[from..info.len().min(from + 16384)];
        let mut payload = Vec::new();
        write_metadata(&mut payload, &MetadataMessage::Data { piece, total: info.len() as u32, bytes });
        lab.say(key, &Message::Extended { id: 1, payload: &payload });
    }
}

#[test]
fn a_private_torrent_neither_tells_nor_believes() {
    let told =
        crate::peer::extended::PexMessage { added: vec![(at("198.51.100.1:6881"), 0)], dropped: Vec::new() };
    let mut payload = Vec::new();
    crate::peer::extended::write_pex(&mut payload, &told);
    for pex in [true, false] {
        let mut lab = Lab::with(made(Kind::V1, PIECE, &[("a", BYTES)]), true, |plan| plan.pex = pex);
        let key = lab.join("203.0.113.1:1", FULL);
        let hello = lab.heard(key).into_iter().find_map(|said| match said {
            Said::Extended(0, payload) => Some(payload),
            _ => None,
        });
        let hello = hello.expect("an extension handshake");
        assert_eq!(hello.windows(6).any(|window| window == b"ut_pex"), pex);
        lab.hello(key, |_| ());
        lab.say(key, &Message::Extended { id: 2, payload: &payload });
        lab.turn(1000);
        assert_eq!(!lab.node.dials.is_empty(), pex);
    }
}

#[test]
fn pex_victims_are_few_and_spread() {
    let mut lab = Lab::with(made(Kind::V1, PIECE, &[("a", BYTES)]), true, |_| ());
    let key = lab.join("203.0.113.1:1", FULL);
    lab.hello(key, |_| ());
    // Everything at one victim, and what no honest peer would know.
    let mut added: Vec<_> = (1..=190).map(|port| (at(&format!("198.51.100.7:{port}")), 0)).collect();
    added.extend(["127.0.0.1:5", "10.0.0.1:5", "0.0.0.0:5", "224.0.0.1:5"].map(|text| (at(text), 0)));
    let mut payload = Vec::new();
    crate::peer::extended::write_pex(
        &mut payload,
        &crate::peer::extended::PexMessage { added, dropped: Vec::new() },
    );
    lab.say(key, &Message::Extended { id: 2, payload: &payload });
    for _ in 0..10 {
        lab.turn(1000);
    }
    assert_eq!(lab.node.dials.len(), 2, "two connects to one address");
    assert!(lab.node.dials.iter().all(|(_, address)| address.ip() == at("198.51.100.7:1").ip()));
}

/// Some clients ask for all of it at once, and what is more than a mebibyte must not cost them the connection.
#[test]
fn metadata_that_is_asked_for_at_once_waits_its_turn() {
    let names: Vec<String> = (0..6000).map(|number| format!("{number:0>200}")).collect();
    let files: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut lab = Lab::with(made(Kind::V1, PIECE, &files), false, |_| ());
    let info = lab.content().metainfo().expect("a torrent").info().to_vec();
    let pieces = info.len().div_ceil(16384) as u32;
    assert!(info.len() > WAITING_BYTES_MAX + (64 << 10), "{}", info.len());
    let key = lab.join("203.0.113.1:1", FULL);
    lab.hello(key, |_| ());
    lab.turn(0);
    lab.heard(key);
    lab.clog(key);
    let request = |piece| {
        let mut payload = Vec::new();
        write_metadata(&mut payload, &MetadataMessage::Request { piece });
        let mut bytes = Vec::new();
        write(&mut bytes, &Message::Extended { id: 1, payload: &payload });
        bytes
    };
    let all: Vec<u8> = (0..pieces).flat_map(request).collect();
    lab.bytes(key, &all);
    let waits = |lab: &Lab| lab.node.engine.unsent(key).map_or(0, |out| out.len());
    assert!(!lab.is_closed(key) && waits(&lab) <= (64 << 10) + 16384 + 100, "{}", waits(&lab));
    lab.peer(key).reads = true;
    lab.turn(0);
    let mut came = Vec::new();
    for said in lab.heard(key) {
        let Said::Extended(1, payload) = said else { continue };
        let Some(MetadataMessage::Data { bytes, .. }) = parse_metadata(&payload) else {
            panic!("{payload:?}")
        };
        came.extend_from_slice(bytes);
    }
    assert!(came == info, "{} of {} bytes", came.len(), info.len());

    // As many wait as there can be pieces; one more is rejected at once.
    lab.clog(key);
    let answered = lab.node.swarm().peer(key).map(|peer| peer.metadata_queue.len());
    assert_eq!(answered, Some(0));
    let queue = |lab: &Lab| lab.node.swarm().peer(key).map_or(0, |peer| peer.metadata_queue.len());
    while queue(&lab) < METADATA_WAITING_MAX {
        lab.bytes(key, &request(0));
    }
    let before = waits(&lab);
    lab.bytes(key, &request(0));
    assert_eq!(queue(&lab), METADATA_WAITING_MAX);
    assert!((1..200).contains(&(waits(&lab) - before)), "a reject");
    lab.peer(key).reads = true;
    lab.turn(0);
    assert!(queue(&lab) == 0 && !lab.is_closed(key));
}
