//! The whole product as its users meet it: the real daemon, the real `wl`, real clients, on loopback.
//!
//! Every test starts a daemon of its own on free ports with a database of its own, and waits for events, never for
//! time to pass. `make test` builds `wl` and installs the clients before.

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod api;
mod aria2;
mod check;
mod clients;
mod demo;
mod disks;
mod endings;
mod faults;
mod idtorrents;
mod interop;
mod kills;
mod litestream;
mod openapi;
mod operations;
mod page;
mod process;
mod proxy;
mod registry;
mod reload;
mod restart;
mod robust;
mod small;
mod sockets;
mod swarm;
mod tiny_seeder;
mod transmission;
mod uploads;
mod wires;
