//! Idtorrents: every vector of the specification byte for byte, every rule with its text, and hostile files.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use weightless::base::{Rng, V1Hash};
use weightless::torrent::small::{self, Idtorrent, Malformed};

fn generated(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251) as u8).collect()
}

fn made(name: &str, content: &[u8], chunk_size: u64) -> Idtorrent {
    let hashes = content.chunks(chunk_size as usize).map(|chunk| Sha1::digest(chunk).into()).collect();
    Idtorrent::new(name.to_owned(), content.len() as u64, chunk_size, hashes).expect("within the rules")
}

fn hex(hash: &[u8; 20]) -> String {
    V1Hash(*hash).to_string()
}

fn read(bytes: &[u8]) -> Result<Idtorrent, Malformed> {
    Idtorrent::read(bytes, small::READ_BYTES_MAX)
}

/// `f.bin` of the vectors: three chunks.
fn example() -> Idtorrent {
    made("f.bin", &generated(2500), 1024)
}

/// The example with one field changed, or without it.
fn with(field: &str, value: impl Into<Option<Value>>) -> Result<Idtorrent, Malformed> {
    let mut object: Value = serde_json::from_slice(&example().write()).expect("JSON");
    let fields = object.as_object_mut().expect("an object");
    match value.into() {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    read(object.to_string().as_bytes())
}

/// The same with JSON that has no form as a value.
fn with_raw(field: &str, raw: &str) -> Result<Idtorrent, Malformed> {
    let text = String::from_utf8(example().write()).expect("UTF-8");
    let lines = text.lines().map(|line| match line.starts_with(&format!("  \"{field}\":")) {
        true if line.ends_with(',') => format!("  \"{field}\": {raw},"),
        true => format!("  \"{field}\": {raw}"),
        false => line.to_owned(),
    });
    read(lines.collect::<Vec<_>>().join("\n").as_bytes())
}

#[test]
fn every_vector_is_met() {
    let (first, last) =
        ("943cb84ca731557827e980b24014a0ab57e4702e", "8369a1bb08ffeffecd1450c3700759f38be8e83d");
    for (name, content, chunk_size, hashes, id) in [
        (
            "hello.txt",
            b"hello\n".to_vec(),
            10240,
            vec![(0, "f572d396fae9206628714fb2ce00f72e94f2258f")],
            "0e7b9122a81e08302cfcfd2bf7f44a315ab4523b",
        ),
        (
            "example.bin",
            generated(204_800),
            10240,
            vec![(0, first), (19, last)],
            "5bf23afa6868e872487f01ec032b3cf44a70bb6c",
        ),
        (
            "é.bin",
            generated(10_241),
            10240,
            vec![(0, first), (1, "8c1e6ab4270792c51304ea06f47dc20ce51ba57b")],
            "0a1ba9c3d955d03dfd2068e5cda12f4db619d59f",
        ),
        (
            "f.bin",
            generated(2500),
            1024,
            vec![
                (0, "0ac28084ff74933d05123496dafd3791684d9b53"),
                (1, "12cb9b5124006e2075855a436aa9774ff8c00467"),
                (2, "7888638c14116343eb7e13f282a132be5ac6efe5"),
            ],
            "6740ead71df2a688d9845bc14bab1f985930a127",
        ),
        ("empty.txt", Vec::new(), 10240, vec![], "5b36302a3d961dad41f97cf16125663e2edb5191"),
    ] {
        let idtorrent = made(name, &content, chunk_size);
        assert_eq!(idtorrent.file_id().to_string(), id, "{name}");
        for (index, hash) in hashes {
            assert_eq!(hex(&idtorrent.chunk_hashes()[index]), hash, "{name} {index}");
        }
        assert_eq!(read(&idtorrent.write()), Ok(idtorrent), "{name}");
    }
}

#[test]
fn the_written_form_is_exact() {
    let written = made("hello.txt", b"hello\n", 10240).write();
    assert_eq!(written.len(), 212);
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&written));
    assert_eq!(sha256, "868a476171735acf95c2d31afa09727c7b398abbdb37f1ca2d44317e8427417f");
    let several = String::from_utf8(made("é \"q\".bin", &generated(2048), 1024).write()).expect("UTF-8");
    assert!(several.starts_with("{\n  \"file_name\": \"é \\\"q\\\".bin\",\n"), "{several}");
    assert!(several.contains("\", \"") && several.ends_with("\"\n}\n"), "{several}");
    let empty = String::from_utf8(made("empty.txt", b"", 10240).write()).expect("UTF-8");
    assert!(empty.contains("\n  \"num_chunks\": 0,\n  \"chunk_hashes\": [],\n"), "{empty}");
    // What is ours comes behind what is everybody's.
    let mut more = example();
    more.trackers = vec!["http://t.example".to_owned()];
    more.comment = Some("a\nb".to_owned());
    let text = String::from_utf8(more.write()).expect("UTF-8");
    let end = "\",\n  \"trackers\": [\"http://t.example\"],\n  \"comment\": \"a\\nb\"\n}\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(read(text.as_bytes()), Ok(more));
}

#[test]
fn every_rule_has_its_text() {
    let hashes: Vec<_> = example().chunk_hashes().iter().map(hex).collect();
    let upper: Vec<_> = hashes.iter().map(|hash| hash.to_uppercase()).collect();
    let (mut reordered, mut short) = (hashes.clone(), hashes.clone());
    reordered.swap(0, 1);
    short[2].pop();
    let id = example().file_id().to_string();
    for (field, value, text) in [
        ("file_name", json!("../x"), "bad file_name"),
        ("file_name", json!("a/b"), "bad file_name"),
        ("file_name", json!("a\\b"), "bad file_name"),
        ("file_name", json!("a\u{0}b"), "bad file_name"),
        ("file_name", json!("a\u{85}b"), "bad file_name"),
        ("file_name", json!("."), "bad file_name"),
        ("file_name", json!(".."), "bad file_name"),
        ("file_name", json!(""), "bad file_name"),
        ("file_name", json!("a".repeat(256)), "bad file_name"),
        ("file_name", json!(7), "bad file_name"),
        ("file_name", Value::Null, "bad file_name"),
        ("file_size", json!("2500"), "bad file_size"),
        ("file_size", json!(-1), "bad file_size"),
        ("file_size", json!(2500.5), "bad file_size"),
        ("file_size", json!(104_857_601), "file_size over the limit of 104857600 bytes"),
        ("file_size", json!(u64::MAX), "file_size over the limit of 104857600 bytes"),
        ("file_size", json!(2049), "file_id does not match"),
        ("file_size", json!(2048), "num_chunks does not match"),
        ("chunk_size", json!(0), "bad chunk_size"),
        ("chunk_size", json!(1023), "bad chunk_size"),
        ("chunk_size", json!(1_048_577), "bad chunk_size"),
        ("chunk_size", json!("1024"), "bad chunk_size"),
        ("chunk_size", json!(1250), "num_chunks does not match"),
        ("num_chunks", json!(1u64 << 31), "num_chunks does not match"),
        ("num_chunks", json!(2), "num_chunks does not match"),
        ("num_chunks", json!(4), "num_chunks does not match"),
        ("num_chunks", json!("3"), "num_chunks does not match"),
        ("chunk_hashes", json!(reordered), "file_id does not match"),
        ("chunk_hashes", json!(hashes[..2]), "bad chunk_hashes"),
        ("chunk_hashes", json!(short), "bad chunk_hashes"),
        ("chunk_hashes", json!([hashes[0], hashes[1], 7]), "bad chunk_hashes"),
        ("chunk_hashes", json!([hashes[0], hashes[1], "g".repeat(40)]), "bad chunk_hashes"),
        ("chunk_hashes", json!(hashes[0]), "bad chunk_hashes"),
        ("chunk_hashes", json!({}), "bad chunk_hashes"),
        ("file_id", json!("00".repeat(20)), "file_id does not match"),
        ("file_id", json!(id[1..]), "file_id does not match"),
        ("file_id", json!(7), "file_id does not match"),
        ("trackers", json!("http://t.example"), "bad trackers"),
        ("trackers", json!(vec!["http://t.example"; 17]), "bad trackers"),
        ("trackers", json!([7]), "bad trackers"),
        ("comment", json!(7), "bad comment"),
    ] {
        let refused = with(field, value.clone()).map_err(|why| why.to_string());
        assert_eq!(refused, Err(text.to_owned()), "{field}: {}", value.to_string().get(..60).unwrap_or(""));
    }
    for field in ["file_name", "file_size", "chunk_size", "num_chunks", "chunk_hashes", "file_id"] {
        let refused = with(field, None).map_err(|why| why.to_string());
        assert_eq!(refused, Err(format!("missing {field}")));
    }
    for (field, value) in [
        ("chunk_hashes", json!(upper)),
        ("file_id", json!(id.to_uppercase())),
        ("unknown", json!([{"a": [7]}])),
        ("trackers", json!(vec!["http://t.example"; 16])),
        ("comment", json!("c")),
    ] {
        let idtorrent = with(field, value).unwrap_or_else(|why| panic!("{field}: {why}"));
        assert_eq!(idtorrent.chunk_hashes(), example().chunk_hashes(), "{field}");
    }
}

/// What no JSON library would write.
#[test]
fn numbers_are_integers_and_fields_come_once() {
    for raw in ["1e3", "2.5e3", "2.048e5", "2500.0", "-0", "\"2500\"", "[2500]", "null", "true"] {
        assert_eq!(with_raw("file_size", raw), Err(Malformed::FileSize), "{raw}");
    }
    for raw in ["+2500", "02500", "0x9c4", "2_500", "NaN", ""] {
        assert_eq!(with_raw("file_size", raw), Err(Malformed::NotAnIdtorrent), "{raw}");
    }
    assert_eq!(with_raw("file_size", "2500,\n\"file_size\":2500"), Err(Malformed::Repeated("file_size")));
    assert_eq!(
        with_raw("file_size", "2500,\n\"chunk\\u005fsize\":1"),
        Err(Malformed::Repeated("chunk_size"))
    );
    assert_eq!(
        with_raw("file_size", "2500,\"comment\":\"\",\"comment\":\"\""),
        Err(Malformed::Repeated("comment"))
    );
    assert!(with_raw("file_size", "2500,\"x\":1,\"x\":2").is_ok());
}

#[test]
fn it_is_one_object_of_bounded_length_and_depth() {
    let text = String::from_utf8(example().write()).expect("UTF-8");
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "7",
        "{}x",
        &format!("\u{feff}{text}"),
        &format!("{text}x"),
        &format!("{text}{text}"),
        &text.replace("f.bin", "\u{7}"),
        &text.replace("f.bin", "\\ud800"),
    ] {
        assert_eq!(read(bad.as_bytes()), Err(Malformed::NotAnIdtorrent), "{bad}");
    }
    assert_eq!(read(b"{}"), Err(Malformed::Missing("file_name")));
    let latin = example().write().into_iter().map(|byte| if byte == b'f' { 0xff } else { byte });
    assert_eq!(read(&latin.collect::<Vec<_>>()), Err(Malformed::NotAnIdtorrent));
    assert!(read(format!(" \t\r\n{text}\n\n ").as_bytes()).is_ok());
    let nested = |levels: usize| {
        with_raw("file_size", &format!("2500,\"x\":{}{}", "[".repeat(levels), "]".repeat(levels)))
    };
    assert!(nested(3).is_ok());
    assert_eq!(nested(4), Err(Malformed::NotAnIdtorrent));
    assert_eq!(nested(1_000_000), Err(Malformed::NotAnIdtorrent));
    let long = |bytes: usize| format!("{text}{}", " ".repeat(bytes - text.len()));
    assert!(read(long(small::METAFILE_BYTES_MAX).as_bytes()).is_ok());
    assert_eq!(read(long(small::METAFILE_BYTES_MAX + 1).as_bytes()), Err(Malformed::TooLong));
}

#[test]
fn sizes_and_counts_are_taken_up_to_their_bounds() {
    let empty = |size: u64, chunk_size: u64| {
        let hashes = vec![[7; 20]; size.div_ceil(chunk_size) as usize];
        Idtorrent::new("f".to_owned(), size, chunk_size, hashes)
    };
    let largest = empty(small::CHUNKS_MAX * 1024, 1024).expect("as many chunks as there may be");
    assert_eq!(Idtorrent::read(&largest.write(), u64::MAX), Ok(largest));
    assert_eq!(empty(small::CHUNKS_MAX * 1024 + 1, 1024), Err(Malformed::ChunkCount));
    let hashes = vec!["07".repeat(20); small::CHUNKS_MAX as usize + 1];
    assert_eq!(with("chunk_hashes", json!(hashes)), Err(Malformed::ChunkHashes));
    let huge = empty(small::FILE_BYTES_MAX, 1_048_576).expect("as large as a file may be");
    assert_eq!(Idtorrent::read(&huge.write(), u64::MAX), Ok(huge.clone()));
    assert_eq!(read(&huge.write()), Err(Malformed::TooLarge(small::READ_BYTES_MAX)));
    assert_eq!(empty(small::FILE_BYTES_MAX + 1, 1_048_576), Err(Malformed::TooLarge(small::FILE_BYTES_MAX)));
    let bytes = [0, 1, 2, 3].map(|index| example().chunk_bytes(index));
    assert_eq!((bytes, example().chunk_bytes(u64::MAX)), ([1024, 1024, 452, 0], 0));
}

/// Whoever knows the id does not need it in the file; but it must be that one.
#[test]
fn a_wanted_id_is_computed_and_compared() {
    let (text, id) = (String::from_utf8(example().write()).expect("UTF-8"), example().file_id());
    let bare = text.replace(&format!(",\n  \"file_id\": \"{id}\""), "");
    let read_as = |text: &str, id| Idtorrent::read_as(text.as_bytes(), small::READ_BYTES_MAX, id);
    assert_eq!(read(bare.as_bytes()), Err(Malformed::Missing("file_id")));
    assert_eq!(read_as(&bare, id), Ok(example()));
    assert_eq!(read_as(&text, id), Ok(example()));
    assert_eq!(read_as(&bare, V1Hash([0; 20])), Err(Malformed::FileId));
    assert_eq!(read_as(&text, V1Hash([0; 20])), Err(Malformed::FileId));
    assert_eq!(read_as(&text.replace(&id.to_string(), "x"), id), Err(Malformed::FileId));
}

#[test]
fn broken_files_are_refused_and_never_taken_for_others() {
    let written = made("é.bin", &generated(10_241), 1024).write();
    for end in 0..written.len() - 2 {
        assert!(read(&written[..end]).is_err(), "cut at {end}");
    }
    let mut rng = Rng::new(8);
    for _ in 0..20_000 {
        let mut bytes = written.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(bytes.len() as u32) as usize;
            bytes[at] = rng.below(256) as u8;
        }
        // The id covers everything but the size of the chunks, which the number of chunks bounds.
        if let Ok(idtorrent) = read(&bytes) {
            assert_eq!(idtorrent.file_id(), made("é.bin", &generated(10_241), 1024).file_id());
            assert_eq!(Idtorrent::read(&idtorrent.write(), small::READ_BYTES_MAX), Ok(idtorrent));
        }
    }
}
