//! Hashing local data: which files (walk), and both hashes of every piece in one pass (pool).

pub mod glob;
pub mod piece;
pub mod pool;
pub mod walk;
