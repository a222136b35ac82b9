//! Loads any tracker by its address, and says what that cost it.
//!
//! ```text
//! load MODE --udp HOST:PORT [--pid PID] [--pin CORE] [...]
//! load MODE --http HOST:PORT[/path] [--keep-alive] [--connections 32] [...]
//!
//! connect     UDP connects, closed loop                        --seconds 5 --window 128
//! fill        --peers N in --torrents M, each announces once
//! announce    those that still download announce again         --seconds 5 --window 128
//! rate        the same at --rate R a second, UDP only; latency from when each was due
//! flood       random bytes                                     --seconds 5
//! idle        nothing: what the process of --pid does meanwhile
//! hashes      prints the info hashes of --torrents M, for white lists
//! ```
//!
//! Only loopback is loaded. `--pid` adds the server's processor time, memory and sleeps.

use std::net::{SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;
use weightless_bench::account::{self, Usage};
use weightless_bench::args::Args;
use weightless_bench::http::{self, Keep};
use weightless_bench::peers::{self, PEERS_MAX, Peers};
use weightless_bench::report::Outcome;
use weightless_bench::udp::{Target, Work};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("load: {why}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut args = Args::read(&["keep-alive"])?;
    let [mode] = args.words.as_slice() else {
        return Err("one mode is needed; see the top of load.rs".into());
    };
    let mode = mode.clone();
    let peers = Peers {
        count: args.number("peers", 100_000)?.clamp(1, PEERS_MAX),
        torrents: args.number("torrents", 10_000)?.max(1),
    };
    if mode == "hashes" {
        (0..peers.torrents).for_each(|t| println!("{}", hex(&peers::info_hash(t))));
        return args.finish();
    }
    let lasts = Duration::from_secs_f64(args.number("seconds", 5.0f64)?.clamp(0.01, 600.0));
    let pid =
        args.take("pid").map(|pid| pid.parse::<u32>().map_err(|_| "--pid must be a number")).transpose()?;
    if let Some(core) = args.take("pin") {
        let core = core.parse().map_err(|_| "--pin must be a number")?;
        account::pin(core).map_err(|error| format!("cannot pin to core {core}: {error}"))?;
    }
    let seed = args.number("seed", 1u64)?;
    let window = args.number("window", 128usize)?;
    let rate = args.number("rate", 10_000.0f64)?;
    let wanted = args.number("want", 30u32)?;
    let connections = args.number("connections", 32usize)?;
    let keep = if args.take("keep-alive").is_some() { Keep::Alive } else { Keep::Close };
    let (udp, http) = (args.take("udp"), args.take("http"));
    args.finish()?;
    let outcome = match (udp, http, mode.as_str()) {
        (None, None, "idle") => idle(pid.ok_or("idle needs --pid")?, lasts),
        (Some(udp), None, mode) => {
            let mut target = Target::new(loopback(&udp)?, pid).map_err(|error| error.to_string())?;
            target.peers_wanted = wanted;
            match mode {
                "connect" => target.run(peers, Work::Connect(lasts), window, seed),
                "fill" => target.run(peers, Work::Fill, window, seed),
                "announce" => target.run(peers, Work::Announce(lasts), window, seed),
                "rate" => target.rate(peers, rate, lasts, seed),
                "flood" => target.flood(lasts, seed).map(|(sent, outcome)| {
                    println!("sent {sent}");
                    outcome
                }),
                _ => return Err(format!("no mode {mode} over UDP")),
            }
        }
        (None, Some(http), mode) => {
            let (address, path) = http.split_at(http.find('/').unwrap_or(http.len()));
            let path = if path.is_empty() { "/announce" } else { path }.to_owned();
            let target = http::Target { address: loopback(address)?, path, pid, peers_wanted: wanted };
            let work = match mode {
                "fill" => http::Work::Fill,
                "announce" => http::Work::Announce(lasts),
                "flood" => http::Work::Flood(lasts),
                _ => return Err(format!("no mode {mode} over HTTP")),
            };
            http::run(&target, peers, work, keep, connections, seed)
        }
        _ => return Err("either --udp or --http is needed".into()),
    };
    let outcome = outcome.map_err(|error| error.to_string())?;
    print!("{outcome}");
    if let (true, Some((before, after))) = (mode == "fill", &outcome.usage) {
        let grown = after.rss_bytes.saturating_sub(before.rss_bytes) as f64;
        println!("bytes_per_peer {:.1}", grown / f64::from(peers.count));
    }
    Ok(())
}

fn idle(pid: u32, lasts: Duration) -> std::io::Result<Outcome> {
    let before = Usage::of(pid)?;
    std::thread::sleep(lasts);
    Ok(Outcome { took: lasts, usage: Some((before, Usage::of(pid)?)), ..Outcome::default() })
}

fn loopback(text: &str) -> Result<SocketAddrV4, String> {
    let addresses = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    let address = addresses.into_iter().find_map(|address| match address {
        SocketAddr::V4(address) if address.ip().is_loopback() => Some(address),
        _ => None,
    });
    address.ok_or_else(|| format!("{text} is not an IPv4 loopback address, and nothing else is loaded"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
