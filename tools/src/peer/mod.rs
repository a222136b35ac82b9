//! The transfer engine: what two peers say to each other, and what to do about it.
//!
//! Every room here is a pure state machine or a codec: no socket, clock, file or thread. Bytes, time and chance are
//! told; answers are written into the caller's buffers. What a peer can make grow has a bound in `limits`.

pub mod action;
pub mod address;
pub mod bans;
pub mod bits;
pub mod candidates;
pub mod choker;
pub mod engine;
pub mod extended;
pub mod handshake;
pub mod layers;
pub mod ledger;
pub mod limits;
pub mod metadata;
pub mod open;
pub mod outgoing;
pub mod pex;
pub mod picker;
pub mod rate;
pub mod session;
pub mod swarm;
pub mod wire;

#[cfg(test)]
mod tests;
