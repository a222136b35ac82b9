//! Names that a torrent should not have: what is written instead, and nothing outside the output directory.

use crate::support::{Place, python};
use crate::swarm::{Seeder, get, names};
use std::process::Command;

/// Writes a v1 torrent with these names (JSON: the name, and paths as lists) of files of five bytes each, all `hello`.
fn craft(place: &Place, json: &str) {
    const SCRIPT: &str = "
import hashlib, json, sys
name, paths = json.loads(sys.argv[1])
def b(x):
    if isinstance(x, int): return b'i%de' % x
    if isinstance(x, str): x = x.encode()
    if isinstance(x, bytes): return b'%d:' % len(x) + x
    if isinstance(x, list): return b'l' + b''.join(map(b, x)) + b'e'
    return b'd' + b''.join(b(k) + b(x[k]) for k in sorted(x)) + b'e'
data = b'hello' * len(paths)
info = {'files': [{'length': 5, 'path': p} for p in paths], 'name': name, 'piece length': 16384,
        'pieces': hashlib.sha1(data).digest()}
open('t.torrent', 'wb').write(b({'announce': 'http://127.0.0.1:9/announce', 'info': info}))
";
    let status = Command::new(python()).args(["-c", SCRIPT, json]).current_dir(place.path()).status();
    assert!(status.expect("python runs").success());
}

/// Downloads such a torrent and gives the names of what was made below the output directory.
fn made(json: &str) -> Vec<String> {
    let place = Place::new();
    craft(&place, json);
    // Alone first: it makes its files, and nobody comes.
    let words = ["t.torrent", "-o", "deep/er/out", "--no-save-torrent"];
    assert_eq!(get(&place, &words).code, 5, "{json}");
    let outside = |names: Vec<String>| {
        names.into_iter().find(|name| !name.starts_with("deep/er/") && name != "t.torrent")
    };
    assert_eq!(outside(names(place.path())), None, "{json}");
    let found = names(&place.path().join("deep/er/out")).into_iter();
    let mut planned: Vec<String> =
        found.filter_map(|name| name.strip_suffix(".wlpart").map(str::to_owned)).collect();
    planned.sort();

    for name in &planned {
        place.bytes(&format!("deep/er/source/{name}"), b"hello");
    }
    let seeder = Seeder::start(&place, &["t.torrent", "deep/er/source"]);
    let ran = get(&place, &[&words[..], &["--peer", &seeder.address]].concat());
    assert_eq!(ran.code, 0, "{json}: {}", ran.stderr);
    assert_eq!(names(&place.path().join("deep/er/out")), planned, "{json}");
    assert_eq!(outside(names(place.path())), None, "{json}");
    planned
}

#[test]
fn names_that_climb_out_do_not() {
    for (json, expected) in [
        (r#"["t", [["..", "..", "evil"], ["ok"]]]"#, ["t/_/_/evil", "t/ok"]),
        (r#"["t", [["/tmp/evil"], ["ok"]]]"#, ["t/_tmp_evil", "t/ok"]),
        (r#"["/etc", [["evil"], ["ok"]]]"#, ["_etc/evil", "_etc/ok"]),
    ] {
        assert_eq!(made(json), expected, "{json}");
    }
    // A name of which nothing is left becomes the hash.
    for name in made(r#"["..", [["evil"], ["ok"]]]"#) {
        let (root, _) = name.split_once('/').expect("a directory");
        assert!(root.len() == 40 && root.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
    }
}

#[test]
fn names_that_collide_or_are_too_long_are_told_apart_and_cut() {
    assert_eq!(made(r#"["t", [["a"], ["A"], ["a"]]]"#), ["t/A (2)", "t/a", "t/a (3)"]);
    assert_eq!(made(r#"["t", [["a"], ["a", "b"]]]"#), ["t/a", "t/a (2)/b"]);
    let long = made(&format!(r#"["t", [["{}.txt"], ["ok"]]]"#, "x".repeat(300)));
    assert!(long[1].len() <= 2 + 255 && long[1].ends_with(".txt"), "{long:?}");
    assert_eq!(long[0], "t/ok");
}
