//! Hashing local data: which files (walk), and both hashes of every piece in one pass, of
//! files (pool) or of bytes that come once (stream); the chunks of an idtorrent (chunks).

pub mod chunks;
pub mod finished;
pub mod glob;
pub mod judge;
pub mod piece;
pub mod pool;
pub mod stream;
pub mod walk;
