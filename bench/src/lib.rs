//! What the benchmarks share: a set of imaginary peers, generators that announce for them, and the process accounting
//! of the server that answers.
//!
//! Everything is bounded in count and in time, and nothing but loopback is ever a target.

pub mod account;
pub mod args;
pub mod batch;
pub mod http;
pub mod peers;
pub mod report;
pub mod servers;
pub mod udp;
pub mod udp_rate;
