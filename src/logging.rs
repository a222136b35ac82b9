//! Log lines on stderr, one for each event, as text or as JSON objects. Text has the time in UTC; where stderr is systemd's
//! journal, which knows the time, it has the level in the form that the journal understands.
//!
//! What is logged can change while running (SIGHUP); the shape cannot. A warning or error that says the same as one of
//! the last minute is not repeated: a full disk must not fill another one.

use crate::config::LogFormat;
use crate::wire::http1::log_date;
use log::{Level, Log, Metadata, Record};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The logger's handle: dropped, everything goes on as it is.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    shape: Shape,
    /// Decides what is logged.
    filter: RwLock<env_logger::Logger>,
    said: Mutex<Said>,
}

/// What a line looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// `2026-01-31T23:59:59.123Z WARN  weightless: text`
    Text,
    /// `<4>weightless: text` (sd-daemon(3))
    Journal,
    /// `{"time":…,"level":"warn","target":"weightless","message":"text"}`
    Json,
}

/// Starts logging what `filter` (env_logger's syntax) lets through. The second call in a process changes nothing.
pub fn start(format: LogFormat, filter: &str) -> Lines {
    let shape = match format {
        LogFormat::Json => Shape::Json,
        LogFormat::Text if stderr_is_the_journal() => Shape::Journal,
        LogFormat::Text => Shape::Text,
    };
    let shared = Shared { shape, filter: RwLock::new(parsed(filter)), said: Mutex::new(Said::default()) };
    let lines = Lines(Arc::new(shared));
    let _ = log::set_boxed_logger(Box::new(lines.clone()));
    lines.set_filter(filter);
    lines
}

impl Lines {
    /// Logs what this filter lets through from now on.
    pub fn set_filter(&self, filter: &str) {
        let filter = parsed(filter);
        log::set_max_level(filter.filter());
        *self.0.filter.write().unwrap_or_else(PoisonError::into_inner) = filter;
    }
}

/// From now on a panic in any thread ends the process with 101 after a log line: what is left of it could only pretend to
/// serve, and a supervisor starts it again from what is on disk.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        log::error!(
            "this is a bug, please report it: thread {} panicked at {at}: {}",
            thread.name().unwrap_or("?"),
            text.unwrap_or("no message")
        );
        std::process::exit(101)
    }));
}

fn parsed(filter: &str) -> env_logger::Logger {
    env_logger::Builder::new().parse_filters(filter).build()
}

/// systemd says which file its journal gave a service for stderr (systemd.exec(5)); whoever redirects it keeps the
/// variable but not the file.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.filter.read().unwrap_or_else(PoisonError::into_inner).enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.filter.read().unwrap_or_else(PoisonError::into_inner).matches(record) {
            return;
        }
        if record.level() <= Level::Warn {
            let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.lately(record, Instant::now()) {
                return;
            }
        }
        let line = line(self.0.shape, record, SystemTime::now());
        // There is nowhere to report to that stderr is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

/// One event as a line of text, its line feed included; one in the message is not let through.
fn line(shape: Shape, record: &Record<'_>, at: SystemTime) -> String {
    let (level, target) = (record.level(), record.target());
    let text = || record.args().to_string().replace(['\n', '\r'], " ");
    match shape {
        Shape::Json => json_line(record, at),
        Shape::Journal => {
            let number = match level {
                Level::Error => 3,
                Level::Warn => 4,
                Level::Info => 6,
                Level::Debug | Level::Trace => 7,
            };
            format!("<{number}>{target}: {}\n", text())
        }
        Shape::Text => {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let (date, millis) = (log_date(since.as_secs()), since.subsec_millis());
            format!("{date}.{millis:03}Z {level:<5} {target}: {}\n", text())
        }
    }
}

/// `{"time":<seconds since 1970, with milliseconds>,"level":"info","target":"…","message":"…"}` and a line feed.
fn json_line(record: &Record<'_>, at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "{{\"time\":{}.{:03},\"level\":\"{}\",\"target\":{},\"message\":{}}}\n",
        since.as_secs(),
        since.subsec_millis(),
        record.level().as_str().to_ascii_lowercase(),
        text(record.target()),
        text(&record.args().to_string()),
    )
}

/// What was said in the last minute, by the digest of the words.
#[derive(Default)]
struct Said {
    hasher: RandomState,
    when: HashMap<u64, Instant>,
}

impl Said {
    /// Whether the same was said less than a minute ago; notes it if not.
    fn lately(&mut self, record: &Record<'_>, now: Instant) -> bool {
        let words = self.hasher.hash_one((record.target(), record.args().to_string()));
        if self.when.get(&words).is_some_and(|then| now.duration_since(*then) < QUIET) {
            return true;
        }
        if self.when.len() >= SAID_MAX {
            self.when.retain(|_, then| now.duration_since(*then) < QUIET);
        }
        if self.when.len() < SAID_MAX {
            self.when.insert(words, now);
        }
        false
    }
}

/// How long a message is not repeated.
const QUIET: Duration = Duration::from_secs(60);
/// Messages remembered; with more than these a minute, the rest is repeated.
const SAID_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn lately(said: &mut Said, text: &str, now: Instant) -> bool {
        said.lately(
            &Record::builder().target("t").level(Level::Warn).args(format_args!("{text}")).build(),
            now,
        )
    }

    #[test]
    fn the_same_words_come_once_a_minute() {
        let (mut said, start) = (Said::default(), Instant::now());
        assert!(!lately(&mut said, "full", start));
        assert!(lately(&mut said, "full", start + Duration::from_secs(59)));
        assert!(!lately(&mut said, "empty", start));
        assert!(!lately(&mut said, "full", start + Duration::from_secs(60)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut said, start) = (Said::default(), Instant::now());
        for n in 0..SAID_MAX + 10 {
            assert!(!lately(&mut said, &n.to_string(), start));
        }
        assert_eq!(said.when.len(), SAID_MAX);
        assert!(!lately(&mut said, "later", start + QUIET));
        assert_eq!(said.when.len(), 1);
    }

    #[test]
    fn text_has_the_time_or_the_level_of_the_journal() {
        let at = UNIX_EPOCH + Duration::from_millis(784_111_777_045);
        let told = |shape, level| {
            let mut record = Record::builder();
            line(shape, &record.target("a::b").level(level).args(format_args!("two\nlines")).build(), at)
        };
        assert_eq!(told(Shape::Text, Level::Warn), "1994-11-06T08:49:37.045Z WARN  a::b: two lines\n");
        assert_eq!(told(Shape::Text, Level::Error), "1994-11-06T08:49:37.045Z ERROR a::b: two lines\n");
        assert_eq!(told(Shape::Journal, Level::Error), "<3>a::b: two lines\n");
        assert_eq!(told(Shape::Journal, Level::Info), "<6>a::b: two lines\n");
        assert!(told(Shape::Json, Level::Info).starts_with("{\"time\":784111777.045,\"level\":\"info\""));
    }

    #[test]
    fn a_json_line_is_one_object_whatever_is_in_the_message() {
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_045);
        let line = json_line(
            &Record::builder().target("a::b").level(Level::Error).args(format_args!("\"x\"\n\u{1}é")).build(),
            at,
        );
        assert_eq!(line.matches('\n').count(), 1);
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(object["time"], 1_700_000_000.045);
        assert_eq!((&object["level"], &object["target"]), (&"error".into(), &"a::b".into()));
        assert_eq!(object["message"], "\"x\"\n\u{1}é");
    }

    #[test]
    fn a_panic_in_any_thread_ends_the_process_with_101_after_a_log_line() {
        let child = "logging::tests::child_that_panics";
        let output = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", child, "--ignored", "--nocapture"])
            .env("WL_TEST_INSIDE", "yes")
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{said}");
        let line = said.lines().find(|line| line.contains("thread worker panicked at src/logging.rs:"));
        assert!(
            line.is_some_and(|line| line.contains("ERROR") && line.ends_with(": on purpose 7")),
            "{said}"
        );
    }

    #[test]
    #[ignore = "ends its process: started by the test above"]
    fn child_that_panics() {
        if std::env::var_os("WL_TEST_INSIDE").is_none() {
            return;
        }
        start(LogFormat::Text, "info");
        end_on_panic();
        let number = 7;
        let worker = std::thread::Builder::new().name("worker".to_owned());
        let ended = worker.spawn(move || panic!("on purpose {number}")).expect("a thread").join();
        // Not reached; and if it were, this test would end with 0.
        assert!(ended.is_err());
    }
}
