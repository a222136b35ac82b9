//! `/openapi.json` against the daemon that serves it: schemathesis sends what the document allows and what it forbids,
//! and compares every answer with it.

use crate::support::daemon::Daemon;
use crate::support::{ended, files, wl};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the document cannot say: parameters of a search that make no sense count as their defaults (registry-api,
/// section 3), a torrent has to match its hash, and no integer is written as 7.0. Three routes are asked for an entry
/// that has a file.
fn settings(hash: &str) -> String {
    format!(
        "[[operations]]\ninclude-operation-id = [\"search\", \"blocklist\"]\n\
         checks.negative_data_rejection.enabled = false\n\
         [[operations]]\ninclude-operation-id = [\"register\", \"registerPeer\"]\n\
         checks.positive_data_acceptance.enabled = false\n\
         [[operations]]\ninclude-operation-id = [\"torrent\", \"meta\", \"magnet\"]\n\
         parameters = {{ info_hash = \"{hash}\" }}\n"
    )
}

#[test]
fn the_document_and_the_daemon_are_of_one_mind() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("data.bin"), files::noise(3, 50_000)).expect("a file");
    // Registered while that needs no key.
    let tracker = Daemon::start(home.path(), &[]);
    let created = wl::create(home.path(), &tracker.base_url(), &home.path().join("data.bin"), &[]);
    assert!(created.registered, "{created:?}");
    assert!(tracker.terminate().success());

    let tracker = Daemon::start(home.path(), &[("REGISTRY_KEY", "key"), ("OPEN_TRACKER", "true")]);
    fs::write(home.path().join("schemathesis.toml"), settings(&created.info_hash)).expect("a file");
    let report = home.path().join("report.txt");
    let written = File::create(&report).expect("a file");
    let mut run = Command::new(program())
        .current_dir(home.path())
        .args(["--config-file", "schemathesis.toml", "run", &format!("{}/openapi.json", tracker.base_url())])
        .args(["--header", "X-Weightless-Key: key", "--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "30", "--generation-deterministic"])
        .args(["--continue-on-failure", "--request-timeout", "20", "--no-color", "--warnings", "off"])
        .stdin(Stdio::null())
        .stderr(written.try_clone().expect("one more handle"))
        .stdout(written)
        .spawn()
        .expect("schemathesis: `make test` installs what it needs");
    let status = ended("schemathesis", &mut run);
    let said = fs::read_to_string(&report).expect("a report");
    assert!(status.success(), "{status}\n{said}");
    assert!(said.contains("14 selected / 14 total"), "{said}");
}

/// Beside the python of the tests.
fn program() -> PathBuf {
    let python = std::env::var_os("WL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    PathBuf::from(python).with_file_name("schemathesis")
}
