//! Engines that talk to each other through pipes: bytes are split at random, pipes stall and break, the disk is slow.
//! Whatever happens, what was on one of them is on all of them in the end, and every piece was stored once.

use super::lab::at;
use super::node::{Node, Plan, START};
use crate::disk::tests::{Made, made};
use crate::peer::candidates::Origin;
use crate::peer::outgoing::SLICES;
use std::io::IoSlice;
use std::net::SocketAddr;
use weightless::base::{Millis, Rng};
use weightless::torrent::Kind;

const SEEDS: u64 = 64;

/// One connection: who and which of its keys, on both sides.
struct Pipe {
    ends: [(usize, u64); 2],
}

struct Net {
    now: Millis,
    nodes: Vec<Node>,
    pipes: Vec<Pipe>,
    rng: Rng,
}

impl Net {
    fn new(made: &Made, nodes: usize, memory_bytes_max: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let nodes = (0..nodes)
            .map(|number| {
                let mut plan = Plan::of(&made.content, b"somebody0000", rng.u64());
                plan.id.0[19] = number as u8;
                plan.fetches = number > 0;
                plan.memory_bytes_max = memory_bytes_max;
                let mut node = Node::new(START, &plan);
                let stored: Vec<(u32, &[u8])> = (0..)
                    .zip(&made.pieces)
                    .filter(|_| number == 0)
                    .map(|(at, bytes)| (at, bytes.as_slice()))
                    .collect();
                node.begin(START, &made.content, &stored);
                node
            })
            .collect();
        Self { now: START, nodes, pipes: Vec::new(), rng }
    }

    fn address(number: usize) -> SocketAddr {
        at(&format!("10.0.0.{}:6881", number + 1))
    }

    /// Everybody but the first knows everybody else.
    fn introduce(&mut self) {
        for number in 1..self.nodes.len() {
            let others: Vec<SocketAddr> =
                (0..self.nodes.len()).filter(|&other| other != number).map(Self::address).collect();
            let swarm = self.nodes[number].engine.swarm(0).expect("one");
            swarm.add_candidates(self.now, others, Origin::Tracker);
        }
    }

    fn turn(&mut self) {
        self.now += u64::from(self.rng.below(200));
        for node in &mut self.nodes {
            let slow = self.rng.below(2) == 0;
            node.run(self.now, slow);
        }
        self.connect();
        self.carry();
        self.part();
        if self.rng.below(300) == 0 && !self.pipes.is_empty() {
            let at = self.rng.below(self.pipes.len() as u32) as usize;
            self.cut(at);
        }
    }

    fn connect(&mut self) {
        for from in 0..self.nodes.len() {
            for (key, address) in std::mem::take(&mut self.nodes[from].dials) {
                let to = (0..self.nodes.len()).find(|&to| Self::address(to) == address);
                let theirs = to.and_then(|to| {
                    // The other side sees some port.
                    let seen = SocketAddr::new(Self::address(from).ip(), 40000 + (key % 9999) as u16);
                    self.nodes[to].engine.accepted(self.now, seen).map(|theirs| (to, theirs))
                });
                match theirs {
                    Some(theirs) => {
                        self.nodes[from].engine.connected(self.now, key);
                        self.pipes.push(Pipe { ends: [(from, key), theirs] });
                    }
                    None => self.nodes[from].engine.closed(key, "refused"),
                }
            }
        }
    }

    /// Some bytes of every pipe, in both directions.
    fn carry(&mut self) {
        for at in 0..self.pipes.len() {
            for side in 0..2 {
                let (from, key) = self.pipes[at].ends[side];
                let (to, theirs) = self.pipes[at].ends[1 - side];
                let most = match self.rng.below(4) {
                    0 => 0,
                    1 => 1 + self.rng.below(40) as usize,
                    2 => 1 + self.rng.below(20_000) as usize,
                    _ => 400_000,
                };
                let Some(out) = self.nodes[from].engine.unsent(key) else { continue };
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = out.slices(most, &mut slices);
                let bytes: Vec<u8> = slices.iter().take(filled).flat_map(|slice| slice.to_vec()).collect();
                self.nodes[from].engine.sent(self.now, key, bytes.len());
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let length = match self.rng.below(3) {
                        0 => 1 + self.rng.below(30) as usize,
                        1 => 1 + self.rng.below(5000) as usize,
                        _ => rest.len(),
                    };
                    let (front, behind) = rest.split_at(length.min(rest.len()));
                    self.nodes[to].engine.received(self.now, theirs, front);
                    rest = behind;
                }
            }
        }
    }

    /// What one side has closed, the other hears of.
    fn part(&mut self) {
        for from in 0..self.nodes.len() {
            self.nodes[from].act(self.now);
            for key in std::mem::take(&mut self.nodes[from].closes) {
                if let Some(at) = self.pipes.iter().position(|pipe| pipe.ends.contains(&(from, key))) {
                    self.cut(at);
                }
            }
        }
    }

    fn cut(&mut self, at: usize) {
        let pipe = self.pipes.swap_remove(at);
        for (number, key) in pipe.ends {
            self.nodes[number].engine.closed(key, "cut");
        }
    }

    fn is_done(&self) -> bool {
        self.nodes.iter().all(Node::is_complete)
    }
}

/// The torrents that are tried in turn.
fn example(seed: u64) -> (Made, usize) {
    const KIB: usize = 1024;
    let kind = [Kind::V1, Kind::V2, Kind::Hybrid][seed as usize % 3];
    let files: &[(&str, usize)] = &[("a", 300 * KIB + 17), ("b", 0), ("c", 1), ("d/e", 90 * KIB)];
    match seed % 5 {
        0 => (made(kind, 16384, files), 64 * KIB),
        1 => (made(kind, 65536, files), 192 * KIB),
        2 => (made(kind, 262_144, files), 512 * KIB),
        3 => (made(kind, 32768, files), 4096 * KIB),
        _ => (made(kind, 1 << 20, files), 2048 * KIB),
    }
}

#[test]
fn everybody_gets_everything_once() {
    for seed in 0..SEEDS {
        let (made, memory) = example(seed);
        run(&made, 2 + (seed % 3) as usize, memory, seed);
    }
}

#[test]
fn pieces_longer_than_memory_come_in_stripes() {
    for (seed, kind) in [(1, Kind::V1), (2, Kind::V2), (3, Kind::Hybrid)] {
        let made = made(kind, 8 << 20, &[("a", (9 << 20) + 5), ("b", 300_000)]);
        // Two stripes and no more.
        run(&made, 3, 512 << 10, seed);
    }
}

fn run(made: &Made, nodes: usize, memory: usize, seed: u64) {
    let mut net = Net::new(made, nodes, memory, seed);
    net.introduce();
    let mut turns = 0;
    while !net.is_done() {
        net.turn();
        turns += 1;
        assert!(turns < 60_000, "seed {seed}: not complete after {turns} turns");
    }
    for (number, node) in net.nodes.iter().enumerate().skip(1) {
        assert!(node.failed.is_none(), "seed {seed}: {:?}", node.failed);
        assert!(node.banned.is_empty(), "seed {seed}: node {number} banned {:?}", node.banned);
        assert_eq!(node.complete, 1, "seed {seed}");
        let disk = node.disk.as_ref().expect("a torrent");
        assert!(disk.bad.is_empty(), "seed {seed}");
        for (piece, bytes) in (0..).zip(&made.pieces) {
            assert_eq!(disk.piece(piece), bytes.as_slice(), "seed {seed}: node {number}, piece {piece}");
            assert_eq!(disk.good.get(&piece), Some(&1), "seed {seed}: node {number}, piece {piece}");
        }
    }
}
