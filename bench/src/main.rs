//! Load for any tracker on this machine, and the floors to compare it with. `bench/compare.sh` drives it.
//!
//! Every run is bounded in count and time, and goes to loopback only. Costs are CPU time of the server's threads as the
//! scheduler counts it, so that they hold although the machine is shared.

mod args;
mod floor;
mod http;
mod process;
mod rate;
mod report;
mod udp;

use args::Args;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let result = Args::parse(words).and_then(|args| match command.as_str() {
        "udp" => udp::run(&args),
        "rate" => rate::run(&args),
        "flood" => udp::flood(&args),
        "http" => http::run(&args),
        "idle" => process::idle(&args),
        "echo" => floor::echo(&args),
        "responder" => floor::responder(&args),
        _ => Err(USAGE.to_owned()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

const USAGE: &str = "usage: weightless-bench COMMAND [--name value]...
  udp        --addr HOST:PORT [--pid N] [--peers N] [--torrents N] [--window N] [--seconds N] [--want N]
             fills the torrents, then announces again and again; prints answers/s, server CPU-s per million,
             bytes per peer. --seconds 0: fill only
  rate       --addr HOST:PORT [--pid N] [--per-second N] [--seconds N] [--peers N] [--torrents N]
             announces at random times; prints p50, p99, p99.9 from when each was due
  flood      --addr HOST:PORT [--seconds N]     random bytes
  http       --addr HOST:PORT [--pid N] [--connections N] [--seconds N] [--torrents N] [--close yes]
             announces over HTTP: keep-alive, or a connection for each
  idle       --pid N [--seconds N]              memory and wake-ups of a process that has nothing to do
  echo       [--bytes N]                        a bare UDP echo; prints its port
  responder                                     a bare HTTP responder; prints its port
Only addresses of this machine (127.0.0.0/8, ::1) are taken.";
