//! Every bound on what a peer can send or make us keep, unit last. Each is met exactly in a test, and one past it.

/// Most bytes of one block: what is asked for, and what a `piece` message may carry.
pub const BLOCK_BYTES_MAX: u32 = 16384;
/// Longest `piece` message behind its length prefix: id, index, begin and a block.
pub const PIECE_MESSAGE_BYTES_MAX: u32 = 9 + BLOCK_BYTES_MAX;
/// Longest extended message (BEP 10) behind its length prefix.
pub const EXTENDED_MESSAGE_BYTES_MAX: u32 = 1 << 20;
/// Longest message of every other id behind its length prefix; bitfields and hashes have bounds of their own.
pub const OTHER_MESSAGE_BYTES_MAX: u32 = 64;

/// Most bytes of metadata (BEP 9): an info dictionary that is larger is not asked for.
pub const METADATA_BYTES_MAX: u32 = 64 << 20;
/// Bytes of one piece of metadata; the last one is shorter.
pub const METADATA_PIECE_BYTES: u32 = 16384;
/// Requests for metadata of one peer that wait for their answers: as many as the largest metadata has pieces.
pub const METADATA_WAITING_MAX: usize = (METADATA_BYTES_MAX / METADATA_PIECE_BYTES) as usize;
/// Requests that a peer may have waiting with us: what `reqq` of our handshake says, and all that are queued. With 500 a
/// way of 100 ms carries 82 MB a second at most; libtorrent takes as many.
pub const REQUESTS_WAITING: u32 = REQUESTS_WAITING_MAX as u32;
/// Most characters kept of the name that a client gives itself.
pub const CLIENT_CHARS_MAX: usize = 64;
/// Bytes of unproved metadata kept, of all candidates together.
pub const METADATA_HELD_BYTES_MAX: u64 = METADATA_BYTES_MAX as u64;
/// Peers asked for metadata at the same time.
pub const METADATA_PEERS_MAX: usize = 4;
/// Requests for metadata under way with one of them.
pub const METADATA_REQUESTS_MAX: usize = 2;

/// Addresses kept for dialling, of one swarm.
pub const CANDIDATES_MAX: usize = 2000;
/// Of them, those that one peer may have told by PEX: 30 %.
pub const CANDIDATES_PER_SENDER_MAX: usize = CANDIDATES_MAX * 3 / 10;
/// Connections to one IP that we open.
pub const DIALS_PER_IP_MAX: usize = 2;
/// The same for loopback and private addresses, where many peers of one person live.
pub const DIALS_PER_LOCAL_IP_MAX: usize = 10;
/// Addresses of our own that are remembered, never to be dialled again.
pub const OWN_ADDRESSES_MAX: usize = 64;
/// Banned peers, and separately those that are not accepted for a while; the oldest is forgotten first.
pub const BANS_MAX: usize = 4096;
/// Upload slots that come without `--up`.
pub const UPLOAD_SLOTS_MAX: u32 = 50;

/// Addresses of either family taken from one PEX message.
pub const PEX_TAKEN_MAX: usize = 50;
/// The same for the first message of a peer, which tells all it knows.
pub const PEX_TAKEN_FIRST_MAX: usize = 200;
/// Addresses told in one PEX message: as many that came, and as many that went.
pub const PEX_TOLD_MAX: usize = 50;
/// Departures remembered for those who are still to be told; older ones are never told.
pub const PEX_DEPARTURES_MAX: usize = 1000;

/// Hashes asked for in one message (BEP 52).
pub const HASHES_ASKED_MAX: u32 = 512;
/// Hashes served in one message: what other clients may ask for.
pub const HASHES_SERVED_MAX: u32 = 8192;
/// Most bytes of hashes that an answer to one of our requests can have: those asked for and an uncle a level.
pub const HASHES_BYTES_MAX: u32 = 32 * (HASHES_ASKED_MAX + 32);
/// Requests for hashes under way with one peer.
pub const HASH_REQUESTS_MAX: usize = 2;
/// Requests for hashes whose time is over and whose answers may still come, of one peer.
pub const HASH_REQUESTS_LATE_MAX: usize = 16;
/// Peers asked for the block hashes of one piece before it is given up.
pub const BLOCK_HASH_PEERS_MAX: usize = 5;
/// Requests for block hashes of one peer that wait for the disk.
pub const HASH_READS_WAITING_MAX: usize = 8;
/// Pieces whose block hashes are kept for the next who asks.
pub const LEAVES_KEPT_MAX: usize = 64;
/// Requests of one peer that wait at most.
pub const REQUESTS_WAITING_MAX: usize = 2000;
/// Connections of one address.
pub const PEERS_PER_ADDRESS_MAX: usize = 3;
/// The same for an address of this machine or a private network.
pub const PEERS_PER_LOCAL_ADDRESS_MAX: usize = 10;
/// Connections of all swarms.
pub const CONNECTIONS_MAX: usize = 200;
/// Connections being dialled.
pub const HALF_OPEN_MAX: usize = 30;
/// New dials in a second.
pub const DIALS_PER_SECOND: u64 = 20;
/// Incoming connections that have not said what they want.
pub const LOBBY_MAX: usize = 100;
