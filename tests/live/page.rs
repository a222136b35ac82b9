//! The page at `/` in a real browser: headless Chromium, driven by `tests/clients/page.mjs`, which also fails when the page
//! violates its policy, logs an error or asks anything of anybody else. `make test` installs both.

use crate::proxy::Proxy;
use crate::support::daemon::Daemon;
use crate::support::transfer::Transfer;
use crate::support::{files, http, wl};
use data_encoding::BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const KEY: &str = "a key for tests";

/// Plays a scenario; what the script found.
fn play(scenario: &str, given: &Value) -> Value {
    let output = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/page.mjs"))
        .args([scenario, &given.to_string()])
        .env("NODE_MODULES", std::env::var_os("WL_TEST_NODE_MODULES").unwrap_or_default())
        .env("CHROMIUM", chromium())
        .output()
        .expect("node: `make test` installs what it needs");
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scenario}: {why}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("{scenario}: {e}: {said}{why}"))
}

fn chromium() -> PathBuf {
    let named = |name: &str| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|program| program.exists())
    };
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(named)
        .expect("chromium: `make test` installs it")
}

fn text<'a>(said: &'a Value, key: &str) -> &'a str {
    said[key].as_str().unwrap_or_else(|| panic!("no {key} in {said}"))
}

fn saved(file: &Value) -> Vec<u8> {
    BASE64.decode(text(file, "bytes").as_bytes()).expect("base64")
}

/// The generator of the test vectors.
fn generated(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

/// The folder of the test vectors.
fn vector_folder(at: &Path) {
    for (name, length) in [
        ("a/b.bin", 20_000),
        ("a/empty", 0),
        ("a.txt", 5),
        ("z.bin", 3),
        ("é.bin", 16_385),
        ("日本.bin", 262_145),
    ] {
        let path = at.join(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, generated(length)).expect("a file");
    }
}

/// A registry of 30 numbered entries and one folder of files; the folder's hash.
fn filled(home: &Path, tracker: &Daemon) -> String {
    let at = tracker.http(LOCALHOST);
    for n in 0..30 {
        let name = if n == 29 { "<img src=x onerror=alert(1)>".to_owned() } else { format!("number {n}") };
        let category = if n % 2 == 0 { "even" } else { "odd" };
        let hash = format!("{n:02x}").repeat(32);
        let entry =
            json!({"info_hash": hash, "name": name, "category": category, "description": "<b>bold</b>"});
        assert_eq!(http::register(at, &entry).status, 201);
    }
    http::announce(at, &[4; 20], b"-TS0001-page00000001", 6881, 0, "");
    vector_folder(&home.join("tree"));
    let created = wl::create(home, &tracker.base_url(), &home.join("tree"), &["--no-date"]);
    assert!(created.registered);
    created.info_hash
}

#[test]
fn the_registry_can_be_searched_and_browsed() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let tree = filled(home.path(), &tracker);
    let stored = fs::read(home.path().join("tree.torrent")).expect("a torrent");
    for scenario in ["browse", "noscript"] {
        let said = play(scenario, &json!({"base": tracker.base_url(), "tree": tree}));
        let udp = format!("udp%3A%2F%2F127.0.0.1%3A{}%2Fannounce", tracker.udp_port);
        assert!(text(&said, "magnet").contains(&tree) && text(&said, "magnet").ends_with(&udp), "{said}");
        assert_eq!(text(&said["torrent"], "name"), "tree.torrent");
        assert!(saved(&said["torrent"]) == stored, "{scenario}: another torrent than wl's");
        if scenario == "browse" {
            assert_eq!(text(&said, "copied"), tree);
        }
    }
}

/// One thing to hash: where it is, and the hashes the specification gives for it, if it does.
struct Vector {
    path: PathBuf,
    v1: &'static str,
    v2: &'static str,
    idt: &'static str,
}

fn vectors(home: &Path) -> Vec<Vector> {
    let det = (0..700_000u32).map(|i| (i.wrapping_mul(31) + 7) as u8).collect();
    [
        (
            "f.bin",
            generated(1),
            "efb5faac75b001de8b0472d25a0681503dde90f0",
            "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7",
            "",
        ),
        (
            "f.bin",
            generated(16_384),
            "638e7e08f930f6596b1796891860cbcff3f95584",
            "188dffc271076b4341225d0e69c572f3f6de1f4e3c7fe9cf7374a744e690a9ee",
            "",
        ),
        (
            "f.bin",
            generated(16_385),
            "e04be6052053b3deaa2c5cc24ad7d3232348be2e",
            "c544ab2e4a366af08ccc5e837e84650a94e19af18e46ea68d988b39d32fae76c",
            "",
        ),
        (
            "f.bin",
            generated(262_144),
            "4a5c464fb5342cf6e89070b4f932488f6138450c",
            "39d6bd5bf1b7099885d1845dd44b69d9c6ad029275239efeaf88008530007f84",
            "",
        ),
        (
            "f.bin",
            generated(262_145),
            "d78c985403b0a542b331f3afc72c143a3e86e2fa",
            "bfdae61718485536b26cf806f6845f6a8ae25c1ac8af59788d215e45701d4c4d",
            "",
        ),
        (
            "f.bin",
            generated(1_048_577),
            "d739b933c0b48119a8ff7a935da004b37725751d",
            "737a322ec8d3f0d264b72c43413a35fb7f75e6751f3f68eb045e66e18367249c",
            "",
        ),
        (
            "data.bin",
            vec![b'A'; 1_000_000],
            "53973f747d0b905e4bbf652d38b9385b7e73676a",
            "35e7c313c9d4868221b3d662ab59d4274d2a61b93ae9faa103ae0896ff13e8ae",
            "",
        ),
        (
            "det.bin",
            det,
            "0f951736339f6c1f558151e5911a9f20e052a6c3",
            "6a497167571d6de2cd5529779458675901ca20e7b702afcdb3dd5b26705d0c3b",
            "",
        ),
        ("hello.txt", b"hello\n".to_vec(), "", "", "0e7b9122a81e08302cfcfd2bf7f44a315ab4523b"),
        ("example.bin", generated(204_800), "", "", "5bf23afa6868e872487f01ec032b3cf44a70bb6c"),
        ("é.bin", generated(10_241), "", "", "0a1ba9c3d955d03dfd2068e5cda12f4db619d59f"),
        ("empty.txt", Vec::new(), "", "", "5b36302a3d961dad41f97cf16125663e2edb5191"),
        // Several slices of what is read at once, and a name that must be escaped.
        ("quote\" and 'more'.bin", files::noise(7, 9 << 20), "", "", ""),
        // From here on by the browser's functions only. The largest file that an idtorrent is made of, and one byte more.
        ("largest.bin", vec![1; 20 << 20], "", "", ""),
        ("too large.bin", vec![1; (20 << 20) + 1], "", "", ""),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (name, bytes, v1, v2, idt))| {
        let path = home.join(format!("vector-{at}")).join(name);
        fs::create_dir(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        Vector { path, v1, v2, idt }
    })
    .collect()
}

/// So many of them are hashed by our own functions too: all but the large ones.
const FEW: usize = 13;
const FEW_FOLDERS: usize = 3;

fn folders(home: &Path) -> Vec<Vector> {
    vector_folder(&home.join("dir"));
    files::nested_folder(&home.join("Météo 2026"));
    fs::create_dir(home.join("one")).expect("a folder");
    fs::write(home.join("one/only"), generated(5)).expect("a file");
    // A browser runs out of what it reads with, unless that is given back.
    for n in 0..600 {
        let path = home.join(format!("many/{}/{n}", n % 7));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, files::noise(n, 300)).expect("a file");
    }
    // A file of one slice before one of several: both are read into the same buffers.
    fs::create_dir(home.join("mixed")).expect("a folder");
    fs::write(home.join("mixed/a"), generated(5)).expect("a file");
    fs::write(home.join("mixed/b"), files::noise(8, 13 << 20)).expect("a file");
    let vector = |name: &str, v1, v2| Vector { path: home.join(name), v1, v2, idt: "" };
    vec![
        vector(
            "dir",
            "0915e9b22a42f1c1bf6911d8763435db424289b2",
            "789c73fd6a36d2dc573bf4437fff73a9bb56339f10925221f77afc065b786f8e",
        ),
        vector("Météo 2026", "", ""),
        vector("one", "", ""),
        vector("many", "", ""),
        vector("mixed", "", ""),
    ]
}

/// Every vector a page can make, and more: the same bytes as `wl create`, with the browser's hash functions and with
/// our own.
#[test]
fn torrents_of_the_page_are_those_of_wl() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let (single, several) = (vectors(home.path()), folders(home.path()));
    let paths = |of: &[Vector]| of.iter().map(|vector| vector.path.clone()).collect::<Vec<_>>();
    let given = json!({
        "base": tracker.base_url(),
        "files": paths(&single),
        "folders": paths(&several),
        "few": FEW,
        "fewFolders": FEW_FOLDERS,
    });
    let said = play("hash", &given);
    let base = tracker.base_url();
    for (kind, base) in [("browser", base.clone()), ("own", base.replace("127.0.0.1", "tracker.test"))] {
        for (what, vectors) in [("file", &single), ("folder", &several)] {
            let few = if what == "file" { FEW } else { FEW_FOLDERS };
            let most = if kind == "own" { few } else { usize::MAX };
            for (at, vector) in vectors.iter().enumerate().take(most) {
                let found = &said[format!("{kind} {what} {at}")];
                compare(home.path(), &base, vector, found);
                let dropped = &said[format!("{kind} dropped {what} {at}")];
                assert!(at > 0 || dropped["torrent"] == found["torrent"], "dropped as chosen: {dropped}");
            }
        }
    }
}

fn compare(home: &Path, base: &str, vector: &Vector, found: &Value) {
    let shown = vector.path.display();
    let flags = ["--no-date", "--no-register", "--force", "-o", "made.torrent"];
    let ours = wl::create(home, base, &vector.path, &flags);
    assert_eq!(text(found, "v2"), ours.info_hash, "{shown}");
    assert_eq!(Some(text(found, "v1")), ours.v1_info_hash.as_deref(), "{shown}");
    assert_eq!(text(found, "magnet"), ours.magnet, "{shown}");
    assert!(vector.v1.is_empty() || vector.v1 == text(found, "v1"), "{shown}: {found}");
    assert!(vector.v2.is_empty() || vector.v2 == text(found, "v2"), "{shown}: {found}");
    let (theirs, ours) = (saved(&found["torrent"]), fs::read(home.join("made.torrent")).expect("a torrent"));
    assert!(theirs == ours, "{shown}: {} bytes of the page, {} of wl", theirs.len(), ours.len());

    let name = vector.path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    assert_eq!(
        text(&found["torrent"], "name").replace(['"', '_'], "?"),
        format!("{name}.torrent").replace(['"', '_'], "?")
    );
    let length = fs::metadata(&vector.path).expect("it is there");
    if length.is_dir() || length.len() > 20 << 20 {
        return assert!(found.get("idt").is_none(), "{shown}: an idtorrent is one small file");
    }
    idtorrent(name, &fs::read(&vector.path).expect("a file"), vector, found);
}

/// An idtorrent as the specification words it, made again here.
fn idtorrent(name: &str, content: &[u8], vector: &Vector, found: &Value) {
    let written = saved(&found["idt"]);
    if name == "hello.txt" {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&written));
        assert_eq!(digest, "868a476171735acf95c2d31afa09727c7b398abbdb37f1ca2d44317e8427417f");
    }
    let chunks: Vec<String> = content.chunks(10_240).map(sha1_hex).collect();
    let id = sha1_hex(format!("{name}{}{}", content.len(), chunks.concat()).as_bytes());
    assert!(vector.idt.is_empty() || vector.idt == id, "{name}: the vector");
    assert_eq!(text(found, "id"), id, "{name}");
    let quoted: Vec<String> = chunks.iter().map(|chunk| format!("\"{chunk}\"")).collect();
    let expected = format!(
        "{{\n  \"file_name\": \"{}\",\n  \"file_size\": {},\n  \"chunk_size\": 10240,\n  \"num_chunks\": {},\n  \
         \"chunk_hashes\": [{}],\n  \"file_id\": \"{id}\"\n}}\n",
        name.replace('"', "\\\""),
        content.len(),
        chunks.len(),
        quoted.join(", ")
    );
    assert!(String::from_utf8_lossy(&written) == expected, "{name}: another idtorrent");
}

fn sha1_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&sha1::Sha1::digest(bytes))
}

#[test]
fn sharing_asks_warns_and_can_be_cancelled() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let loose = home.path().join("loose");
    fs::create_dir_all(&loose).expect("a folder");
    let names = ["b.bin", "B2.bin", "a b.txt"];
    for (seed, name) in names.iter().enumerate() {
        fs::write(loose.join(name), files::noise(seed as u64, 70_000)).expect("a file");
    }
    // A file of nothing but a hole: it costs no disk.
    let large = home.path().join("large.bin");
    fs::File::create(&large).and_then(|file| file.set_len(5 << 30)).expect("a file with a hole");
    fs::create_dir(home.path().join("empty")).expect("a folder");
    let paths: Vec<_> = names.iter().map(|name| loose.join(name)).collect();
    let said = play(
        "share",
        &json!({"base": tracker.base_url(), "loose": paths, "large": large, "empty": home.path().join("empty")}),
    );
    let flags = ["--no-date", "--no-register", "-o", "made.torrent"];
    let ours = wl::create(home.path(), &tracker.base_url(), &loose, &flags);
    assert_eq!(text(&said["loose"], "v2"), ours.info_hash, "as the folder of the name that was given");
    assert!(
        saved(&said["loose"]["torrent"]) == fs::read(home.path().join("made.torrent")).expect("a torrent")
    );
    assert_eq!(text(&said["loose"], "seed"), "wl seed loose.torrent loose");
    assert!(saved(&said["offline"]["torrent"]).starts_with(b"d8:announce"));
}

#[test]
fn a_registry_with_a_key_asks_for_it_and_what_was_shared_can_be_fetched() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("REGISTRY_KEY", KEY)]);
    let (file, other) = (home.path().join("it's here.bin"), home.path().join("other.bin"));
    fs::write(&file, files::noise(1, 300_000)).expect("a file");
    fs::write(&other, files::noise(2, 3_000)).expect("a file");
    let said = play("key", &json!({"base": tracker.base_url(), "key": KEY, "file": file, "other": other}));
    let flags = ["--no-date", "--no-register", "-o", "made.torrent"];
    wl::create(home.path(), &tracker.base_url(), &file, &flags);
    let ours = fs::read(home.path().join("made.torrent")).expect("a torrent");
    assert!(saved(&said["torrent"]) == ours, "the registry holds the torrent of the page");
    let another = http::get(tracker.http(LOCALHOST), "/api/registry/search?q=another").json();
    assert_eq!(another.as_array().map(Vec::len), Some(2), "a torrent and an idtorrent: {another}");
    assert_eq!(said["small"]["served"], said["small"]["idt"], "the idtorrent of the page, under its name");

    // What was dropped on the page can be seeded and fetched with what it gave.
    let metafile = home.path().join("other.bin.idtorrent");
    fs::write(&metafile, saved(&said["small"]["served"])).expect("the idtorrent");
    let base = tracker.base_url();
    let (_seed, _) = Transfer::seed(home.path(), &metafile, &other, &["--tracker", &base]);
    let copy = home.path().join("copy");
    let source = metafile.to_str().expect("UTF-8");
    Transfer::get(home.path(), source, &copy, &["--tracker", &base]).end();
    assert!(fs::read(copy.join("other.bin")).expect("a copy") == fs::read(&other).expect("the file"));
}

#[test]
fn what_the_registry_knows_is_kept_when_it_is_registered_again() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(LOCALHOST);
    let file = home.path().join("known.bin");
    fs::write(&file, files::noise(1, 3_000)).expect("a file");
    let created = wl::create(home.path(), &tracker.base_url(), &file, &["--no-register"]);
    let entry = json!({
        "info_hash": created.info_hash, "name": "as it is called", "description": "one line\nand another",
        "publisher": "somebody", "license": "MIT", "category": "a & b", "tags": "x,y",
    });
    assert_eq!(http::register(at, &entry).status, 201);
    let said = play("anew", &json!({"base": tracker.base_url(), "file": file}));
    for field in ["name", "description", "publisher", "license", "category", "tags"] {
        assert_eq!(text(&said["filled"], field).replace("\r\n", "\n"), entry[field], "{field}");
    }
    // Emptied, changed and kept by hand; then the name alone, while the registry did not answer at first.
    let fields = ["name", "description", "publisher", "license", "category"];
    let is = |hash: &str| http::get(at, &format!("/api/registry?info_hash={hash}")).json();
    let found = is(&created.info_hash);
    let known = fields.map(|field| text(&found, field).to_owned());
    assert_eq!(known, ["typed", "one line\nand another", "somebody", "CC0-1.0", "a & b"]);
    assert!(found.get("tags").is_none(), "{found}");
    let small = http::get(at, "/api/registry/search?q=as+it+is").json();
    assert_eq!(
        (small[0]["kind"].as_str(), small[0]["license"].as_str()),
        (Some("idtorrent"), Some("CC0-1.0"))
    );
}

#[test]
fn it_works_below_a_path_of_a_proxy() {
    let home = tempfile::tempdir().expect("a folder");
    let at = Proxy::address();
    let base = format!("http://{at}/bt");
    let tracker = Daemon::start(home.path(), &[("PUBLIC_URL", &base), ("TRUSTED_PROXIES", "127.0.0.1/32")]);
    let tree = filled(home.path(), &tracker);
    let _proxy = Proxy::before(&tracker, at, "/bt/", home.path());
    let file = home.path().join("shared.bin");
    fs::write(&file, files::noise(1, 300_000)).expect("a file");
    let said = play("prefix", &json!({"base": base, "tree": tree, "file": file}));
    assert_eq!(text(&said["torrent"], "name"), "tree.torrent");
    assert_eq!(text(&said, "command"), format!("wl get {tree} --tracker {base}"));
    let announce = format!("8:announce{}:{base}/announce", base.len() + "/announce".len());
    let shared = saved(&said["shared"]["torrent"]);
    assert!(String::from_utf8_lossy(&shared).contains(&announce), "its announce URL");
}

/// What a page's process has at most while it hashes beside what it had before: files that are holes cost no disk.
#[test]
fn hashing_stays_within_64_mebibytes() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let hole = |path: PathBuf, length| {
        fs::File::create(path).and_then(|file| file.set_len(length)).expect("a file with a hole");
    };
    let (file, folder) = (home.path().join("one.bin"), home.path().join("folder"));
    hole(file.clone(), 1 << 30);
    fs::create_dir(&folder).expect("a folder");
    for n in 0..128 {
        hole(folder.join(n.to_string()), 4 << 20);
    }
    let said = play("memory", &json!({"base": tracker.base_url(), "file": file, "folder": folder}));
    let hash = "e155c78ad218eb278ae366a6679bac1453e7306bc6f1050c2f958450b793165a";
    assert_eq!(text(&said, "file"), hash);
    for of in ["file grown", "folder grown"] {
        assert!(said[of].as_f64().expect("a number") < 64.0, "{said}");
    }
}

#[test]
fn refusals_are_told_in_words() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let (at, base) = (tracker.http(LOCALHOST), tracker.base_url());
    let hashes = |name: &str, seed| {
        let path = home.path().join(name);
        fs::write(&path, files::noise(seed, 1_000)).expect("a file");
        let created = wl::create(home.path(), &base, &path, &["--no-register"]);
        (path, created.info_hash, created.v1_info_hash.expect("a hybrid"))
    };
    let (blocked, hash, _) = hashes("blocked.bin", 1);
    assert_eq!(http::ask(at, "DELETE", &format!("/api/registry?info_hash={hash}"), "").status, 200);
    let (taken, _, v1) = hashes("taken.bin", 2);
    let other = json!({"info_hash": "ab".repeat(32), "v1_info_hash": v1, "name": "holds its v1 hash"});
    assert_eq!(http::register(at, &other).status, 201);

    let said = play("refused", &json!({"base": base, "blocked": blocked, "taken": taken}));
    for (case, words, daemon) in [
        ("400", "one of the fields", "400: Invalid name"),
        ("403", "taken this content down", "403: info_hash is blocked"),
        ("409", "already holds one of these info hashes", "409: hash already belongs to another entry"),
        ("413", "larger than this tracker takes", "413: Request body too large"),
        ("422", "gave other hashes", "422: torrent_data does not match info_hash"),
        ("429", "Wait a few seconds", "429: Too Many Requests"),
        ("503", "cannot store anything right now", "503: Storage unavailable"),
        ("500", "could not register", "500: Database error"),
        ("origin", "PUBLIC_URL", "403: Forbidden: origin not allowed"),
    ] {
        let told = text(&said, case);
        assert!(told.contains(words) && told.contains(daemon), "{case}: {told}");
    }
}

#[test]
fn the_status_view_shows_live_numbers() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[("OPEN_TRACKER", "true")]);
    for n in 0..3u8 {
        http::announce(tracker.http(LOCALHOST), &[n; 20], b"-TS0001-page00000002", 6881, u64::from(n), "");
    }
    let said = play("status", &json!({"base": tracker.base_url()}));
    let plot = |name: &str| text(&said["plots"], name).replace('\n', " ");
    assert!(plot("Peers").starts_with("3 ") && plot("Peers").contains("1 seeder"), "{said}");
    assert!(plot("Torrents").contains("3 swarms"), "{said}");
    assert!(plot("Announces/s").contains("3 in all"), "{said}");
    assert!(plot("Memory").contains("MB"), "{said}");
    assert!(text(&said, "label").starts_with("Peers over the last"), "{said}");
    assert!(text(&said, "facts").contains(env!("CARGO_PKG_VERSION")), "{said}");
}
