//! The daemon: reads its settings, opens the store, hands both to the reactor.

fn main() {}
