//! Help, usage errors, exit codes, `--json`, `show`, `verify`, `magnet`.

use crate::support::Place;
use serde_json::Value;

#[test]
fn help_is_everywhere_and_usage_errors_name_a_remedy() {
    let place = Place::new();
    for line in
        ["help", "--help", "-h", "create --help", "help create", "show -h", "verify --help", "search --help"]
    {
        let ran = place.wl(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        assert!(ran.stdout.contains("Examples:"), "{line}");
    }
    for (line, says) in [
        ("", "no command"),
        ("crate x", "did you mean wl create?"),
        ("frobnicate", "wl help lists the commands"),
        ("create --nmae x f", "did you mean --name?"),
        ("create", "give a PATH"),
        ("create a b", "more than one PATH"),
        ("create --stream http://h/x f", "not both"),
        ("create --piece-length 30000 f", "wl: piece length must be a power of two from 16 KiB to 64 MiB"),
        ("create --webseed ftp://x f", "web seed must be an absolute http(s) URL"),
        ("create --private=maybe f", "--private is true or false"),
        ("create --format v3 f", "--format is hybrid, v1 or v2"),
        ("create f --name", "flag --name needs a value"),
        ("show", "missing SOURCE"),
        ("--verbose create f", "--verbose stands before the command"),
        ("version x", "takes no argument"),
        ("search --limit 0", "--limit must be 1-100"),
        ("search --sort x", "--sort is created_at, completions or seeders"),
    ] {
        let ran = place.wl(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}");
        assert!(ran.stderr.contains(says) && ran.stderr.starts_with("wl: "), "{line}: {}", ran.stderr);
    }
}

#[test]
fn an_empty_argument_is_said_to_be_empty() {
    for (words, says) in [
        (["create", ""], "PATH is empty"),
        (["show", ""], "SOURCE is empty"),
        (["takedown", ""], "HASH is empty"),
    ] {
        let ran = Place::new().run(&words);
        assert_eq!((ran.code, ran.stderr), (2, format!("wl: {says}\n")));
    }
}

#[test]
fn flags_have_the_forms_of_the_first_wl() {
    let place = Place::new();
    place.file("f.bin", 5);
    let v1 = place.wl("create -no-register -format v1 -q -o - f.bin").bytes;
    assert_eq!(place.wl("create f.bin --no-register=true --format=v1 --quiet --out=-").bytes, v1);
    assert_eq!(
        place.wl("create --private --private=false --no-register -format v1 -q -o - -- f.bin").bytes,
        v1
    );
}

#[test]
fn a_small_torrent_of_endless_paths_is_shown_and_not_unfolded() {
    let place = Place::new();
    let (directories, files) = (15, 100_000);
    let mut bytes = b"d4:infod9:file tree".to_vec();
    (0..directories).for_each(|_| bytes.extend([b"d250:".as_slice(), &[b'p'; 250]].concat()));
    bytes.push(b'd');
    (0..files).for_each(|n| bytes.extend(format!("6:{n:06}d0:d6:lengthi0eee").into_bytes()));
    bytes.extend([b'e'; 15 + 1]);
    bytes.extend(b"12:meta versioni2e4:name1:x12:piece lengthi16384eee");
    place.bytes("deep.torrent", &bytes);
    let ran = place.wl("show deep.torrent");
    assert!(ran.code == 0 && ran.stdout.contains("... and 99980 more"), "{}", ran.stderr);
    let ran = place.wl("show --json deep.torrent");
    assert!(ran.code == 3 && ran.stderr.contains("its paths are too long to list"), "{}", ran.stderr);
    let ran = place.wl("verify deep.torrent");
    assert!(ran.code == 4 && ran.stderr.contains("a path too long for a disk"), "{}", ran.stderr);
}

#[test]
fn failures_are_objects_with_json() {
    let place = Place::new();
    let ran = place.wl("show --json nothing.torrent");
    assert_eq!(ran.code, 3);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["exit"], &object["error"]["kind"]), (&3.into(), &"input".into()));
    assert_eq!(object["error"]["message"], "nothing.torrent: no such file or directory");
}

#[test]
fn what_is_no_torrent_is_refused_by_its_rule() {
    let place = Place::new();
    place.bytes("x", b"hello");
    place.bytes("d", b"d4:infod12:meta versioni3eee");
    assert!(place.wl("show x").stderr.contains("not a magnet link, torrent, idtorrent, URL or info hash"));
    let ran = place.wl("show d");
    assert_eq!((ran.code, ran.stderr.as_str()), (3, "wl: torrent: unsupported meta version\n"));
}

#[test]
fn show_and_magnet_say_what_is_in_the_file() {
    let place = Place::new();
    place.dir();
    place.run(&["create", "--no-register", "--comment", "x\x1b[2J", "--webseed", "http://w/", "dir"]);
    let ran = place.wl("show dir.torrent");
    assert!(ran.stdout.contains("Comment:       x\\x1b[2J\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("     5   256.0 KB  日本.bin\n"));
    let link = place.wl("magnet --no-tracker --with-webseeds dir.torrent").stdout;
    assert!(link.ends_with("&dn=dir&ws=http%3A%2F%2Fw%2F\n"), "{link}");
    let passkey = place.wl("magnet --passkey --user-id u --secret s3cret dir.torrent");
    assert!(passkey.stdout.contains("%2Fannounce%2Fu."), "{}", passkey.stdout);
    assert!(!passkey.stdout.contains("s3cret"));
    // The link, and the torrent on stdin, are sources too.
    assert!(place.wl("magnet").stderr.contains("missing SOURCE"));
}

#[test]
fn verify_names_what_is_wrong() {
    let place = Place::new();
    place.dir();
    for format in ["hybrid", "v1", "v2"] {
        place.dir();
        place.wl(&format!("create -q --no-register --force --format {format} --piece-length 16K dir"));
        assert_eq!(
            place.json("verify dir.torrent")["pieces_good"],
            place.json("show dir.torrent")["piece_count"]
        );
        assert_eq!(place.wl("verify dir.torrent dir").code, 0);
        let mut damaged = crate::support::generated(262145);
        damaged[16384] ^= 1;
        damaged[262144] ^= 1;
        place.bytes("dir/日本.bin", &damaged);
        place.bytes("dir/z.bin", b"toolong");
        std::fs::remove_file(place.path().join("dir/a.txt")).unwrap();
        let ran = place.wl("verify dir.torrent");
        assert_eq!(ran.code, 7);
        assert!(ran.stdout.contains("OK a/b.bin\nOK a/empty\n") || format == "v1", "{}", ran.stdout);
        assert!(ran.stdout.contains("FAILED a.txt: missing\n"), "{}", ran.stdout);
        assert!(ran.stdout.contains("FAILED z.bin: 7 bytes instead of 3"), "{}", ran.stdout);
        if format != "v1" {
            assert!(ran.stdout.contains("FAILED 日本.bin: pieces 7, 22\n"), "{}", ran.stdout);
        }
        std::fs::remove_dir_all(place.path().join("dir")).unwrap();
    }
    place.file("f.bin", 5);
    place.file("more/other", 5);
    place.wl("create -q --no-register more");
    place.file("more/extra", 1);
    assert_eq!(place.wl("verify more.torrent").code, 0);
    let strict = place.wl("verify --strict more.torrent");
    assert!(strict.code == 7 && strict.stdout.contains("EXTRA "), "{}", strict.stdout);
}

#[test]
fn hashes_that_describe_different_data_are_the_torrents_fault() {
    let place = Place::new();
    place.file("f.bin", 40000);
    place.wl("create -q --no-register --piece-length 16K f.bin");
    let file = place.path().join("f.bin.torrent");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(11).position(|window| window == b"6:pieces60:").unwrap();
    bytes[at + 11 + 25] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let ran = place.wl("verify f.bin.torrent");
    assert_eq!((ran.code, ran.stderr.as_str()), (7, "wl: v1 and v2 hashes describe different data\n"));
    // Where both say no, the data is at fault.
    place.bytes("f.bin", &[0; 40000]);
    let ran = place.wl("verify f.bin.torrent");
    assert!(ran.code == 7 && ran.stdout.starts_with("FAILED f.bin: pieces 0-2\n"), "{}", ran.stdout);
}

#[test]
fn what_a_maker_said_of_a_file_is_shown() {
    let place = Place::new();
    let info =
        "d5:filesld4:attr2:xh6:lengthi1e4:pathl1:aeed6:lengthi1e4:pathl1:beee4:name1:n12:piece lengthi16384e";
    place.bytes("x.torrent", format!("d4:info{info}6:pieces20:{}ee", "a".repeat(20)).as_bytes());
    let ran = place.wl("show x.torrent");
    assert!(
        ran.stdout.ends_with("a  (executable)  (hidden)\n     1        1 B  b\n"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let shown = place.json("show x.torrent");
    assert_eq!(
        (&shown["files"][0]["hidden"], &shown["files"][1]["executable"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn an_existing_file_of_another_torrent_is_kept() {
    let place = Place::new();
    place.file("f.bin", 5);
    assert_eq!(place.wl("create --no-register f.bin").code, 0);
    // The same content, another comment: replaced. Another content: kept.
    assert_eq!(place.wl("create --no-register --comment x f.bin").code, 0);
    let before = std::fs::read(place.path().join("f.bin.torrent")).unwrap();
    place.file("f.bin", 6);
    let ran = place.wl("create --no-register f.bin");
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("f.bin.torrent exists and differs"));
    assert_eq!(std::fs::read(place.path().join("f.bin.torrent")).unwrap(), before);
    assert_eq!(place.wl("create --no-register --force f.bin").code, 0);
    let ran = place.wl("create -v --no-register --out nowhere/x.torrent f.bin");
    assert!(ran.code == 4 && !ran.stderr.contains("hashed"), "known before any work: {}", ran.stderr);
    place.bytes("other.torrent", b"not a torrent");
    let ran = place.wl("create -v --no-register --out other.torrent f.bin");
    assert!(ran.code == 4 && !ran.stderr.contains("hashed"), "known before any work: {}", ran.stderr);
    std::fs::remove_file(place.path().join("other.torrent")).unwrap();
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 2, "no temporary file stays");
    // A device is written to, never read to its end and never replaced.
    let ran = place.wl("create --no-register --out /dev/full f.bin");
    assert!(ran.code == 4 && ran.stderr.contains("no space left"), "{}", ran.stderr);
    assert_eq!(place.wl("create --no-register --out /dev/null f.bin").code, 0);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_passkey_is_signed_and_put_into_announce_urls() {
    let signed = "user_clerk_123.50d560e55f2a3d0a9d63071546a1a5f3edae3d060924c21103364f8f24a13221";
    let place = Place::new();
    place.bytes("secret.txt", b"super-secret-key\n");
    let ran =
        place.wl("passkey --quiet --secret @secret.txt --tracker https://t.example/announce user_clerk_123");
    let lines = format!(
        "Passkey: {signed}\nHTTP:    https://t.example/announce/{signed}\n\
         UDP:     udp://t.example:1337/announce/{signed}\n"
    );
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, lines.as_str(), ""));
    let ran = place.wl(
        "passkey --json --udp-port 7 --secret super-secret-key --tracker http://[::1]:8080 user_clerk_123",
    );
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&said["user"], &said["passkey"]), (&"user_clerk_123".into(), &signed.into()));
    assert_eq!(said["announce"], format!("http://[::1]:8080/announce/{signed}"));
    assert_eq!(said["announce_udp"], format!("udp://[::1]:7/announce/{signed}"));
    let ran = place.wl("passkey --json --udp-port off --secret s u");
    assert!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["announce_udp"].is_null());
    for (line, says) in [
        ("passkey u", "set TRACKER_SECRET or --secret @FILE"),
        ("passkey --secret s a.b", "user ID must be 1-64 of"),
        ("passkey --secret s", "missing USER"),
        ("passkey --secret s --udp-port 0 u", "--udp-port is 1-65535 or off"),
    ] {
        let ran = place.wl(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{line}");
        assert!(ran.stderr.contains(says), "{line}: {}", ran.stderr);
    }
}
