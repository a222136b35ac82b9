//! What a download keeps in memory does not depend on how much there is to download, nor on the piece length.

use crate::support::Scene;
use std::net::{Ipv4Addr, SocketAddr};

/// More data than the bound, in short pieces, in pieces that are kept whole, and in longer ones.
#[test]
fn a_download_stays_under_64_mib_whatever_the_piece_length() {
    for piece_length in ["262144", "4194304", "16777216"] {
        let scene = Scene::new(96, &["--format", "v1", "--piece-length", piece_length]);
        let seeder = scene.seed(&[]);
        let mut getter = scene.get(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), seeder.port()));
        getter.wait_for("complete");
        for (who, process) in [("wl get", &getter), ("wl seed", &seeder)] {
            let peak = process.memory_kib("VmHWM");
            assert!(peak < 64 << 10, "{who} took {peak} KiB with pieces of {piece_length}");
        }
        scene.assert_copied();
    }
}
