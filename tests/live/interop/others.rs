//! aria2, rqbit and Transmission: v1 both ways, and a hybrid as v1 with rqbit (the others cannot read hybrids).

use super::Scene;
use crate::support::aria2::{Aria2, Seeds};
use crate::support::daemon::Daemon;
use crate::support::http::{self, Announced};
use crate::support::network::{self, TRACKER};
use crate::support::rqbit::Rqbit;
use crate::support::transfer::Transfer;
use crate::support::transmission::Transmission;
use crate::support::{files, until};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

#[test]
fn aria2_gets_from_wl_and_wl_from_aria2() {
    let scene = Scene::set();
    let original = scene.folder("original/dir");
    files::nested_folder(&original);
    let url = scene.http("127.0.0.1");
    let made = scene.torrent(&original, Some(&url), &["--format", "v1"]);

    let (seed, _) = Transfer::seed(scene.home(), &made.path, &scene.folder("original"), &[]);
    seed.wait("tracker");
    let copy = scene.folder("copy of aria2");
    Aria2::start(scene.home(), &made.path, &copy, &url, Seeds::No).end();
    files::assert_same(&original, &copy.join("dir"));
    seed.interrupt();

    let _aria2 = Aria2::start(scene.home(), &made.path, &copy, &url, Seeds::AMinute);
    let v1 = made.metainfo.hashes().v1().expect("a v1 torrent").0;
    wait_for_seeder(&scene.tracker, Ipv4Addr::LOCALHOST.into(), &v1);
    let again = scene.folder("copy of wl");
    Transfer::get(scene.home(), made.path(), &again, &[]).end();
    files::assert_same(&original, &again.join("dir"));
}

#[test]
fn rqbit_gets_v1_from_wl_and_wl_from_rqbit() {
    with_rqbit("v1", files::nested_folder);
}

/// It has a v1 connection and gives nothing but whole blocks, padding or not. This rqbit refuses two pads of the same
/// length, so the files here have pads of different lengths.
#[test]
fn rqbit_gets_a_hybrid_as_v1_from_wl_and_wl_from_rqbit() {
    with_rqbit("hybrid", |folder| {
        for (name, bytes) in
            [("a.bin", 300_001), ("é/b.bin", 1), ("empty", 0), ("m.bin", 16_383), ("z.bin", 700_017)]
        {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, files::noise(bytes, bytes as usize)).expect("a file");
        }
    });
}

fn with_rqbit(format: &str, fill: impl Fn(&Path)) {
    let scene = Scene::set();
    let original = scene.folder("original/dir");
    fill(&original);
    let made = scene.torrent(&original, Some(&scene.http("127.0.0.1")), &["--format", format]);
    let (seed, _) = Transfer::seed(scene.home(), &made.path, &scene.folder("original"), &[]);
    seed.wait("tracker");
    // It puts the files into the folder it is given, without the torrent's name.
    let copy = scene.folder("copy of rqbit/dir");
    let mut rqbit = Rqbit::start(scene.home(), &made.path, &copy);
    rqbit.wait_complete();
    drop(rqbit);
    files::assert_same(&original, &copy);
    seed.interrupt();

    let v1 = made.metainfo.hashes().v1().expect("a v1 hash").0;
    let mut rqbit = Rqbit::start(scene.home(), &made.path, &copy);
    rqbit.wait_complete();
    wait_for_seeder(&scene.tracker, Ipv4Addr::LOCALHOST.into(), &v1);
    let again = scene.folder("copy of wl");
    Transfer::get(scene.home(), made.path(), &again, &[]).end();
    files::assert_same(&original, &again.join("dir"));
}

/// In a network of its own, because Transmission takes no peers in 127.0.0.0/8.
#[test]
fn transmission_gets_from_wl_and_wl_from_transmission() {
    let home = tempfile::tempdir().expect("a folder");
    if network::entered(home.path()) {
        with_transmission(home.path());
    }
}

fn with_transmission(home: &Path) {
    let address: IpAddr = TRACKER[0].parse().expect("an address");
    let tracker = Daemon::start(home, &[("BIND", TRACKER[0]), ("OPEN_TRACKER", "true")]);
    let scene = Scene { home: tempfile::tempdir_in(home).expect("a folder"), tracker };
    let original = scene.folder("original/dir");
    files::nested_folder(&original);
    let url = scene.http(TRACKER[0]);
    let made = scene.torrent(&original, Some(&url), &["--format", "v1"]);

    let (seed, _) = Transfer::seed(scene.home(), &made.path, &scene.folder("original"), &[]);
    seed.wait("tracker");
    let copy = scene.folder("copy of transmission");
    let transmission = Transmission::start(scene.home(), &made.path, 2, 4, &copy);
    // It makes no empty files.
    let mut whole = files::contents(&original);
    whole.retain(|_, bytes| !bytes.is_empty());
    until("the copy of Transmission", || {
        let copy = copy.join("dir");
        (copy.is_dir() && files::contents(&copy) == whole).then_some(())
    });
    drop(transmission);
    seed.interrupt();

    let _transmission = Transmission::start(scene.home(), &made.path, 3, 4, &scene.folder("original"));
    wait_for_seeder(&scene.tracker, address, &made.metainfo.hashes().v1().expect("a v1 torrent").0);
    let again = scene.folder("copy of wl");
    Transfer::get(scene.home(), made.path(), &again, &["--allow-private"]).end();
    files::assert_same(&original, &again.join("dir"));
}

/// A client that is never dialled asks until a seeder is known. Its announce makes nobody wait: it leaves again.
fn wait_for_seeder(tracker: &Daemon, ip: IpAddr, hash: &[u8; 20]) {
    until("a seeder", || {
        let answer = http::announce(tracker.http(ip), hash, b"-TS0001-whoasksheree", 4321, 10, "");
        http::announce(tracker.http(ip), hash, b"-TS0001-whoasksheree", 4321, 10, "&event=stopped");
        matches!(answer, Announced::Peers { seeders: 1.., .. }).then_some(())
    });
}
