//! Load for a BitTorrent tracker on loopback, and what it cost the tracker.
//!
//! `load MODE --addr 127.0.0.1:PORT [--pid PID] ...`; without `--pid` nothing is said of the server's cost. One line
//! of `name=value` at the end; everything ends by itself. README of the modes: `bench/NOTES.md`.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};
use weightless_bench::flags::Flags;
use weightless_bench::http::{self, Connections};
use weightless_bench::population::{Population, info_hash};
use weightless_bench::process::{Process, machine_busy_ns};
use weightless_bench::udp::{Client, Tally, WINDOW_MAX};

const USAGE: &str = "\
load MODE --addr 127.0.0.1:PORT [options]
  udp-announce  fill, then announce again in a closed loop
  udp-fill      fill only: what a peer costs in memory
  udp-rate      fill, then announce at a fixed rate (Poisson): latencies
  udp-flood     random bytes, a few announces among them
  http-announce  announce in a closed loop, a connection each or --keep-alive
  hashes        no server: print the info hashes, one a line, for a tracker's white list
options
  --pid PID          the server's process: its time and memory
  --peers 1000000 --torrents 100000 --seeders 0 (percent)
  --window 128       requests under way
  --wanted 30        peers asked for
  --seconds 5        of the measured part     --warm 0.5  before it
  --rate 10000       udp-rate: announces per second
  --connections 64   http-announce: open at once
  --udp-addr ADDR    http-announce: fill over UDP there, else not at all
  --no-fill          the peers are there already
  --secret SECRET    over UDP: announce with passkeys signed with this, and counters that grow
  --users 10000      so many users share the peers then";

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    match Flags::parse(args, &["no-fill", "keep-alive"]).and_then(|flags| run(&mode, flags)) {
        Ok(()) => {}
        Err(text) => {
            eprintln!("load: {text}");
            std::process::exit(2);
        }
    }
}

fn run(mode: &str, mut flags: Flags) -> Result<(), String> {
    let peers = flags.with_default("peers", 1_000_000)?;
    let torrents = flags.with_default("torrents", 100_000)?;
    let seeders = flags.with_default("seeders", 0)?;
    let population = Population::new(peers, torrents, seeders);
    match mode {
        "udp-announce" | "udp-fill" | "udp-rate" | "udp-flood" => udp(mode, population, flags),
        "http-announce" => http(population, flags),
        "hashes" => {
            flags.finish()?;
            print_hashes(torrents);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn udp(mode: &str, population: Population, mut flags: Flags) -> Result<(), String> {
    let server: SocketAddrV4 = flags.required("addr")?;
    let process = flags.optional("pid")?.map(Process);
    let window: u32 = flags.with_default("window", 128)?;
    let wanted = flags.with_default("wanted", 30)?;
    let seconds: f64 = flags.with_default("seconds", 5.0)?;
    let warm: f64 = flags.with_default("warm", 0.5)?;
    let rate: f64 = flags.with_default("rate", 10_000.0)?;
    let fill = !flags.switch("no-fill");
    let secret: Option<String> = flags.optional("secret")?;
    let users = flags.with_default("users", 10_000)?;
    flags.finish()?;
    let connect = |window: u32| -> Result<Client, String> {
        let client = Client::connect(server, population, window, wanted).map_err(text)?;
        Ok(match &secret {
            Some(secret) => client.with_passkeys(secret, users),
            None => client,
        })
    };
    if rate < 1.0 {
        return Err("--rate is at least 1".into());
    }
    let (warm, measured) = (duration("warm", warm)?, duration("seconds", seconds)?);

    let mut report = Report::new(mode);
    let mut chance = fastrand::Rng::with_seed(1);
    if fill && mode != "udp-flood" {
        let mut client = connect(window)?;
        fill_it(&mut client, population, process, &mut report)?;
    }
    if mode == "udp-fill" {
        report.print();
        return Ok(());
    }

    let window = if mode == "udp-rate" { WINDOW_MAX } else { window };
    let mut client = connect(window)?;
    let mut noise = 0;
    if mode == "udp-announce" {
        client.closed_loop(&mut chance, warm).map_err(text)?;
        client.take_tally();
    }
    let before = Snapshot::take(process);
    match mode {
        "udp-announce" => client.closed_loop(&mut chance, measured).map_err(text)?,
        "udp-rate" => client.fixed_rate(&mut chance, rate, measured).map_err(text)?,
        _ => noise = client.flood(&mut chance, measured).map_err(text)?,
    }
    let spent = Snapshot::take(process).since(before);
    let mut tally = client.take_tally();
    report.number("answers_per_s", tally.answers as f64 / seconds, 0);
    report.spent(&spent, process, if mode == "udp-flood" { noise } else { tally.answers });
    report.bytes_per_answer(tally.answer_bytes, tally.answers);
    if mode == "udp-flood" {
        report.number("noise_per_s", noise as f64 / spent.elapsed_s, 0);
        report.number("strays", tally.strays as f64, 0);
    }
    report.latencies(&mut tally.latencies_ns);
    report.number("errors", tally.errors as f64, 0);
    report.number("lost", tally.lost as f64, 0);
    report.print();
    if let Some(text) = tally.error_text {
        eprintln!("load: an error was: {}", text.escape_default());
    }
    Ok(())
}

fn http(population: Population, mut flags: Flags) -> Result<(), String> {
    let server: SocketAddrV4 = flags.required("addr")?;
    let udp: Option<SocketAddrV4> = flags.optional("udp-addr")?;
    let process = flags.optional("pid")?.map(Process);
    let connections = flags.with_default("connections", 64)?;
    let wanted = flags.with_default("wanted", 30)?;
    let seconds: f64 = flags.with_default("seconds", 5.0)?;
    let (warm, measured) =
        (duration("warm", flags.with_default("warm", 0.5)?)?, duration("seconds", seconds)?);
    let mode = match flags.switch("keep-alive") {
        true => Connections::KeptAlive,
        false => Connections::OneEach,
    };
    flags.finish()?;

    let mut report = Report::new("http-announce");
    if let Some(udp) = udp {
        let mut client = Client::connect(udp, population, 128, wanted).map_err(text)?;
        fill_it(&mut client, population, process, &mut report)?;
    }
    let mut client = http::Client::new(server, population, connections, wanted, mode).map_err(text)?;
    let mut chance = fastrand::Rng::with_seed(1);
    client.closed_loop(&mut chance, warm).map_err(text)?;
    client.take_tally();
    let before = Snapshot::take(process);
    client.closed_loop(&mut chance, measured).map_err(text)?;
    let spent = Snapshot::take(process).since(before);
    let tally = client.take_tally();
    report.number("answers_per_s", tally.answers as f64 / seconds, 0);
    report.spent(&spent, process, tally.answers);
    report.bytes_per_answer(tally.answer_bytes, tally.answers);
    report.number("connections_opened", tally.connections as f64, 0);
    report.number("errors", tally.errors as f64, 0);
    report.number("lost", tally.lost as f64, 0);
    report.print();
    if let Some(text) = tally.error_text {
        eprintln!("load: an error was: {}", text.escape_default());
    }
    Ok(())
}

/// Fills, and reports what it cost.
fn fill_it(
    client: &mut Client,
    population: Population,
    process: Option<Process>,
    report: &mut Report,
) -> Result<(), String> {
    let before = Snapshot::take(process);
    client.fill(FILL_TIME_MAX).map_err(text)?;
    let fill_s = before.at.elapsed().as_secs_f64();
    let tally = client.take_tally();
    refuse_errors(&tally)?;
    let mut spent = Snapshot::take(process).since(before);
    // A buffer of the moment, a snapshot's for one, is not what a peer costs: the least of the next two seconds is.
    let mut peak = spent.resident_bytes;
    for _ in 0..if process.is_some() { 10 } else { 0 } {
        std::thread::sleep(Duration::from_millis(200));
        let now = Snapshot::take(process).since(before);
        spent.resident_bytes = spent.resident_bytes.min(now.resident_bytes);
        peak = peak.max(now.resident_bytes);
    }
    report.number("fill_per_s", tally.answers as f64 / fill_s, 0);
    if process.is_some() {
        let grown = spent.resident_bytes as f64;
        let torrents = population.torrents.min(population.peers);
        report.number("fill_cpu_s_per_million", per_million(spent.cpu_ns, tally.answers), 3);
        report.number("rss_growth_mb", grown / 1e6, 2);
        report.number("rss_growth_peak_mb", peak as f64 / 1e6, 2);
        report.number("bytes_per_peer", grown / f64::from(population.peers), 1);
        report.number("bytes_per_torrent", grown / f64::from(torrents), 1);
    }
    report.number("fill_lost", tally.lost as f64, 0);
    Ok(())
}

fn duration(name: &str, seconds: f64) -> Result<Duration, String> {
    match (0.0..=600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err(format!("--{name} is at most 600")),
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// A fill that was refused measures nothing.
fn refuse_errors(tally: &Tally) -> Result<(), String> {
    match &tally.error_text {
        None => Ok(()),
        Some(text) => Err(format!("{} announces refused: {}", tally.errors, text.escape_default())),
    }
}

fn print_hashes(torrents: u32) {
    let mut text = String::with_capacity(torrents as usize * 41);
    for torrent in 0..torrents {
        for byte in info_hash(torrent) {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text.push('\n');
    }
    print!("{text}");
}

fn per_million(cpu_ns: u64, requests: u64) -> f64 {
    cpu_ns as f64 / 1e9 / (requests.max(1) as f64 / 1e6)
}

/// A moment of the server.
#[derive(Clone, Copy)]
struct Snapshot {
    at: Instant,
    cpu_ns: u64,
    our_ns: u64,
    machine_ns: u64,
    resident_bytes: u64,
}

/// What happened between two of them.
struct Spent {
    elapsed_s: f64,
    cpu_ns: u64,
    our_ns: u64,
    machine_ns: u64,
    resident_bytes: i64,
}

impl Snapshot {
    fn take(process: Option<Process>) -> Self {
        let resident_bytes = process.map_or(0, Process::resident_bytes);
        // Last, because counting pages takes a while.
        Self {
            at: Instant::now(),
            cpu_ns: process.map_or(0, Process::cpu_ns),
            our_ns: Process(0).cpu_ns(),
            machine_ns: machine_busy_ns(),
            resident_bytes,
        }
    }

    fn since(self, before: Self) -> Spent {
        Spent {
            elapsed_s: (self.at - before.at).as_secs_f64(),
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            our_ns: self.our_ns.saturating_sub(before.our_ns),
            machine_ns: self.machine_ns.saturating_sub(before.machine_ns),
            resident_bytes: self.resident_bytes as i64 - before.resident_bytes as i64,
        }
    }
}

/// One line of `name=value`.
struct Report(String);

impl Report {
    fn new(mode: &str) -> Self {
        Self(mode.to_owned())
    }

    fn number(&mut self, name: &str, value: f64, digits: usize) {
        self.0 += &format!(" {name}={value:.digits$}");
    }

    /// Shares are of one core. `others_busy` is what the rest of the machine did meanwhile: near 0 in a good run.
    fn spent(&mut self, spent: &Spent, process: Option<Process>, requests: u64) {
        let share = |ns: u64| ns as f64 / 1e9 / spent.elapsed_s;
        if process.is_some() {
            self.number("cpu_s_per_million", per_million(spent.cpu_ns, requests), 3);
            self.number("server_busy", share(spent.cpu_ns), 2);
            self.number("rss_growth_run_mb", spent.resident_bytes as f64 / 1e6, 2);
        }
        self.number("load_busy", share(spent.our_ns), 2);
        if process.is_some() {
            let others = spent.machine_ns.saturating_sub(spent.cpu_ns + spent.our_ns);
            self.number("others_busy", share(others), 2);
        }
    }

    fn bytes_per_answer(&mut self, bytes: u64, answers: u64) {
        if answers > 0 {
            self.number("bytes_per_answer", bytes as f64 / answers as f64, 1);
        }
    }

    fn latencies(&mut self, latencies_ns: &mut [u32]) {
        if latencies_ns.is_empty() {
            return;
        }
        latencies_ns.sort_unstable();
        for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            let at = ((latencies_ns.len() - 1) as f64 * share).round() as usize;
            self.number(name, f64::from(latencies_ns[at]) / 1000.0, 1);
        }
    }

    fn print(&self) {
        println!("{}", self.0);
    }
}

const FILL_TIME_MAX: Duration = Duration::from_secs(120);
const HEX: &[u8; 16] = b"0123456789ABCDEF";
