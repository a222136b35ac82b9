//! Looking into bencode that was already checked: values, their items and entries, and a flat stream of tokens.
//!
//! Everything here is a span of the input. Walking past a nested value costs its length again, so a caller that goes
//! down a tree of unknown depth uses [`Value::tokens`], which touches every byte once.

use super::scan::lex;

/// One checked value: its exact bytes in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a [u8],
}

/// One step of a flat walk over a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// An integer.
    Int(i64),
    /// A byte string; inside a dictionary keys and values take turns.
    Bytes(&'a [u8]),
    /// A list begins.
    List,
    /// A dictionary begins.
    Dict,
    /// The innermost list or dictionary ends.
    End,
}

impl<'a> Value<'a> {
    /// Takes bytes that [`super::parse`] accepted, or a value cut out of such bytes. Other bytes are no danger: they
    /// read as empty or of the wrong type.
    pub(crate) fn of_checked(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The bytes of the value exactly as they were found, from its first to its last.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match lex(self.raw, 0) {
            Ok((Token::Int(value), _)) => Some(value),
            _ => None,
        }
    }

    /// The byte string, if it is one.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match lex(self.raw, 0) {
            Ok((Token::Bytes(bytes), _)) => Some(bytes),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<Items<'a>> {
        (self.raw.first() == Some(&b'l')).then_some(Items { raw: self.raw, at: 1 })
    }

    /// The entries in the order found, if it is a dictionary.
    pub fn as_dict(&self) -> Option<Entries<'a>> {
        (self.raw.first() == Some(&b'd')).then_some(Entries { items: Items { raw: self.raw, at: 1 } })
    }

    /// The value of `key`, if this is a dictionary that has it. Looks through all entries; for several keys use
    /// [`Value::pick`].
    pub fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        self.as_dict()?.find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The values of several keys in one walk over the dictionary; all `None` if this is none.
    pub fn pick<const N: usize>(&self, keys: [&[u8]; N]) -> [Option<Value<'a>>; N] {
        let mut found = [None; N];
        for (name, value) in self.as_dict().into_iter().flatten() {
            if let Some((_, slot)) = keys.iter().zip(&mut found).find(|(key, _)| **key == name) {
                *slot = Some(value);
            }
        }
        found
    }

    /// Every token of the value in order, its own opening and end included.
    pub fn tokens(&self) -> Tokens<'a> {
        Tokens { raw: self.raw, at: 0 }
    }
}

/// The items of a list.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let end = skip(self.raw, start)?;
        self.at = end;
        self.raw.get(start..end).map(Value::of_checked)
    }
}

/// The entries of a dictionary, in the order found.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    items: Items<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.items.next()?.as_bytes()?;
        Some((key, self.items.next()?))
    }
}

/// A flat walk over a value.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Takes the next value whole instead of stepping into it; `None` where a container ends.
    pub fn value(&mut self) -> Option<Value<'a>> {
        let end = skip(self.raw, self.at)?;
        let raw = self.raw.get(self.at..end)?;
        self.at = end;
        Some(Value::of_checked(raw))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let (token, next) = lex(self.raw, self.at).ok()?;
        self.at = next;
        Some(token)
    }
}

/// Where the value at `at` ends; `None` at the end of the container.
fn skip(raw: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        let (token, next) = lex(raw, at).ok()?;
        at = next;
        match token {
            Token::List | Token::Dict => depth += 1,
            Token::End => depth = depth.checked_sub(1)?,
            Token::Int(_) | Token::Bytes(_) => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
}
