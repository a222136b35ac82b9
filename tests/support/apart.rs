//! A test that needs namespaces of its own runs again inside them, as root there.

use std::env;
use std::process::Command;

/// What tells the second run from the first.
const INSIDE: &str = "WL_TEST_INSIDE";

/// Runs the calling test again in these namespaces (flags of `unshare`), and says whether this is that run. The outer
/// run has nothing left to do.
pub fn entered(namespaces: &[&str]) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let test = std::thread::current().name().expect("tests run in threads named for them").to_owned();
    let output = Command::new("unshare")
        .arg("--map-root-user")
        .args(namespaces)
        .arg(env::current_exe().expect("the test binary"))
        .args(["--exact", &test, "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{test} did not run inside: {said}");
    false
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
