//! One line for each figure: a name and a number, for people and for scripts.

use crate::process::Look;
use std::time::Duration;

/// What a closed loop came to.
pub fn closed_loop(answers: u64, bytes: u64, lost: u64, took: Duration, before: Look, after: Look) {
    let seconds = took.as_secs_f64();
    let cpu_s = (after.cpu_ns - before.cpu_ns) as f64 / 1e9;
    println!("answers_per_s {:.0}", answers as f64 / seconds);
    if after.cpu_ns > 0 {
        println!("cpu_s_per_million {:.3}", cpu_s / (answers.max(1) as f64 / 1e6));
        println!("core_use {:.2}", cpu_s / seconds);
    }
    println!("bytes_per_answer {:.0}", bytes as f64 / answers.max(1) as f64);
    println!("lost {lost}");
}

/// What storing peers cost.
pub fn fill(peers: u64, took: Duration, before: Look, after: Look) {
    println!("fill_per_s {:.0}", peers as f64 / took.as_secs_f64());
    if after.rss_bytes > 0 {
        let grown = after.rss_bytes.saturating_sub(before.rss_bytes);
        println!("bytes_per_peer {:.1}", grown as f64 / peers as f64);
        println!("rss_mb {:.1}", after.rss_bytes as f64 / 1e6);
    }
}
