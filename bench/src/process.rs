//! What a process costs: time on a core and resident memory, from `/proc`.

use std::fs;

/// A process by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process(
    /// Its id; 0 is ourselves.
    pub u32,
);

impl Process {
    /// Nanoseconds its threads have spent on a core, the kernel's share included.
    pub fn cpu_ns(self) -> u64 {
        let Ok(tasks) = fs::read_dir(format!("{}/task", self.directory())) else { return 0 };
        tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
            .filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    }

    /// Resident bytes. `smaps_rollup` counts pages; where it cannot be read, the kernel's estimate in `status`.
    pub fn resident_bytes(self) -> u64 {
        let line = |file: &str, name: &str| {
            let text = fs::read_to_string(format!("{}/{file}", self.directory())).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        line("smaps_rollup", "Rss:").or_else(|| line("status", "VmRSS:")).unwrap_or(0) * 1024
    }

    fn directory(self) -> String {
        match self.0 {
            0 => "/proc/self".into(),
            id => format!("/proc/{id}"),
        }
    }
}

/// Nanoseconds in which a core did something since the machine started, what a hypervisor took among them.
pub fn machine_busy_ns() -> u64 {
    let Ok(text) = fs::read_to_string("/proc/stat") else { return 0 };
    let Some(line) = text.lines().next() else { return 0 };
    let ticks = line.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0));
    // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
    let busy: u64 =
        ticks.enumerate().filter(|(at, _)| matches!(at, 0..=2 | 5..=7)).map(|(_, ticks)| ticks).sum();
    busy * NS_PER_TICK
}

/// `USER_HZ` is 100 wherever Linux runs.
const NS_PER_TICK: u64 = 10_000_000;
