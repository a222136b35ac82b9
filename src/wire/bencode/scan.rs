//! The checking pass: one walk over the bytes with an explicit stack, bounded by [`Limits`].
//!
//! Its memory is the stack (at most `depth_max` frames) and the keys of the dictionaries that are open at the moment;
//! those are spans, so it grows with bytes actually present and never with a declared length.

use super::{Form, Limits, Malformed, Token};

/// Checks the value at the front of `input` and returns where it ends.
pub(super) fn scan(input: &[u8], limits: &Limits, form: Form) -> Result<usize, Malformed> {
    if input.len() > limits.bytes_max {
        return Err(Malformed::OverLimit);
    }
    let mut scan = Scan { limits, form, open: Vec::new(), keys: Vec::new() };
    let mut at = 0;
    loop {
        let (token, next) = lex(input, at)?;
        scan.accept(token)?;
        at = next;
        if scan.open.is_empty() {
            return Ok(at);
        }
    }
}

/// Reads the token that starts at `at` and says where the next one starts.
#[inline]
pub(super) fn lex(input: &[u8], at: usize) -> Result<(Token<'_>, usize), Malformed> {
    match input.get(at).ok_or(Malformed::Truncated)? {
        b'd' => Ok((Token::Dict, at + 1)),
        b'l' => Ok((Token::List, at + 1)),
        b'e' => Ok((Token::End, at + 1)),
        b'i' => integer(input, at + 1),
        b'0'..=b'9' => string(input, at),
        _ => Err(Malformed::Unexpected),
    }
}

fn integer(input: &[u8], start: usize) -> Result<(Token<'_>, usize), Malformed> {
    // 19 digits and a sign are the longest 64-bit integer, so a missing `e` costs no long search.
    let window = input.get(start..input.len().min(start + 21)).ok_or(Malformed::Truncated)?;
    let Some(length) = window.iter().position(|&b| b == b'e') else {
        return Err(if window.len() < 21 { Malformed::Truncated } else { Malformed::BadInteger });
    };
    let text = window.get(..length).ok_or(Malformed::BadInteger)?;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let negative = digits.len() < text.len();
    let canonical = match digits {
        [b'0'] => !negative,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return Err(Malformed::BadInteger);
    }
    let text = std::str::from_utf8(text).map_err(|_| Malformed::BadInteger)?;
    let value = text.parse().map_err(|_| Malformed::BadInteger)?;
    Ok((Token::Int(value), start + length + 1))
}

fn string(input: &[u8], start: usize) -> Result<(Token<'_>, usize), Malformed> {
    let mut length: usize = 0;
    let mut at = start;
    loop {
        match input.get(at).ok_or(Malformed::Truncated)? {
            b':' => break,
            // Ten digits fit a usize of 64 bits; on 32 bits the checked sum below refuses what does not fit.
            digit @ b'0'..=b'9' if at - start < 10 && !(at > start && length == 0) => {
                length = length
                    .checked_mul(10)
                    .and_then(|n| n.checked_add(usize::from(digit - b'0')))
                    .ok_or(Malformed::OverLimit)?;
            }
            _ => return Err(Malformed::BadLength),
        }
        at += 1;
    }
    let from = at + 1;
    let to = from.checked_add(length).ok_or(Malformed::Truncated)?;
    let bytes = input.get(from..to).ok_or(Malformed::Truncated)?;
    Ok((Token::Bytes(bytes), to))
}

struct Scan<'a, 'l> {
    limits: &'l Limits,
    form: Form,
    open: Vec<Frame>,
    /// The keys of every open dictionary, innermost last.
    keys: Vec<&'a [u8]>,
}

struct Frame {
    kind: Kind,
    items: usize,
    /// Where this dictionary's keys begin in `Scan::keys`.
    keys_from: usize,
    sorted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    /// A dictionary whose next token is a key (or its end).
    DictKey,
    /// A dictionary whose next token is the value of the last key.
    DictValue,
}

impl<'a> Scan<'a, '_> {
    fn accept(&mut self, token: Token<'a>) -> Result<(), Malformed> {
        if let Token::Bytes(bytes) = token
            && bytes.len() > self.limits.string_bytes_max
        {
            return Err(Malformed::OverLimit);
        }
        if token == Token::End {
            return self.close();
        }
        if let Some(frame) = self.open.last_mut() {
            match frame.kind {
                Kind::DictKey => return self.key(token),
                Kind::DictValue => frame.kind = Kind::DictKey,
                Kind::List => {
                    frame.items += 1;
                    if frame.items > self.limits.list_items_max {
                        return Err(Malformed::OverLimit);
                    }
                }
            }
        }
        match token {
            Token::List => self.open(Kind::List),
            Token::Dict => self.open(Kind::DictKey),
            // A bare scalar at the top is a complete value: `open` stays empty and the caller stops.
            Token::Int(_) | Token::Bytes(_) | Token::End => Ok(()),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<(), Malformed> {
        if self.open.len() >= self.limits.depth_max {
            return Err(Malformed::OverLimit);
        }
        self.open.push(Frame { kind, items: 0, keys_from: self.keys.len(), sorted: true });
        Ok(())
    }

    fn key(&mut self, token: Token<'a>) -> Result<(), Malformed> {
        let (Token::Bytes(key), Some(frame)) = (token, self.open.last_mut()) else {
            return Err(Malformed::BadKey);
        };
        frame.items += 1;
        if frame.items > self.limits.dict_keys_max {
            return Err(Malformed::OverLimit);
        }
        if let Some(last) = self.keys.get(frame.keys_from..).and_then(|keys| keys.last()) {
            match key.cmp(last) {
                std::cmp::Ordering::Greater => {}
                std::cmp::Ordering::Equal => return Err(Malformed::DuplicateKey),
                std::cmp::Ordering::Less if self.form == Form::Canonical => {
                    return Err(Malformed::UnsortedKeys);
                }
                std::cmp::Ordering::Less => frame.sorted = false,
            }
        }
        self.keys.push(key);
        frame.kind = Kind::DictValue;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Malformed> {
        let frame = self.open.pop().ok_or(Malformed::Unexpected)?;
        if frame.kind == Kind::DictValue {
            return Err(Malformed::Unexpected);
        }
        if !frame.sorted {
            // Neighbours were compared on the way; only an unsorted dictionary can hide a repeat further apart.
            let keys = self.keys.get_mut(frame.keys_from..).unwrap_or_default();
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair.first() == pair.last()) {
                return Err(Malformed::DuplicateKey);
            }
        }
        self.keys.truncate(frame.keys_from);
        Ok(())
    }
}
