//! Load for a registry over HTTP: fills it, searches it, uploads to it. One line of `name=value` for each thing measured.
//!
//! `registry MODE --addr 127.0.0.1:PORT ...`. Plain threads with a connection each; times are those a client sees.

use data_encoding::BASE64;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};
use weightless_bench::flags::Flags;
use weightless_bench::shelf::{Entry, kinds};

const USAGE: &str = "\
registry MODE --addr 127.0.0.1:PORT [options]
  fill     register --rows 1000000 entries over --connections 256
  search   every kind of search in turn for --seconds 10, over --connections 1
  upload   torrents of --kib 4096, one after the other, for --seconds 10";

fn main() {
    let mut args = std::env::args().skip(1);
    let mode = args.next().unwrap_or_default();
    if let Err(text) = Flags::parse(args, &[]).and_then(|flags| run(&mode, flags)) {
        eprintln!("registry: {text}");
        std::process::exit(2);
    }
}

fn run(mode: &str, mut flags: Flags) -> Result<(), String> {
    let addr: SocketAddr = flags.required("addr").map_err(|error| format!("{error}\n{USAGE}"))?;
    match mode {
        "fill" => {
            let rows = flags.with_default("rows", 1_000_000)?;
            let connections = flags.with_default("connections", 256)?;
            flags.finish()?;
            fill(addr, rows, connections)
        }
        "search" => {
            let rows = flags.with_default("rows", 1_000_000)?;
            let seconds = flags.with_default("seconds", 10)?;
            let connections: usize = flags.with_default("connections", 1)?;
            flags.finish()?;
            search(addr, rows, Duration::from_secs(seconds), connections)
        }
        "upload" => {
            let kib = flags.with_default("kib", 4096)?;
            let seconds = flags.with_default("seconds", 10)?;
            flags.finish()?;
            upload(addr, kib, Duration::from_secs(seconds))
        }
        _ => Err(USAGE.into()),
    }
}

/// Registers rows as fast as so many clients can that wait for each answer.
fn fill(addr: SocketAddr, rows: u32, connections: u32) -> Result<(), String> {
    let (next, start) = (AtomicU32::new(0), Instant::now());
    let mut latencies = together(connections as usize, || {
        let mut client = Client::connect(addr)?;
        let mut latencies = Vec::new();
        loop {
            let row = next.fetch_add(1, Ordering::Relaxed);
            if row >= rows {
                return Ok(latencies);
            }
            let begun = Instant::now();
            let (status, _) = client.post(Entry::of(row).json().as_bytes())?;
            if status != 201 {
                return Err(format!("status {status} for row {row}"));
            }
            latencies.push(begun.elapsed());
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    report("fill", rows, &mut latencies, &format!(" per_s={:.0}", f64::from(rows) / seconds));
    Ok(())
}

fn search(addr: SocketAddr, rows: u32, time: Duration, connections: usize) -> Result<(), String> {
    let kinds = kinds(rows);
    let begun = Instant::now();
    let all = together(connections, || {
        let mut client = Client::connect(addr)?;
        let mut seen = Vec::new();
        // Whole rounds, so that every kind counts the same.
        while begun.elapsed() < time {
            for (kind, (_, query)) in kinds.iter().enumerate() {
                let start = Instant::now();
                let (status, total) = client.get(&format!("/api/registry/search?{query}"))?;
                if status != 200 {
                    return Err(format!("status {status} for {query}"));
                }
                seen.push((kind, start.elapsed(), total));
            }
        }
        Ok(seen)
    })?;
    for (kind, (name, _)) in kinds.iter().enumerate() {
        let of_kind = all.iter().filter(|(other, ..)| *other == kind);
        let total = of_kind.clone().map(|(_, _, total)| *total).max().unwrap_or(0);
        let mut latencies: Vec<_> = of_kind.map(|(_, latency, _)| *latency).collect();
        report(&format!("search kind={name}"), total, &mut latencies, "");
    }
    let mut latencies: Vec<_> = all.iter().map(|(_, latency, _)| *latency).collect();
    let per_s = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    report("search kind=all", rows, &mut latencies, &format!(" per_s={per_s:.0}"));
    Ok(())
}

/// Uploads that are stored: the same torrent under another hash each time, most of it a filler.
fn upload(addr: SocketAddr, kib: usize, time: Duration) -> Result<(), String> {
    let mut client = Client::connect(addr)?;
    let (begun, mut latencies) = (Instant::now(), Vec::new());
    // Three bytes are four letters: what stands before and behind the filler is encoded each time, the filler once.
    let filler_bytes = kib * 1024 / 3 * 3;
    let encoded = BASE64.encode(&vec![b'c'; filler_bytes]);
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut chance = fastrand::Rng::with_seed(since_1970.as_nanos() as u64);
    while begun.elapsed() < time {
        let info = format!(
            "d6:lengthi5e4:name12:{:012x}12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
            chance.u64(..) >> 16
        );
        let hash = weightless::torrent::v1_hash(info.as_bytes());
        let mut front = format!("d4:info{info}1:z");
        let digits = filler_bytes.to_string();
        // The length of the filler ends where a group of three does: some of the filler stands in front of it.
        let odd = (3 - (front.len() + digits.len() + 1) % 3) % 3;
        front.push_str(&format!("{}:{}", filler_bytes + odd, "c".repeat(odd)));
        let body = format!(
            r#"{{"info_hash":"{hash}","name":"upload","torrent_data":"{}{encoded}{}"}}"#,
            BASE64.encode(front.as_bytes()),
            BASE64.encode(b"e")
        );
        let start = Instant::now();
        let (status, _) = client.post(body.as_bytes())?;
        if status != 201 {
            return Err(format!("status {status} for an upload"));
        }
        latencies.push(start.elapsed());
    }
    let mib_per_s = (latencies.len() * kib) as f64 / 1024.0 / begun.elapsed().as_secs_f64();
    report("upload", kib as u32, &mut latencies, &format!(" mib_per_s={mib_per_s:.1}"));
    Ok(())
}

/// Runs `work` in so many threads and puts together what they found.
fn together<T: Send>(
    threads: usize,
    work: impl Fn() -> Result<Vec<T>, String> + Sync,
) -> Result<Vec<T>, String> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a thread panicked".to_owned())??);
        }
        Ok(all)
    })
}

fn report(what: &str, size: u32, latencies: &mut [Duration], more: &str) {
    if latencies.is_empty() {
        return;
    }
    latencies.sort_unstable();
    let at =
        |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!(
        "{what} size={size} count={} median_ms={:.2} p99_ms={:.2} worst_ms={:.2}{more}",
        latencies.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// A connection that stays.
struct Client {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Client {
    fn connect(addr: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(addr).map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(text)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), body: Vec::new() })
    }

    fn get(&mut self, target: &str) -> Result<(u16, u32), String> {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes(), b"")
    }

    fn post(&mut self, body: &[u8]) -> Result<(u16, u32), String> {
        let head =
            format!("POST /api/registry HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes(), body)
    }

    /// The status, and `X-Total-Count` if there is one.
    fn send(&mut self, head: &[u8], body: &[u8]) -> Result<(u16, u32), String> {
        let stream = self.stream.get_mut();
        if body.len() < 16 * 1024 {
            stream.write_all(&[head, body].concat()).map_err(text)?;
        } else {
            stream.write_all(head).and_then(|()| stream.write_all(body)).map_err(text)?;
        }
        let (mut status, mut total, mut length, mut line) = (0, 0, 0, String::new());
        loop {
            line.clear();
            if self.stream.read_line(&mut line).map_err(text)? == 0 {
                return Err("the connection was closed".into());
            }
            match line.trim_end().split_once(' ') {
                None => break,
                Some((name, value)) if name.starts_with("HTTP/") => {
                    status = value.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
                }
                Some(("Content-Length:", value)) => length = value.parse().map_err(|_| "no length")?,
                Some(("X-Total-Count:", value)) => total = value.parse().map_err(|_| "no total")?,
                Some(_) => {}
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).map_err(text)?;
        Ok((status, total))
    }
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
