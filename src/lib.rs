//! The library of Weightless: a BitTorrent tracker and data registry, and the torrent formats it shares with `wl`.
//!
//! The rooms are stacked in floors; a room imports only rooms on lower floors. `src/ARCHITECTURE.md` is the
//! map, `tests/floors.rs` keeps it true. Without the feature `daemon` no socket, thread or database is linked.

pub mod base;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod hub;
#[cfg(feature = "daemon")]
pub mod logging;
pub mod mailbox;
#[cfg(feature = "daemon")]
pub mod reactor;
pub mod registry;
pub mod server;
#[cfg(feature = "daemon")]
pub mod store;
pub mod torrent;
pub mod tracker;
#[cfg(feature = "daemon")]
pub mod whitelist;
pub mod wire;
