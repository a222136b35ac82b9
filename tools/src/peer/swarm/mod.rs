//! One torrent and its peers: the room in which everything meets. Told what came and what time it is, it answers with
//! bytes for peers and with actions for the shells.
//!
//! `greeting` opens connections, `incoming` takes messages, `requests` asks for blocks, `arrivals` takes them, `judging`
//! hears from the disk and finds who sent wrong data, `serving` uploads, `extras` does extensions and hashes,
//! `final_check` looks at an idtorrent once more, `upkeep` does what time brings.

mod arrivals;
mod extras;
mod final_check;
mod gossip;
mod greeting;
mod hashes;
mod incoming;
#[cfg(test)]
mod invariants;
mod judging;
mod lifecycle;
mod requests;
mod serving;
mod upkeep;
mod web;

use super::action::{Action, Failed, News};
use super::bans::Bans;
use super::bits::Bits;
use super::candidates::{Candidates, Origin};
use super::choker::{Choker, Slots};
use super::handshake::Offers;
use super::ledger::Ledger;
use super::metadata::MetadataFetch;
use super::pex::PexBoard;
use super::rate::Rate;
use super::session::Peer;
use crate::announce::Announcer;
use crate::content::Content;
use crate::disk::Trouble;
use crate::webseed::Webseeds;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use weightless::base::{InfoHashes, Millis, PeerId, Rng, SwarmKey};

pub use greeting::per_address_max;
pub use lifecycle::Beginning;

/// What a swarm is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which swarm of the engine it is.
    pub number: usize,
    /// The torrent's hashes.
    pub hashes: InfoHashes,
    /// How we name ourselves.
    pub peer_id: PeerId,
    /// Where we listen; 0 if nowhere.
    pub port: u16,
    /// Most connections of this swarm.
    pub peers_max: usize,
    /// Upload slots.
    pub slots: Slots,
    /// Whether peers may tell each other of peers.
    pub pex: bool,
    /// Whether it is a small file: neither BEP 52 nor metadata are spoken of.
    pub small: bool,
    /// Whether pieces are fetched and files written; a seeder does neither.
    pub fetches: bool,
    /// Bytes of buffers for blocks.
    pub memory_bytes_max: usize,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It just ends.
    Close(&'static str),
    /// It ends, and nothing comes from there for ten minutes.
    Shun(&'static str),
    /// It ends, and the address is banned for the run.
    Ban(&'static str),
}

/// Counted over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payload that was wanted.
    pub downloaded: u64,
    /// Payload that peers got.
    pub uploaded: u64,
    /// Payload that was dropped or wrong.
    pub wasted: u64,
    /// Peers that were greeted, whether they stayed or not.
    pub peers: u64,
}

/// One torrent and its peers.
pub struct Swarm {
    settings: Settings,
    rng: Rng,
    peers: HashMap<u64, Box<Peer>>,
    candidates: Candidates,
    bans: Bans,
    choker: Choker,
    announcer: Option<Announcer>,
    webseeds: Option<Webseeds>,
    web_seed_count: usize,
    metadata: Option<MetadataFetch>,
    /// The raw info dictionary, for peers without it.
    info: Option<Arc<Content>>,
    ledger: Option<Ledger>,
    hashes: hashes::Hashes,
    blaming: BTreeMap<u32, judging::Blaming>,
    suspects: BTreeMap<u32, judging::Suspect>,
    /// Who is here, for whoever asks.
    pex: PexBoard,
    gathering: web::Gathering,
    /// Pieces that lie on the disk and can only be judged with a layer.
    unjudged: BTreeSet<u32>,
    read_trouble: Option<Trouble>,
    inspected_at: Millis,
    calls: HashMap<u64, String>,
    finishing: BTreeSet<usize>,
    final_check: final_check::FinalCheck,
    /// Pieces whose v2 hash is being read back.
    proving: BTreeSet<u32>,
    totals: Totals,
    /// What was uploaded in former runs.
    uploaded_before: u64,
    up: Rate,
    down: Rate,
    actions: Vec<Action>,
    /// Connections that have something to write since the last turn.
    touched: Vec<u64>,
    /// Peers that could be asked for more if there were room.
    starved: bool,
    /// Somebody's interest changed, or somebody who was served went.
    choke_due: bool,
    state: State,
    ticket: u64,
    tickets: HashMap<u64, Ticket>,
    /// When progress was last made, and what a checkpoint has to know.
    progress: Progress,
    now: Millis,
}

/// What an answer of the disk belongs to.
#[derive(Clone, Copy, Debug)]
enum Ticket {
    /// Blocks for a peer.
    Blocks { peer: u64, count: u32 },
    /// Leaves for whoever asked.
    Leaves,
    /// Leaves of a piece whose v2 hash nobody has computed.
    Proof { piece: u32 },
}

/// What the swarm is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Looking for the info dictionary.
    Metadata,
    /// Fetching pieces.
    Leeching,
    /// Everything wanted is stored; files are being finished.
    Finishing,
    /// Nothing more is fetched.
    Seeding,
    /// Over: nothing more is begun.
    Stopped,
}

/// When things were stored.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// A byte that was wanted came.
    at: Millis,
    /// A checkpoint was begun.
    checkpoint_at: Millis,
    /// Bytes stored since.
    fresh_bytes: u64,
    /// Checkpoints under way.
    checkpoints: u32,
    /// Whether this run fetched the last missing piece.
    fetched: bool,
    /// Whether files were finished since directories were last made durable.
    unclosed: bool,
    /// Whether that is being done.
    closing: bool,
    /// Whether something changed since.
    dirty: bool,
}

impl Swarm {
    /// A swarm of which nothing is known but its hashes.
    pub fn new(now: Millis, settings: Settings, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut chance = || Rng::new(rng.u64());
        Self {
            candidates: Candidates::new(chance()),
            choker: Choker::new(settings.slots, chance()),
            metadata: (!settings.small).then(|| MetadataFetch::new(settings.hashes)),
            rng: chance(),
            peers: HashMap::new(),
            bans: Bans::new(),
            announcer: None,
            webseeds: None,
            web_seed_count: 0,
            info: None,
            ledger: None,
            hashes: hashes::Hashes::default(),
            blaming: BTreeMap::new(),
            suspects: BTreeMap::new(),
            pex: PexBoard::new(),
            gathering: web::Gathering::default(),
            unjudged: BTreeSet::new(),
            read_trouble: None,
            inspected_at: now,
            calls: HashMap::new(),
            finishing: BTreeSet::new(),
            final_check: final_check::FinalCheck::default(),
            proving: BTreeSet::new(),
            totals: Totals::default(),
            uploaded_before: 0,
            up: Rate::new(now, 5),
            down: Rate::new(now, 5),
            actions: Vec::new(),
            touched: Vec::new(),
            starved: false,
            choke_due: false,
            state: State::Metadata,
            ticket: 0,
            tickets: HashMap::new(),
            progress: Progress { at: now, checkpoint_at: now, ..Progress::default() },
            now,
            settings,
        }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Counted so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// What is stored and missing; nothing before the metadata is there.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Whether one of the hashes it is found by is `key`.
    pub fn is(&self, key: SwarmKey) -> bool {
        self.v1_key() == Some(key) || self.v2_key() == Some(key)
    }

    /// How many connections there are, and how many are to peers that have everything.
    pub fn peer_counts(&self) -> (usize, usize) {
        let open = self.peers.values().filter(|peer| peer.is_open());
        open.fold((0, 0), |(all, seeds), peer| (all + 1, seeds + usize::from(peer.is_seed())))
    }

    /// How many connections there are, unfinished ones too.
    pub fn connections(&self) -> usize {
        self.peers.len()
    }

    /// Bytes per second from and to peers, payload only.
    pub fn rates(&self) -> (u64, u64) {
        (self.down.per_second(), self.up.per_second())
    }

    /// When something that was wanted last came.
    pub fn progress_at(&self) -> Millis {
        self.progress.at
    }

    /// The trackers and what they said.
    pub fn announcer(&self) -> Option<&Announcer> {
        self.announcer.as_ref()
    }

    /// Wanted bytes that are here, and all of them.
    pub fn bytes(&self) -> (u64, u64) {
        let ledger = self.ledger.as_ref();
        ledger.map_or((0, 0), |ledger| (ledger.wanted_bytes() - ledger.left_bytes(), ledger.wanted_bytes()))
    }

    /// Payload uploaded in this run and those before it.
    pub fn uploaded_in_all(&self) -> u64 {
        self.uploaded_before + self.totals.uploaded
    }

    /// Whether no checkpoint is under way.
    pub fn is_saved(&self) -> bool {
        self.progress.checkpoints == 0
    }

    /// Whether there is anybody left to dial.
    pub fn has_candidates(&self) -> bool {
        self.candidates.len() > 0
    }

    /// How many peers were asked for metadata, and why the last one did not give it.
    pub fn metadata_tried(&self) -> (usize, Option<&'static str>) {
        self.metadata.as_ref().map_or((0, None), MetadataFetch::tried)
    }

    /// Addresses of peers that somebody names.
    pub fn add_candidates(
        &mut self,
        now: Millis,
        addresses: impl IntoIterator<Item = SocketAddr>,
        origin: Origin,
    ) {
        let offers = if self.v1_key().is_some() { Offers::V1 } else { Offers::V2 };
        for address in addresses {
            self.candidates.add(now, address, origin, offers);
        }
    }

    /// What the shells have to do.
    pub fn take_actions(&mut self, into: &mut Vec<Action>) {
        into.append(&mut self.actions);
    }

    /// Connections with something to write.
    pub fn take_touched(&mut self, into: &mut Vec<u64>) {
        into.append(&mut self.touched);
    }

    /// Whether `take_actions` or `take_touched` would give something.
    pub fn has_errands(&self) -> bool {
        !self.actions.is_empty() || !self.touched.is_empty()
    }

    /// What waits for a peer.
    pub fn peer(&self, key: u64) -> Option<&Peer> {
        self.peers.get(&key).map(Box::as_ref)
    }

    /// A socket took bytes; `idle` if nothing is left or it takes no more now.
    pub fn sent(&mut self, now: Millis, key: u64, count: usize, recycle: impl FnMut(Vec<u8>)) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let data_before = peer.out.data_len();
        peer.out.sent(count, recycle);
        let data = (data_before - peer.out.data_len()) as u64;
        if count > 0 {
            peer.times.sent = now;
        }
        peer.times.stuck = match (peer.out.is_empty(), count, peer.times.stuck) {
            (true, _, _) => None,
            (false, 0, Some(since)) => Some(since),
            _ => Some(now),
        };
        if data > 0 || (count > 0 && !peer.metadata_queue.is_empty()) {
            self.serve_on(now, key);
        }
    }

    /// Nobody at an address is talked to again, because another swarm says so.
    pub fn ban(&mut self, address: SocketAddr) {
        self.bans.ban(address);
        let bans = &self.bans;
        self.candidates.retain(|address| !bans.is_banned(address));
        let there: Vec<u64> = self
            .peers
            .values()
            .filter(|peer| self.bans.is_banned(&peer.address))
            .map(|peer| peer.key)
            .collect();
        for key in there {
            self.drop_peer(key, Fault::Close("banned"));
        }
    }

    /// Ends a connection.
    pub fn drop_peer(&mut self, key: u64, fault: Fault) {
        if let Some(peer) = self.peers.remove(&key) {
            self.lost(peer, fault);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().map(Box::as_ref)
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell { swarm: self.settings.number, news });
    }

    fn fail(&mut self, failed: Failed) {
        self.state = State::Stopped;
        self.tell(News::Failed(failed));
    }

    fn v1_key(&self) -> Option<SwarmKey> {
        self.settings.hashes.v1().map(|v1| v1.key())
    }

    fn v2_key(&self) -> Option<SwarmKey> {
        self.settings.hashes.v2().map(|v2| v2.key())
    }

    fn is_hybrid(&self) -> bool {
        self.v1_key().is_some() && self.v2_key().is_some()
    }

    fn is_leeching(&self) -> bool {
        self.state == State::Leeching
    }

    fn new_ticket(&mut self, ticket: Ticket) -> u64 {
        self.ticket += 1;
        self.tickets.insert(self.ticket, ticket);
        self.ticket
    }

    fn stored(&self) -> Option<&Bits> {
        self.ledger.as_ref().map(|ledger| &ledger.stored)
    }
}
