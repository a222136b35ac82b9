//! The daemon under test: started on free ports with its own database, ended by its own handle.

use super::{PATIENCE, ended};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

/// A running daemon. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    /// Where HTTP answers, on IPv4 and IPv6.
    pub http_port: u16,
    /// Where UDP answers, on IPv4 and IPv6.
    pub udp_port: u16,
    log: PathBuf,
}

impl Daemon {
    /// Starts the daemon with its database in `home` and these settings on top of what tests need.
    pub fn start(home: &Path, settings: &[(&str, &str)]) -> Self {
        Self::started(command(home), home, settings)
    }

    /// The same with so few file descriptors.
    pub fn start_with_descriptors(home: &Path, descriptors: u32, settings: &[(&str, &str)]) -> Self {
        let plain = command(home);
        let mut limited = Command::new("bash");
        limited.current_dir(home).env_clear().stdin(Stdio::null());
        limited.args(["-c", "ulimit -n \"$1\"; shift; exec \"$@\"", "bash", &descriptors.to_string()]);
        limited.arg(plain.get_program()).args(plain.get_args());
        Self::started(limited, home, settings)
    }

    fn started(mut command: Command, home: &Path, settings: &[(&str, &str)]) -> Self {
        let log = home.join("daemon.log");
        let mut child = command
            .env("DB_PATH", home.join("weightless.db"))
            .envs([("PORT", "0"), ("UDP_PORT", "0"), ("BIND", "127.0.0.1,[::1]")])
            // Every client of a test has the same address.
            .envs([("RATE_LIMIT", "0"), ("UDP_RATE_LIMIT", "0")])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(&log).expect("a log in the test's folder"))
            .spawn()
            .expect("the daemon starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (lines, ready) = mpsc::channel();
        // Reads to the end, so that the daemon never finds a closed stdout.
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| lines.send(l))
        });
        let Ok(line) = ready.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("no ready line; its log:\n{}", fs::read_to_string(&log).unwrap_or_default());
        };
        let (http_port, udp_port) = ports(&line).unwrap_or_else(|| panic!("not a ready line: {line}"));
        Self { child, http_port, udp_port, log }
    }

    /// Where HTTP answers on this address.
    pub fn http(&self, ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), self.http_port)
    }

    /// Where UDP answers on this address.
    pub fn udp(&self, ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), self.udp_port)
    }

    /// The base URL that `wl` is given.
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// `kill -9`: no chance to save anything.
    pub fn kill(mut self) {
        self.child.kill().expect("our child can be killed");
        ended("the daemon after kill -9", &mut self.child);
    }

    /// SIGHUP: read the settings again.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill exists").success());
    }

    /// The most memory it ever had resident, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("our child lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Waits for its end.
    pub fn ended(mut self) -> ExitStatus {
        ended("the daemon", &mut self.child)
    }

    /// How nice each of its threads is, by name.
    pub fn niceness(&self) -> Vec<(String, i32)> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("our child lives");
        let stat =
            |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("stat")).ok();
        let nice = |stat: String| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            Some((name.to_owned(), rest.split_whitespace().nth(16)?.parse().ok()?))
        };
        tasks.filter_map(|task| nice(stat(task)?)).collect()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the daemon's log:\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// The daemon's program in `home`, without any setting from outside.
pub fn command(home: &Path) -> Command {
    // A test that has settings in a file writes it before.
    let file = home.join("settings.env");
    File::options().create(true).append(true).open(&file).expect("a file in the test's folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_weightless"));
    command.current_dir(home).env_clear().stdin(Stdio::null());
    command.arg("--env-file").arg(file);
    command
}

/// Reads `Weightless Tracker <version> (<commit>) live on :<port>, udp :<port>`.
pub fn ports(line: &str) -> Option<(u16, u16)> {
    let (name, ports) = line.split_once(" live on :")?;
    let (http, udp) = ports.split_once(", udp :")?;
    name.starts_with("Weightless Tracker ").then_some((http.parse().ok()?, udp.parse().ok()?))
}
