//! The daemon as a process: what it prints, how it ends.

use crate::support::daemon::{self, Daemon};
use crate::support::{ended, http, udp};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a command that ends by itself.
fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the daemon starts");
    ended("the daemon", &mut child);
    child.wait_with_output().expect("it ended")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code 2, nothing on stdout, one line on stderr.
fn refused(command: &mut Command) -> String {
    let output = run(command);
    let line = text(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn settings_that_are_wrong_end_it_with_2() {
    let home = tempfile::tempdir().expect("a folder");
    let line = refused(daemon::command(home.path()).env("PORT", "abc"));
    assert!(line.contains("PORT") && line.contains("abc") && line.contains("0-65535"), "{line}");
    assert!(refused(daemon::command(home.path()).arg("--frobnicate")).contains("--frobnicate"));
    assert!(refused(daemon::command(home.path()).arg("serve")).contains("serve"));
}

#[test]
fn help_version_and_check_print_and_end_with_0() {
    let home = tempfile::tempdir().expect("a folder");
    let printed = |command: &mut Command| {
        let output = run(command);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(printed(daemon::command(home.path()).arg("--help")).contains("--udp-port"));
    let version = printed(daemon::command(home.path()).arg("--version"));
    assert!(version.starts_with(&format!("weightless {} (", env!("CARGO_PKG_VERSION"))), "{version}");
    let check = printed(daemon::command(home.path()).arg("--check-config").env("REGISTRY_KEY", "hush-hush"));
    assert!(check.contains("set (9 bytes)") && !check.contains("hush"), "{check}");
    assert!(!home.path().join("weightless.db").exists(), "a check writes nothing");
}

#[test]
fn sigterm_ends_it_cleanly() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").text(), "OK");
    let user = run(Command::new("id").arg("-u"));
    assert_eq!(tracker.log().contains("running as root"), user.stdout == b"0\n", "{}", tracker.log());
    assert_eq!(tracker.terminate().code(), Some(0));
}

#[test]
fn a_second_daemon_on_one_database_is_refused() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let second = |home: &Path| {
        let mut command = daemon::command(home);
        command.envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1")]);
        run(command.env("DB_PATH", home.join("weightless.db")))
    };
    let refused = second(home.path());
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.matches("is in use by another tracker").count() == 1, "once: {said}");
    assert_eq!(http::get(tracker.http(Ipv4Addr::LOCALHOST), "/health").status, 200);
}

#[test]
fn a_start_that_fails_says_why_once_even_to_a_silenced_log() {
    let home = tempfile::tempdir().expect("a folder");
    for (settings, start) in
        [(&[][..], "20"), (&[("RUST_LOG", "off")], "weightless: "), (&[("LOG_FORMAT", "json")], "{")]
    {
        let mut command = daemon::command(home.path());
        let output =
            run(command.env("DB_PATH", home.path().join("absent/w.db")).envs(settings.iter().copied()));
        let said = text(&output.stderr);
        let why: Vec<_> = said.lines().filter(|line| line.contains("absent/w.db")).collect();
        assert_eq!((output.status.code(), output.stdout.len(), why.len()), (Some(1), 0, 1), "{said}");
        assert!(why[0].starts_with(start), "{said}");
    }
}

#[test]
fn whoever_has_read_enough_may_go() {
    let home = tempfile::tempdir().expect("a folder");
    for flag in ["--help", "--version", "--check-config", "--man"] {
        let mut child = daemon::command(home.path())
            .arg(flag)
            .stdout(std::fs::File::options().write(true).open("/dev/full").expect("Linux has it"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        ended("the daemon", &mut child);
        let output = child.wait_with_output().expect("it ended");
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.starts_with("weightless: cannot print: "),
            "{flag}: {said}"
        );

        let mut gone = Command::new("true").stdin(Stdio::piped()).spawn().expect("it starts");
        let pipe = gone.stdin.take().expect("piped");
        ended("the reader", &mut gone);
        let mut child = daemon::command(home.path())
            .arg(flag)
            .stdout(pipe)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        ended("the daemon", &mut child);
        let output = child.wait_with_output().expect("it ended");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{flag}");
    }
}

#[test]
fn a_health_check_ends_with_0_or_1_over_http_and_udp() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let check = |port: String, udp_port: String| {
        let mut command = daemon::command(home.path());
        let begun = Instant::now();
        let output = run(command.arg("--healthcheck").envs([("PORT", port), ("UDP_PORT", udp_port)]));
        // 3 s, and something for a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        (output.status.code(), text(&output.stderr))
    };
    let (http_port, udp_port) = (tracker.http_port.to_string(), tracker.udp_port.to_string());
    assert_eq!(check(http_port.clone(), "off".to_owned()), (Some(0), String::new()));
    assert_eq!(check("off".to_owned(), udp_port.clone()), (Some(0), String::new()));
    assert_eq!(tracker.terminate().code(), Some(0));
    // Others that have the ports and say nothing.
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mute = [tcp.local_addr().expect("bound").port(), udp.local_addr().expect("bound").port()];
    for (port, udp_port) in [
        (mute[0].to_string(), "off".to_owned()),
        ("off".to_owned(), mute[1].to_string()),
        (http_port, "off".to_owned()),
        ("off".to_owned(), udp_port),
    ] {
        let (code, said) = check(port, udp_port);
        assert!(code == Some(1) && said.starts_with("weightless: not healthy: 127.0.0.1:"), "{said}");
    }
}

/// Installed as a link, as `make install` does.
#[test]
fn started_as_pico_tracker_it_serves_any_hash_over_udp_and_keeps_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let link = home.path().join("pico-tracker");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_weightless"), &link).expect("a link");
    let mut child = Command::new(&link)
        .args(["-p", "0", "-s", "a secret of some length"])
        .env_clear()
        .env("BIND", "127.0.0.1")
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a ready line");
    let port = line.trim_end().split_once(" live on udp :").expect("udp only").1.parse().expect("a port");
    let client = udp::Client::connect((Ipv4Addr::LOCALHOST, port).into());
    let answer = client.announce(&[7; 20], b"-TS0001-any-hash-at-", 6881, 0, 0);
    assert!(matches!(answer, http::Announced::Peers { .. }), "{answer:?}");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill exists").success());
    assert_eq!(ended("pico-tracker", &mut child).code(), Some(0));
    let left: Vec<_> = std::fs::read_dir(home.path())
        .expect("ours")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["pico-tracker"]);
}

/// Where there is one core, searches and uploads must not hold announces up.
#[test]
fn the_threads_of_the_store_step_back_for_the_network() {
    let home = tempfile::tempdir().expect("a folder");
    let tracker = Daemon::start(home.path(), &[]);
    let at = tracker.http(Ipv4Addr::LOCALHOST);
    // Both have begun to work.
    assert_eq!(http::get(at, "/api/registry/search").status, 200);
    let entry = serde_json::json!({"info_hash": "ab".repeat(20), "name": "n"});
    assert_eq!(http::register(at, &entry).status, 201);
    let threads = tracker.niceness();
    let (store, rest): (Vec<_>, Vec<_>) = threads.iter().partition(|(name, _)| name.starts_with("store-"));
    assert_eq!(store.len(), 2, "{threads:?}");
    let network = rest.iter().map(|(_, nice)| *nice).max().expect("the main thread");
    assert!(store.iter().all(|(_, nice)| *nice > network || *nice == 19), "{threads:?}");
}
