//! The whitelist: which hashes are tracked, when the operator keeps a list of them.
//!
//! A line is 40 hex digits (a v1 hash, or a v2 hash cut to 20 bytes) or 64 (a v2 hash), in either case. Empty lines and
//! lines that begin with `#` are skipped; a byte order mark and CRLF are accepted.

use super::Tracker;
use super::slot::{Slot, flags};
use super::table::Found;
use crate::base::{Now, SwarmKey, V1Hash, V2Hash};
use crate::wire::announce::AnnouncedHash;

/// The keys of a list, sorted, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Whitelist(Vec<SwarmKey>);

impl Whitelist {
    /// Reads a list. `bad` is told the numbers of the lines that are none of the forms; they are skipped.
    pub fn parse(bytes: &[u8], mut bad: impl FnMut(usize)) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut keys = Vec::new();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let v1 = V1Hash::from_hex(line).map(|hash| hash.key());
            match v1.or_else(|| V2Hash::from_hex(line).map(|hash| hash.key())) {
                Some(key) => keys.push(key),
                None => bad(at + 1),
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// How many hashes are on it.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is on it: then nothing is tracked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, key: &SwarmKey) -> bool {
        self.0.binary_search(key).is_ok()
    }
}

impl Tracker {
    /// Puts a new list in force at once. Swarms of hashes that are no longer on it are dropped.
    pub fn set_whitelist(&mut self, now: Now, list: Whitelist) {
        let former = std::mem::replace(&mut self.whitelist, list);
        for key in former.0 {
            let hash = AnnouncedHash::Short(key);
            let Some(found) = self.table.find(&hash) else { continue };
            if !self.is_listed(&hash, Some(found)) {
                self.drop_swarm(now, found);
            }
        }
    }

    /// How many hashes are on the whitelist.
    pub fn whitelist_entries(&self) -> u64 {
        self.whitelist.len() as u64
    }

    /// Whether a hash is on the list, or any other hash of the same registered torrent.
    pub(super) fn is_listed(&self, hash: &AnnouncedHash, found: Option<Found>) -> bool {
        let registration = || found.and_then(|found| self.table.registration(found.entry));
        self.whitelist.has(&hash.key())
            || registration().is_some_and(|hashes| {
                let keys = [hashes.v1().map(|v1| v1.key()), hashes.v2().map(|v2| v2.key())];
                keys.iter().flatten().any(|key| self.whitelist.has(key))
            })
    }

    fn drop_swarm(&mut self, now: Now, found: Found) {
        let tick = self.table.lifetimes().tick(now.mono);
        self.table.change(found.entry, tick, |slot, _| {
            let kept = flags::REGISTERED | flags::HYBRID | flags::COUNTED | flags::RERANKED;
            let empty = Slot::new(slot.key);
            *slot = Slot {
                completed: slot.completed,
                registration: slot.registration,
                flags: slot.flags & kept,
                ..empty
            };
        });
        self.table.forget_if_idle(found.entry);
        self.upkeep.wake(now.mono);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_line_is_read_and_bad_ones_are_named() {
        let text = format!(
            "\u{feff}# my list\r\n\r\n  {} \r\n{}\n{}\nnonsense\n{}",
            "ab".repeat(20),
            "AB".repeat(20),
            "cd".repeat(32),
            "a".repeat(41)
        );
        let mut bad = Vec::new();
        let list = Whitelist::parse(text.as_bytes(), |line| bad.push(line));
        assert_eq!(list.0, [SwarmKey([0xab; 20]), SwarmKey([0xcd; 20])]);
        assert_eq!(bad, [6, 7]);
        assert!(Whitelist::parse(b"", |_| {}).is_empty());
    }
}
