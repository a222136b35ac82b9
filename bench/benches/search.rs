//! What a search costs the catalogue of a million rows, without the database and the wire: every kind of search of
//! `make bench-registry`, on the same rows.
//!
//! The machine may be busy: each figure is the median of many searches, the second that of the fastest tenth. Names as
//! arguments choose kinds, other queries are added: `cargo bench -p weightless-bench --bench search -- deep-page q=tar.z`.

use std::hint::black_box;
use std::time::Instant;
use weightless::registry::{Catalogue, Listing, Search};
use weightless_bench::shelf::{Entry, kinds};

fn main() {
    let begun = Instant::now();
    let mut catalogue = Catalogue::default();
    (0..ROWS).for_each(|row| catalogue.store(&listing(row)));
    catalogue.shrink();
    println!(
        "{ROWS} rows in {:.2?}, {} bytes resident for each",
        begun.elapsed(),
        resident() / u64::from(ROWS)
    );
    let mut all = Vec::new();
    for (name, query) in chosen() {
        let search = Search::from_params(|wanted| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value.replace('+', " ")).next()
        });
        let mut times: Vec<_> = (0..SEARCHES)
            .map(|_| {
                let begun = Instant::now();
                black_box(catalogue.find(black_box(&search)));
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let total = catalogue.find(&search).total;
        let (median, fast) = (times[times.len() / 2], times[times.len() / 20]);
        println!("{name:24} {total:8} matches   median {median:6.2} ms   fast {fast:6.2} ms");
        all.extend(times);
    }
    all.sort_by(f64::total_cmp);
    println!("all: median {:.2} ms, p99 {:.2} ms", all[all.len() / 2], all[all.len() * 99 / 100]);
}

/// The kinds that are named as arguments, all of them if there is no argument; and queries that are arguments.
fn chosen() -> Vec<(String, String)> {
    let args: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_named = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    let kinds = kinds(ROWS).into_iter().map(|(name, query)| (name.to_owned(), query));
    let queries = args.iter().filter(|arg| arg.contains('=')).map(|arg| (arg.clone(), arg.clone()));
    kinds.filter(|(name, _)| is_named(name)).chain(queries).collect()
}

/// Bytes of memory this process has, zero where there is no /proc.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|kib| kib.trim_end_matches("kB").trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

fn listing(row: u32) -> Listing {
    let Entry { info_hash, name, category, publisher, tags } = Entry::of(row);
    // A thousand a second, as they come over 256 connections.
    let created_at = 1_700_000_000 + i64::from(row / 1000);
    let (category, completions) = (category.to_owned(), 0);
    Listing { row: row.into(), info_hash, name, category, publisher, tags, created_at, completions }
}

const ROWS: u32 = 1_000_000;
const SEARCHES: usize = 40;
