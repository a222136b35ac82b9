//! `make demo`: a tracker, a publisher and a downloader by the programs themselves, and nothing left behind.

use std::path::Path;
use std::process::Command;

#[test]
fn the_demonstration_ends_well_and_cleans_up() {
    let home = tempfile::tempdir().expect("a folder");
    let programs = Path::new(env!("CARGO_BIN_EXE_weightless")).parent().expect("a folder");
    let output = Command::new("docs/demo.sh")
        .arg(programs)
        .env("TMPDIR", home.path())
        .output()
        .expect("the demonstration starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["Registered with ", "Seeding: photos ", "Done: downloads/photos", "\"completions\":1"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 0, "it leaves nothing behind");
}
