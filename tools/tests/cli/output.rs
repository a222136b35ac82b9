//! What goes where: details, quiet, JSON, colour; and what a person sees on a terminal.

use crate::registering::Registry;
use crate::support::{self, Place};
use std::process::Command;

/// Runs `wl` on a terminal of 60 columns that `environment` describes; everything that appears on it.
fn on_terminal(place: &Place, environment: &[(&str, &str)], words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wl"));
    command.args(words).current_dir(place.path()).envs(environment.iter().copied());
    support::on_terminal(60, &command).stdout
}

#[test]
fn a_terminal_gets_a_moving_line_that_fits_and_goes_away() {
    let place = Place::new();
    place.file("f.bin", 48 << 20);
    let seen =
        on_terminal(&place, &[("TERM", "xterm")], &["create", "--no-register", "--threads", "1", "f.bin"]);
    let lines: Vec<&str> = seen.split('\r').filter(|line| line.starts_with("hashing")).collect();
    assert!(!lines.is_empty(), "{seen:?}");
    for line in &lines {
        assert!(line.contains("/48.0 MB") && line.chars().count() <= 59, "{line:?}");
    }
    let last = seen.rfind("hashing").unwrap();
    let behind: Vec<&str> = seen[last..].split('\r').skip(1).take(2).collect();
    assert!(behind[0].trim().is_empty() && behind[1].starts_with("Torrent: "), "{seen:?}");
    for quiet in ["--quiet", "--json"] {
        let seen = on_terminal(&place, &[], &["create", "--no-register", "--force", quiet, "f.bin"]);
        assert!(!seen.contains("hashing"), "{seen:?}");
    }
}

#[test]
fn colour_is_for_terminals_that_take_it() {
    let place = Place::new();
    place.file("f.bin", 5);
    place.wl("create --no-register f.bin");
    place.file("f.bin", 6);
    let verify = ["verify", "f.bin.torrent"];
    let failed = on_terminal(&place, &[("TERM", "xterm")], &verify);
    assert!(failed.contains("\x1b[31mFAILED\x1b[0m f.bin: 6 bytes"), "{failed:?}");
    let refused = on_terminal(&place, &[("TERM", "xterm")], &["show", "nothing"]);
    assert!(refused.contains("\x1b[31mwl:\x1b[0m nothing: no such file"), "{refused:?}");
    for (environment, flags) in
        [([("NO_COLOR", "1")], &[][..]), ([("TERM", "dumb")], &[]), ([("TERM", "xterm")], &["--no-color"])]
    {
        for command in [&verify[..], &["show", "f.bin.torrent"], &["show", "nothing"]] {
            let seen = on_terminal(&place, &environment, &[command, flags].concat());
            assert!(!seen.contains('\x1b'), "{environment:?} {command:?}: {seen:?}");
        }
    }
    assert!(on_terminal(&place, &[("NO_COLOR", "")], &verify).contains('\x1b'), "an empty variable is unset");
    assert!(!place.wl("verify f.bin.torrent").stdout.contains('\x1b'));
}

#[test]
fn verbose_names_every_file_and_every_answer() {
    let registry = Registry::answering("201 Created", "", "{}");
    let place = Place::new();
    place.dir();
    let ran = place.wl(&format!("create -v --tracker {} dir", registry.url));
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("hashed /")).count(), 5, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("\nPOST {}/api/registry: 201\n", registry.url)), "{}", ran.stderr);
    assert!(place.wl("verify -v dir.torrent").stderr.contains("checked 日本.bin\n"));
    assert_eq!(place.wl("verify -v -q dir.torrent").stderr, "");
    assert_eq!(place.wl("create -v -q --no-register --force dir").stderr, "");
    let ran = place.wl("search -v --tracker http://127.0.0.1:1");
    assert!(ran.stderr.starts_with("GET http://127.0.0.1:1/api/registry/search"), "{}", ran.stderr);
}

#[test]
fn json_and_quiet_are_heard_in_every_form() {
    let place = Place::new();
    place.file("f.bin", 5);
    for flag in ["--json", "-json", "-j", "--json=true", "-json=1"] {
        let ran = place.wl(&format!("create --no-register --force {flag} f.bin"));
        assert!(ran.stdout.starts_with("{\"files\""), "{flag}: {}", ran.stdout);
        assert!(place.wl(&format!("create {flag} --nonsense")).stdout.starts_with("{\"error\""), "{flag}");
    }
    assert!(
        place.wl("create --no-register --force --json --json=false f.bin").stdout.starts_with("Torrent: ")
    );
    // The file on stdout, the result on stderr; nothing there when quiet.
    let ran = place.wl("create --no-register -o - f.bin");
    assert!(ran.stdout.starts_with('d') && ran.stderr.contains("\nTorrent: -\nHash:    "), "{}", ran.stderr);
    assert_eq!(place.wl("create --no-register -q -o - f.bin").stderr, "");
    let ran = place.wl("");
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.contains("usage: wl COMMAND") && ran.stderr.contains("create, get, seed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_secret_appears_nowhere() {
    let place = Place::new().env("RUST_BACKTRACE", "1");
    place.file("f.bin", 5);
    place.bytes("secret", b"s3cret\nsecond line\n");
    let offline = "--tracker http://127.0.0.1:1 --user-id u --secret";
    for (line, file) in [
        (format!("create -v --force {offline} s3cret f.bin"), true),
        (format!("create -v --json --force {offline} @secret f.bin"), true),
        (format!("create -v --force {offline} s3cret --format v9 f.bin"), false),
        (format!("magnet --passkey {offline} s3cret f.bin.torrent"), false),
        ("search --tracker http://127.0.0.1:1 --api-key s3cret x".into(), false),
        ("takedown --yes --tracker http://127.0.0.1:1 --api-key s3cret nothex".into(), false),
        (format!("takedown --yes --tracker http://127.0.0.1:1 --api-key s3cret {}", "0".repeat(40)), false),
    ] {
        let ran = place.wl(&line);
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"), "{line}: {}", ran.stderr);
        let made = std::fs::read(place.path().join("f.bin.torrent")).unwrap_or_default();
        assert!(!made.windows(6).any(|window| window == b"s3cret"), "{line}");
        assert!(!file || made.windows(12).any(|window| window == b"/announce/u."), "{line}");
    }
}
