//! Signals that ask for the end, for the parts of a transfer that hash files and do not listen to sockets.

use crate::failure::{Class, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static SIGNAL: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// From now on SIGINT, SIGTERM and SIGHUP raise the flag and do nothing else.
pub fn watch() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).unwrap_or_default();
        // Without a handler the signal ends the program, which is what it asks for.
        let _ = flag::register(signal, Arc::clone(&ASKED));
        let _ = flag::register_usize(signal, Arc::clone(&SIGNAL), number);
    }
}

/// Whether somebody asked for the end.
pub fn flag() -> &'static AtomicBool {
    &ASKED
}

/// The failure of work that was interrupted.
pub fn failure(what: &str) -> Failure {
    let class = match i32::try_from(SIGNAL.load(Ordering::Relaxed)) {
        Ok(SIGTERM) => Class::Terminated,
        Ok(SIGHUP) => Class::HungUp,
        _ => Class::Interrupted,
    };
    Failure::new(class, what)
}
