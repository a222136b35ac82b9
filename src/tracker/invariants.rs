//! What must hold of the table between any two requests. For tests: it walks over everything and panics where
//! something does not hold.

use super::Tracker;
use super::block::{Block, bits};
use super::large::hash_address;
use super::leaves::Leaves;
use super::slice::{EntryRef, Lead};
use super::slot::{FamilyCounts, flags};
use super::swarm::{Counts, SMALL_PEERS_MAX, Swarm};
use super::table::{Table, Totals};
use crate::base::{InfoHashes, SwarmKey};
use std::collections::HashSet;

impl Tracker {
    /// Panics unless every part of the table agrees with every other. Does nothing in a release build.
    pub fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.table.check_invariants();
        }
    }
}

impl Table {
    /// The totals equal a recount, every key leads to its entry, and so does every alias.
    fn check_invariants(&self) {
        let mut totals = Totals::default();
        let mut aliases = 0;
        for number in 0..=u8::MAX {
            let slice = self.slice(number);
            slice.check_invariants(number, |key| self.lead(key));
            for (at, slot) in slice.slots().enumerate() {
                let entry = EntryRef { slice: number, slot: at as u32 };
                slot.v4.check_invariants(slot.is(flags::HYBRID), self.seed());
                if let Some(swarm) = &slot.v6 {
                    assert!(!swarm.is_empty(), "an empty family takes no memory");
                    swarm.check_invariants(slot.is(flags::HYBRID), self.seed());
                }
                totals.add(&slot.counts(), slot.flags, slot.completed);
                let hashes = slice.registration(at as u32);
                assert_eq!(hashes.is_some(), slot.is(flags::REGISTERED));
                assert_eq!(matches!(hashes, Some(InfoHashes::Hybrid(..))), slot.is(flags::HYBRID));
                assert!(hashes.is_none_or(|hashes| hashes.primary_key() == slot.key));
                assert!(slot.is(flags::REGISTERED) || !slot.is(flags::COUNTED | flags::RERANKED));
                assert!(!slot.is(flags::BLOCKED) || slot.is_empty(), "nobody is in a blocked swarm");
                if let Some(InfoHashes::Hybrid(v1, _)) = hashes
                    && self.lead(&v1.key()) == Some(Lead::Alias(entry))
                {
                    aliases += 1;
                }
            }
        }
        assert_eq!(*self.totals(), totals, "totals against a recount");
        let known: usize = (0..=u8::MAX).map(|slice| self.slice(slice).aliases().len()).sum();
        assert_eq!(aliases, known, "every alias is the v1 key of the hybrid it leads to");
    }
}

impl Totals {
    fn add(&mut self, counts: &FamilyCounts, flags: u8, completed: u32) {
        self.seeders4 += u64::from(counts.v4.seeders);
        self.leechers4 += u64::from(counts.v4.leechers);
        self.seeders6 += u64::from(counts.v6.seeders);
        self.leechers6 += u64::from(counts.v6.leechers);
        self.swarms += u64::from(counts.peers() > 0);
        self.registered += u64::from(flags & flags::REGISTERED != 0);
        self.blocked += u64::from(flags & flags::BLOCKED != 0);
        self.ghosts += u64::from(flags == 0 && completed > 0 && counts.peers() == 0);
    }
}

impl super::slice::Slice {
    /// Every slot and every alias is found by its key.
    fn check_invariants(&self, number: u8, lead: impl Fn(&SwarmKey) -> Option<Lead>) {
        for (at, slot) in self.slots().enumerate() {
            assert_eq!(slot.key.0[0], number, "a key stands in its slice");
            assert_eq!(lead(&slot.key), Some(Lead::Slot(at as u32)));
        }
        for alias in self.aliases() {
            assert_eq!(alias.key.0[0], number, "an alias stands in its slice");
            assert_eq!(lead(&alias.key), Some(Lead::Alias(alias.target)));
        }
        assert_eq!(self.indexed(), self.len() + self.aliases().len());
    }
}

impl<const N: usize> Swarm<N> {
    /// No address twice, everybody where its role belongs, and counts that equal a recount.
    fn check_invariants(&self, hybrid: bool, seed: u64) {
        let mut addresses = HashSet::new();
        let mut counts = Counts::default();
        for peer in self.peers() {
            assert!(addresses.insert(peer.address), "an address twice");
            assert_eq!(peer.bits & bits::IDENTITIES != 0, hybrid, "identities in hybrids alone");
            match peer.bits & (bits::SEEDER | bits::PARTIAL) {
                bits::SEEDER => counts.seeders += 1,
                0 => counts.leechers += 1,
                bits::PARTIAL => {
                    (counts.leechers, counts.partial) = (counts.leechers + 1, counts.partial + 1)
                }
                _ => panic!("a seeder is no partial seed"),
            }
        }
        assert_eq!((self.counts(), self.len() as usize), (counts, addresses.len()));
        match self {
            Swarm::Small(block) => check_segments(block),
            Swarm::Large(large) => {
                for (at, (class, set)) in large.sets().iter().enumerate() {
                    assert!(large.sets()[..at].iter().all(|(other, _)| other != class), "a class twice");
                    assert!(set.iter().all(|peer| peer.bits & bits::CLASS == *class));
                    check_leaves(set, seed);
                }
            }
        }
    }
}

/// Seeders, then leechers, then partial seeds.
fn check_segments<const N: usize>(block: &Block<N>) {
    assert!(block.len() <= SMALL_PEERS_MAX);
    let (seeders, others) = (block.seeders as usize, block.leechers as usize);
    for at in 0..block.len() {
        let role = match at {
            at if at < seeders => bits::SEEDER,
            at if at < seeders + others => 0,
            _ => bits::PARTIAL,
        };
        assert_eq!(block.bits(at) & (bits::SEEDER | bits::PARTIAL), role, "{at} of {}", block.len());
    }
}

/// Everybody is found where its address belongs.
fn check_leaves<const N: usize>(set: &Leaves<N>, seed: u64) {
    assert_eq!(set.len() as usize, set.blocks().iter().map(Block::len).sum::<usize>());
    for peer in set.iter() {
        let place = set.find(hash_address(&peer.address, seed), &peer.address).expect("found by its address");
        assert_eq!(set.peer(place), peer);
    }
}
