//! What must always hold of a swarm; looked at by tests after every step.

use super::Swarm;
use crate::peer::session::Has;
use std::collections::HashMap;

impl Swarm {
    /// What everybody is doing, for whoever looks for a reason.
    pub fn picture(&self) -> String {
        let peers = self.peers.values().map(|peer| {
            format!(
                "{}: useful {}, asked {}, depth {}, chokes {}, snubbed {}\n",
                peer.key,
                peer.useful,
                peer.asked.len(),
                peer.depth,
                peer.chokes_us,
                peer.snubbed
            )
        });
        let open = self.ledger.iter().flat_map(|ledger| ledger.open.iter()).map(|open| {
            format!(
                "piece {}: missing {}, free {}, owner {:?}\n",
                open.piece,
                open.missing(),
                open.has_free(),
                open.owner
            )
        });
        let waiting = self.ledger.as_ref().map_or(0, |ledger| ledger.picker.waiting());
        format!(
            "{:?}, {waiting} waiting\n{}{}",
            self.state,
            peers.collect::<String>(),
            open.collect::<String>()
        )
    }

    /// Panics where something does not hold.
    pub fn check_invariants(&self) {
        let Some(ledger) = &self.ledger else { return };
        let mut asked = HashMap::new();
        for peer in self.peers.values() {
            assert!(peer.asked.len() <= peer.depth_max() as usize, "more asked than the peer lets wait");
            assert!(peer.is_open() || peer.asked.is_empty());
            for one in &peer.asked {
                let open = ledger.open.find(one.block.piece);
                let block = open.map_or(one.block, |open| open.without_pads(one.block));
                *asked.entry(block).or_insert(0u8) += 1;
            }
            let missing = |piece: &u32| ledger.picker.is_missing(*piece);
            let useful = match &peer.has {
                Has::All => ledger.picker.missing(),
                Has::Some(bits) => bits.iter().filter(missing).count() as u32,
                Has::Unsaid | Has::None | Has::Raw(_) => 0,
            };
            assert_eq!(peer.useful, useful, "what a peer has that we want is counted");
        }
        ledger.open.check_invariants(&asked);
        for piece in 0..ledger.stored.pieces() {
            let open = ledger.open.find(piece).is_some();
            assert!(!(open && ledger.stored.has(piece)), "a stored piece is not fetched");
            if open {
                assert!(ledger.picker.is_begun(piece), "an open piece is begun");
            }
        }
    }
}
