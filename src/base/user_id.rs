//! The users of passkeys.

/// Who a passkey belongs to: 1-64 bytes out of `A-Z a-z 0-9 _ - ~ @ : + =`, kept in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserId {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl UserId {
    /// The longest one.
    pub const BYTES_MAX: usize = 64;

    /// Reads a user id; `None` when it is none.
    pub fn new(text: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-~@:+=".contains(byte);
        if text.is_empty() || !text.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; Self::BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { bytes, length: text.len() as u8 })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length as usize]).expect("every byte of it is ASCII")
    }
}
