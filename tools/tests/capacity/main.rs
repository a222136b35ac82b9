//! `wl get` and `wl seed` at their limits of memory and distance: many idle peers, more data than memory, a long way.
//! The full sizes, with the figures, are those of `make bench-transfer`.

mod far;
mod idle;
mod memory;
#[path = "../../../bench/src/relay.rs"]
#[allow(dead_code, reason = "one direction of it is enough here")]
mod relay;
mod support;
