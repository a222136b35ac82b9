//! Idtorrents on the command line: the vectors as `wl create --idt` writes them, every refusal with its exit code,
//! `show` and `verify` on files, URLs and ids.

use crate::registering::Registry;
use crate::support::{Place, generated};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::fs;

const ID: &str = "6740ead71df2a688d9845bc14bab1f985930a127";

fn read(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `f.bin` of the vectors and its idtorrent.
fn made(place: &Place) -> String {
    place.file("f.bin", 2500);
    let ran = place.wl("create -q --no-register --idt --chunk-size 1K f.bin");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, format!("Idtorrent: f.bin.idtorrent\nId:      {ID}\n"));
    String::from_utf8(read(place, "f.bin.idtorrent")).unwrap()
}

#[test]
fn every_vector_is_written_byte_for_byte() {
    let place = Place::new();
    place.bytes("hello.txt", b"hello\n");
    place.file("example.bin", 204_800);
    place.file("é.bin", 10_241);
    place.file("f.bin", 2500);
    place.file("empty.txt", 0);
    for (name, more, id, chunks) in [
        ("hello.txt", "", "0e7b9122a81e08302cfcfd2bf7f44a315ab4523b", 1),
        ("example.bin", "", "5bf23afa6868e872487f01ec032b3cf44a70bb6c", 20),
        ("é.bin", "", "0a1ba9c3d955d03dfd2068e5cda12f4db619d59f", 2),
        ("f.bin", "--chunk-size 1024", ID, 3),
        ("empty.txt", "", "5b36302a3d961dad41f97cf16125663e2edb5191", 0),
    ] {
        let object = place.json(&format!("create --no-register --idt {more} {name}"));
        let file = format!("{name}.idtorrent");
        assert_eq!((&object["file_id"], &object["chunks"]), (&json!(id), &json!(chunks)), "{name}");
        assert_eq!((&object["idtorrent"], &object["registered"]), (&json!(file), &json!(false)));
        let shown = place.json(&format!("show {file}"));
        assert_eq!((&shown["info_hash"], &shown["name"]), (&json!(id), &json!(name)));
        let verified = place.json(&format!("verify {file}"));
        assert_eq!((&verified["ok"], &verified["chunks_good"]), (&json!(true), &json!(chunks)), "{name}");
    }
    let hello = "{\n  \"file_name\": \"hello.txt\",\n  \"file_size\": 6,\n  \"chunk_size\": 10240,\n  \"num_chunks\": 1,\n  \
                 \"chunk_hashes\": [\"f572d396fae9206628714fb2ce00f72e94f2258f\"],\n  \
                 \"file_id\": \"0e7b9122a81e08302cfcfd2bf7f44a315ab4523b\"\n}\n";
    assert_eq!(String::from_utf8(read(&place, "hello.txt.idtorrent")).unwrap(), hello);
    let ran = place.wl("create -q --no-register --idt -o - hello.txt");
    assert_eq!(String::from_utf8(ran.bytes).unwrap(), hello, "to stdout");
    place.wl("create -q --no-register --idt -o other.name --name Label hello.txt");
    assert_eq!(String::from_utf8(read(&place, "other.name")).unwrap(), hello, "the label is the registry's");
    place.wl("create -q --no-register --idt -o more --comment c --announce http://t/announce hello.txt");
    let more = hello.replace("\"\n}\n", "\",\n  \"trackers\": [\"http://t\"],\n  \"comment\": \"c\"\n}\n");
    assert_eq!(String::from_utf8(read(&place, "more")).unwrap(), more);
}

#[test]
fn what_cannot_be_made_is_said_with_its_exit_code() {
    let place = Place::new();
    place.dir();
    place.file("f.bin", 2500);
    fs::File::create(place.path().join("large")).unwrap().set_len((20 << 20) + 1).unwrap();
    place.bytes("a\u{7}b", b"x");
    for (line, code, says) in [
        ("create --idt dir", 2, "wl: idtorrent holds one file"),
        ("create --idt", 2, "give a PATH"),
        ("create --idt nothing", 3, "nothing: no such file or directory"),
        (
            "create --idt large",
            3,
            "wl: file_size over the limit of 20971520 bytes\n  hint: use a torrent or --max-size\n",
        ),
        ("create --idt --max-size 2499 f.bin", 3, "file_size over the limit of 2499 bytes"),
        ("create --idt --max-size 4G f.bin", 2, "--max-size must be at most 4294967295 bytes"),
        ("create --idt --max-size 1T f.bin", 2, "--max-size must be"),
        ("create --idt --chunk-size 1023 f.bin", 2, "--chunk-size must be from 1 KiB to 1 MiB"),
        ("create --idt --chunk-size 1048577 f.bin", 2, "--chunk-size must be"),
        ("create --idt --stream http://h/x", 2, "--idt and --stream exclude each other"),
        ("create --idt --private f.bin", 2, "--idt and --private exclude each other"),
        ("create --idt --webseed http://h/x f.bin", 2, "--idt and --webseed exclude each other"),
        ("create --idt --sign f.bin", 2, "--idt and --sign exclude each other"),
        ("create --idt --format v1 f.bin", 2, "--idt and --format exclude each other"),
        ("create --chunk-size 1024 f.bin", 2, "--chunk-size needs --idt"),
        ("create --max-size 1M f.bin", 2, "--max-size needs --idt"),
        ("create --also-torrent f.bin", 2, "--also-torrent needs --idt"),
        ("create --idt --also-torrent -o x f.bin", 2, "--also-torrent writes two files, --out names one"),
        ("create --idt a\u{7}b", 3, "bad file_name"),
    ] {
        let ran = place.wl(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{line}: {}", ran.stderr);
    }
    fs::File::create(place.path().join("huge")).unwrap().set_len(102_400 * 1024 + 1).unwrap();
    let ran = place.wl("create --idt --max-size 1G --chunk-size 1K huge");
    assert!(
        ran.code == 3 && ran.stderr.contains("more than 102400 chunks\n  hint: use a larger --chunk-size")
    );
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 5, "nothing was written");
    assert_eq!(place.wl("create -q --no-register --idt --max-size 30M large").code, 0);
    assert_eq!(place.wl("show large.idtorrent").code, 0, "up to 100 MiB are read");
    let ran = place.wl("show --max-size 20M large.idtorrent");
    assert_eq!(ran.code, 3);
    assert_eq!(
        ran.stderr,
        "wl: idtorrent: file_size over the limit of 20971520 bytes\n  hint: use --max-size\n"
    );
}

#[test]
fn an_existing_file_of_another_swarm_is_kept() {
    let place = Place::new();
    let first = made(&place);
    place.bytes("f.bin.idtorrent", first.replace("\n}", ",\n  \"comment\": \"c\"\n}").as_bytes());
    assert_eq!(made(&place), first, "the same file: written anew");
    place.bytes("f.bin", &[7; 2500]);
    let ran = place.wl("create -q --no-register --idt --chunk-size 1K f.bin");
    assert!(ran.code == 4 && ran.stderr.contains("f.bin.idtorrent exists and differs"), "{}", ran.stderr);
    assert_eq!(read(&place, "f.bin.idtorrent"), first.as_bytes());
    assert_eq!(place.wl("create -q --no-register --idt --force f.bin").code, 0);
    assert_ne!(read(&place, "f.bin.idtorrent"), first.as_bytes());
    let ran = place.wl("create --no-register --idt -o nowhere/x f.bin");
    assert_eq!(ran.code, 4, "{}", ran.stderr);
}

#[test]
fn it_is_registered_with_what_it_says() {
    let registry = Registry::answering("201 Created", "", "{\"status\":\"created\"}\n");
    let place = Place::new().env("WL_API_KEY", "k3y");
    place.file("f.bin", 2500);
    let flags = "--idt --chunk-size 1024 --name Label --tags a,b --description d";
    let ran = place.wl(&format!("create --tracker {} {flags} f.bin", registry.url));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let path = fs::canonicalize(place.path()).unwrap().join("f.bin");
    let said = format!(
        "Creating idtorrent for {}...\nRegistered with {}/api/registry\n",
        path.display(),
        registry.url
    );
    assert_eq!(ran.stderr, said);
    let (head, body) = registry.request();
    assert!(head.to_lowercase().contains("x-weightless-key: k3y"), "{head}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&body["info_hash"], &body["name"], &body["size"]),
        (&json!(ID), &json!("Label"), &json!(2500))
    );
    assert_eq!((&body["tags"], &body["description"]), (&json!("a,b"), &json!("d")));
    let uploaded = BASE64.decode(body["idt_data"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(uploaded, read(&place, "f.bin.idtorrent"));
    assert!(body.get("torrent_data").is_none());
}

#[test]
fn a_registry_that_says_no_leaves_the_file() {
    for (status, body, text, required) in [
        ("401 Unauthorized", "{\"error\":\"Unauthorized\"}", "registry refused the API key (401)", 6),
        ("409 Conflict", "{\"error\":\"taken\"}", "registry refused this idtorrent (409: taken)", 6),
        ("503 Service Unavailable", "{\"error\":\"Busy\"}", "registry offline (503)", 5),
    ] {
        for (more, code) in [("", 0), ("--require-register", required)] {
            let registry = Registry::answering(status, "", body);
            let place = Place::new();
            place.file("f.bin", 2500);
            let ran = place.wl(&format!("create --tracker {} --idt {more} f.bin", registry.url));
            assert_eq!(ran.code, code, "{status}");
            let warning = format!("Warning: {text}. Idtorrent file is still valid.\n");
            assert!(ran.stderr.contains(&warning), "{}", ran.stderr);
            assert!(!read(&place, "f.bin.idtorrent").is_empty());
        }
    }
}

#[test]
fn a_torrent_can_be_made_beside_it() {
    let place = Place::new();
    place.file("f.bin", 1);
    let ran = place.wl("create -q --no-register --idt --also-torrent f.bin");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["Idtorrent", "Id", "Torrent", "Hash", "V1", "Magnet"]);
    let alone = Place::new();
    alone.file("f.bin", 1);
    alone.wl("create -q --no-register f.bin");
    assert_eq!(read(&place, "f.bin.torrent"), read(&alone, "f.bin.torrent"));
    let object = place.json("create --no-register --idt --also-torrent f.bin");
    assert_eq!(object["also_torrent"]["torrent"], "f.bin.torrent");
}

#[test]
fn show_says_what_it_is() {
    let place = Place::new();
    made(&place);
    let text = place.wl("show f.bin.idtorrent").stdout;
    assert_eq!(
        text,
        format!(
            "Name:          f.bin\nFormat:        idtorrent\nId:            {ID}\nSize:          2.4 KB (2500 bytes)\n\
             Chunk size:    1.0 KB (1024 bytes)\nChunks:        3\n"
        )
    );
    let object = place.json("show f.bin.idtorrent");
    assert_eq!((&object["format"], &object["chunk_size"]), (&json!("idtorrent"), &json!(1024)));
    assert_eq!(object["chunk_hashes"][2], "7888638c14116343eb7e13f282a132be5ac6efe5");
    let ran = place.wl("magnet f.bin.idtorrent");
    assert_eq!((ran.code, ran.stderr.as_str()), (2, "wl: an idtorrent has no magnet link\n"));
}

#[test]
fn a_file_that_breaks_a_rule_is_refused_by_it() {
    let place = Place::new();
    let text = made(&place);
    for (from, to, why) in [
        ("\"f.bin\"", "\"../f\"", "bad file_name"),
        ("2500", "2.5e3", "bad file_size"),
        ("\"num_chunks\": 3", "\"num_chunks\": 2147483648", "num_chunks does not match"),
        ("\"chunk_size\": 1024", "\"chunk_size\": 0", "bad chunk_size"),
        (", \"7888638c14116343eb7e13f282a132be5ac6efe5\"", "", "bad chunk_hashes"),
        (ID, "0000000000000000000000000000000000000000", "file_id does not match"),
        ("}\n", "}}\n", "not one JSON object"),
    ] {
        place.bytes("x.idtorrent", text.replace(from, to).as_bytes());
        for command in ["show", "verify"] {
            let ran = place.wl(&format!("{command} x.idtorrent"));
            let said = format!("wl: idtorrent: {why}\n");
            assert_eq!((ran.code, ran.stderr.as_str()), (3, said.as_str()), "{command}");
        }
    }
}

#[test]
fn verify_names_the_chunks_that_are_wrong() {
    let place = Place::new();
    made(&place);
    let id = |line: &str| {
        let ran = place.wl(line);
        (ran.code, ran.stdout)
    };
    let good = "OK f.bin\n3 of 3 chunks good, 1 of 1 files good\nnot signed\n".to_owned();
    for line in
        ["verify f.bin.idtorrent", "verify f.bin.idtorrent f.bin", "verify --strict f.bin.idtorrent ."]
    {
        assert_eq!(id(line), (0, good.clone()), "{line}");
    }
    let mut bytes = generated(2500);
    (bytes[0], bytes[2499]) = (1, 1);
    for (content, text) in [
        (bytes, "FAILED f.bin: chunks 0, 2\n1 of 3"),
        (generated(2501), "FAILED f.bin: 2501 bytes instead of 2500\n3 of 3"),
        (generated(2499), "FAILED f.bin: 2499 bytes instead of 2500, chunks 2\n2 of 3"),
        (Vec::new(), "FAILED f.bin: 0 bytes instead of 2500, chunks 0-2\n0 of 3"),
    ] {
        place.bytes("f.bin", &content);
        let expected = format!("{text} chunks good, 0 of 1 files good\nnot signed\n");
        assert_eq!(id("verify f.bin.idtorrent"), (7, expected));
    }
    fs::remove_file(place.path().join("f.bin")).unwrap();
    let (code, text) = id("verify f.bin.idtorrent");
    assert!(code == 7 && text.starts_with("FAILED f.bin: missing\n"), "{text}");
    let ran = place.wl("verify --json f.bin.idtorrent");
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&object["ok"], &object["exit"], &object["files"][0]["bad_chunks"]),
        (&json!(false), &json!(7), &json!([0, 1, 2]))
    );
    assert_eq!(place.wl("verify f.bin.idtorrent nowhere").code, 3);
    assert_eq!(id("verify --signature-only f.bin.idtorrent"), (0, "not signed\n".to_owned()));
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (code, text) = id(&format!("verify --signature-only --require-key {key} f.bin.idtorrent"));
    assert!(code == 7 && text.contains("FAILED no signature by"), "{text}");
}

#[test]
fn it_is_fetched_by_url_by_id_and_from_stdin() {
    let place = Place::new();
    let text = made(&place);
    let registry = Registry::answering("200 OK", "", &text);
    assert_eq!(place.json(&format!("show {}/f.idtorrent", registry.url))["file_id"], ID);
    let registry = Registry::answering("200 OK", "", &text);
    assert_eq!(place.json(&format!("verify --tracker {} {}", registry.url, ID.to_uppercase()))["ok"], true);
    let (head, _) = registry.request();
    assert!(head.starts_with(&format!("GET /api/registry/torrent?info_hash={ID} ")), "{head}");
    // The id may be left out by a registry that was asked for it; another file is not taken.
    let bare = text.replace(&format!(",\n  \"file_id\": \"{ID}\""), "");
    let registry = Registry::answering("200 OK", "", &bare);
    assert_eq!(place.json(&format!("show --tracker {} {ID}", registry.url))["file_id"], ID);
    let registry = Registry::answering("200 OK", "", &text);
    let ran = place.wl(&format!("show --tracker {} {}", registry.url, "0".repeat(40)));
    assert_eq!((ran.code, ran.stderr.as_str()), (7, "wl: idtorrent: file_id does not match\n"));
}
