//! One web server and no peer: libtorrent and `wl get` read the same files at the same URLs (BEP 19).

use super::Scene;
use crate::support::files;
use crate::support::nginx::Nginx;
use crate::support::peer::Peer;
use crate::support::transfer::Transfer;

#[test]
fn a_folder_from_the_web_by_libtorrent_and_by_wl() {
    for format in ["v1", "hybrid", "v2"] {
        from_the_web(format);
    }
}

fn from_the_web(format: &str) {
    let scene = Scene::set();
    let original = scene.folder("web/dir");
    files::nested_folder(&original);
    let server = Nginx::serve(&scene.folder("nginx"), &scene.folder("web"));
    let seed = format!("http://127.0.0.1:{}/", server.port);
    let made = scene.torrent(&original, None, &["--format", format, "--webseed", &seed]);

    let copy = scene.folder("copy of wl");
    let get = Transfer::get(scene.home(), made.path(), &copy, &["--tracker", &scene.tracker.base_url()]);
    let result = get.end();
    files::assert_same(&original, &copy.join("dir"));
    assert_eq!((&result["webseeds"], &result["peers"]), (&1.into(), &0.into()), "{result}");
    let asked_by_wl = server.log();
    assert!(asked_by_wl.contains("/dir/%E6%97%A5%E6%9C%AC/"), "{asked_by_wl}");

    let copy = scene.folder("copy of libtorrent");
    let leecher = Peer::with(&copy, &["--torrent", made.path(), "--listen", "127.0.0.1:0"]);
    leecher.wait("complete");
    leecher.leave();
    files::assert_same(&original, &copy.join("dir"));
}
