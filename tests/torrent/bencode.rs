//! The bencode reader at its limits and one past them, its refusals, and reading back what the writer wrote.

use weightless::base::Rng;
use weightless::wire::bencode::{Form, Limits, Malformed, Token, Writer, parse, parse_prefix};

const SMALL: Limits =
    Limits { bytes_max: 64, depth_max: 3, string_bytes_max: 8, list_items_max: 4, dict_keys_max: 3 };

fn tolerant(input: &[u8]) -> Result<(), Malformed> {
    parse(input, &Limits::TORRENT, Form::Tolerant).map(drop)
}

#[test]
fn what_is_not_bencode_is_refused_with_its_reason() {
    let cases: &[(&[u8], Malformed)] = &[
        (b"", Malformed::Truncated),
        (b"i1", Malformed::Truncated),
        (b"5:abc", Malformed::Truncated),
        (b"l", Malformed::Truncated),
        (b"d1:a", Malformed::Truncated),
        (b"9999999999:", Malformed::Truncated),
        (b"x", Malformed::Unexpected),
        (b"e", Malformed::Unexpected),
        (b"d1:ae", Malformed::Unexpected),
        (b"ie", Malformed::BadInteger),
        (b"i-e", Malformed::BadInteger),
        (b"i-0e", Malformed::BadInteger),
        (b"i00e", Malformed::BadInteger),
        (b"i03e", Malformed::BadInteger),
        (b"i+3e", Malformed::BadInteger),
        (b"i1.5e", Malformed::BadInteger),
        (b"i9223372036854775808e", Malformed::BadInteger),
        (b"i-9223372036854775809e", Malformed::BadInteger),
        (b"i99999999999999999999999999999999999999e", Malformed::BadInteger),
        (b"01:a", Malformed::BadLength),
        (b"00:", Malformed::BadLength),
        (b"1a:b", Malformed::BadLength),
        (b"11111111111:a", Malformed::BadLength),
        (b"di1ei2ee", Malformed::BadKey),
        (b"dl1:aei2ee", Malformed::BadKey),
        (b"d1:ai1e1:ai2ee", Malformed::DuplicateKey),
        (b"d1:bi1e1:ci0e1:ai1e1:bi2ee", Malformed::DuplicateKey),
        (b"i1ei2e", Malformed::TrailingBytes),
        (b"de\n", Malformed::TrailingBytes),
    ];
    for (input, why) in cases {
        assert_eq!(tolerant(input), Err(*why), "{}", input.escape_ascii());
    }
}

#[test]
fn the_ends_of_every_range_are_read() {
    for input in [
        &b"i0e"[..],
        b"i-1e",
        b"i9223372036854775807e",
        b"i-9223372036854775808e",
        b"0:",
        b"le",
        b"de",
        b"d0:i1ee",
    ] {
        assert_eq!(tolerant(input), Ok(()), "{}", input.escape_ascii());
    }
}

#[test]
fn only_the_canonical_form_minds_unsorted_keys() {
    let unsorted = b"d1:bi1e1:ai2ee";
    assert_eq!(tolerant(unsorted), Ok(()));
    assert_eq!(parse(unsorted, &Limits::TORRENT, Form::Canonical).err(), Some(Malformed::UnsortedKeys));
    // Raw bytes decide: `a/` < `a0`, and a prefix comes first.
    assert!(parse(b"d1:ai1e2:a/i1e2:a0i1ee", &Limits::TORRENT, Form::Canonical).is_ok());
}

#[test]
fn each_limit_is_met_exactly_and_not_passed() {
    let pairs: &[(Vec<u8>, Vec<u8>)] = &[
        (b"llleee".to_vec(), b"lllleeee".to_vec()),
        (b"d1:ad1:ad1:ai1eeee".to_vec(), b"d1:ad1:ad1:adeeee".to_vec()),
        (b"8:12345678".to_vec(), b"9:123456789".to_vec()),
        (b"d8:12345678lee".to_vec(), b"d9:123456789lee".to_vec()),
        (b"llelelelee".to_vec(), b"llelelelelee".to_vec()),
        (b"d1:a0:1:b0:1:c0:e".to_vec(), b"d1:a0:1:b0:1:c0:1:d0:e".to_vec()),
        (padded(64), padded(65)),
    ];
    for (fits, over) in pairs {
        assert_eq!(parse(fits, &SMALL, Form::Tolerant).map(drop), Ok(()), "{}", fits.escape_ascii());
        assert_eq!(
            parse(over, &SMALL, Form::Tolerant).err(),
            Some(Malformed::OverLimit),
            "{}",
            over.escape_ascii()
        );
    }
}

/// Two lists of strings, all within `SMALL` but for the total length, which is `length`.
fn padded(length: usize) -> Vec<u8> {
    let mut out = b"ll8:aaaaaaaa8:aaaaaaaa8:aaaaaaaael8:aaaaaaaa8:aaaaaaaa".to_vec();
    let rest = length - out.len() - 4;
    out.extend(format!("{rest}:{}ee", "a".repeat(rest)).bytes());
    assert_eq!(out.len(), length);
    out
}

#[test]
fn a_prefix_leaves_the_rest() {
    let (value, rest) = parse_prefix(b"d1:ai1eeBLOCK", &Limits::PEER_MESSAGE, Form::Tolerant).unwrap();
    assert_eq!(value.raw(), b"d1:ai1ee");
    assert_eq!(rest, b"BLOCK");
}

#[test]
fn values_are_spans_of_the_input() {
    let input = b"d4:infod1:ai-5e1:bl2:xyi7eee4:tail3:ende";
    let top = parse(input, &Limits::TORRENT, Form::Canonical).unwrap();
    let [info, tail, none] = top.pick([b"info", b"tail", b"nothing"]);
    assert_eq!(info.unwrap().raw(), b"d1:ai-5e1:bl2:xyi7eee");
    assert_eq!(tail.unwrap().as_bytes(), Some(&b"end"[..]));
    assert!(none.is_none());
    let info = info.unwrap();
    assert_eq!(info.get(b"a").unwrap().as_int(), Some(-5));
    let items: Vec<_> = info.get(b"b").unwrap().as_list().unwrap().collect();
    assert_eq!(items[0].as_bytes(), Some(&b"xy"[..]));
    assert_eq!(items[1].as_int(), Some(7));
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].as_int(), None);
    assert!(items[1].as_dict().is_none());
    let tokens: Vec<_> = info.tokens().collect();
    assert_eq!(tokens.len(), 9);
    assert_eq!(tokens[0], Token::Dict);
    assert_eq!(tokens[2], Token::Int(-5));
}

/// Random values: what the writer wrote is read, in canonical form, and every cut of it fails cleanly.
#[test]
fn what_is_written_is_read_and_every_cut_of_it_refused() {
    let mut rng = Rng::new(7);
    for _ in 0..200 {
        let mut writer = Writer::new();
        random_value(&mut rng, &mut writer, 4);
        let bytes = writer.finish();
        let value = parse(&bytes, &Limits::TORRENT, Form::Canonical).expect("written values are canonical");
        assert_eq!(value.raw(), bytes);
        for cut in 0..bytes.len() {
            assert!(tolerant(&bytes[..cut]).is_err());
        }
    }
}

fn random_value(rng: &mut Rng, writer: &mut Writer, depth: u32) {
    match if depth == 0 { rng.below(2) } else { rng.below(4) } {
        0 => {
            writer.int(rng.u64() >> (1 + rng.below(63)));
        }
        1 => {
            writer.bytes(&vec![b'0' + rng.below(60) as u8; rng.below(12) as usize]);
        }
        2 => {
            writer.list();
            (0..rng.below(4)).for_each(|_| random_value(rng, writer, depth - 1));
            writer.end();
        }
        _ => {
            writer.dict();
            for key in 0..rng.below(4) as u8 {
                writer.bytes(&[b'a' + key, rng.below(256) as u8]);
                random_value(rng, writer, depth - 1);
            }
            writer.end();
        }
    }
}

/// Hostile shapes cost time in proportion to their bytes: a walk that re-read nested values would never finish.
#[test]
fn deep_and_wide_hostile_input_is_read_in_one_pass() {
    let deep = vec![b'l'; 32 << 20];
    assert_eq!(tolerant(&deep), Err(Malformed::OverLimit));
    // 100 nested unsorted dictionaries around 100,000 small lists.
    let mut nested = Vec::new();
    (0..100).for_each(|_| nested.extend(b"d1:bi0e1:a"));
    nested.push(b'l');
    (0..100_000).for_each(|_| nested.extend(b"le"));
    nested.push(b'e');
    (0..100).for_each(|_| nested.push(b'e'));
    assert_eq!(tolerant(&nested), Ok(()));
}
