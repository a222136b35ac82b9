//! What the kernel says about the server's process.

use crate::args::Args;
use std::fs;
use std::time::Duration;

/// One look at a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// CPU time of all its threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Times it slept and woke.
    pub wakeups: u64,
}

impl Look {
    /// Looks now; zeros for no process.
    pub fn at(pid: Option<u32>) -> Self {
        let Some(pid) = pid else { return Self::default() };
        let mut look = Self::default();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            look.cpu_ns += first_number(&read("schedstat"));
            look.wakeups += field(&read("status"), "voluntary_ctxt_switches:");
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        look.rss_bytes = field(&status, "VmRSS:") * 1024;
        look
    }
}

/// Memory and wake-ups of a process that is left alone.
pub fn idle(args: &Args) -> Result<(), String> {
    let pid = args.pid()?;
    let seconds = args.number("seconds", 5)?;
    let before = Look::at(pid);
    std::thread::sleep(Duration::from_secs(seconds));
    let after = Look::at(pid);
    println!("idle_rss_mb {:.1}", after.rss_bytes as f64 / 1e6);
    println!("idle_wakeups_per_s {:.1}", (after.wakeups - before.wakeups) as f64 / seconds as f64);
    Ok(())
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn field(status: &str, name: &str) -> u64 {
    status.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}
