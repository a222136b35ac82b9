//! The reader against every message, every split of a stream, every truncation, each bound, and noise.

use super::*;
use weightless::base::Rng;

const BOUNDS: Bounds = Bounds { bitfield_bytes_max: 4, hashes_bytes_max: 96 };
const BLOCK: Block = Block { piece: 1, begin: 0x0102_0304, length: 0x4000 };
const RANGE: HashRange = HashRange { root: [9; 32], base: 4, index: 8, length: 2, proofs: 3 };

/// What the reader said, with blocks put together.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Seen {
    Message(String),
    Piece(Block, Vec<u8>),
    /// Bytes of a block whose head came in an earlier call.
    Rest(Vec<u8>),
    Broken(Broken),
}

/// One of every message that can be written.
fn messages() -> Vec<Message<'static>> {
    vec![
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(0x0102_0304),
        Message::Bitfield(&[0xff, 0, 1, 0x80]),
        Message::Bitfield(&[]),
        Message::Request(BLOCK),
        Message::Cancel(BLOCK),
        Message::Suggest(7),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(BLOCK),
        Message::AllowedFast(u32::MAX),
        Message::Extended { id: 3, payload: b"de" },
        Message::HashRequest(RANGE),
        Message::Hashes { range: RANGE, hashes: &[5; 96] },
        Message::Hashes { range: RANGE, hashes: &[] },
        Message::HashReject(RANGE),
    ]
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, message);
    out
}

fn piece(block: Block, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_piece_head(&mut out, block);
    out.extend_from_slice(data);
    out
}

/// Every message, with blocks between them.
fn stream() -> (Vec<u8>, Vec<Seen>) {
    let (mut bytes, mut seen) = (Vec::new(), Vec::new());
    for (at, message) in messages().iter().enumerate() {
        bytes.extend(written(message));
        seen.push(Seen::Message(format!("{message:?}")));
        let data = vec![at as u8; at + 1];
        let block = Block { piece: at as u32, begin: 16, length: data.len() as u32 };
        bytes.extend(piece(block, &data));
        seen.push(Seen::Piece(block, data));
    }
    (bytes, seen)
}

/// Feeds `parts` one after the other and collects what comes out.
fn read<'p>(reader: &mut Reader, parts: impl IntoIterator<Item = &'p [u8]>) -> Vec<Seen> {
    let mut seen = Vec::new();
    for mut part in parts {
        loop {
            match reader.next(&mut part) {
                Ok(None) => break,
                Ok(Some(Incoming::Message(message))) => seen.push(Seen::Message(format!("{message:?}"))),
                Ok(Some(Incoming::Piece(block))) => seen.push(Seen::Piece(block, Vec::new())),
                Ok(Some(Incoming::Data(data))) => match seen.last_mut() {
                    Some(Seen::Piece(_, bytes) | Seen::Rest(bytes)) => bytes.extend_from_slice(data),
                    _ => seen.push(Seen::Rest(data.to_vec())),
                },
                Err(broken) => {
                    seen.push(Seen::Broken(broken));
                    return seen;
                }
            }
        }
        assert!(part.is_empty(), "everything is taken");
    }
    seen
}

fn read_all(bytes: &[u8]) -> Vec<Seen> {
    read(&mut Reader::new(BOUNDS), [bytes])
}

/// A prefix, an id and that many zeros.
fn raw(length: u32, id: u8, sent: usize) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(id);
    bytes.resize(PREFIX_BYTES + sent, 0);
    bytes
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    for (message, hex) in [
        (Message::KeepAlive, &b"\0\0\0\0"[..]),
        (Message::Choke, b"\0\0\0\x01\0"),
        (Message::Unchoke, b"\0\0\0\x01\x01"),
        (Message::Interested, b"\0\0\0\x01\x02"),
        (Message::NotInterested, b"\0\0\0\x01\x03"),
        (Message::Have(258), b"\0\0\0\x05\x04\0\0\x01\x02"),
        (Message::Bitfield(&[0xc0]), b"\0\0\0\x02\x05\xc0"),
        (Message::Request(BLOCK), b"\0\0\0\x0d\x06\0\0\0\x01\x01\x02\x03\x04\0\0\x40\0"),
        (Message::Cancel(BLOCK), b"\0\0\0\x0d\x08\0\0\0\x01\x01\x02\x03\x04\0\0\x40\0"),
        (Message::Suggest(1), b"\0\0\0\x05\x0d\0\0\0\x01"),
        (Message::HaveAll, b"\0\0\0\x01\x0e"),
        (Message::HaveNone, b"\0\0\0\x01\x0f"),
        (Message::Reject(BLOCK), b"\0\0\0\x0d\x10\0\0\0\x01\x01\x02\x03\x04\0\0\x40\0"),
        (Message::AllowedFast(1), b"\0\0\0\x05\x11\0\0\0\x01"),
        (Message::Extended { id: 1, payload: b"de" }, b"\0\0\0\x04\x14\x01de"),
    ] {
        assert_eq!(written(&message), hex, "{message:?}");
    }
    assert_eq!(piece(BLOCK, b""), b"\0\0\x40\x09\x07\0\0\0\x01\x01\x02\x03\x04");
    let request = written(&Message::HashRequest(RANGE));
    assert_eq!(request[..5], *b"\0\0\0\x31\x15");
    assert_eq!(request[5..37], [9; 32]);
    assert_eq!(request[37..], *b"\0\0\0\x04\0\0\0\x08\0\0\0\x02\0\0\0\x03");
    let hashes = written(&Message::Hashes { range: RANGE, hashes: &[5; 64] });
    assert_eq!(hashes[..5], *b"\0\0\0\x71\x16");
    assert_eq!(hashes[5..53], request[5..]);
    assert_eq!(written(&Message::HashReject(RANGE))[..5], *b"\0\0\0\x31\x17");
}

#[test]
fn what_is_written_is_read() {
    for message in messages() {
        let bytes = written(&message);
        let mut reader = Reader::new(BOUNDS);
        let mut input = bytes.as_slice();
        assert_eq!(reader.next(&mut input), Ok(Some(Incoming::Message(message))));
        assert!(!reader.is_amid());
        assert_eq!(reader.next(&mut input), Ok(None));
    }
}

#[test]
fn a_whole_message_is_a_slice_of_the_input() {
    let bytes = written(&Message::Bitfield(&[1, 2, 3]));
    let mut reader = Reader::new(BOUNDS);
    let mut input = bytes.as_slice();
    let Ok(Some(Incoming::Message(Message::Bitfield(bits)))) = reader.next(&mut input) else {
        panic!("a bitfield")
    };
    assert_eq!(bits.as_ptr(), bytes[5..].as_ptr());
    assert_eq!(reader.gathered.capacity(), 0);
}

#[test]
fn every_truncation_waits_for_more() {
    let block = Block { piece: 3, begin: 0, length: 5 };
    let all = messages().iter().map(written).chain([piece(block, b"hello")]).collect::<Vec<_>>();
    for whole in all {
        for length in 0..whole.len() {
            let mut reader = Reader::new(BOUNDS);
            let seen = read(&mut reader, [&whole[..length]]);
            assert!(seen.iter().all(|seen| matches!(seen, Seen::Piece(..))), "{seen:?}");
            assert_eq!(reader.is_amid(), length > 0, "{length} of {whole:?}");
            read(&mut reader, [&whole[length..]]);
            assert!(!reader.is_amid());
        }
    }
}

#[test]
fn every_split_into_two_gives_the_same_events() {
    let (bytes, seen) = stream();
    assert_eq!(read_all(&bytes), seen);
    for at in 0..=bytes.len() {
        let (one, two) = bytes.split_at(at);
        assert_eq!(read(&mut Reader::new(BOUNDS), [one, two]), seen, "split at {at}");
    }
}

#[test]
fn parts_of_any_size_give_the_same_events() {
    let (bytes, seen) = stream();
    for size in 1..80 {
        assert_eq!(read(&mut Reader::new(BOUNDS), bytes.chunks(size)), seen, "parts of {size}");
    }
    for seed in 0..64 {
        let mut rng = Rng::new(seed);
        let mut reader = Reader::new(BOUNDS);
        let (mut rest, mut parts) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let (part, behind) = rest.split_at((rng.below(90) as usize).min(rest.len()));
            parts.push(part);
            rest = behind;
        }
        assert_eq!(read(&mut reader, parts), seen, "seed {seed}");
    }
}

#[test]
fn ports_and_unknown_messages_are_told_and_skipped() {
    let mut bytes = raw(3, id::PORT, 3);
    bytes.extend(raw(64, 99, 64));
    bytes.extend(raw(1, 200, 1));
    let mut reader = Reader::new(BOUNDS);
    let mut input = bytes.as_slice();
    assert_eq!(reader.next(&mut input), Ok(Some(Incoming::Message(Message::Port))));
    assert_eq!(reader.next(&mut input), Ok(Some(Incoming::Message(Message::Unknown(99)))));
    assert_eq!(reader.next(&mut input), Ok(Some(Incoming::Message(Message::Unknown(200)))));
    assert_eq!(reader.next(&mut input), Ok(None));
}

/// At each bound a message is taken (it only waits for its end), one byte past it is refused by prefix and id alone.
#[test]
fn every_bound_is_met_exactly() {
    for (id, longest) in [
        (id::PIECE, 16393),
        (id::BITFIELD, 1 + BOUNDS.bitfield_bytes_max),
        (id::HASHES, 49 + BOUNDS.hashes_bytes_max),
        (id::EXTENDED, 1 << 20),
        (99, 64),
    ] {
        assert_eq!(read_all(&raw(longest, id, 1)), [], "id {id}");
        assert_eq!(read_all(&raw(longest + 1, id, 1)), [Seen::Broken(Broken::TooLong)], "id {id}");
        assert_eq!(read_all(&raw(u32::MAX, id, 1)), [Seen::Broken(Broken::TooLong)], "id {id}");
    }
    // Before the id is there, only what no message can be is refused.
    assert_eq!(read_all(&(1u32 << 20).to_be_bytes()), []);
    assert_eq!(read_all(&((1u32 << 20) + 1).to_be_bytes()), [Seen::Broken(Broken::TooLong)]);
    let wide = Bounds { bitfield_bytes_max: 2 << 20, hashes_bytes_max: u32::MAX };
    assert_eq!(read(&mut Reader::new(wide), [u32::MAX.to_be_bytes().as_slice()]), []);
    assert_eq!(read(&mut Reader::new(wide), [raw((2 << 20) + 1, id::BITFIELD, 1).as_slice()]), []);
}

#[test]
fn a_payload_of_the_wrong_size_is_refused_at_once() {
    let right = [
        (id::CHOKE, 1),
        (id::UNCHOKE, 1),
        (id::INTERESTED, 1),
        (id::NOT_INTERESTED, 1),
        (id::HAVE, 5),
        (id::REQUEST, 13),
        (id::CANCEL, 13),
        (id::PORT, 3),
        (id::SUGGEST, 5),
        (id::HAVE_ALL, 1),
        (id::HAVE_NONE, 1),
        (id::REJECT, 13),
        (id::ALLOWED_FAST, 5),
        (id::HASH_REQUEST, 49),
        (id::HASH_REJECT, 49),
    ];
    for (id, right) in right {
        for length in (1..=64).filter(|length| *length != right) {
            assert_eq!(read_all(&raw(length, id, 1)), [Seen::Broken(Broken::BadLength)], "{id}: {length}");
        }
        assert!(!matches!(read_all(&raw(right, id, 1))[..], [Seen::Broken(_)]), "{id}");
    }
    assert_eq!(read_all(&raw(1, id::EXTENDED, 1)), [Seen::Broken(Broken::BadLength)]);
    for length in [1, 48, 50, 49 + 31, 49 + 33] {
        assert_eq!(read_all(&raw(length, id::HASHES, 1)), [Seen::Broken(Broken::BadLength)], "{length}");
    }
    for length in 1..=9 {
        assert_eq!(read_all(&raw(length, id::PIECE, 1)), [Seen::Broken(Broken::BadPiece)], "{length}");
    }
}

#[test]
fn nothing_is_allocated_for_what_was_only_announced() {
    let mut reader = Reader::new(BOUNDS);
    read(&mut reader, [raw(1 << 20, id::EXTENDED, 1).as_slice()]);
    assert!(reader.gathered.capacity() < 64);
    let mut sent = 0;
    for _ in 0..900 {
        read(&mut reader, [[0; 1000].as_slice()]);
        sent += 1000;
        assert!(reader.gathered.capacity() <= 2 * (sent + 64), "{sent} bytes came");
    }
}

#[test]
fn blocks_are_never_gathered() {
    let data = [7; 16384];
    let bytes = piece(Block { piece: 0, begin: 0, length: 16384 }, &data);
    let mut reader = Reader::new(BOUNDS);
    for size in [1, 13, 1000, 5000] {
        let seen = read(&mut reader, bytes.chunks(size));
        assert_eq!(seen, [Seen::Piece(Block { piece: 0, begin: 0, length: 16384 }, data.to_vec())]);
        assert!(reader.gathered.capacity() <= 64);
    }
}

#[test]
fn the_memory_of_a_long_message_is_given_back() {
    let bytes = written(&Message::Extended { id: 1, payload: &vec![0; 100_000] });
    let mut reader = Reader::new(BOUNDS);
    let mut input = bytes.as_slice();
    let mut first = &input[..50_000];
    assert_eq!(reader.next(&mut first), Ok(None));
    input = &input[50_000..];
    assert!(matches!(reader.next(&mut input), Ok(Some(Incoming::Message(Message::Extended { .. })))));
    assert_eq!(reader.next(&mut input), Ok(None));
    assert_eq!(reader.gathered.capacity(), 0);
}

/// Random bytes, and valid streams with random damage, in random parts: no panic, memory stays within what came and
/// what the longest message needs, and a reader that was not refused consumes everything.
#[test]
fn noise_is_survived() {
    let (valid, _) = stream();
    for seed in 0..512 {
        let mut rng = Rng::new(seed);
        let mut bytes: Vec<u8> = if seed % 2 == 0 {
            valid.clone()
        } else {
            // Small lengths and real ids, so that much of it is taken for messages.
            (0..2000).map(|at| if at % 5 < 3 { 0 } else { rng.below(26) as u8 }).collect()
        };
        for _ in 0..rng.below(8) {
            let at = rng.below(bytes.len() as u32) as usize;
            bytes[at] = rng.u64() as u8;
        }
        let mut reader = Reader::new(BOUNDS);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (part, behind) = rest.split_at((1 + rng.below(700) as usize).min(rest.len()));
            rest = behind;
            let broken = matches!(read(&mut reader, [part]).last(), Some(Seen::Broken(_)));
            assert!(reader.gathered.capacity() <= 2 * bytes.len());
            if broken {
                break;
            }
        }
    }
}
