//! What the binaries of `bench/` share: a population of peers, a UDP and an HTTP client for them, what a process costs,
//! and a long way to somebody.
//!
//! `load` measures any tracker by its address; `floor` answers the same requests while doing nothing, so that a
//! tracker can be compared with the kernel below it. IPv4 on loopback only: every address of 127.0.0.0/8 is ours, so
//! one machine can be a thousand clients.

pub mod flags;
pub mod http;
pub mod population;
pub mod process;
pub mod relay;
pub mod shelf;
pub mod sys;
pub mod udp;
