//! How long searches take. Not a test of right or wrong: prints one line for each kind of search, to be run with
//! `cargo test --release --test store -- --ignored --nocapture latency`.

use super::support::*;
use std::time::Instant;
use weightless::base::Rng;
use weightless::mailbox::{FromStore, Ticket, ToWriter};
use weightless::registry::{Search, Sort};

const WORDS: [&str; 24] = [
    "linux",
    "debian",
    "ubuntu",
    "fedora",
    "archive",
    "dataset",
    "corpus",
    "wiki",
    "dump",
    "satellite",
    "genome",
    "climate",
    "lecture",
    "concert",
    "public",
    "domain",
    "open",
    "movie",
    "audio",
    "book",
    "map",
    "kernel",
    "image",
    "sensor",
];

const SHELVES: [&str; 4] = ["video", "audio", "data", "books"];

fn name(rng: &mut Rng, n: u32) -> String {
    let mut word = || WORDS[rng.below(24) as usize];
    format!("{} {} {} {} - part {n} (2026) [x86_64].tar.zst", word(), word(), word(), word())
}

fn fill(desk: &mut Desk, rows: u32) {
    let mut rng = Rng::new(1);
    let (start, mut answered) = (Instant::now(), 0);
    for n in 0..rows {
        let body = serde_json::json!({
            "info_hash": format!("{:016x}", u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(4),
            "name": name(&mut rng, n),
            "category": SHELVES[rng.below(4) as usize],
            "publisher": format!("publisher {}", rng.below(1000)),
            "tags": format!("{},{}", WORDS[rng.below(24) as usize], WORDS[rng.below(24) as usize]),
        });
        let ticket = Ticket { connection: 0, serial: n.into() };
        let mut mail = ToWriter::Register {
            ticket,
            body: body.to_string().into_bytes(),
            at: 1_700_000_000 + u64::from(n / 10),
        };
        while let Err(full) = desk.store.to_writer.try_send(mail) {
            mail = full.into_inner();
            answered += u32::from(matches!(desk.next_mail(), FromStore::Answered { .. }));
        }
    }
    while answered < rows {
        answered += u32::from(matches!(desk.next_mail(), FromStore::Answered { .. }));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{rows} registrations, 1024 waiting: {seconds:.1} s, {:.0}/s", f64::from(rows) / seconds);
}

fn measure(desk: &mut Desk, label: &str, search: &Search) -> Vec<f64> {
    let mut times = Vec::new();
    let mut total = 0;
    for _ in 0..40 {
        let start = Instant::now();
        total = desk.search(search.clone()).1;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!("{label:34} {total:9} matches   median {:7.2} ms   worst {:7.2} ms", times[20], times[39]);
    times
}

fn run(rows: u32) {
    let (_directory, path) = place();
    let mut desk = Desk::file(&path);
    fill(&mut desk, rows);
    desk.close();
    let bytes = path.metadata().expect("metadata").len();
    let start = Instant::now();
    let mut desk = Desk::file(&path);
    println!("database {} MB, opened and loaded in {:.2?}", bytes >> 20, start.elapsed());
    desk.search(text("x"));
    println!("catalogue ready after {:.2?}", start.elapsed());
    let by = |sort| Search { sort, ..text("") };
    let mut all = Vec::new();
    for (label, search) in [
        ("nothing asked, newest", by(Sort::CreatedAt)),
        ("nothing asked, completions", by(Sort::Completions)),
        ("nothing asked, seeders", by(Sort::Seeders)),
        ("one letter: x", text("x")),
        ("two letters: li", text("li")),
        ("common word: linux", text("linux")),
        ("common word, completions", Search { sort: Sort::Completions, ..text("linux") }),
        ("two words: linux kernel", text("linux kernel")),
        ("rare: part 77777 ", text("part 77777 ")),
        ("absent: quetzalcoatl", text("quetzalcoatl")),
        ("category", Search { category: "audio".to_owned(), ..text("") }),
        ("publisher and word", Search { publisher: "publisher 7".to_owned(), ..text("linux") }),
        ("tags", Search { tags: "genome".to_owned(), ..text("") }),
        ("deep page", Search { offset: u64::from(rows / 2), ..text("") }),
    ] {
        all.extend(measure(&mut desk, label, &search));
    }
    all.sort_by(f64::total_cmp);
    println!("all: median {:.2} ms, p99 {:.2} ms", all[all.len() / 2], all[all.len() * 99 / 100]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
}

#[test]
#[ignore = "a measurement: prints search times over 200,000 rows, takes some seconds in release"]
fn latency_200k() {
    run(200_000);
}

#[test]
#[ignore = "a measurement: prints search times over a million rows, takes a minute in release"]
fn latency_1m() {
    run(1_000_000);
}
