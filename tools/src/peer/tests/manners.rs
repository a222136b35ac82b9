//! What each message may say, and what follows when it says something else.

use super::lab::{FULL, Greeting, Lab, PLAIN, Role, Said, V1_FAST};
use crate::peer::wire::{Block, Message, write};
use weightless::torrent::Kind;

const BLOCK: Block = Block { piece: 0, begin: 0, length: 16384 };

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Stays,
    Closed,
    Banned,
}

fn outcome(lab: &Lab, key: u64) -> End {
    if !lab.node.banned.is_empty() {
        assert!(lab.is_closed(key));
        End::Banned
    } else if lab.is_closed(key) {
        End::Closed
    } else {
        End::Stays
    }
}

/// Says something to a fresh engine that has everything; the torrent has three pieces.
fn seeder_hears(greeting: Greeting, bytes: &[u8]) -> (Lab, u64, End) {
    let mut lab = Lab::seeding(Kind::V1, 32768, 70_000);
    let key = lab.join("10.0.0.2:1", greeting);
    lab.say(key, &Message::Interested);
    lab.turn(0);
    lab.heard(key);
    lab.bytes(key, bytes);
    lab.turn(0);
    let end = outcome(&lab, key);
    (lab, key, end)
}

fn fresh_hears(greeting: Greeting, bytes: &[u8]) -> End {
    let mut lab = Lab::fetching(Kind::V1, 32768, 70_000);
    let key = lab.join("10.0.0.2:1", greeting);
    lab.bytes(key, bytes);
    lab.turn(0);
    outcome(&lab, key)
}

fn bytes(messages: &[Message<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    messages.iter().for_each(|message| write(&mut out, message));
    out
}

#[test]
fn what_peers_have_is_said_once_first_and_in_the_right_shape() {
    use End::{Banned, Closed, Stays};
    use Message::{Bitfield, Have, HaveAll, HaveNone, Unchoke};
    for (greeting, messages, end) in [
        (FULL, &[Bitfield(&[0b1010_0000])][..], Stays),
        (FULL, &[Bitfield(&[0b1010_0001])], Banned),
        (FULL, &[Bitfield(&[])], Banned),
        (FULL, &[Bitfield(&[0, 0])], Banned),
        (FULL, &[Unchoke, Bitfield(&[0])], Banned),
        (FULL, &[Bitfield(&[0]), Bitfield(&[0])], Banned),
        (FULL, &[HaveAll], Stays),
        (FULL, &[HaveNone, Have(2)], Stays),
        (FULL, &[HaveAll, HaveNone], Closed),
        (FULL, &[Unchoke, HaveAll], Closed),
        (PLAIN, &[HaveAll], Closed),
        (PLAIN, &[HaveNone], Closed),
        (PLAIN, &[Have(2)], Stays),
        (FULL, &[HaveNone, Have(3)], Banned),
        (FULL, &[HaveAll, Have(u32::MAX)], Banned),
    ] {
        assert_eq!(fresh_hears(greeting, &bytes(messages)), end, "{messages:?}");
    }
    // An extension handshake may come before.
    let mut first = bytes(&[Message::Extended { id: 0, payload: b"de" }]);
    first.extend(bytes(&[Message::Bitfield(&[0])]));
    assert_eq!(fresh_hears(FULL, &first), Stays);
}

#[test]
fn lengths_are_judged_before_anything_is_kept() {
    use End::{Banned, Closed, Stays};
    for (message, end) in [
        (&[0, 0, 0, 2, 0, 0][..], Closed),
        (&[0, 0, 0, 6, 4, 0, 0, 0, 1, 0], Closed),
        (&[0, 0, 0, 12, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], Closed),
        (&[0, 0, 0, 65, 99], Banned),
        (&[0xff, 0xff, 0xff, 0xff], Banned),
        (&[0, 0x10, 0, 1, 20], Banned),
        (&[0, 0, 0x40, 0x0a, 7], Banned),
        (&[0, 0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0], Banned),
        (&[0, 0, 0, 3, 5], Banned),
        (&[0, 0, 0, 2, 99, 1], Stays),
        (&[0, 0, 0, 3, 9, 1, 2], Stays),
        // Hashes that cannot have been asked for here.
        (&[0, 0, 0, 113, 22], Banned),
    ] {
        assert_eq!(fresh_hears(V1_FAST, message), end, "{message:?}");
    }
}

#[test]
fn noise_never_breaks_anything() {
    for seed in 0..64 {
        let mut rng = weightless::base::Rng::new(seed);
        let mut lab = Lab::fetching(Kind::Hybrid, 16384, 70_000);
        for number in 0..8 {
            let key = lab.join(&format!("203.0.113.{number}:1"), FULL);
            for _ in 0..40 {
                // Plausible ids and short lengths go deeper than plain noise.
                let length = rng.below(70);
                let mut message = length.to_be_bytes().to_vec();
                message.push(rng.below(24) as u8);
                message.extend((1..length).map(|_| if rng.below(2) == 0 { 0 } else { rng.u64() as u8 }));
                message.truncate(4 + length as usize);
                lab.bytes(key, &message);
                lab.turn(u64::from(rng.below(100)));
            }
        }
    }
}

#[test]
fn extensions_without_bep_10_and_hashes_without_v2_end_the_connection() {
    use crate::peer::wire::HashRange;
    assert_eq!(fresh_hears(PLAIN, &bytes(&[Message::Extended { id: 0, payload: b"de" }])), End::Closed);
    assert_eq!(fresh_hears(FULL, &bytes(&[Message::Extended { id: 0, payload: b"i1e" }])), End::Closed);
    assert_eq!(fresh_hears(FULL, &bytes(&[Message::Extended { id: 2, payload: b"nonsense" }])), End::Stays);
    let deep: Vec<u8> = std::iter::repeat_n(b'l', 100_000).collect();
    assert_eq!(fresh_hears(FULL, &bytes(&[Message::Extended { id: 0, payload: &deep }])), End::Closed);
    let range = HashRange { root: [1; 32], base: 0, index: 0, length: 2, proofs: 0 };
    for message in [Message::HashRequest(range), Message::HashReject(range)] {
        assert_eq!(fresh_hears(V1_FAST, &bytes(&[message])), End::Closed);
    }
}

#[test]
fn requests_stay_within_the_piece() {
    use End::{Banned, Closed, Stays};
    let request = |piece, begin, length| bytes(&[Message::Request(Block { piece, begin, length })]);
    for (greeting, asked, end) in [
        (FULL, request(0, 0, 16384), Stays),
        (FULL, request(2, 4463, 1), Stays),
        (FULL, request(2, 4464, 1), Banned),
        (FULL, request(0, 32767, 2), Banned),
        (FULL, request(0, u32::MAX, 16384), Banned),
        (FULL, request(3, 0, 16384), Banned),
        (FULL, request(u32::MAX, 0, 16384), Banned),
        (FULL, request(0, 0, 0), Banned),
        (FULL, request(0, 0, 16385), Stays),
        (PLAIN, request(0, 0, 16385), Closed),
    ] {
        let (mut lab, key, is) = seeder_hears(greeting, &asked);
        assert_eq!(is, end, "{asked:?}");
        if end == Stays {
            let heard = lab.heard(key);
            let is_served = heard.iter().any(|said| matches!(said, Said::Piece(..)));
            let is_refused = heard.iter().any(|said| matches!(said, Said::Reject(_)));
            assert!(is_served != is_refused, "{heard:?}");
        }
    }
}

#[test]
fn padding_behind_a_file_is_served_as_zeros_on_either_connection() {
    // The last piece of the first file has 1000 bytes, and padding up to the next one.
    for greeting in [FULL, V1_FAST] {
        let made = crate::disk::tests::made(Kind::Hybrid, 16384, &[("a", 17_384), ("b", 100)]);
        let mut lab = Lab::with(made, false, |_| ());
        let key = lab.join("10.0.0.2:1", Greeting { v2: false, ..greeting });
        lab.say(key, &Message::Interested);
        lab.turn(0);
        let block = Block { piece: 1, begin: 0, length: 16384 };
        lab.say(key, &Message::Request(block));
        lab.turn(0);
        let data = lab.data(block);
        assert!(data[1000..].iter().all(|&byte| byte == 0));
        assert!(lab.heard(key).contains(&Said::Piece(block, data)));
        lab.say(key, &Message::Request(Block { begin: 1, ..block }));
        assert_eq!(outcome(&lab, key), End::Banned);
    }
}

#[test]
fn choked_peers_are_refused_and_a_choke_comes_before_its_rejects() {
    for greeting in [FULL, PLAIN] {
        let mut lab = Lab::seeding(Kind::V1, 32768, 70_000);
        let key = lab.join("10.0.0.2:1", greeting);
        lab.heard(key);
        lab.say(key, &Message::Request(BLOCK));
        lab.turn(0);
        let heard = lab.heard(key);
        assert_eq!(heard.contains(&Said::Reject(BLOCK)), greeting.reserved == FULL.reserved, "{heard:?}");
        assert_eq!(outcome(&lab, key), End::Stays);
    }
}

#[test]
fn a_cancelled_request_is_rejected_or_answered() {
    let mut lab = Lab::seeding(Kind::V1, 1 << 20, 1 << 20);
    let key = lab.join("10.0.0.2:1", FULL);
    lab.say(key, &Message::Interested);
    lab.turn(0);
    lab.heard(key);
    let blocks: Vec<Block> = (0..64).map(|at| Block { begin: at * 16384, ..BLOCK }).collect();
    let mut messages: Vec<Message<'_>> = blocks.iter().map(|block| Message::Request(*block)).collect();
    messages.extend(blocks.iter().map(|block| Message::Cancel(*block)));
    lab.bytes(key, &bytes(&messages));
    lab.until(10, 50, |_| false);
    let heard = lab.heard(key);
    for block in blocks {
        let answers = heard.iter().filter(|said| match said {
            Said::Piece(of, _) | Said::Reject(of) => *of == block,
            _ => false,
        });
        assert_eq!(answers.count(), 1, "{block:?}");
    }
    assert!(heard.iter().filter(|said| matches!(said, Said::Reject(_))).count() >= 60);
}

#[test]
fn a_block_of_another_length_is_an_offence_and_unasked_ones_only_for_so_long() {
    let mut lab = Lab::fetching(Kind::V1, 32768, 70_000);
    let key = lab.join_seed("10.0.0.2:1", FULL, Role::Script);
    let asked = lab.heard(key).into_iter().find_map(|said| match said {
        Said::Request(block) if block.length == 16384 => Some(block),
        _ => None,
    });
    let asked = asked.expect("it asks");
    lab.block(key, Block { length: 100, ..asked }, &[0; 100]);
    assert_eq!(outcome(&lab, key), End::Banned);

    for (greeting, end) in [(FULL, End::Closed), (PLAIN, End::Stays)] {
        let mut lab = Lab::seeding(Kind::V1, 32768, 70_000);
        let key = lab.join("10.0.0.2:1", greeting);
        for number in 0..9 {
            assert_eq!(outcome(&lab, key), End::Stays, "{number}");
            lab.block(key, Block { begin: 16 * number, length: 16, ..BLOCK }, &[0; 16]);
        }
        assert_eq!(outcome(&lab, key), end);
    }
}

#[test]
fn at_the_end_blocks_are_asked_of_several_and_cancelled_when_they_come() {
    let mut lab = Lab::fetching(Kind::V1, 65536, 65536);
    let keys: Vec<u64> =
        (2..6).map(|at| lab.join_seed(&format!("10.0.0.{at}:1"), FULL, Role::Script)).collect();
    lab.turn(1000);
    let mut asked: std::collections::BTreeMap<Block, Vec<u64>> = Default::default();
    for &key in &keys {
        for said in lab.heard(key) {
            if let Said::Request(block) = said {
                asked.entry(block).or_default().push(key);
            }
        }
    }
    assert_eq!(asked.len(), 4, "every block is asked for");
    assert!(asked.values().all(|by| (1..=3).contains(&by.len())), "{asked:?}");
    let in_flight: usize = asked.values().map(Vec::len).sum();
    assert!(in_flight > 4 && in_flight <= 8, "at most twice what is missing: {in_flight}");
    let (block, by) = asked.iter().find(|(_, by)| by.len() > 1).expect("one");
    let data = lab.data(*block);
    lab.block(by[0], *block, &data);
    for other in &by[1..] {
        assert!(lab.heard(*other).contains(&Said::Cancel(*block)));
    }
    // It may still come from there, which is nobody's fault.
    lab.block(by[1], *block, &data);
    assert_eq!(outcome(&lab, by[1]), End::Stays);
    assert_eq!(lab.node.swarm().totals().wasted, 16384);
}

#[test]
fn allowed_pieces_are_fetched_while_choked_and_nothing_else() {
    let mut lab = Lab::fetching(Kind::V1, 16384, 160_000);
    let key = lab.join("10.0.0.2:1", FULL);
    lab.say(key, &Message::HaveAll);
    for piece in [3, 7, 3, u32::MAX] {
        lab.say(key, &Message::AllowedFast(piece));
    }
    lab.turn(0);
    let asked = |lab: &mut Lab| {
        let heard = lab.heard(key).into_iter();
        heard.filter_map(|said| if let Said::Request(block) = said { Some(block) } else { None })
    };
    let blocks: Vec<Block> = asked(&mut lab).collect();
    assert_eq!(blocks.iter().map(|block| block.piece).collect::<Vec<_>>(), [3, 7]);
    for block in blocks {
        let data = lab.data(block);
        lab.block(key, block, &data);
    }
    lab.turn(0);
    assert_eq!(lab.node.swarm().ledger().expect("begun").stored.count(), 2);
    for piece in 0..200 {
        lab.say(key, &Message::AllowedFast(piece));
        lab.turn(50);
    }
    assert_eq!(outcome(&lab, key), End::Stays);
}

#[test]
fn a_choke_gives_the_blocks_to_others() {
    for (greeting, wait) in [(PLAIN, 0), (V1_FAST, 11_000)] {
        let mut lab = Lab::fetching(Kind::V1, 65536, 65536);
        let first = lab.join_seed("10.0.0.2:1", greeting, Role::Liar);
        assert!(lab.until(100, 5, |lab| !lab.peers[&first].asked.is_empty()));
        lab.say(first, &Message::Choke);
        lab.turn(wait);
        lab.join_seed("10.0.0.3:1", FULL, Role::Seed { wrong_one_in: 0 });
        assert!(lab.until(100, 100, |lab| lab.node.is_complete()));
    }
}
