//! Bencode (BEP 3): a bounded reader that hands out spans of the input, and a small canonical writer.
//!
//! [`parse`] walks the bytes once without recursion and checks every limit; the [`Value`] it returns borrows the
//! input and is walked again on demand, so nothing is ever allocated because a message *declares* a length, and an
//! info dictionary is hashed exactly as it was found. Tolerant reading forgives unsorted keys; duplicate keys are
//! refused in both forms, because two readers would pick different ones.

mod scan;
mod value;
mod write;

pub use value::{Entries, Items, Token, Tokens, Value};
pub use write::Writer;

/// The bounds of one kind of message. Any limit may be met exactly; one more is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest input, in bytes.
    pub bytes_max: usize,
    /// Deepest nesting of lists and dictionaries; the outermost one counts as 1.
    pub depth_max: usize,
    /// Longest byte string, keys included.
    pub string_bytes_max: usize,
    /// Most items in one list.
    pub list_items_max: usize,
    /// Most keys in one dictionary.
    pub dict_keys_max: usize,
}

const MIB: usize = 1 << 20;

impl Limits {
    /// A `.torrent` file read by `wl`. 100 directory levels need a depth of 106.
    pub const TORRENT: Self = Self {
        bytes_max: 64 * MIB,
        depth_max: 128,
        string_bytes_max: 48 * MIB,
        list_items_max: 1 << 20,
        dict_keys_max: 1 << 20,
    };
    /// A `.torrent` file uploaded to the registry; the body limit of 100 MiB leaves less than this for it.
    pub const REGISTRY: Self = Self {
        bytes_max: 100 * MIB,
        depth_max: 64,
        string_bytes_max: 64 * MIB,
        list_items_max: 1 << 20,
        dict_keys_max: 1 << 20,
    };
    /// A peer's dictionary: the BEP 9 header, BEP 10 handshake, BEP 11 exchange.
    pub const PEER_MESSAGE: Self = Self {
        bytes_max: MIB,
        depth_max: 16,
        string_bytes_max: 256 * 1024,
        list_items_max: 1024,
        dict_keys_max: 256,
    };
    /// What a tracker answers over HTTP.
    pub const TRACKER_RESPONSE: Self = Self {
        bytes_max: 2 * MIB,
        depth_max: 16,
        string_bytes_max: MIB,
        list_items_max: 65536,
        dict_keys_max: 256,
    };
}

/// How strictly keys are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Keys in any order.
    Tolerant,
    /// Keys strictly ascending by raw bytes, as BEP 52 demands of an info dictionary.
    Canonical,
}

/// Why bytes are not acceptable bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The input ends inside a value, or is empty.
    Truncated,
    /// A byte that starts no value here.
    Unexpected,
    /// Empty, leading zero, minus zero, or outside 64 bits.
    BadInteger,
    /// A string length with a leading zero or more than ten digits.
    BadLength,
    /// A dictionary key that is not a byte string.
    BadKey,
    /// The same key twice in one dictionary.
    DuplicateKey,
    /// Keys out of order where the canonical form is required.
    UnsortedKeys,
    /// Bytes after the value.
    TrailingBytes,
    /// One of the [`Limits`].
    OverLimit,
}

/// Reads one value that fills `input` completely.
pub fn parse<'a>(input: &'a [u8], limits: &Limits, form: Form) -> Result<Value<'a>, Malformed> {
    let (value, rest) = parse_prefix(input, limits, form)?;
    if rest.is_empty() { Ok(value) } else { Err(Malformed::TrailingBytes) }
}

/// Reads one value at the front of `input` and returns it with what follows it: a BEP 9 `data` message carries its
/// block behind the dictionary.
pub fn parse_prefix<'a>(
    input: &'a [u8],
    limits: &Limits,
    form: Form,
) -> Result<(Value<'a>, &'a [u8]), Malformed> {
    let end = scan::scan(input, limits, form)?;
    let (raw, rest) = input.split_at_checked(end).ok_or(Malformed::Truncated)?;
    Ok((Value::of_checked(raw), rest))
}
