//! An engine with one swarm and its disk: what it wants done is done here, except for the network.

use super::disk::MemoryDisk;
use crate::content::Content;
use crate::disk::Job;
use crate::peer::action::{Action, Failed, News};
use crate::peer::bits::Bits;
use crate::peer::choker::Slots;
use crate::peer::engine::Engine;
use crate::peer::limits::CONNECTIONS_MAX;
use crate::peer::swarm::{Beginning, Settings, State, Swarm};
use std::net::SocketAddr;
use std::sync::Arc;
use weightless::base::{InfoHashes, Millis, PeerId, Rng};
use weightless::torrent::Metainfo;

/// Where the clock begins.
pub const START: Millis = 86_400_000;

pub struct Node {
    pub engine: Engine,
    pub disk: Option<MemoryDisk>,
    pub memory_bytes_max: usize,
    /// Connections to be closed.
    pub closes: Vec<u64>,
    /// Connections to be made.
    pub dials: Vec<(u64, SocketAddr)>,
    pub banned: Vec<SocketAddr>,
    pub lost: Vec<(SocketAddr, &'static str)>,
    pub failed: Option<Failed>,
    pub complete: u32,
    /// Every block that the disk was asked to keep.
    pub jobs: u64,
    rng: Rng,
}

/// How a node begins.
pub struct Plan {
    pub hashes: InfoHashes,
    pub id: PeerId,
    pub fetches: bool,
    pub memory_bytes_max: usize,
    pub peers_max: usize,
    pub pex: bool,
    pub seed: u64,
}

impl Plan {
    pub fn of(content: &Content, name: &[u8; 12], seed: u64) -> Self {
        let mut id = *b"-XX0000-000000000000";
        id[8..].copy_from_slice(name);
        Self {
            hashes: content.hashes(),
            id: PeerId(id),
            fetches: true,
            memory_bytes_max: 4 << 20,
            peers_max: 100,
            pex: true,
            seed,
        }
    }
}

impl Node {
    pub fn new(now: Millis, plan: &Plan) -> Self {
        let settings = Settings {
            number: 0,
            hashes: plan.hashes,
            peer_id: plan.id,
            port: 6881,
            peers_max: plan.peers_max,
            slots: Slots::Auto,
            pex: plan.pex,
            small: false,
            fetches: plan.fetches,
            memory_bytes_max: plan.memory_bytes_max,
        };
        let mut engine = Engine::new(now, 16, None, None);
        engine.add(Swarm::new(now, settings, plan.seed), CONNECTIONS_MAX.max(plan.peers_max));
        Self {
            engine,
            disk: None,
            memory_bytes_max: plan.memory_bytes_max,
            closes: Vec::new(),
            dials: Vec::new(),
            banned: Vec::new(),
            lost: Vec::new(),
            failed: None,
            complete: 0,
            jobs: 0,
            rng: Rng::new(plan.seed ^ 0x5eed),
        }
    }

    /// The torrent is known; `stored` pieces lie on the disk already.
    pub fn begin(&mut self, now: Millis, content: &Arc<Content>, stored: &[(u32, &[u8])]) {
        let mut disk = MemoryDisk::new(content);
        let mut bits = Bits::none(content.piece_count());
        for (piece, bytes) in stored {
            disk.plant(*piece, bytes);
            bits.add(*piece);
        }
        self.disk = Some(disk);
        let beginning = Beginning {
            content: Arc::clone(content),
            stored: bits,
            wanted_files: vec![true; content.file_count()],
            uploaded: 0,
            webseeds: None,
            finish: Vec::new(),
            unjudged: Vec::new(),
        };
        self.engine.swarm(0).expect("one").begin(now, beginning);
    }

    pub fn swarm(&self) -> &Swarm {
        &self.engine.swarms()[0]
    }

    pub fn is_complete(&self) -> bool {
        self.swarm().state() == State::Seeding
    }

    /// Time passes, and errands are run until there are none. `slow`: the disk does only some of its work.
    pub fn run(&mut self, now: Millis, slow: bool) {
        self.engine.tick(now);
        for _ in 0..8 {
            self.act(now);
            self.let_disk_work(now, slow);
            self.check();
            if !self.engine.has_errands() {
                break;
            }
            self.engine.tick(now);
        }
        self.act(now);
    }

    pub fn act(&mut self, now: Millis) {
        let (mut actions, mut touched) = (Vec::new(), Vec::new());
        self.engine.take(&mut actions, &mut touched);
        for action in actions {
            match action {
                Action::Dial { key, address } => self.dials.push((key, address)),
                Action::Close { key } => self.closes.push(key),
                Action::Disk { job, .. } => {
                    self.jobs += u64::from(matches!(job, Job::Store { .. } | Job::Write { .. }));
                    self.disk.as_mut().expect("a torrent").waiting.push(job);
                }
                Action::Tell { news, .. } => self.hear(now, news),
                Action::Announce { .. } | Action::Fetch { .. } | Action::Drop { .. } => {}
            }
        }
    }

    fn hear(&mut self, now: Millis, news: News) {
        match news {
            News::Banned { address, .. } => self.banned.push(address),
            News::PeerLost { address, why } => self.lost.push((address, why)),
            News::Failed(failed) => self.failed = Some(failed),
            News::Complete => self.complete += 1,
            News::Metadata(info) => {
                let metainfo = Metainfo::read_info(&info).expect("proved by its hash");
                self.begin(now, &Arc::new(Content::torrent(metainfo)), &[]);
            }
            _ => {}
        }
    }

    fn let_disk_work(&mut self, now: Millis, slow: bool) {
        let Some(disk) = &mut self.disk else { return };
        while !disk.waiting.is_empty() {
            if slow && self.rng.below(3) == 0 {
                return;
            }
            // Two threads may overtake each other, but not what must be in order.
            let at = match disk.waiting.as_slice() {
                [_, Job::Store { .. } | Job::Read { .. }, ..] if self.rng.below(4) == 0 => 1,
                _ => 0,
            };
            let outcome = disk.work(at);
            self.engine.disk(now, 0, outcome);
        }
    }

    /// What must hold at any time.
    pub fn check(&self) {
        let Some(disk) = &self.disk else { return };
        let swarm = self.swarm();
        swarm.check_invariants();
        for (piece, times) in &disk.good {
            assert!(*times <= 1, "piece {piece} was stored {times} times");
        }
        assert!(disk.held_bytes() <= self.memory_bytes_max.max(8 << 20), "the disk holds too much");
        let (mut received, mut all) = (0, 0);
        let Some(ledger) = swarm.ledger() else { return };
        for piece in ledger.stored.iter() {
            received += u64::from(disk.good.contains_key(&piece));
            all += 1;
        }
        assert!(received <= all);
    }
}
