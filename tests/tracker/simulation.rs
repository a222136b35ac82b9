//! Random lives of a `Tracker`, every step compared with the naive model. Few addresses, peer ids and hashes, so that
//! everything meets everything. A failure names its seed: `WEIGHTLESS_SEED=n cargo test --test tracker` plays it alone.

use crate::model::{Expected, Model, compact};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use weightless::base::{InfoHashes, Now, PeerId, Rng, SwarmKey, V1Hash, V2Hash};
use weightless::tracker::snapshot::SliceSnapshot;
use weightless::tracker::upkeep::FlushStep;
use weightless::tracker::{Access, Families, Policy, Reach, Tracker};
use weightless::wire::announce::{AnnounceRequest, AnnounceResponse, AnnouncedHash, Event};

/// Seeds in one run.
const SEEDS: u64 = 256;

#[test]

fn the_tracker_does_what_the_model_does() {
    if let Ok(seed) = std::env::var("WEIGHTLESS_SEED") {
        return play(seed.parse().expect("WEIGHTLESS_SEED is a number"));
    }
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| play(seed));
        if let Err(panic) = outcome {
            eprintln!("failed: play it alone with WEIGHTLESS_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
    let steps = if world.big { 5000 } else { 200 };
    for step in 0..steps {
        world.step(step);
    }
    world.compare_all();
}

struct World {
    rng: Rng,
    big: bool,
    /// Addresses that may announce.
    crowd: u32,
    policy: Policy,
    mono_ms: u64,
    tracker: Tracker,
    model: Model,
    response: AnnounceResponse,
    /// What a database would hold: the last snapshot of each slice and completed downloads of registered entries.
    stored: BTreeMap<u8, SliceSnapshot>,
    completions: HashMap<SwarmKey, u64>,
    /// What a registry would know of seeders.
    ranks: HashMap<SwarmKey, u32>,
    /// Clients may have expired that no sweep has found yet: large swarms still count them.
    stale: bool,
    slept_ms: u64,
    leaving: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let big = seed % 32 == 31;
        let crowd = if big { [70, 150, 700, 3000][(seed / 32 % 4) as usize] } else { 0 };
        let access = if rng.below(3) == 0 { Access::Registered } else { Access::Open };
        let policy = Policy {
            access,
            peer_ttl_s: if rng.below(4) == 0 { 120 } else { 3600 },
            idt_peer_ttl_s: 900,
            flush_interval_s: 10,
            total_peers_max: if !big && rng.below(3) == 0 { u64::from(1 + rng.below(12)) } else { 0 },
        };
        let model = Model {
            access,
            ttl_s: policy.peer_ttl_s.into(),
            peers_max: policy.total_peers_max,
            entries: Vec::new(),
            completions: 0,
        };
        Self {
            big,
            crowd,
            mono_ms: rng.u64() % 100_000_000 / 1000 * 1000,
            tracker: Tracker::new(policy.clone(), rng.u64(), TAG_KEY),
            rng,
            policy,
            model,
            response: AnnounceResponse::default(),
            stored: BTreeMap::new(),
            completions: HashMap::new(),
            ranks: HashMap::new(),
            stale: false,
            slept_ms: 0,
            leaving: false,
        }
    }

    fn now(&self) -> Now {
        Now { mono: self.mono_ms, unix: UNIX_START + self.mono_ms / 1000 }
    }

    fn now_s(&self) -> u64 {
        self.mono_ms / 1000
    }

    fn step(&mut self, step: u32) {
        if self.big {
            if step % 1000 == 999 {
                self.leaving = !self.leaving;
            }
            match self.rng.below(1000) {
                0..3 => self.register(),
                3..4 => self.block(),
                4..5 => self.unblock(),
                5..15 => self.scrape(),
                15..20 => self.sleep(300_000),
                20..25 => self.sweep(),
                25..26 => self.restart(),
                26..28 => self.compare_all(),
                _ => self.announce(),
            }
            return;
        }
        match self.rng.below(100) {
            0..7 => self.register(),
            7..8 => self.block(),
            8..11 => self.unblock(),
            11..17 => self.scrape(),
            17..25 => self.sleep(1_500_000),
            25..28 => self.sweep(),
            28..30 => self.flush(),
            30..31 => self.restart(),
            31..33 => self.ranks(),
            _ => self.announce(),
        }
        self.compare_all();
    }

    fn announce(&mut self) {
        let (from, request, reach) = (self.address(), self.request(), self.reach());
        let what = format!("{from} {request:?} {reach:?}");
        let now = self.now();
        let expected = self.model.announce(self.now_s(), from, &request, reach);
        let done = self.tracker.announce(now, from, &request, reach, &mut self.response);
        match expected {
            Err(refusal) => {
                assert_eq!(done, Err(refusal), "{what}");
                assert_eq!(self.response, AnnounceResponse::default(), "{what}");
            }
            Ok(expected) => {
                assert_eq!(done, Ok(()), "{what}");
                self.compare_counts(&expected, &what);
                compare_peers(&self.response, from, &expected, self.stale, &what);
            }
        }
    }

    fn compare_counts(&self, expected: &Expected, what: &str) {
        let told = (self.response.complete, self.response.incomplete);
        if self.stale {
            assert!(told.0 >= expected.complete && told.1 >= expected.incomplete, "{told:?} {what}");
        } else {
            assert_eq!(told, (expected.complete, expected.incomplete), "{what}");
        }
    }

    fn scrape(&mut self) {
        let hash = self.hash();
        let expected = self.model.scrape(&hash);
        let told = self.tracker.scrape(self.now(), &hash);
        if !self.stale {
            assert_eq!(told, expected, "{hash:?}");
        }
    }

    fn register(&mut self) {
        let n = self.rng.below(HASHES) as u8;
        let hashes = match self.rng.below(8) {
            0 => InfoHashes::V1(v1(n)),
            1 | 2 => InfoHashes::V2(v2(n)),
            _ => InfoHashes::Hybrid(v1(self.rng.below(HASHES) as u8), v2(n)),
        };
        let primary = hashes.primary_key();
        // What the registry would refuse: a blocked hash, or one that another entry has.
        let keys = hashes.v1().map(|v1| v1.key()).into_iter().chain(hashes.v2().map(|v2| v2.key()));
        for key in keys {
            if let Some(entry) = self.model.entry(key)
                && (entry.blocked || (entry.registered.is_some() && entry.key != primary))
            {
                return;
            }
        }
        let before = self.model.entry(primary).and_then(|entry| entry.registered);
        let completions = *self.completions.entry(primary).or_insert(0);
        self.tracker.register(self.now(), hashes, before, completions);
        self.model.register(hashes, completions);
    }

    fn block(&mut self) {
        let keys = match self.model.entries.iter().find_map(|entry| entry.registered) {
            Some(InfoHashes::Hybrid(v1, v2)) if self.rng.below(4) > 0 => vec![v1.key(), v2.key()],
            _ => vec![self.hash().key()],
        };
        for key in &keys {
            if let Some(entry) = self.model.entry(*key) {
                self.completions.remove(&entry.key);
                self.ranks.remove(&entry.key);
            }
        }
        self.tracker.block(self.now(), &keys);
        keys.iter().for_each(|key| self.model.block(*key));
    }

    fn unblock(&mut self) {
        let key = self.hash().key();
        self.tracker.unblock(self.now(), &[key]);
        self.model.unblock(key);
    }

    /// The clock moves. A tracker sweeps every 30 s; a late one is put off by a few hours at most.
    fn sleep(&mut self, most_ms: u32) {
        let ms = match self.rng.below(4) {
            0 => u64::from(self.rng.below(5_000)),
            1 | 2 => u64::from(self.rng.below(most_ms)),
            _ => u64::from(self.rng.below(4 * most_ms)),
        };
        self.mono_ms += ms;
        self.slept_ms += ms;
        let before = self.model.peers();
        self.model.expire(self.now_s());
        self.stale |= self.model.peers() != before;
        if self.slept_ms > 20_000_000 || self.policy.total_peers_max != 0 || self.rng.below(2) == 0 {
            self.sweep();
        }
    }

    /// A whole pass over the table.
    fn sweep(&mut self) {
        for _ in 0..4 {
            let Some(due) = self.tracker.sweep_due() else { break };
            if due > self.mono_ms {
                self.mono_ms = due;
                self.model.expire(due / 1000);
            }
            let now = self.now();
            self.tracker.sweep(now);
        }
        self.stale = false;
        self.slept_ms = 0;
        self.compare_all();
    }

    fn flush(&mut self) {
        self.mono_ms += 10_000;
        self.model.expire(self.now_s());
        self.stale = true;
        for _ in 0..600 {
            let Some(due) = self.tracker.next_deadline() else { break };
            if due > self.mono_ms {
                break;
            }
            match self.tracker.flush(self.now()) {
                Some(FlushStep::Done) | None => break,
                Some(step) => self.store(step),
            }
            self.mono_ms += 2;
        }
        self.model.expire(self.now_s());
        self.sweep();
    }

    fn store(&mut self, step: FlushStep) {
        match step {
            // One in eight does not reach the disk.
            FlushStep::Slice(slice) if self.rng.below(8) == 0 => {
                self.tracker.flush_failed(self.now(), &[slice.slice], &[]);
            }
            FlushStep::Completions(counts) if self.rng.below(8) == 0 => {
                let hashes: Vec<InfoHashes> = counts.iter().map(|(hashes, _)| *hashes).collect();
                self.tracker.flush_failed(self.now(), &[], &hashes);
            }
            FlushStep::Slice(slice) => {
                self.stored.insert(slice.slice, slice);
            }
            FlushStep::Completions(counts) => {
                for (hashes, completed) in counts {
                    self.completions.insert(hashes.primary_key(), completed);
                }
            }
            FlushStep::Done | FlushStep::Usage(_) => {}
        }
    }

    fn restart(&mut self) {
        for step in self.tracker.flush_all(self.now()) {
            match step {
                FlushStep::Slice(slice) => {
                    self.stored.insert(slice.slice, slice);
                }
                FlushStep::Completions(counts) => {
                    for (hashes, completed) in counts {
                        self.completions.insert(hashes.primary_key(), completed);
                    }
                }
                FlushStep::Done | FlushStep::Usage(_) => {}
            }
        }
        let unix = self.now().unix;
        self.tracker = Tracker::new(self.policy.clone(), self.rng.u64(), TAG_KEY);
        self.ranks.clear();
        let now = Now { mono: self.mono_ms, unix };
        for hashes in self.model.entries.iter().filter_map(|entry| entry.registered) {
            let completions = self.completions.get(&hashes.primary_key()).copied().unwrap_or(0);
            self.tracker.register(now, hashes, None, completions);
        }
        for entry in self.model.entries.iter().filter(|entry| entry.blocked) {
            self.tracker.block(now, &[entry.key]);
        }
        for slice in self.stored.values() {
            assert!(self.tracker.restore(now, slice));
        }
        self.model.restart();
        self.stale = false;
        self.compare_all();
    }

    /// The registry hears of every change of seeders.
    fn ranks(&mut self) {
        for (key, seeders) in self.tracker.take_seeder_changes() {
            self.ranks.insert(key, seeders);
        }
        for hashes in self.model.entries.iter().filter_map(|entry| entry.registered) {
            let told = self.ranks.get(&hashes.primary_key()).copied().unwrap_or(0);
            assert_eq!(told, self.tracker.live(&hashes).complete, "{hashes:?}");
        }
    }

    fn compare_all(&mut self) {
        self.tracker.check_invariants();
        assert_eq!(self.tracker.completions(), self.model.completions);
        let (told, expected) = (self.tracker.totals(), self.model.totals());
        if self.stale {
            assert!(told.peers() >= expected.peers() && told.swarms >= expected.swarms);
            assert_eq!((told.registered, told.blocked), (expected.registered, expected.blocked));
            return;
        }
        assert_eq!(*told, expected);
        for entry in self.model.entries.iter().filter(|entry| entry.registered.is_some()) {
            let hashes = entry.registered.expect("filtered");
            assert_eq!(self.tracker.live(&hashes), entry.stats(), "{hashes:?}");
        }
    }

    fn address(&mut self) -> SocketAddr {
        if self.big {
            let n = self.rng.below(self.crowd);
            let port = 7000 + (self.rng.below(16) / 15) as u16;
            if n % 8 == 7 {
                return SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16], port));
            }
            let [_, _, c, d] = n.to_be_bytes();
            return SocketAddr::from(([10, 7, c, d], port));
        }
        let (n, port) = (self.rng.below(3) as u8, 7000 + self.rng.below(3) as u16);
        match self.rng.below(3) {
            0 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(n)], port)),
            _ => SocketAddr::from(([192, 0, 2, n], port)),
        }
    }

    fn hash(&mut self) -> AnnouncedHash {
        // A big swarm is one swarm most of the time, under either of its hashes.
        let n = if self.big && self.rng.below(8) > 0 { 0 } else { self.rng.below(HASHES) as u8 };
        match self.rng.below(12) {
            0..5 => AnnouncedHash::Short(v1(n).key()),
            5..10 => AnnouncedHash::Short(v2(n).key()),
            10 => AnnouncedHash::Full(v2(n)),
            _ => AnnouncedHash::Full(V2Hash(std::array::from_fn(|i| if i < 20 { v2(n).0[i] } else { 7 }))),
        }
    }

    fn request(&mut self) -> AnnounceRequest {
        let stops = if self.leaving { 4 } else { 11 };
        let event = match self.rng.below(12) {
            n if n >= stops => Event::Stopped,
            0 => Event::Started,
            1 => Event::Completed,
            2 => Event::Paused,
            _ => Event::None,
        };
        let left = match self.rng.below(5) {
            0 => None,
            1 | 2 => Some(0),
            _ => Some(1 + self.rng.u64() % 1000),
        };
        let ids = if self.big { 64 } else { 3 };
        AnnounceRequest {
            info_hash: self.hash(),
            peer_id: PeerId([self.rng.below(ids) as u8; 20]),
            port: 1,
            uploaded: 0,
            downloaded: 0,
            left,
            event,
            peers_wanted: None,
        }
    }

    fn reach(&mut self) -> Reach {
        let peers_max = match self.rng.below(6) {
            0 => self.rng.below(4) as usize,
            1 => 200,
            2 => self.rng.below(120) as usize,
            _ => 50,
        };
        let families = if self.rng.below(3) == 0 { Families::Own } else { Families::Both };
        Reach { peers_max, families }
    }
}

/// The right number of each kind, of each family, in the right order, and nobody twice.
fn compare_peers(
    response: &AnnounceResponse,
    from: SocketAddr,
    expected: &Expected,
    stale: bool,
    what: &str,
) {
    let four: Vec<&[u8]> = response.peers4.chunks(6).collect();
    let six: Vec<&[u8]> = response.peers6.chunks(18).collect();
    let lists = if from.is_ipv4() { [four, six] } else { [six, four] };
    let all: BTreeSet<&[u8]> = lists.iter().flatten().copied().collect();
    assert_eq!(all.len(), lists[0].len() + lists[1].len(), "somebody twice: {what}");
    assert!(!all.contains(&*compact(from)), "the requester itself: {what}");
    let mut left = expected.limit;
    for (list, kinds) in lists.into_iter().zip(&expected.eligible) {
        let mut list = list.into_iter();
        for (kind, eligible) in kinds.iter().enumerate() {
            let eligible: BTreeSet<Vec<u8>> = eligible.iter().map(|at| compact(*at)).collect();
            let count = eligible.len().min(left);
            left -= count;
            let told: Vec<&[u8]> = list.by_ref().take(count).collect();
            assert!(stale || told.len() == count, "{} of kind {kind}, not {count}: {what}", told.len());
            assert!(stale || told.iter().all(|at| eligible.contains(*at)), "not of kind {kind}: {what}");
        }
        assert_eq!(list.next(), None, "more than was asked for: {what}");
    }
}

fn v1(n: u8) -> V1Hash {
    let mut hash = [n; 20];
    // Two slices for all, so that entries move when their neighbours go.
    hash[0] = 0xa0 + n % 2;
    V1Hash(hash)
}

fn v2(n: u8) -> V2Hash {
    let mut hash = [0x80 | n; 32];
    hash[0] = 0xa0 + n % 2;
    V2Hash(hash)
}

/// Hashes of each version.
const HASHES: u32 = 4;
const TAG_KEY: u64 = 0x1234_5678_9abc_def1;
const UNIX_START: u64 = 1_700_000_000;
