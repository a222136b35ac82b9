//! Announces at random times at a fixed rate: how long an answer takes, from when its request was due.

use crate::args::Args;
use crate::process::Look;
use crate::udp::{Source, Swarms};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Runs at a rate.
pub fn run(args: &Args) -> Result<(), String> {
    let swarms = Swarms::of(args)?;
    let (per_second, seconds) =
        (args.number("per-second", 10_000)?.max(1), args.number("seconds", 10)?.min(600));
    let sources = Source::open(args.address()?, 1)?;
    let source = &sources[0];
    source.socket.set_nonblocking(true).map_err(|error| error.to_string())?;
    let mut rng = fastrand::Rng::with_seed(3);
    let (before, began) = (Look::at(args.pid()?), Instant::now());
    let end = Duration::from_secs(seconds);
    let mut due = Duration::ZERO;
    let mut under_way: HashMap<u32, Duration> = HashMap::new();
    let mut latencies = Vec::with_capacity((per_second * seconds) as usize);
    let mut answer = [0; 2048];
    let mut packet = Vec::new();
    let mut number = 0u32;
    // A spinning loop on a core of its own: sleeping would add its own delay to every figure.
    while began.elapsed() < end + Duration::from_millis(200) {
        let now = began.elapsed();
        if due <= now && due < end {
            packet.clear();
            let peer = rng.u64(0..swarms.peers);
            let (_, port) = swarms.place_of(peer, 1);
            swarms.announce(&mut packet, peer, port, source.connection_id);
            packet[12..16].copy_from_slice(&number.to_be_bytes());
            under_way.insert(number, due);
            number = number.wrapping_add(1);
            let _ = source.socket.send(&packet);
            due += Duration::from_secs_f64(-(1.0 - rng.f64()).ln() / per_second as f64);
        }
        while let Ok(bytes) = source.socket.recv(&mut answer) {
            let transaction = u32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]);
            if bytes >= 20
                && let Some(was_due) = under_way.remove(&transaction)
            {
                latencies.push(began.elapsed() - was_due);
            }
        }
    }
    let after = Look::at(args.pid()?);
    latencies.sort_unstable();
    let quantile = |q: f64| latencies.get((latencies.len() as f64 * q) as usize).map_or(0, |d| d.as_micros());
    println!("p50_us {}\np99_us {}\np999_us {}", quantile(0.5), quantile(0.99), quantile(0.999));
    println!("lost {}", under_way.len());
    if after.cpu_ns > 0 {
        let cpu_s = (after.cpu_ns - before.cpu_ns) as f64 / 1e9;
        println!("cpu_s_per_million {:.3}", cpu_s / (latencies.len().max(1) as f64 / 1e6));
    }
    Ok(())
}
