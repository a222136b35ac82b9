//! A long way to somebody on this machine: `relay --to 127.0.0.1:6881 [--rtt-ms 100] [--mbit 1000] [--buffer-mib 64]`.
//!
//! Prints its port on 127.0.0.1 and carries every connection to the address given, half of the round trip each way and
//! at most at that rate; 0 is no bound. Ends after `--seconds` (600).

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use weightless_bench::flags::Flags;
use weightless_bench::relay::{Link, Seen, run};

fn main() {
    if let Err(text) = start() {
        eprintln!("relay: {text}");
        std::process::exit(2);
    }
}

fn start() -> Result<(), String> {
    let mut flags = Flags::parse(std::env::args().skip(1), &[])?;
    let target: SocketAddr = flags.required("to")?;
    let rtt_ms: u64 = flags.with_default("rtt-ms", 100)?;
    let mbit: u64 = flags.with_default("mbit", 1000)?;
    let buffer_mib: usize = flags.with_default("buffer-mib", 64)?;
    let seconds = flags.with_default("seconds", 600)?;
    flags.finish()?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        std::process::exit(0);
    });
    let link = Link {
        delay: Duration::from_micros(rtt_ms * 500),
        bytes_per_s: (mbit > 0).then_some(mbit * 125_000),
        buffer_bytes: buffer_mib << 20,
    };
    let fail = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(fail)?;
    println!("{}", listener.local_addr().map_err(fail)?.port());
    run(&listener, target, link, &Arc::new(Seen::default())).map_err(fail)
}
