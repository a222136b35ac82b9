//! Operations section 7: the script that runs Litestream beside the daemon, with the real Litestream and an S3 service on
//! loopback.

use crate::support::http;
use crate::support::{PATIENCE, daemon, ended, until};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

#[test]
fn a_lost_database_comes_back_from_the_bucket() {
    let home = tempfile::tempdir().expect("a folder");
    let service = Service::start();
    let script = Script::start(home.path(), Some(&service.url()));
    script.wait_replicating();
    assert_eq!(register(script.at, 1), 201);
    assert_eq!(script.terminate().code(), Some(0));
    // The last writes are in the bucket, though the tracker has ended right after them.
    for file in ["weightless.db", "weightless.db-wal", "weightless.db-shm"] {
        let _ = fs::remove_file(home.path().join(file));
    }
    let script = Script::start(home.path(), Some(&service.url()));
    assert_eq!(found(script.at, 1), 200);
    let mode = home.path().join("weightless.db").metadata().expect("restored").permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner only");
    assert_eq!(register(script.at, 2), 201);
    assert_eq!(script.terminate().code(), Some(0));
}

#[test]
fn an_absent_database_is_not_replaced_by_an_empty_one_when_restoring_fails() {
    let home = tempfile::tempdir().expect("a folder");
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", service.local_addr().expect("it"));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in service.incoming().flatten() {
            refuse(stream);
        }
    });
    let mut script = command(home.path(), Some(&url)).spawn().expect("sh");
    assert_eq!(ended("the script", &mut script).code(), Some(1));
    assert!(!home.path().join("weightless.db").exists());
}

#[test]
fn when_the_replication_ends_so_does_the_tracker() {
    let home = tempfile::tempdir().expect("a folder");
    let service = Service::start();
    let script = Script::start(home.path(), Some(&service.url()));
    script.wait_replicating();
    let litestream = until("litestream", || children_named(script.child.id(), "litestream"));
    let killed = Command::new("kill").args(["-9", &litestream.to_string()]).status();
    assert!(killed.expect("kill exists").success());
    assert_eq!(script.ended().code(), Some(0));
}

#[test]
fn without_a_bucket_it_is_the_tracker_alone() {
    let home = tempfile::tempdir().expect("a folder");
    let script = Script::start(home.path(), None);
    let name = fs::read_to_string(format!("/proc/{}/comm", script.child.id())).expect("it runs");
    assert_eq!(name.trim(), "weightless", "the script has made way");
    assert_eq!(register(script.at, 1), 201);
    assert_eq!(script.terminate().code(), Some(0));
}

/// The key may not read the bucket.
fn refuse(mut stream: TcpStream) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request);
    let _ = stream.write_all(
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: 46\r\nConnection: close\r\n\r\n\
          <Error><Code>AccessDenied</Code></Error>      ",
    );
}

fn entry(n: u32) -> String {
    format!("{n:040x}")
}

fn register(at: SocketAddr, n: u32) -> u16 {
    http::register(at, &json!({"info_hash": entry(n), "name": "replicated"})).status
}

fn found(at: SocketAddr, n: u32) -> u16 {
    http::get(at, &format!("/api/registry?info_hash={}", entry(n))).status
}

/// What `make test` has installed for this.
fn tool(name: &str) -> PathBuf {
    let python = PathBuf::from(std::env::var_os("WL_TEST_PYTHON").unwrap_or_default());
    let tool = python.parent().and_then(Path::parent).map(|venv| venv.join("backup/bin").join(name));
    tool.filter(|tool| tool.exists()).unwrap_or_else(|| panic!("{name}: `make test` installs it"))
}

/// The script as `make install` would leave it, for the daemon under test.
fn command(home: &Path, endpoint: Option<&str>) -> Command {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let program = PathBuf::from(env!("CARGO_BIN_EXE_weightless"));
    let bin = program.parent().expect("a folder").to_str().expect("UTF-8").to_owned();
    let text = fs::read_to_string(source.join("weightless-litestream")).expect("the script");
    let script = home.join("weightless-litestream");
    fs::write(&script, text.replace("@BIN@", &bin)).expect("a file");
    fs::write(home.join("settings.env"), "").expect("a file");
    let mut command = Command::new("sh");
    command.arg(script).arg("--env-file").arg(home.join("settings.env")).current_dir(home).env_clear();
    command
        .env("PATH", format!("{}:/usr/bin:/bin", tool("litestream").parent().expect("a folder").display()));
    command
        .env("LITESTREAM_CONFIG", source.join("litestream.yml"))
        .env("DB_PATH", home.join("weightless.db"));
    command.envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1"), ("RATE_LIMIT", "0")]);
    if let Some(endpoint) = endpoint {
        command.envs([("BACKUP_BUCKET", "weightless"), ("BACKUP_ENDPOINT", endpoint)]);
        command.envs([("GCS_ACCESS_KEY", "key"), ("GCS_SECRET_KEY", "secret"), ("HOME", "/nonexistent")]);
    }
    let log = fs::File::options().create(true).append(true).open(home.join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    command
}

/// The script, running.
struct Script {
    child: Child,
    at: SocketAddr,
    log: PathBuf,
}

impl Script {
    fn start(home: &Path, endpoint: Option<&str>) -> Self {
        let mut child = command(home, endpoint).spawn().expect("sh");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let log = home.join("log");
        let port = loop {
            let line = lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{}", fs::read_to_string(&log).unwrap_or_default()));
            if let Some((http, _)) = daemon::ports(&line) {
                break http;
            }
        };
        Self { child, at: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), log }
    }

    /// Until Litestream has the database.
    fn wait_replicating(&self) {
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        until("the first snapshot", || log().contains("snapshot complete").then_some(()));
    }

    fn terminate(self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill exists").success());
        self.ended()
    }

    fn ended(mut self) -> ExitStatus {
        ended("the script", &mut self.child)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The process of this name among the children of `parent`, at any depth.
fn children_named(parent: u32, name: &str) -> Option<u32> {
    let output = Command::new("ps").args(["-eo", "pid=,ppid=,comm="]).output().expect("ps");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<(u32, u32, String)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.to_owned()))
        })
        .collect();
    let mut family = vec![parent];
    let mut at = 0;
    while let Some(&member) = family.get(at) {
        family.extend(rows.iter().filter(|(_, of, _)| *of == member).map(|(pid, ..)| *pid));
        at += 1;
    }
    rows.iter().find(|(pid, _, comm)| family.contains(pid) && comm == name).map(|(pid, ..)| *pid)
}

/// An S3 service in memory, with a bucket.
struct Service {
    child: Child,
    port: u16,
}

impl Service {
    fn start() -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).expect("a port");
        let child = Command::new(tool("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &free.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto_server: `make test` installs it");
        let service = Self { child, port: free.port() };
        until("the S3 service", || TcpStream::connect(free).ok());
        let made = Command::new(tool("python"))
            .arg("-c")
            .arg(
                "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', \
                 aws_access_key_id='key', aws_secret_access_key='secret').create_bucket(Bucket='weightless')",
            )
            .arg(service.url())
            .env_remove("AWS_CA_BUNDLE")
            .status();
        assert!(made.expect("python").success());
        service
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
