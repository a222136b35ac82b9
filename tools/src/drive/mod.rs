//! The shells of a transfer: sockets, threads and clocks. What is to be done is decided in `announce`, `webseed` and
//! `peer`; here it is carried out.

pub mod announce_url;
pub mod guarded;
pub mod http_tracker;
pub mod trackers;
pub mod udp_exchange;
pub mod udp_tracker;
pub mod web_answer;
pub mod webfetch;
