//! `wl` as a person runs it: the built program, real files, real exit codes; its torrents against the vectors of the
//! specification, an independent reference and libtorrent.

mod clients;
mod commands;
mod completing;
mod files;
mod idtorrents;
mod mishaps;
mod output;
mod random_trees;
mod registering;
mod signing;
mod streaming;
mod support;
mod vectors;
