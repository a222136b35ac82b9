//! What time brings: silence, pauses that are too long, pipelines that are too short, new peers, announces.

use super::{Action, Fault, Peer, State, Swarm};
use crate::announce::{Announcer, Totals as Announced};
use crate::disk::Job;
use crate::peer::session::{Faults, Phase};
use crate::peer::wire::Message;
use weightless::base::Millis;

const CONNECT_MS: Millis = 10_000;
const HANDSHAKE_MS: Millis = 10_000;
const SILENCE_MS: Millis = 120_000;
const KEEP_ALIVE_MS: Millis = 100_000;
const STUCK_MS: Millis = 30_000;
const AMID_MS: Millis = 60_000;
const CHOKE_MS: Millis = 10_000;
const SECOND: Millis = 1000;
const MINUTE: Millis = 60_000;
/// A checkpoint comes after so long, or after so much.
const CHECKPOINT_MS: Millis = 30_000;
const CHECKPOINT_BYTES: u64 = 256 << 20;
/// A seeder looks whether its files are still there.
const INSPECT_MS: Millis = 15_000;
/// Requests that time out one after the other until a peer is taken for dead.
const TIMEOUTS_MAX: u32 = 3;
/// A peer that is asked and sends nothing for so long gets no regular slot.
const SNUBBED_MS: Millis = 60_000;
/// How long a peer is watched before a better candidate may take its place.
const WATCHED_MS: Millis = 60_000;

impl Swarm {
    /// Once a turn: what has become free is used.
    pub fn turn(&mut self, now: Millis) {
        self.now = now;
        self.feed(now);
        self.rechoke(now);
        self.fetch_metadata(now);
        self.fetch_hashes(now);
        self.fetch_web(now);
    }

    /// Some times a second.
    pub fn tick(&mut self, now: Millis) {
        self.now = now;
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(mut peer) = self.peers.remove(&key) else { continue };
            match self.look_after(now, &mut peer) {
                Ok(()) => _ = self.peers.insert(key, peer),
                Err(fault) => self.lost(peer, fault),
            }
        }
        self.up.roll(now);
        self.down.roll(now);
        self.gossip(now);
        if !self.settings.fetches && now >= self.inspected_at + INSPECT_MS && self.ledger.is_some() {
            self.inspected_at = now;
            self.actions.push(Action::Disk { swarm: self.settings.number, job: Job::Inspect });
        }
        self.announce(now);
        let due = now >= self.progress.checkpoint_at + CHECKPOINT_MS
            || self.progress.fresh_bytes >= CHECKPOINT_BYTES;
        if self.progress.dirty && due && self.progress.checkpoints == 0 && self.is_leeching() {
            self.checkpoint(now, false);
        }
    }

    /// When there is something to do although nobody is connected.
    pub fn next_due(&self, now: Millis) -> Option<Millis> {
        let announce = self.announcer.as_ref().and_then(Announcer::next_due);
        let dial =
            if self.candidates.has_due(now, |_| false) { Some(now) } else { self.candidates.next_due(now) };
        let metadata = self.metadata.as_ref().and_then(|fetch| fetch.next_due(now));
        let web = self.webseeds.as_ref().and_then(|seeds| seeds.next_due(now));
        let checkpoint = self.progress.dirty.then_some(self.progress.checkpoint_at + CHECKPOINT_MS);
        let inspect = (!self.settings.fetches).then_some(self.inspected_at + INSPECT_MS);
        [announce, dial, metadata, web, checkpoint, inspect].into_iter().flatten().min()
    }

    /// How many connections are being dialled.
    pub fn half_open(&self) -> usize {
        self.peers.values().filter(|peer| peer.phase == Phase::Dialling).count()
    }

    /// Whether another peer could be of use.
    pub(super) fn wants_peers(&self) -> bool {
        match self.state {
            State::Metadata | State::Leeching | State::Seeding => true,
            State::Finishing | State::Stopped => false,
        }
    }

    /// Tells the trackers what is due.
    pub(super) fn announce(&mut self, now: Millis) {
        let left = self.ledger.as_ref().map_or(1, |ledger| ledger.left_bytes());
        let totals = Announced { uploaded: self.totals.uploaded, downloaded: self.totals.downloaded, left };
        let peers = self.peers.values().filter(|peer| peer.is_open()).count();
        let mut calls = Vec::new();
        if let Some(announcer) = &mut self.announcer {
            announcer.poll(now, totals, peers, &mut calls);
        }
        let swarm = self.settings.number;
        for call in calls {
            self.calls.insert(call.id, crate::tracker::without_passkey(&call.url));
            self.actions.push(Action::Announce { swarm, call });
        }
    }

    fn look_after(&mut self, now: Millis, peer: &mut Peer) -> Result<(), Fault> {
        peer.down.roll(now);
        peer.up.roll(now);
        match peer.phase {
            Phase::Dialling if now > peer.times.began + CONNECT_MS => {
                return Err(Fault::Close("no connection"));
            }
            Phase::Greeting if now > peer.times.began + HANDSHAKE_MS => {
                return Err(Fault::Close("no handshake"));
            }
            Phase::Dialling | Phase::Greeting => return Ok(()),
            Phase::Open => {}
        }
        if now > peer.times.heard + SILENCE_MS {
            return Err(Fault::Close("silent"));
        }
        if peer.times.stuck.is_some_and(|since| now > since + STUCK_MS) {
            return Err(Fault::Close("does not read"));
        }
        if peer.out.len() > crate::peer::outgoing::WAITING_BYTES_MAX {
            return Err(Fault::Close("does not read"));
        }
        if peer.times.amid.is_some_and(|since| now > since + AMID_MS) {
            return Err(Fault::Close("a message that does not end"));
        }
        if self.is_of_no_use(peer) {
            return Err(Fault::Close("neither has anything for the other"));
        }
        if now > peer.times.sent + KEEP_ALIVE_MS && peer.out.is_empty() {
            peer.say(&Message::KeepAlive);
            peer.times.sent = now;
            self.touched.push(peer.key);
        }
        self.forgive(now, peer);
        self.judge_pace(now, peer);
        self.ask(now, peer);
        Ok(())
    }

    /// Both have everything, or the other will never ask.
    fn is_of_no_use(&self, peer: &Peer) -> bool {
        // Whoever wanted a part of the files only has that, and wants as little.
        self.state == State::Seeding
            && peer.spoke
            && !peer.interested
            && (peer.is_seed() || peer.hello.upload_only)
    }

    /// What is counted is counted for a while.
    fn forgive(&self, now: Millis, peer: &mut Peer) {
        if now >= peer.times.second + SECOND {
            peer.times.second = now;
            peer.faults.idle_messages = 0;
            peer.faults.cancels = 0;
        }
        if now >= peer.times.minute + MINUTE {
            peer.times.minute = now;
            let lasting = Faults {
                rejects: peer.faults.rejects,
                bad_hash_requests: peer.faults.bad_hash_requests,
                ..Faults::default()
            };
            peer.faults = lasting;
        }
    }

    /// How deep the pipeline should be, and whether the peer answers at all.
    fn judge_pace(&mut self, now: Millis, peer: &mut Peer) {
        if peer.chokes_us
            && !peer.asked.is_empty()
            && now > peer.times.choked + CHOKE_MS
            && peer.allowed.is_empty()
        {
            self.release_all(peer);
        }
        let Some(oldest) = peer.asked.front().map(|asked| asked.at) else { return };
        if now > oldest.max(peer.times.block) + peer.patience() {
            self.release_all(peer);
            peer.timeouts += 1;
            peer.slow_start = false;
            peer.depth = (peer.depth / 2).max(1);
            if peer.timeouts >= TIMEOUTS_MAX || now > peer.times.block + SNUBBED_MS {
                peer.snubbed = true;
            }
            return;
        }
        if now < peer.times.paced + SECOND {
            return;
        }
        // The average is slow to follow a pipeline that still grows, and would end its growth; this second is not.
        let lately = peer.received_bytes.saturating_sub(peer.paced_bytes);
        let lately = lately.saturating_mul(1000) / now.saturating_sub(peer.times.paced).max(1);
        peer.times.paced = now;
        peer.paced_bytes = peer.received_bytes;
        let rate = peer.down.per_second().max(lately);
        let wanted = rate.saturating_mul(peer.rtt + 1000) / 1000 / 16384;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        // The pipeline no longer grows by itself once it does not make the peer faster.
        if peer.slow_start && peer.depth > 2 * wanted.max(crate::peer::session::DEPTH_FIRST) {
            peer.slow_start = false;
        }
        if !peer.slow_start {
            peer.depth = wanted.clamp(4, peer.depth_max());
        }
        peer.depth = peer.depth.min(peer.depth_max());
    }

    /// Makes room for a candidate by dropping the worst peer, if there is one bad enough.
    pub(super) fn replace_worst(&mut self, now: Millis) -> bool {
        let leeching = self.is_leeching();
        let useless = |peer: &Peer| peer.useful == 0 && !peer.interested;
        let slow = |peer: &Peer| leeching && peer.down.per_second() == 0 && !peer.interested;
        let worst = self
            .all()
            .filter(|peer| peer.is_open() && now > peer.times.began + WATCHED_MS)
            .filter(|peer| useless(peer) || slow(peer))
            .min_by_key(|peer| (peer.useful > 0, peer.down.per_second() + peer.up.per_second()));
        let Some(key) = worst.map(|peer| peer.key) else { return false };
        self.drop_peer(key, Fault::Close("makes room for others"));
        true
    }
}
