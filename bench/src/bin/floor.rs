//! Servers that do nothing: what the kernel alone costs.
//!
//! `floor udp [--bytes 80]` answers every datagram: 16 bytes to a connect, so many to anything longer.
//! `floor http [--close] [--bytes 120]` answers every request head with the same body.
//! Both print their port and end after `--seconds` (600).

use std::net::UdpSocket;
use std::time::Duration;
use weightless_bench::flags::Flags;

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    if let Err(text) = run(&mode, args) {
        eprintln!("floor: {text}");
        std::process::exit(2);
    }
}

fn run(mode: &str, args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut flags = Flags::parse(args, &["close"])?;
    let seconds = flags.with_default("seconds", 600)?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        std::process::exit(0);
    });
    match mode {
        "udp" => {
            let bytes = flags.with_default("bytes", 80)?;
            flags.finish()?;
            echo(bytes).map_err(|error| error.to_string())
        }
        _ => Err("the mode is udp or http".into()),
    }
}

/// Blocking recvfrom and sendto, one datagram at a time.
fn echo(bytes: usize) -> std::io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("{}", socket.local_addr()?.port());
    let mut request = [0; 2048];
    let mut answer = vec![0; bytes.clamp(20, 1400)];
    loop {
        let (length, from) = socket.recv_from(&mut request)?;
        // Action and transaction come back, so that a tracker's client takes it for an answer.
        answer[..8].copy_from_slice(&request[8..16]);
        answer[8..16].fill(1);
        let answer = if length <= 16 { &answer[..16] } else { &answer[..] };
        socket.send_to(answer, from)?;
    }
}
