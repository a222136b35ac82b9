//! One engine among peers that follow a script.

use super::node::{Node, Plan, START};
use crate::content::Content;
use crate::disk::tests::{Made, made, made_of};
use crate::peer::extended::{OwnHello, write_hello};
use crate::peer::handshake::{HANDSHAKE_BYTES, Handshake, Offers};
use crate::peer::layers::{FileTree, TreeShape, answer};
use crate::peer::ledger::data_bytes;
use crate::peer::outgoing::SLICES;
use crate::peer::wire::{Block, Bounds, HashRange, Incoming, Message, Reader, write, write_piece_head};
use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use weightless::base::{Millis, PeerId, Rng, SwarmKey};
use weightless::torrent::Kind;
use weightless::torrent::merkle::{self, BLOCK_BYTES};

/// What the engine said, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(Vec<u8>),
    HaveAll,
    HaveNone,
    Request(Block),
    Cancel(Block),
    Reject(Block),
    Piece(Block, Vec<u8>),
    Extended(u8, Vec<u8>),
    HashRequest(HashRange),
    Hashes(HashRange, usize),
    HashReject(HashRange),
}

/// What a peer does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Script,
    /// Serves what is asked; of so many blocks one is wrong, 0 for never.
    Seed { wrong_one_in: u32 },
    /// Says that it has everything, and delivers nothing.
    Liar,
}

pub struct Scripted {
    pub role: Role,
    pub said: VecDeque<Said>,
    /// Whether it takes what the engine writes.
    pub reads: bool,
    /// What was asked of it and not answered.
    pub asked: Vec<Block>,
    /// Blocks served, and wrong ones among them.
    pub served: (u32, u32),
    /// How many of them at most in a turn.
    pub per_turn: usize,
    /// The longest its queue of requests has been.
    pub deepest: usize,
    pub closed: bool,
    reader: Reader,
    greeting: Vec<u8>,
    arriving: Option<(Block, Vec<u8>)>,
}

pub struct Lab {
    pub now: Millis,
    pub node: Node,
    pub made: Made,
    pub peers: BTreeMap<u64, Scripted>,
    pub rng: Rng,
    names: u8,
}

/// What a peer's handshake says beside its id.
#[derive(Clone, Copy)]
pub struct Greeting {
    pub reserved: [u8; 8],
    pub v2: bool,
}

pub const FULL: Greeting = Greeting { reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x14], v2: true };
pub const PLAIN: Greeting = Greeting { reserved: [0; 8], v2: false };
pub const V1_FAST: Greeting = Greeting { reserved: [0, 0, 0, 0, 0, 0x10, 0, 4], v2: false };

pub fn at(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

impl Lab {
    /// Fetches a torrent of one file.
    pub fn fetching(kind: Kind, piece_length: u32, bytes: usize) -> Self {
        Self::with(made(kind, piece_length, &[("a", bytes)]), true, |_| ())
    }

    /// Has all of it.
    pub fn seeding(kind: Kind, piece_length: u32, bytes: usize) -> Self {
        Self::with(made(kind, piece_length, &[("a", bytes)]), false, |_| ())
    }

    pub fn with(made: Made, fetches: bool, change: impl FnOnce(&mut Plan)) -> Self {
        let mut lab = Self::unbegun(made, change);
        let stored: Vec<(u32, &[u8])> = (0..)
            .zip(&lab.made.pieces)
            .filter(|_| !fetches)
            .map(|(at, bytes)| (at, bytes.as_slice()))
            .collect();
        lab.node.begin(START, &lab.made.content, &stored);
        lab.turn(0);
        lab
    }

    /// Knows the hashes only.
    pub fn unbegun(made: Made, change: impl FnOnce(&mut Plan)) -> Self {
        let mut plan = Plan::of(&made.content, b"theengineone", 1);
        change(&mut plan);
        let node = Node::new(START, &plan);
        Self { now: START, node, made, peers: BTreeMap::new(), rng: Rng::new(plan.seed), names: 0 }
    }

    pub fn content(&self) -> &Arc<Content> {
        &self.made.content
    }

    /// Somebody connects, without a word.
    pub fn connect(&mut self, address: SocketAddr) -> Option<u64> {
        let key = self.node.engine.accepted(self.now, address)?;
        let bounds = Bounds { bitfield_bytes_max: 1 << 20, hashes_bytes_max: 1 << 20 };
        self.peers.insert(
            key,
            Scripted {
                role: Role::Script,
                said: VecDeque::new(),
                reads: true,
                asked: Vec::new(),
                served: (0, 0),
                per_turn: 64,
                deepest: 0,
                closed: false,
                reader: Reader::new(bounds),
                greeting: Vec::new(),
                arriving: None,
            },
        );
        Some(key)
    }

    pub fn key_of_swarm(&self, v2: bool) -> SwarmKey {
        let hashes = self.content().hashes();
        let v1 = hashes.v1().map(|v1| v1.key());
        let v2 = hashes.v2().map(|v2| v2.key()).filter(|_| v2 || v1.is_none());
        v2.or(v1).expect("one of them")
    }

    /// The handshake of a new peer.
    pub fn greeting(&mut self, greeting: Greeting) -> Vec<u8> {
        self.names += 1;
        let mut id = *b"-PEER00-000000000000";
        id[19] = self.names;
        let swarm = self.key_of_swarm(greeting.v2);
        let mut bytes = Vec::new();
        Handshake { reserved: greeting.reserved, swarm, peer_id: PeerId(id) }.write(&mut bytes);
        bytes
    }

    /// Somebody connects and is greeted.
    pub fn join(&mut self, address: &str, greeting: Greeting) -> u64 {
        let key = self.connect(at(address)).expect("there is room");
        let bytes = self.greeting(greeting);
        self.bytes(key, &bytes);
        self.turn(0);
        key
    }

    /// The same, and it says that it has everything.
    pub fn join_seed(&mut self, address: &str, greeting: Greeting, role: Role) -> u64 {
        let key = self.join(address, greeting);
        let all = self.all_bits();
        self.say(key, &Message::Bitfield(&all));
        self.say(key, &Message::Unchoke);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.role = role;
        }
        self.turn(0);
        key
    }

    pub fn all_bits(&self) -> Vec<u8> {
        crate::peer::bits::Bits::all(self.content().piece_count()).as_wire().to_vec()
    }

    pub fn say(&mut self, key: u64, message: &Message<'_>) {
        let mut bytes = Vec::new();
        write(&mut bytes, message);
        self.bytes(key, &bytes);
    }

    pub fn hello(&mut self, key: u64, change: impl FnOnce(&mut OwnHello)) {
        let mut own = OwnHello {
            metadata: true,
            pex: true,
            metadata_size: None,
            port: None,
            complete: false,
            your_ip: None,
        };
        change(&mut own);
        let mut payload = Vec::new();
        write_hello(&mut payload, &own);
        self.say(key, &Message::Extended { id: 0, payload: &payload });
    }

    pub fn block(&mut self, key: u64, block: Block, data: &[u8]) {
        let mut bytes = Vec::new();
        write_piece_head(&mut bytes, block);
        bytes.extend_from_slice(data);
        self.bytes(key, &bytes);
    }

    pub fn bytes(&mut self, key: u64, bytes: &[u8]) {
        self.node.engine.received(self.now, key, bytes);
        self.settle();
    }

    /// Time passes at once, and everybody does what there is to do.
    pub fn turn(&mut self, passed: Millis) {
        self.now += passed;
        self.node.run(self.now, false);
        self.settle();
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            self.play(key);
        }
        self.node.run(self.now, false);
        self.settle();
    }

    /// Turns of `step` until something is so, or `most` have passed; says whether it is.
    pub fn until(&mut self, step: Millis, most: u32, is_so: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..most {
            if is_so(self) {
                return true;
            }
            self.turn(step);
        }
        is_so(self)
    }

    pub fn peer(&mut self, key: u64) -> &mut Scripted {
        self.peers.get_mut(&key).expect("it was there once")
    }

    pub fn is_closed(&self, key: u64) -> bool {
        self.peers.get(&key).is_none_or(|peer| peer.closed)
    }

    pub fn is_banned(&self, address: &str) -> bool {
        self.node.banned.contains(&at(address))
    }

    /// What was said since the last time.
    pub fn heard(&mut self, key: u64) -> Vec<Said> {
        self.settle();
        self.peer(key).said.drain(..).collect()
    }

    /// What the engine has written goes to whoever reads it.
    fn settle(&mut self) {
        self.node.act(self.now);
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            let Some(peer) = self.peers.get_mut(&key).filter(|peer| peer.reads) else { continue };
            while let Some(out) = self.node.engine.unsent(key).filter(|out| !out.is_empty()) {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let filled = out.slices(usize::MAX, &mut slices);
                let bytes: Vec<u8> = slices.iter().take(filled).flat_map(|slice| slice.to_vec()).collect();
                self.node.engine.sent(self.now, key, bytes.len());
                peer.hear(&bytes);
            }
        }
        self.node.act(self.now);
        for key in self.node.closes.drain(..) {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.closed = true;
            }
        }
        self.node.check();
    }

    /// A socket that takes nothing says so.
    pub fn clog(&mut self, key: u64) {
        self.peer(key).reads = false;
        self.node.engine.sent(self.now, key, 0);
    }

    fn play(&mut self, key: u64) {
        let Some(peer) = self.peers.get_mut(&key).filter(|peer| !peer.closed) else { return };
        if peer.role == Role::Script {
            return;
        }
        let mut hash_requests = Vec::new();
        for said in std::mem::take(&mut peer.said) {
            match said {
                Said::Request(block) => peer.asked.push(block),
                Said::Cancel(block) => peer.asked.retain(|asked| *asked != block),
                Said::HashRequest(range) => hash_requests.push(range),
                _ => {}
            }
        }
        peer.deepest = peer.deepest.max(peer.asked.len());
        let role = peer.role;
        for range in hash_requests {
            match self.hashes(&range) {
                Some(hashes) => self.say(key, &Message::Hashes { range, hashes: &hashes }),
                None => self.say(key, &Message::HashReject(range)),
            }
        }
        let Role::Seed { wrong_one_in } = role else { return };
        for _ in 0..self.peer(key).per_turn {
            let Some(peer) = self.peers.get_mut(&key).filter(|peer| !peer.closed && !peer.asked.is_empty())
            else {
                return;
            };
            let block = peer.asked.remove(0);
            let mut data = self.data(block);
            let wrong = wrong_one_in > 0 && self.rng.below(wrong_one_in) == 0;
            if wrong {
                data[0] ^= 0xff;
            }
            let peer = self.peer(key);
            peer.served.0 += 1;
            peer.served.1 += u32::from(wrong);
            self.block(key, block, &data);
        }
    }

    /// The true bytes of a block.
    pub fn data(&self, block: Block) -> Vec<u8> {
        let (from, length) = (block.begin as usize, block.length as usize);
        self.made.pieces[block.piece as usize][from..from + length].to_vec()
    }

    /// The true answer to a request for hashes.
    pub fn hashes(&self, range: &HashRange) -> Option<Vec<u8>> {
        let content = self.content();
        let file = (0..content.file_count()).find(|&file| content.file_root(file) == Some(range.root))?;
        let shape = TreeShape::of(content.file_bytes(file), content.layout().piece_length() as u32);
        let first = content.layout().pieces_of(file).start as usize;
        let leaves: Vec<Vec<merkle::Hash>> = (0..shape.pieces())
            .map(|piece| {
                let at = first + piece as usize;
                let data = &self.made.pieces[at][..data_bytes(content, at as u32) as usize];
                data.chunks(BLOCK_BYTES as usize).map(merkle::leaf).collect()
            })
            .collect();
        let piece_length = content.layout().piece_length() as u32;
        let layer: Vec<u8> =
            leaves.iter().flat_map(|leaves| merkle::piece_hash(&mut leaves.clone(), piece_length)).collect();
        let of_piece = |piece: u32| leaves.get(piece as usize).map(Vec::as_slice);
        answer(range, &FileTree { shape, layer: &layer, tops: None, leaves: &of_piece })
    }
}

/// The same torrent without its piece layers, as a magnet link brings it.
pub fn without_layers(made: &Made, kind: Kind, piece_length: u32) -> Made {
    made_of(kind, piece_length, &["a"], made.files.clone(), false)
}

impl Scripted {
    fn hear(&mut self, bytes: &[u8]) {
        let missing = HANDSHAKE_BYTES.saturating_sub(self.greeting.len()).min(bytes.len());
        self.greeting.extend_from_slice(&bytes[..missing]);
        let mut rest = &bytes[missing..];
        while let Some(incoming) = self.reader.next(&mut rest).expect("what we say can be read") {
            match incoming {
                Incoming::Piece(block) => self.arriving = Some((block, Vec::new())),
                Incoming::Data(data) => {
                    let (block, bytes) = self.arriving.as_mut().expect("a head came first");
                    bytes.extend_from_slice(data);
                    if bytes.len() == block.length as usize {
                        let (block, bytes) = self.arriving.take().expect("just now");
                        self.said.push_back(Said::Piece(block, bytes));
                    }
                }
                Incoming::Message(message) => self.said.push_back(owned(&message)),
            }
        }
    }

    /// The swarm's key that the engine answered with.
    pub fn answered(&self) -> Option<Handshake> {
        let bytes: &[u8; HANDSHAKE_BYTES] = self.greeting.as_slice().try_into().ok()?;
        Handshake::parse(bytes)
    }
}

fn owned(message: &Message<'_>) -> Said {
    match *message {
        Message::KeepAlive => Said::KeepAlive,
        Message::Choke => Said::Choke,
        Message::Unchoke => Said::Unchoke,
        Message::Interested => Said::Interested,
        Message::NotInterested => Said::NotInterested,
        Message::Have(piece) => Said::Have(piece),
        Message::Bitfield(bits) => Said::Bitfield(bits.to_vec()),
        Message::HaveAll => Said::HaveAll,
        Message::HaveNone => Said::HaveNone,
        Message::Request(block) => Said::Request(block),
        Message::Cancel(block) => Said::Cancel(block),
        Message::Reject(block) => Said::Reject(block),
        Message::Extended { id, payload } => Said::Extended(id, payload.to_vec()),
        Message::HashRequest(range) => Said::HashRequest(range),
        Message::Hashes { range, hashes } => Said::Hashes(range, hashes.len() / 32),
        Message::HashReject(range) => Said::HashReject(range),
        Message::Port | Message::Unknown(_) | Message::Suggest(_) | Message::AllowedFast(_) => {
            panic!("never said: {message:?}")
        }
    }
}

/// The handshake of somebody whom the engine dialled.
pub fn answer_of(swarm: SwarmKey, id: &[u8; 20], offers: Offers) -> Vec<u8> {
    let mut bytes = Vec::new();
    Handshake::ours(swarm, PeerId(*id), offers).write(&mut bytes);
    bytes
}
