//! Starting the servers that are compared, each pinned to the first processor, on free loopback ports.

use crate::account::Usage;
use crate::peers;
use crate::udp::Target;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What can be started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A bare UDP echo, answers as long as a tracker's with ten peers.
    Echo80,
    /// The same, as long as with thirty peers.
    Echo200,
    /// A bare HTTP responder that keeps connections.
    HttpKeep,
    /// A bare HTTP responder that closes them.
    HttpClose,
    /// This tracker.
    Weightless,
    /// aquatic_udp over io_uring.
    AquaticRing,
    /// aquatic_udp over mio.
    AquaticMio,
    /// Debian's opentracker, all hashes on its white list.
    Opentracker,
}

impl Kind {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo80 => "bare UDP echo, 80 B",
            Self::Echo200 => "bare UDP echo, 200 B",
            Self::HttpKeep => "bare HTTP responder, keep-alive",
            Self::HttpClose => "bare HTTP responder, closing",
            Self::Weightless => "weightless",
            Self::AquaticRing => "aquatic_udp, io_uring",
            Self::AquaticMio => "aquatic_udp, mio",
            Self::Opentracker => "opentracker (Debian)",
        }
    }
}

/// Where the programs are, and a directory for their files.
#[derive(Debug)]
pub struct Programs {
    /// Ours and the echo.
    pub own: PathBuf,
    /// aquatic_udp, if it is installed.
    pub aquatic: Option<PathBuf>,
    /// opentracker, if it is installed.
    pub opentracker: Option<PathBuf>,
    /// For configurations, databases and white lists.
    pub scratch: PathBuf,
    /// Whether there is a second processor, so that servers can have the first to themselves.
    pub pinned: bool,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// What it is.
    pub kind: Kind,
    /// Its process.
    pub pid: u32,
    /// Where it answers UDP.
    pub udp: SocketAddrV4,
    /// Where it answers HTTP.
    pub http: SocketAddrV4,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not asked politely: nothing it would still write is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// What it has used so far.
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.pid)
    }
}

impl Programs {
    /// Starts a server that serves `torrents` torrents. `None`: it is not installed.
    pub fn start(&self, kind: Kind, torrents: u32) -> io::Result<Option<Running>> {
        let mut ports = (free_port()?, free_port()?);
        let mut command = match kind {
            Kind::Echo80 => self.echo(&["udp", "80"]),
            Kind::Echo200 => self.echo(&["udp", "200"]),
            Kind::HttpKeep => self.echo(&["http", "keep"]),
            Kind::HttpClose => self.echo(&["http", "close"]),
            Kind::Weightless => self.weightless(),
            Kind::AquaticRing | Kind::AquaticMio => {
                let Some(program) = &self.aquatic else { return Ok(None) };
                self.aquatic(program, kind, ports.0)?
            }
            Kind::Opentracker => {
                let Some(program) = &self.opentracker else { return Ok(None) };
                self.opentracker(program, ports.0, torrents)?
            }
        };
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        if !matches!(kind, Kind::AquaticRing | Kind::AquaticMio | Kind::Opentracker) {
            ports = ready_ports(&mut child)?;
        } else {
            ports.1 = ports.0;
        }
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let running = Running { kind, pid: child.id(), udp: at(ports.1), http: at(ports.0), child };
        if kind == Kind::Opentracker {
            wait_for_white_list(&running, torrents)?;
        } else if !matches!(kind, Kind::HttpKeep | Kind::HttpClose) {
            Target::new(running.udp, None)?.connect()?;
        }
        Ok(Some(running))
    }

    fn pinned(&self, program: &Path) -> Command {
        if !self.pinned {
            return Command::new(program);
        }
        // `taskset` becomes the program: the process that is accounted for is the server.
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }

    fn echo(&self, words: &[&str]) -> Command {
        let mut command = self.pinned(&self.own.join("echo"));
        command.args(words);
        command
    }

    fn weightless(&self) -> Command {
        let mut command = self.pinned(&self.own.join("weightless"));
        let db = self.scratch.join(format!("weightless-{}.db", fastrand::u64(..)));
        command.env_clear().env("DB_PATH", db).current_dir(&self.scratch);
        for (name, value) in [
            ("OPEN_TRACKER", "true"),
            ("RATE_LIMIT", "0"),
            ("UDP_RATE_LIMIT", "0"),
            ("BIND", "127.0.0.1"),
            ("PORT", "0"),
            ("UDP_PORT", "0"),
            ("RUST_LOG", "error"),
        ] {
            command.env(name, value);
        }
        command
    }

    fn aquatic(&self, program: &Path, kind: Kind, port: u16) -> io::Result<Command> {
        let path = self.scratch.join(format!("aquatic-{port}.toml"));
        let ring = kind == Kind::AquaticRing;
        // Its defaults, but that nothing expires during a run.
        fs::write(
            &path,
            format!(
                "socket_workers = 1\nlog_level = \"error\"\n\
                 [network]\naddress = \"127.0.0.1:{port}\"\nuse_io_uring = {ring}\n\
                 [cleaning]\nmax_connection_age = 3600\nmax_peer_age = 7200\n"
            ),
        )?;
        let mut command = self.pinned(program);
        command.arg("-c").arg(path).current_dir(&self.scratch);
        Ok(command)
    }

    /// It changes its root to its directory, so paths begin there, and insists on giving up its privileges.
    fn opentracker(&self, program: &Path, port: u16, torrents: u32) -> io::Result<Command> {
        let root = self.scratch.join(format!("opentracker-{port}"));
        fs::create_dir_all(&root)?;
        let mut list = String::new();
        for t in 0..torrents {
            list.extend(peers::info_hash(t).iter().map(|byte| format!("{byte:02x}")));
            list.push('\n');
        }
        fs::write(root.join("white"), list)?;
        let configuration = self.scratch.join(format!("opentracker-{port}.conf"));
        let root_text = root.display();
        fs::write(
            &configuration,
            format!(
                "listen.tcp_udp 127.0.0.1:{port}\naccess.whitelist white\ntracker.rootdir {root_text}\n\
                 tracker.user nobody\n"
            ),
        )?;
        let mut command = self.pinned(program);
        command.arg("-f").arg(configuration).current_dir(&root);
        Ok(command)
    }
}

/// The HTTP and the UDP port of the line that says it is ready. One that has a single port says it once.
fn ready_ports(child: &mut Child) -> io::Result<(u16, u16)> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let text = line.rsplit("live on ").next().unwrap_or_default();
    let ports: Vec<u16> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    match (ports.first(), ports.last()) {
        (Some(first), Some(last)) => Ok((*first, *last)),
        _ => Err(io::Error::other(format!("did not become ready: {line:?}"))),
    }
}

/// It reads its white list behind our back and refuses everything until then.
fn wait_for_white_list(running: &Running, torrents: u32) -> io::Result<()> {
    let begun = Instant::now();
    let last = peers::Peers { count: torrents, torrents };
    loop {
        let mut target = Target::new(running.udp, None)?;
        if target.is_served(last, torrents - 1)? {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(io::Error::other("opentracker does not serve its white list"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A port that was free for both protocols a moment ago.
fn free_port() -> io::Result<u16> {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = tcp.local_addr()?.port();
        if UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
