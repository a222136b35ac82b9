//! Symbolic links and other things planted where a download writes: nothing outside the output directory is read,
//! written, made or removed.

use super::{Desk, Made, listing, made, open};
use crate::disk::{Job, Outcome, Verdict};
use crate::failure::{Class, Failure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use weightless::torrent::Kind;

fn two() -> Made {
    made(Kind::Hybrid, 16384, &[("d/a", 20000), ("d/b", 5)])
}

fn refused(made: &Made, output: &Path) -> Failure {
    open(made, output, &made.all(), |options| options.overwrite = true).err().expect("refused")
}

#[test]
fn a_linked_directory_is_not_entered() {
    let made = two();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("a"), &made.files[0]).expect("writes");
    for planted in ["t", "t/d"] {
        let dir = tempfile::tempdir().expect("a folder");
        let target = if planted == "t" { outside.path().parent().expect("a parent") } else { outside.path() };
        fs::create_dir_all(dir.path().join(planted).parent().expect("a parent")).expect("directories");
        symlink(target, dir.path().join(planted)).expect("a link");
        let failure = refused(&made, dir.path());
        assert_eq!(failure.class, Class::Storage, "{}", failure.message);
        assert!(failure.message.starts_with("cannot write "), "{}", failure.message);
        assert_eq!(listing(outside.path()).len(), 1);
    }
}

#[test]
fn linked_files_are_neither_followed_nor_replaced() {
    let made = two();
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().join("target");
    fs::write(&target, &made.files[0]).expect("writes");
    for planted in ["t/d/a", "t/d/a.wlpart"] {
        let dir = tempfile::tempdir().expect("a folder");
        let link = dir.path().join(planted);
        fs::create_dir_all(link.parent().expect("a parent")).expect("directories");
        symlink(&target, &link).expect("a link");
        let failure = refused(&made, dir.path());
        assert_eq!(failure.message, format!("cannot write {}: is a symbolic link", link.display()));
        assert!(link.is_symlink());
        fs::remove_file(&link).expect("ours");
        // Not even one that leads nowhere.
        symlink(outside.path().join("new"), &link).expect("a link");
        refused(&made, dir.path());
    }
    assert_eq!(listing(outside.path()).len(), 1);
}

#[test]
fn a_link_in_the_place_of_the_resume_file_is_not_followed() {
    let made = two();
    let outside = tempfile::tempdir().expect("a folder");
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").expect("writes");
    let name = crate::disk::names::resume(&made.content);
    let dir = tempfile::tempdir().expect("a folder");
    symlink(&victim, dir.path().join(&name)).expect("a link");
    let failure = refused(&made, dir.path());
    assert_eq!(failure.class, Class::Storage, "{}", failure.message);

    let mut desk = Desk::new(&made);
    symlink(&victim, desk.output().join(format!("{name}.tmp"))).expect("a link");
    desk.store(0);
    desk.checkpoint(false);
    assert!(!desk.output().join(format!("{name}.tmp")).is_symlink(), "it was replaced");
    assert_eq!(fs::read(&victim).expect("there"), b"untouched");
}

/// Put there while the download is running: a directory moved away and a link in its place.
#[test]
fn a_link_planted_later_is_not_followed_either() {
    let made = two();
    let outside = tempfile::tempdir().expect("a folder");
    let mut desk = Desk::new(&made);
    let directory = desk.output().join("t/d");
    fs::rename(&directory, desk.output().join("t/moved")).expect("there");
    symlink(outside.path(), &directory).expect("a link");
    fs::write(outside.path().join("b.wlpart"), "01234").expect("writes");
    let verdict = desk.store(2);
    let kept = fs::read(outside.path().join("b.wlpart")).expect("there");
    assert_eq!(kept, b"01234");
    // The directory that was opened before may still be used: it is the one that was meant.
    assert!(matches!(verdict, Verdict::Failed(_) | Verdict::Good), "{verdict:?}");
    let _ = desk.ask(Job::Finish { files: vec![1] });
    assert_eq!(listing(outside.path()).len(), 1);
}

#[test]
fn a_pipe_in_the_place_of_a_file_does_not_keep_us_waiting() {
    let made = two();
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("t/d")).expect("directories");
    super::apart::run(std::process::Command::new("mkfifo").arg(dir.path().join("t/d/a")));
    let failure = refused(&made, dir.path());
    assert!(failure.message.ends_with("t/d/a: is not a regular file"), "{}", failure.message);

    let mut desk = Desk::new(&made);
    fs::remove_file(desk.output().join("t/d/a.wlpart")).expect("there");
    super::apart::run(std::process::Command::new("mkfifo").arg(desk.output().join("t/d/a.wlpart")));
    let Verdict::Failed(trouble) = desk.store(0) else { panic!("written into a pipe") };
    assert!(trouble.into_failure().message.ends_with("not a regular file"));
    let outcome = desk.ask(Job::Leaves { ticket: 0, piece: 0 });
    assert!(matches!(outcome, Outcome::Leaves { result: Err(_), .. }));
}
