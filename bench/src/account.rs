//! What a server has used, from `/proc`: nothing is asked of the server itself.

use std::fs;
use std::io;

/// A process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds on a processor, of all threads, from the scheduler's nanoseconds.
    pub cpu_s: f64,
    /// The part of them in user mode, from the clock ticks.
    pub user_s: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Times a thread gave its processor up by itself: how often it went to sleep.
    pub sleeps: u64,
}

impl Usage {
    /// Reads it. A thread that ends in between takes its share with it; servers keep theirs.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let schedstat = fs::read_to_string(task.join("schedstat"))?;
            usage.cpu_s += first_number(&schedstat) as f64 / 1e9;
            usage.sleeps += field(&fs::read_to_string(task.join("status"))?, "voluntary_ctxt_switches:");
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name may hold spaces; what follows its parenthesis begins with the third field.
        let utime = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(11));
        let ticks: f64 = utime.and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0);
        usage.user_s = ticks / rustix::param::clock_ticks_per_second() as f64;
        usage.rss_bytes = field(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:") * 1024;
        Ok(usage)
    }

    /// What was used since `before`; the memory is that of now.
    pub fn since(&self, before: &Usage) -> Usage {
        Usage {
            cpu_s: self.cpu_s - before.cpu_s,
            user_s: self.user_s - before.user_s,
            rss_bytes: self.rss_bytes,
            sleeps: self.sleeps.saturating_sub(before.sleeps),
        }
    }
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn field(status: &str, name: &str) -> u64 {
    status.lines().find_map(|line| line.strip_prefix(name)).map_or(0, first_number)
}

/// Keeps this thread, and those it starts, on one processor. Errors are the caller's to report.
pub fn pin(processor: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(processor);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}
