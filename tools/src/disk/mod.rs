//! Files of a transfer on the local disk: names, what is already there, pieces in and out, durable progress.
//!
//! [`open_for_get`] and [`open_for_seed`] make a [`Storage`]; a [`Pool`] of threads carries out [`Job`]s on it and gives
//! back [`Outcome`]s. Disk trouble is a value: what to do about a full disk is decided by whoever asked. Nothing here
//! knows peers or sockets.
//!
//! Below the output directory no symbolic link is ever followed. A piece is written after its hash is good (or, when it
//! is too large to be held, kept invisible until it is), and is recorded as there after its bytes are on the disk.

mod descriptors;
mod durable;
mod existing;
mod job;
mod large;
mod leaves;
mod lock;
mod making;
mod names;
mod opening;
mod output;
mod pads;
mod piece;
mod pool;
mod reread;
mod resume;
mod root;
mod scan;
mod seeding;
mod space;
mod storage;
#[cfg(test)]
pub mod tests;
mod trust;
mod workers;

pub use job::{Expected, Job, Outcome, Trouble, Verdict};
pub use opening::{NotOpened, Opened, Options, open_for_get};
pub use pool::Pool;
pub use seeding::{Check, is_recorded, open_for_seed, record_good, stamps_of};
pub use storage::{DESCRIPTORS_MAX, Storage};
