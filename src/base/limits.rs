//! Every bound in one place, unit last. What the network can grow is bounded here and tested at the bound.

/// Most peers one HTTP answer carries, whatever MAX_PEERS says.
pub const HTTP_PEERS_MAX: u32 = 1000;
/// Most peers one UDP answer over IPv4 carries: 1,220 bytes, which fits every tunnel.
pub const UDP_PEERS_IPV4_MAX: u32 = 200;
/// Most peers one UDP answer over IPv6 carries: 1,226 bytes, which fits the IPv6 minimum MTU of 1,280.
pub const UDP_PEERS_IPV6_MAX: u32 = 67;
/// Most hashes one UDP scrape answers.
pub const UDP_SCRAPE_HASHES_MAX: usize = 74;
/// What one datagram is read into; nothing valid is longer.
pub const UDP_DATAGRAM_BYTES: usize = 2048;
/// Most bytes of BEP 41 URL data collected from one announce.
pub const UDP_URL_DATA_BYTES_MAX: usize = 1024;

/// Longest HTTP request line, in bytes.
pub const HTTP_REQUEST_LINE_BYTES_MAX: usize = 8192;
/// Longest HTTP head (request line, fields and the empty line), in bytes.
pub const HTTP_HEAD_BYTES_MAX: usize = 8192;
/// Most header fields in one head.
pub const HTTP_FIELDS_MAX: usize = 64;
/// Longest body of a request that has no use for one (GET, HEAD, DELETE): read and dropped.
pub const HTTP_IDLE_BODY_BYTES_MAX: u64 = 8192;
/// Bytes of answers to pipelined requests after which no further one is answered until these have been taken.
pub const HTTP_PIPELINED_BYTES_MAX: usize = 64 * 1024;
/// Longest body of `POST /api/registry`.
pub const REGISTER_BODY_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Of which everything but the file in it.
pub const REGISTER_FIELDS_BYTES_MAX: usize = 1024 * 1024;
/// Longest body of `POST /register_peer`.
pub const REGISTER_PEER_BODY_BYTES_MAX: u64 = 4096;
/// Longest reason of a takedown, in bytes.
pub const TAKEDOWN_REASON_BYTES_MAX: usize = 1024;
/// Uploads over 1 MiB under way at once.
pub const LARGE_UPLOADS_MAX: u32 = 4;
/// What counts as a large upload, in bytes.
pub const LARGE_UPLOAD_BYTES: u64 = 1024 * 1024;
/// Large uploads go to the store in parts of so many bytes.
pub const UPLOAD_PART_BYTES: usize = 64 * 1024;
/// Parts of one upload on their way to the store; the client is not read meanwhile.
pub const UPLOAD_PARTS_MAX: u32 = 4;
/// Bytes of all large uploads, sent and not registered yet, from which on only the oldest one is read.
pub const LARGE_UPLOADS_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of all other bodies, from their coming until they are answered; more are refused.
pub const SMALL_UPLOADS_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Answers longer than this are not copied: they are written from where the store has put them.
pub const LONG_ANSWER_BYTES: usize = 64 * 1024;
/// Bytes of all long answers that clients have not taken yet; further ones are refused until some have been.
pub const LONG_ANSWERS_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Requests waiting for the store before a 503.
pub const STORE_QUEUE_MAX: usize = 1024;
/// Bytes of request bodies that share one transaction; one more body is taken when the sum is still below.
pub const STORE_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Sessions of accounting; the clients of further ones are served, but not counted. 0.8 GiB of them.
pub const USAGE_SESSIONS_MAX: usize = 8_388_608;
/// Sessions of one user, so that nobody can take the room of the others.
pub const USER_SESSIONS_MAX: u32 = 65_536;
/// Sessions in one cut; when more have changed, the next cut follows as soon as this one is on disk.
pub const USAGE_CUT_SESSIONS: usize = 65_536;
/// Users in one batch for the hub.
pub const BATCH_USERS_MAX: usize = 1_000;
/// Bytes of one user in a batch, each way: what JavaScript can count. The rest goes with the next.
pub const BATCH_ITEM_BYTES_MAX: u64 = (1 << 53) - 1;
/// Batches sent to the hub between two cuts.
pub const BATCHES_A_TICK: u32 = 20;
/// Rejected batches kept; with more of them nothing new is sealed, and bytes stay in the pool.
pub const REJECTED_BATCHES_MAX: u64 = 1_000;
/// Bytes read of the hub's answers.
pub const HUB_ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Slices of the swarm table, one for each first byte of a key.
pub const TABLE_SLICES: usize = 256;

/// The longest interval that clients of `/register_peer` are told, in seconds; three of them to a lifetime.
pub const IDT_INTERVAL_S_MAX: u32 = 300;
/// The longest `min interval` that clients are told, in seconds.
pub const MIN_INTERVAL_S_MAX: u32 = 60;
/// File descriptors kept for the database, logs and what else a process needs.
pub const RESERVED_DESCRIPTORS: u64 = 64;
/// Entries whose changed count of seeders is noted until the registry is told; when there are more, it is told all.
pub const SEEDER_CHANGES_MAX: usize = 65_536;
/// So many of them are told at once, and without waiting for a search.
pub const SEEDER_CHANGES_TOLD: usize = 4_096;
