//! Writing canonical bencode. The caller gives the keys in ascending order; debug builds check that the
//! result is complete bencode without a repeated key.

use super::{Form, Limits, parse};

/// Appends bencode to a buffer. Containers are opened and ended by the caller, so a tree of any depth is written
/// without recursion.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a dictionary; keys and values follow in turn, keys ascending.
    pub fn dict(&mut self) -> &mut Self {
        self.out.push(b'd');
        self
    }

    /// Opens a list.
    pub fn list(&mut self) -> &mut Self {
        self.out.push(b'l');
        self
    }

    /// Ends the innermost list or dictionary.
    pub fn end(&mut self) -> &mut Self {
        self.out.push(b'e');
        self
    }

    /// Writes a byte string: a value, or a key.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len());
        self.out.push(b':');
        self.out.extend_from_slice(bytes);
        self
    }

    /// Writes an integer.
    pub fn int(&mut self, value: u64) -> &mut Self {
        self.out.push(b'i');
        self.number(value);
        self.end()
    }

    /// Copies a value that is already bencode, byte for byte.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(value);
        self
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        let unbounded = Limits {
            bytes_max: usize::MAX,
            depth_max: usize::MAX,
            string_bytes_max: usize::MAX,
            list_items_max: usize::MAX,
            dict_keys_max: usize::MAX,
        };
        debug_assert!(
            parse(&self.out, &unbounded, Form::Tolerant).is_ok(),
            "only complete bencode is written"
        );
        self.out
    }

    fn number(&mut self, value: impl std::fmt::Display) {
        use std::io::Write;
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, "{value}");
    }
}
