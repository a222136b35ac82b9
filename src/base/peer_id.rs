//! The 20 bytes by which a client names itself (BEP 3). Public knowledge: it proves nothing about who is asking.

/// A peer id as it stands on the wire: exactly 20 bytes, any values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerId(pub [u8; 20]);
