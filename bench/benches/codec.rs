//! What it costs to read a request and to write an answer, in nanoseconds: one line a case.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;
use weightless::tracker::connection::ConnectionIds;
use weightless::wire::announce::AnnounceResponse;
use weightless::wire::http_tracker::Pace;
use weightless::wire::http1::Parsed;
use weightless::wire::udp_tracker::AddressFamily;
use weightless::wire::{http_tracker, http1, udp_tracker};
use weightless_bench::population::Population;

fn main() {
    let mut datagram = [7u8; 98];
    datagram[8..16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 9]);
    time("udp: read an announce", || {
        let bytes = black_box(&datagram);
        (udp_tracker::parse_preamble(bytes), udp_tracker::parse_announce(bytes).is_ok())
    });
    let ids = ConnectionIds::new(b"secret");
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    let id = ids.issue(ip, 1_700_000_000);
    time("udp: verify a connection id", || ids.verify(black_box(id), black_box(ip), 1_700_000_030));
    let answer = AnnounceResponse { complete: 7, incomplete: 3, peers4: vec![1; 9 * 6], peers6: Vec::new() };
    let mut out = Vec::with_capacity(4096);
    time("udp: write an answer with 9 peers", || {
        out.clear();
        udp_tracker::write_announce(&mut out, 9, 1800, black_box(&answer), AddressFamily::V4);
        out.len()
    });
    // Many requests, or the processor would learn the one by heart.
    let population = Population::new(1 << 12, 1 << 12, 50);
    let heads: Vec<Vec<u8>> = (0..population.peers).map(|peer| request(&population, peer)).collect();
    let mut next = heads.iter().cycle();
    let mut head = || black_box(next.next().map_or(&[][..], Vec::as_slice));
    time("http: read a head", || matches!(http1::parse_head(head()), Ok(Parsed::Complete(_))));
    let query =
        |head: &'static [u8]| head.split(|byte| *byte == b' ').nth(1).map_or(head, |target| &target[10..]);
    let queries: Vec<&[u8]> = heads.leak().iter().map(|head| query(head)).collect();
    let mut next = queries.iter().cycle();
    time("http: read an announce", || {
        http_tracker::parse_announce(black_box(next.next().copied().unwrap_or_default())).is_ok()
    });
    let pace = Pace { interval_s: 1800, min_interval_s: 900 };
    time("http: write an answer with 9 peers", || {
        out.clear();
        http_tracker::write_announce(&mut out, black_box(&answer), pace, ip, true);
        out.len()
    });
}

/// An announce as most clients write it.
fn request(population: &Population, peer: u32) -> Vec<u8> {
    let mut text = String::from("GET /announce?info_hash=");
    for byte in population.info_hash(peer) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text.push_str("&peer_id=");
    population.peer_id(peer).iter().for_each(|byte| text.push((*byte).into()));
    let (port, left) = (population.port(peer), population.left(peer));
    text.push_str(&format!(
        "&port={port}&uploaded=0&downloaded=0&left={left}&compact=1&numwant=30 HTTP/1.1\r\n\
         Host: 127.0.0.1:8080\r\nUser-Agent: some-client/1.0\r\nAccept-Encoding: gzip\r\n\r\n"
    ));
    text.into_bytes()
}

/// Prints the least of ten means: what it costs when nothing else disturbs.
fn time<T>(name: &str, mut f: impl FnMut() -> T) {
    let mut best = f64::MAX;
    for _ in 0..10 {
        let begun = Instant::now();
        for _ in 0..TIMES {
            black_box(f());
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
    }
    println!("{name:40} {best:8.1} ns");
}

const TIMES: u32 = 100_000;
