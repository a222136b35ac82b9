//! Disks that are full, and disks that cannot be written: real ones, in a name space of their own.

use super::{Desk, apart, made, open, set};
use crate::disk::Verdict;
use crate::failure::Class;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;
use weightless::torrent::Kind;

/// A disk of so many KiB.
fn disk(size: u32) -> (Arc<TempDir>, PathBuf) {
    let home = tempfile::tempdir().expect("a folder");
    let disk = home.path().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let size = format!("size={size}k");
    apart::run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&disk));
    (Arc::new(home), disk)
}

#[test]
fn a_full_disk_marks_nothing_and_loses_nothing() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let made = made(Kind::Hybrid, 65536, &[("a", 10 * 65536), ("b", 65536)]);
    let (home, disk) = disk(1024);
    let mut desk = Desk::at(&made, home, disk.clone(), &made.all());
    assert!(matches!(desk.store(0), Verdict::Good));
    desk.checkpoint(false);
    let filler = disk.join("filler");
    let mut file = File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    let Verdict::Failed(trouble) = desk.store(3) else { panic!("where is it?") };
    assert!(trouble.is_full());
    let failure = trouble.into_failure();
    assert_eq!(failure.class, Class::Storage);
    assert_eq!(failure.message, format!("{}: no space left", disk.join("t/a.wlpart").display()));
    // The record that is there stays when a new one finds no room.
    let bits = super::bits(&desk.have, made.count());
    let _ = desk.ask(crate::disk::Job::Checkpoint { bits, uploaded: 9, clean: true });
    drop(file);
    fs::remove_file(&filler).expect("ours");
    let mut desk = desk.again(&made.all());
    assert_eq!(desk.have.iter().copied().collect::<Vec<_>>(), [0]);
    for piece in 1..made.count() {
        assert!(matches!(desk.store(piece), Verdict::Good));
    }
    desk.checkpoint(false);
    desk.finish(vec![0, 1]);
    desk.close();
    assert!(made.is_finished(&disk));
}

#[test]
fn too_little_room_is_found_out_at_the_start() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let made = made(Kind::V1, 65536, &[("a", 3 << 20)]);
    let (_home, disk) = disk(1024);
    let failure = open(&made, &disk, &made.all(), |_| ()).err().expect("refused");
    assert_eq!(failure.class, Class::Storage);
    let message = format!("{}: no space left (need 2.0 MB more)", disk.display());
    assert_eq!(failure.message, message);
    assert_eq!(
        fs::read_dir(&disk)
            .expect("there")
            .filter(|e| !e.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().starts_with('.')))
            .count(),
        0
    );
    // One file of it would fit.
    let made = super::made(Kind::Hybrid, 65536, &[("a", 3 << 20), ("b", 100)]);
    open(&made, &disk, &[false, true], |_| ()).expect("opens");
}

#[test]
fn room_can_be_reserved() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let made = made(Kind::V1, 65536, &[("a", 700 << 10), ("b", 0)]);
    let (_home, disk) = disk(1024);
    let opened = open(&made, &disk, &made.all(), |options| options.preallocate = true).expect("opens");
    use std::os::unix::fs::MetadataExt;
    let blocks = fs::metadata(disk.join("t/a.wlpart")).expect("there").blocks();
    assert!(blocks * 512 >= 700 << 10, "{blocks}");
    drop(opened);
    // What is reserved already is not asked for again.
    let opened = open(&made, &disk, &made.all(), |options| options.preallocate = true).expect("opens");
    assert!(set(&opened.have).is_empty());
}

#[test]
fn a_read_only_disk_serves_what_is_complete_and_refuses_the_rest() {
    if !apart::entered(&["--mount"]) {
        return;
    }
    let made = made(Kind::Hybrid, 16384, &[("a", 40000), ("b", 0), ("c", 5)]);
    let (_home, disk) = disk(1024);
    made.plant(&disk);
    apart::run(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
    let opened = open(&made, &disk, &made.all(), |_| ()).expect("opens");
    assert!(opened.complete);
    drop(opened);
    apart::run(Command::new("mount").args(["-o", "remount,rw"]).arg(&disk));
    fs::remove_file(disk.join("t/c")).expect("there");
    apart::run(Command::new("mount").args(["-o", "remount,ro"]).arg(&disk));
    let failure = open(&made, &disk, &made.all(), |_| ()).err().expect("refused");
    let path = disk.join("t/c.wlpart");
    assert_eq!(failure.class, Class::Storage);
    assert_eq!(failure.message, format!("cannot write {}: read-only file system", path.display()));
}
