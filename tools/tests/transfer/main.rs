//! `wl get`, `wl seed` and `wl serve` as a person runs them: the built program at both ends, real sockets and disks, every
//! row of their tables.

mod endings;
mod files;
mod kills;
mod naming;
mod seeding;
mod serving;
mod sources;
#[allow(dead_code, reason = "shared with the tests of the other commands, which use more of it")]
#[path = "../cli/support.rs"]
mod support;
mod swarm;
mod telling;
mod trusting;
mod web;
