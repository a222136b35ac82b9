//! Words that every room may use: bounds, time, chance, hashes. No protocol, no policy.

pub mod cidr;
pub mod info_hash;
pub mod limits;
pub mod now;
pub mod peer_id;
pub mod rng;
pub mod roff;
pub mod rope;
pub mod user_id;

pub use cidr::Cidr;
pub use info_hash::{InfoHashes, SwarmKey, V1Hash, V2Hash};
pub use now::{Millis, Now, UnixSeconds};
pub use peer_id::PeerId;
pub use rng::Rng;
pub use rope::Rope;
pub use user_id::UserId;
