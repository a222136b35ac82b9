//! `wl`: the command line of Weightless.

fn main() {}
