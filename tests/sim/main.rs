//! The whole machine under chance: datagrams, HTTP requests cut anywhere and dropped anywhere, slow sockets, full
//! mailboxes, answers of the store that come late or never, clocks that jump, crashes.
//!
//! What must hold, whatever happens: nothing panics; answers come in the order of their requests, each once; a source
//! that has shown no connection id gets no more bytes than it sent; what the machine keeps is bounded; a connection
//! that does nothing is closed, and none is before its time; deadlines lie ahead. Every run follows from its seed,
//! which a failure prints.

mod accounts;
mod datagrams;
mod http;
mod store;
mod world;

use weightless::base::Rng;
use world::World;

/// `SIM_SEED=7` runs one seed, `SIM_SEEDS=100000` many.
#[test]
fn every_seed_keeps_its_word() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let all = 0..number("SIM_SEEDS").unwrap_or(256);
    for seed in number("SIM_SEED").map_or(all, |seed| seed..seed + 1) {
        let told = Told(seed);
        run(seed);
        std::mem::forget(told);
    }
}

/// Says which seed it was, should the run not get to its end.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        eprintln!("this was SIM_SEED={}", self.0);
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let steps = 200 + world.rng.below(600);
    for _ in 0..steps {
        match world.rng.below(100) {
            0..20 => world.datagram(),
            20..30 => world.connect(),
            30..50 => world.ask(),
            50..70 => world.deliver(),
            70..80 => world.drain(),
            80..88 => world.store_works(),
            88..90 => world.client_leaves(),
            90 if world.rng.below(8) == 0 => world.crash(),
            _ => world.time_passes(),
        }
        world.turn();
    }
    world.settle();
    world.end();
}

/// One of these.
pub fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.below(from.len() as u32) as usize]
}
