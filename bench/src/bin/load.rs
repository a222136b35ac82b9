//! Load for a BitTorrent tracker on loopback, and what it cost the tracker.
//!
//! `load MODE --addr 127.0.0.1:PORT [--pid PID] ...`; without `--pid` nothing is said of the server's cost. One line
//! of `name=value` at the end; everything ends by itself. README of the modes: `bench/NOTES.md`.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};
use weightless_bench::flags::Flags;
use weightless_bench::population::{Population, info_hash};
use weightless_bench::process::Process;
use weightless_bench::udp::{Client, Tally, WINDOW_MAX};

const USAGE: &str = "\
load MODE --addr 127.0.0.1:PORT [options]
  udp-announce  fill, then announce again in a closed loop
  udp-fill      fill only: what a peer costs in memory
  udp-rate      fill, then announce at a fixed rate (Poisson): latencies
  udp-flood     random bytes, a few announces among them
  hashes        no server: print the info hashes, one a line, for a tracker's white list
options
  --pid PID          the server's process: its time and memory
  --peers 1000000 --torrents 100000 --seeders 0 (percent)
  --window 128       requests under way
  --wanted 30        peers asked for
  --seconds 5        of the measured part     --warm 0.5  before it
  --rate 10000       udp-rate: announces per second
  --no-fill          the peers are there already";

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    match Flags::parse(args, &["no-fill"]).and_then(|flags| run(&mode, flags)) {
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
    flags.finish()?;
    if !(0.0..=3600.0).contains(&seconds) || !(0.0..=60.0).contains(&warm) || rate < 1.0 {
        return Err("--seconds is at most 3600, --warm at most 60, --rate at least 1".into());
    }

    let text = |error: std::io::Error| error.to_string();
    let mut report = Report::new(mode);
    let mut chance = fastrand::Rng::with_seed(1);
    if fill && mode != "udp-flood" {
        let mut client = Client::connect(server, population, window, wanted).map_err(text)?;
        let before = Snapshot::take(process);
        client.fill(FILL_TIME_MAX).map_err(text)?;
        let fill_s = before.at.elapsed().as_secs_f64();
        let fill = client.take_tally();
        refuse_errors(&fill)?;
        // Freed pages and shrunk queues settle first.
        std::thread::sleep(Duration::from_millis(200));
        let spent = Snapshot::take(process).since(before);
        report.number("fill_per_s", fill.answers as f64 / fill_s, 0);
        if process.is_some() {
            let grown = spent.resident_bytes as f64;
            report.number("fill_cpu_s_per_million", per_million(spent.cpu_ns, fill.answers), 3);
            report.number("rss_growth_mb", grown / 1e6, 2);
            report.number("bytes_per_peer", grown / f64::from(population.peers), 1);
            report.number(
                "bytes_per_torrent",
                grown / f64::from(population.torrents.min(population.peers)),
                1,
            );
        }
        report.number("fill_lost", fill.lost as f64, 0);
    }
    if mode == "udp-fill" {
        report.print();
        return Ok(());
    }

    let window = if mode == "udp-rate" { WINDOW_MAX } else { window };
    let mut client = Client::connect(server, population, window, wanted).map_err(text)?;
    let (warm, measured) = (Duration::from_secs_f64(warm), Duration::from_secs_f64(seconds));
    let us = Process(0);
    let mut noise = 0;
    if mode == "udp-announce" {
        client.closed_loop(&mut chance, warm).map_err(text)?;
        client.take_tally();
    }
    let (our_ns, before) = (us.cpu_ns(), Snapshot::take(process));
    match mode {
        "udp-announce" => client.closed_loop(&mut chance, measured).map_err(text)?,
        "udp-rate" => client.fixed_rate(&mut chance, rate, measured).map_err(text)?,
        _ => noise = client.flood(&mut chance, measured).map_err(text)?,
    }
    let (our_ns, spent) = (us.cpu_ns() - our_ns, Snapshot::take(process).since(before));
    let mut tally = client.take_tally();
    report.number("answers_per_s", tally.answers as f64 / spent.elapsed_s, 0);
    if process.is_some() {
        let requests = if mode == "udp-flood" { noise } else { tally.answers };
        report.number("cpu_s_per_million", per_million(spent.cpu_ns, requests), 3);
        report.number("server_busy", spent.cpu_ns as f64 / 1e9 / spent.elapsed_s, 2);
        report.number("rss_growth_run_mb", spent.resident_bytes as f64 / 1e6, 2);
    }
    report.number("load_busy", our_ns as f64 / 1e9 / spent.elapsed_s, 2);
    if tally.answers > 0 {
        report.number("bytes_per_answer", tally.answer_bytes as f64 / tally.answers as f64, 1);
    }
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
    resident_bytes: u64,
}

/// What happened between two of them.
struct Spent {
    elapsed_s: f64,
    cpu_ns: u64,
    resident_bytes: i64,
}

impl Snapshot {
    fn take(process: Option<Process>) -> Self {
        let resident_bytes = process.map_or(0, Process::resident_bytes);
        // Last, because counting pages takes a while.
        Self { at: Instant::now(), cpu_ns: process.map_or(0, Process::cpu_ns), resident_bytes }
    }

    fn since(self, before: Self) -> Spent {
        Spent {
            elapsed_s: (self.at - before.at).as_secs_f64(),
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
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
