//! Writing canonical bencode. The caller gives the keys in ascending order; debug builds check that the
//! result is complete bencode without a repeated key.

use super::{Form, Limits, parse};
use crate::base::Rope;

/// Appends bencode to a buffer, or to a rope. Containers are opened and ended by the caller, so a tree of any depth is
/// written without recursion.
#[derive(Debug, Default)]
pub struct Writer<O = Vec<u8>> {
    out: O,
}

/// What bencode is written to.
pub trait Output {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Output for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Output for Rope<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.copy(bytes);
    }
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        debug_assert!(is_complete(&self.out), "only complete bencode is written");
        self.out
    }
}

impl<'a> Writer<Rope<'a>> {
    /// An empty writer whose long byte strings are borrowed.
    pub fn rope() -> Self {
        Self::default()
    }

    /// Writes a byte string without a copy.
    pub fn lent(&mut self, bytes: &'a [u8]) -> &mut Self {
        self.number(bytes.len()).put(b":");
        self.out.lend(bytes);
        self
    }

    /// Writes a value that is already bencode, without copies of what it borrows itself.
    pub fn raw_rope(&mut self, value: &'a Rope<'a>) -> &mut Self {
        value.parts().for_each(|part| self.out.lend(part));
        self
    }

    /// The bytes written.
    pub fn finish(self) -> Rope<'a> {
        debug_assert!(is_complete(&self.out.to_vec()), "only complete bencode is written");
        self.out
    }
}

impl<O: Output> Writer<O> {
    /// Opens a dictionary; keys and values follow in turn, keys ascending.
    pub fn dict(&mut self) -> &mut Self {
        self.put(b"d")
    }

    /// Opens a list.
    pub fn list(&mut self) -> &mut Self {
        self.put(b"l")
    }

    /// Ends the innermost list or dictionary.
    pub fn end(&mut self) -> &mut Self {
        self.put(b"e")
    }

    /// Writes a byte string: a value, or a key.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len()).put(b":").put(bytes)
    }

    /// Writes an integer.
    pub fn int(&mut self, value: u64) -> &mut Self {
        self.put(b"i").number(value).end()
    }

    /// Copies a value that is already bencode, byte for byte.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.put(value)
    }

    fn number(&mut self, value: impl std::fmt::Display) -> &mut Self {
        self.put(value.to_string().as_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.put(bytes);
        self
    }
}

fn is_complete(bytes: &[u8]) -> bool {
    let unbounded = Limits {
        bytes_max: usize::MAX,
        depth_max: usize::MAX,
        string_bytes_max: usize::MAX,
        list_items_max: usize::MAX,
        dict_keys_max: usize::MAX,
    };
    parse(bytes, &unbounded, Form::Tolerant).is_ok()
}
