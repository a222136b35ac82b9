//! The same work for this tracker, for others and for servers that do not think, side by side in one run.
//!
//! Rounds go through all servers in turn, so that a bad minute of the machine is everybody's; each figure is the median
//! of its rounds. Servers run on the first processor, this program on the second. `QUICK=1` does less of everything.
//! `bench/compare.sh` builds and installs what is compared.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use weightless_bench::account;
use weightless_bench::args::Args;
use weightless_bench::http::{self, Keep};
use weightless_bench::peers::Peers;
use weightless_bench::report::Outcome;
use weightless_bench::servers::{Kind, Programs, Running};
use weightless_bench::udp::{Target, Work};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("compare: {why}");
            ExitCode::FAILURE
        }
    }
}

/// How much of everything.
struct Scale {
    rounds: u64,
    seconds: Duration,
    idle: Duration,
    mixed: Peers,
    one_swarm: Peers,
    lone: Peers,
}

impl Scale {
    fn of_environment() -> Self {
        let quick = std::env::var_os("QUICK").is_some_and(|value| value != "0");
        let (rounds, seconds, idle, million) = match quick {
            true => (3, 0.7, 1.0, 200_000),
            false => (3, 4.0, 4.0, 1_000_000),
        };
        Self {
            rounds,
            seconds: Duration::from_secs_f64(seconds),
            idle: Duration::from_secs_f64(idle),
            mixed: Peers { count: million, torrents: million / 10 },
            one_swarm: Peers { count: million, torrents: 1 },
            lone: Peers { count: million / 5, torrents: million / 5 },
        }
    }
}

/// Figures by server and column.
#[derive(Default)]
struct Table(BTreeMap<(&'static str, &'static str), Vec<f64>>);

impl Table {
    fn add(&mut self, kind: Kind, column: &'static str, value: f64) {
        self.0.entry((kind.name(), column)).or_default().push(value);
    }

    fn median(&self, kind: Kind, column: &'static str) -> Option<f64> {
        let mut values = self.0.get(&(kind.name(), column))?.clone();
        values.sort_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }

    fn print(&self, title: &str, kinds: &[Kind], columns: &[(&'static str, usize)]) {
        println!("\n{title}\n");
        println!("| |{}", columns.iter().map(|(name, _)| format!(" {name} |")).collect::<String>());
        println!("|---|{}", "---|".repeat(columns.len()));
        for &kind in kinds {
            let cells: Vec<String> = columns
                .iter()
                .map(|&(name, digits)| match self.median(kind, name) {
                    Some(value) => format!("{value:.digits$}"),
                    None => "-".to_owned(),
                })
                .collect();
            if cells.iter().any(|cell| cell != "-") {
                println!("| {} | {} |", kind.name(), cells.join(" | "));
            }
        }
    }

    /// A figure of ours as a multiple of another server's, with the goal.
    fn ratio(&self, column: &'static str, to: &[Kind], goal: f64) {
        let best = to
            .iter()
            .filter_map(|kind| Some((self.median(*kind, column)?, *kind)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(ours), Some((other, kind))) = (self.median(Kind::Weightless, column), best) else { return };
        let ratio = ours / other;
        let verdict = if ratio <= goal { "met" } else { "MISSED" };
        println!("{column}: {ratio:.2} x {} (goal {goal:.2}: {verdict})", kind.name());
    }

    fn limit(&self, column: &'static str, goal: f64) {
        let Some(ours) = self.median(Kind::Weightless, column) else { return };
        let verdict = if ours <= goal { "met" } else { "MISSED" };
        println!("{column}: {ours:.1} (goal {goal}: {verdict})");
    }
}

const TRACKERS: [Kind; 4] = [Kind::Weightless, Kind::AquaticRing, Kind::AquaticMio, Kind::Opentracker];
const AQUATIC: [Kind; 2] = [Kind::AquaticRing, Kind::AquaticMio];

fn run() -> Result<(), String> {
    let mut args = Args::read(&[])?;
    let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
    let own = std::env::current_exe().ok().and_then(|path| path.parent().map(PathBuf::from));
    let programs = Programs {
        own: own.ok_or("where am I?")?,
        aquatic: args.take("aquatic").map(PathBuf::from).filter(|path| path.exists()),
        opentracker: args.take("opentracker").map(PathBuf::from).filter(|path| path.exists()),
        scratch: scratch.path().to_owned(),
        pinned: account::pin(1).is_ok(),
    };
    args.finish()?;
    if !programs.pinned {
        println!("only one processor: servers and generator share it, and the ratios mean little");
    }
    let (scale, begun) = (Scale::of_environment(), Instant::now());
    let mut table = Table::default();
    compare(&programs, &scale, &mut table).map_err(|error| error.to_string())?;
    print(&table, &scale);
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

fn compare(programs: &Programs, scale: &Scale, table: &mut Table) -> io::Result<()> {
    mixed(programs, scale, table)?;
    one_swarm(programs, scale, table)?;
    for kind in TRACKERS {
        if let Some(server) = programs.start(kind, scale.lone.torrents)? {
            fill(&server, scale.lone, "B/peer, lone peers", table)?;
        }
    }
    Ok(())
}

/// Ten peers in each torrent: idle figures, memory, both protocols, a fixed rate.
fn mixed(programs: &Programs, scale: &Scale, table: &mut Table) -> io::Result<()> {
    let peers = scale.mixed;
    let mut servers = Vec::new();
    for kind in TRACKERS {
        let Some(server) = programs.start(kind, peers.torrents)? else { continue };
        let before = server.usage()?;
        std::thread::sleep(scale.idle);
        let after = server.usage()?;
        let idle_s = scale.idle.as_secs_f64();
        table.add(kind, "idle RSS, MB", after.rss_bytes as f64 / 1e6);
        table.add(kind, "idle wake-ups/s", after.since(&before).sleeps as f64 / idle_s);
        fill(&server, peers, "B/peer", table)?;
        servers.push(server);
    }
    let echo = started(programs, Kind::Echo80)?;
    for round in 0..scale.rounds {
        for server in std::iter::once(&echo).chain(&servers) {
            let outcome = announce(server, peers, scale.seconds, round)?;
            note(server, &outcome, table, ["UDP", "UDP user", "UDP answers/s", "UDP bytes/answer"]);
        }
    }
    for round in 0..scale.rounds {
        for server in std::iter::once(&echo).chain(&servers) {
            let outcome = target(server)?.rate(peers, 10_000.0, scale.seconds, round)?;
            table.add(server.kind, "p50, us", outcome.percentile_us(0.5).into());
            table.add(server.kind, "p99, us", outcome.percentile_us(0.99).into());
            table.add(server.kind, "p999, us", outcome.percentile_us(0.999).into());
            bad(server.kind, &outcome);
        }
    }
    for (echo, keep, columns) in [
        (
            Kind::HttpKeep,
            Keep::Alive,
            ["keep-alive", "keep-alive user", "keep-alive answers/s", "keep-alive bytes"],
        ),
        (Kind::HttpClose, Keep::Close, ["close", "close user", "close answers/s", "close bytes"]),
    ] {
        let echo = started(programs, echo)?;
        for round in 0..scale.rounds {
            for server in std::iter::once(&echo).chain(&servers) {
                let closes = server.kind == Kind::Opentracker;
                if AQUATIC.contains(&server.kind) || closes && keep == Keep::Alive {
                    continue;
                }
                let target = http::Target {
                    address: server.http,
                    path: "/announce".into(),
                    pid: Some(server.pid),
                    peers_wanted: 30,
                };
                let work = http::Work::Announce(scale.seconds);
                let outcome = http::run(&target, peers, work, keep, 32, round)?;
                note(server, &outcome, table, columns);
            }
        }
    }
    Ok(())
}

/// All of them in one torrent: thirty peers in each answer.
fn one_swarm(programs: &Programs, scale: &Scale, table: &mut Table) -> io::Result<()> {
    let peers = scale.one_swarm;
    let mut servers = Vec::new();
    for kind in TRACKERS {
        let Some(server) = programs.start(kind, peers.torrents)? else { continue };
        fill(&server, peers, "B/peer, one swarm", table)?;
        servers.push(server);
    }
    let echo = started(programs, Kind::Echo200)?;
    for round in 0..scale.rounds {
        for server in std::iter::once(&echo).chain(&servers) {
            let outcome = announce(server, peers, scale.seconds, round)?;
            let columns =
                ["UDP, one swarm", "one swarm user", "one swarm answers/s", "one swarm bytes/answer"];
            note(server, &outcome, table, columns);
        }
    }
    Ok(())
}

fn started(programs: &Programs, kind: Kind) -> io::Result<Running> {
    programs.start(kind, 1)?.ok_or_else(|| io::Error::other("a bare server cannot be missing"))
}

fn target(server: &Running) -> io::Result<Target> {
    Target::new(server.udp, Some(server.pid))
}

fn fill(server: &Running, peers: Peers, column: &'static str, table: &mut Table) -> io::Result<()> {
    eprintln!("filling {}: {} peers in {} torrents", server.kind.name(), peers.count, peers.torrents);
    let before = server.usage()?.rss_bytes;
    let outcome = target(server)?.run(peers, Work::Fill, WINDOW, 0)?;
    bad(server.kind, &outcome);
    let grown = server.usage()?.rss_bytes.saturating_sub(before);
    table.add(server.kind, column, grown as f64 / f64::from(peers.count));
    Ok(())
}

fn announce(server: &Running, peers: Peers, lasts: Duration, round: u64) -> io::Result<Outcome> {
    target(server)?.run(peers, Work::Announce(lasts), WINDOW, round)
}

fn note(server: &Running, outcome: &Outcome, table: &mut Table, columns: [&'static str; 4]) {
    let Some((before, after)) = outcome.usage else { return };
    let (used, answers) = (after.since(&before), outcome.answered().max(1) as f64);
    let values = [
        used.cpu_s * 1e6 / answers,
        used.user_s * 1e6 / answers,
        answers / outcome.took.as_secs_f64(),
        outcome.answer_bytes as f64 / answers,
    ];
    columns.into_iter().zip(values).for_each(|(column, value)| table.add(server.kind, column, value));
    eprintln!("{}: {} {:.2}", server.kind.name(), columns[0], values[0]);
    bad(server.kind, outcome);
}

/// A run with errors measured something else.
fn bad(kind: Kind, outcome: &Outcome) {
    if outcome.errors > 0 || outcome.lost > 0 {
        eprintln!(
            "{}: {} errors, {} lost of {}",
            kind.name(),
            outcome.errors,
            outcome.lost,
            outcome.answered()
        );
    }
}

fn print(table: &Table, scale: &Scale) {
    let (mixed, lone) = (scale.mixed, scale.lone);
    let title = format!(
        "UDP announces, CPU seconds of the server per million ({} peers in {} torrents; all in one; {} alone)",
        mixed.count, mixed.torrents, lone.count
    );
    let kinds = [
        Kind::Echo80,
        Kind::Echo200,
        Kind::Weightless,
        Kind::AquaticRing,
        Kind::AquaticMio,
        Kind::Opentracker,
        Kind::HttpKeep,
        Kind::HttpClose,
    ];
    let costs = [
        ("UDP", 2),
        ("UDP user", 2),
        ("UDP answers/s", 0),
        ("UDP bytes/answer", 0),
        ("UDP, one swarm", 2),
        ("one swarm user", 2),
        ("one swarm bytes/answer", 0),
    ];
    table.print(&title, &kinds, &costs);
    let memory = [
        ("B/peer", 1),
        ("B/peer, one swarm", 1),
        ("B/peer, lone peers", 1),
        ("idle RSS, MB", 1),
        ("idle wake-ups/s", 1),
    ];
    table.print("Memory, and what an idle server does", &kinds, &memory);
    let rate = [("p50, us", 0), ("p99, us", 0), ("p999, us", 0)];
    table.print("Latency at 10 000 UDP announces a second, from when each was due", &kinds, &rate);
    let http = [
        ("keep-alive", 2),
        ("keep-alive user", 2),
        ("keep-alive answers/s", 0),
        ("keep-alive bytes", 0),
        ("close", 2),
        ("close user", 2),
        ("close answers/s", 0),
        ("close bytes", 0),
    ];
    table.print("HTTP announces, CPU seconds of the server per million", &kinds, &http);
    println!("\nweightless against its goals\n");
    table.ratio("UDP", &[Kind::Echo80], 1.3);
    table.ratio("UDP", &AQUATIC, 0.75);
    table.ratio("UDP", &[Kind::Opentracker], 0.75);
    table.ratio("UDP, one swarm", &[Kind::Echo200], 1.3);
    table.ratio("UDP, one swarm", &AQUATIC, 0.75);
    table.ratio("keep-alive", &[Kind::HttpKeep], 1.25);
    table.ratio("close", &[Kind::Opentracker], 0.95);
    table.ratio("p999, us", &[Kind::Echo80], 2.0);
    table.limit("B/peer", 30.0);
    table.limit("B/peer, one swarm", 20.0);
    table.limit("B/peer, lone peers", 130.0);
    table.limit("idle RSS, MB", 6.0);
    table.limit("idle wake-ups/s", 0.0);
}

/// Requests under way at a time.
const WINDOW: usize = 128;
