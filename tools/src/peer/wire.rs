//! Messages (BEP 3, 6, 10, 52): a reader for a stream that comes in any parts, and writers.
//!
//! The reader hands out slices of its input. Only a message whose parts came in several reads is gathered, and never a
//! block: its bytes pass through as they come. Lengths are judged as soon as the prefix and the id are there, so memory
//! grows with bytes received and ends at the bounds of the specification; a prefix alone allocates nothing.

use super::limits::{
    BLOCK_BYTES_MAX, EXTENDED_MESSAGE_BYTES_MAX, OTHER_MESSAGE_BYTES_MAX, PIECE_MESSAGE_BYTES_MAX,
};
use weightless::torrent::merkle::Hash;

/// A run of bytes of one piece: what is asked for, sent, rejected and cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block {
    /// The piece.
    pub piece: u32,
    /// The first byte, counted from the start of the piece.
    pub begin: u32,
    /// Its bytes.
    pub length: u32,
}

/// Hashes of one file's tree, as the messages 21 to 23 name them (BEP 52).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashRange {
    /// The root of the file.
    pub root: Hash,
    /// The level of the hashes: 0 is that of the blocks.
    pub base: u32,
    /// The first hash, counted in that level.
    pub index: u32,
    /// How many hashes.
    pub length: u32,
    /// How many levels of ancestors are asked for.
    pub proofs: u32,
}

/// One message. Which of them may come when, and whether their numbers make sense, is not judged here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A length of 0.
    KeepAlive,
    /// 0
    Choke,
    /// 1
    Unchoke,
    /// 2
    Interested,
    /// 3
    NotInterested,
    /// 4: a piece.
    Have(u32),
    /// 5: one bit a piece, high bit first.
    Bitfield(&'a [u8]),
    /// 6
    Request(Block),
    /// 8
    Cancel(Block),
    /// 9: the port of a DHT node, which nobody here asks for.
    Port,
    /// 13 (BEP 6): a piece.
    Suggest(u32),
    /// 14 (BEP 6)
    HaveAll,
    /// 15 (BEP 6)
    HaveNone,
    /// 16 (BEP 6)
    Reject(Block),
    /// 17 (BEP 6): a piece.
    AllowedFast(u32),
    /// 20 (BEP 10)
    Extended {
        /// Which extension, by the number that the receiver gave it; 0 is the handshake.
        id: u8,
        /// What it says.
        payload: &'a [u8],
    },
    /// 21 (BEP 52)
    HashRequest(HashRange),
    /// 22 (BEP 52)
    Hashes {
        /// What was asked.
        range: HashRange,
        /// Whole hashes of 32 bytes: those of the range, then uncles, the lowest first.
        hashes: &'a [u8],
    },
    /// 23 (BEP 52)
    HashReject(HashRange),
    /// Any other id: ignored, but somebody is there.
    Unknown(u8),
}

/// What the reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// The head of a `piece` message with 1 to 16384 bytes, which follow as [`Incoming::Data`].
    Piece(Block),
    /// The next bytes of that block, at least one, as they stand in the input. The block ends when all its bytes came.
    Data(&'a [u8]),
}

/// Why a stream cannot be read on. The reader is not used afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Longer than a message of its id can be: the peer is banned.
    TooLong,
    /// A payload of the wrong size for its id: the connection is closed.
    BadLength,
    /// A `piece` message without a block: the peer is banned.
    BadPiece,
}

/// The bounds that depend on the torrent and on what was asked. Neither counts the five bytes of prefix and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a bitfield: one bit for each piece.
    pub bitfield_bytes_max: u32,
    /// Bytes of hashes behind the fixed fields of message 22: 32 for each that an open request may bring.
    pub hashes_bytes_max: u32,
}

/// Reads one peer's stream.
#[derive(Debug)]
pub struct Reader {
    bounds: Bounds,
    /// The beginning of a message that was not whole in the input; or one handed out by the last call.
    gathered: Vec<u8>,
    handed_out: bool,
    /// Bytes of the current block that have not come yet.
    block_left: u32,
}

impl Reader {
    /// A reader at the start of a stream, behind the handshake.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, gathered: Vec::new(), handed_out: false, block_left: 0 }
    }

    /// Other bounds, also for a message that has begun: do not lower them for what may still be on its way.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// The next event at the front of `input`, which is moved behind it. `None`: all of `input` was taken, and more is
    /// needed.
    #[inline]
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Incoming<'a>>, Broken> {
        if self.block_left > 0 {
            return Ok(self.block(input));
        }
        if self.handed_out {
            self.forget();
        }
        if !self.gathered.is_empty() {
            return self.gather(input);
        }
        let needed = needed(input, self.bounds)?;
        let Some((front, rest)) = input.split_at_checked(needed) else {
            self.gathered.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        };
        if front.is_empty() {
            return Ok(None);
        }
        *input = rest;
        match piece_head(front) {
            Some(block) => Ok(Some(self.begin(block))),
            None => decode(front).map(|message| Some(Incoming::Message(message))),
        }
    }

    /// Whether a message has begun and is not finished.
    pub fn is_amid(&self) -> bool {
        self.block_left > 0 || (!self.gathered.is_empty() && !self.handed_out)
    }

    fn block<'a>(&mut self, input: &mut &'a [u8]) -> Option<Incoming<'a>> {
        let length = input.len().min(self.block_left as usize);
        let (data, rest) = input.split_at(length);
        *input = rest;
        self.block_left -= length as u32;
        (length > 0).then_some(Incoming::Data(data))
    }

    fn begin<'a>(&mut self, block: Block) -> Incoming<'a> {
        self.block_left = block.length;
        Incoming::Piece(block)
    }

    /// Goes on with a message whose beginning came earlier.
    #[cold]
    fn gather<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Incoming<'a>>, Broken> {
        loop {
            // What is needed becomes known in steps: the prefix, the id, the end.
            let missing = needed(&self.gathered, self.bounds)?.saturating_sub(self.gathered.len());
            if missing == 0 {
                break;
            }
            let (more, rest) = input.split_at(missing.min(input.len()));
            if more.is_empty() {
                return Ok(None);
            }
            self.gathered.extend_from_slice(more);
            *input = rest;
        }
        if let Some(block) = piece_head(&self.gathered) {
            self.gathered.clear();
            return Ok(Some(self.begin(block)));
        }
        self.handed_out = true;
        decode(&self.gathered).map(|message| Some(Incoming::Message(message)))
    }

    /// Makes room for the next message; the memory of a long one is given back.
    fn forget(&mut self) {
        self.handed_out = false;
        self.gathered.clear();
        if self.gathered.capacity() > KEPT_BYTES {
            self.gathered = Vec::new();
        }
    }
}

/// How many bytes the message at `front` must have before it can be told, as far as is known yet: up to a block's head,
/// else the whole message. Refuses wrong lengths.
#[inline]
fn needed(front: &[u8], bounds: Bounds) -> Result<usize, Broken> {
    let Some((prefix, body)) = front.split_first_chunk::<PREFIX_BYTES>() else {
        return Ok(if front.is_empty() { 0 } else { PREFIX_BYTES });
    };
    let length = u32::from_be_bytes(*prefix);
    match body.first() {
        _ if length == 0 => Ok(PREFIX_BYTES),
        Some(&id::PIECE) => match length {
            ..PIECE_BYTES_MIN => Err(Broken::BadPiece),
            PIECE_BYTES_MIN..=PIECE_MESSAGE_BYTES_MAX => Ok(PIECE_HEAD_BYTES),
            _ => Err(Broken::TooLong),
        },
        Some(&id) => {
            check_length(id, length, bounds)?;
            Ok(PREFIX_BYTES + length as usize)
        }
        None if length > longest(bounds) => Err(Broken::TooLong),
        None => Ok(PREFIX_BYTES + 1),
    }
}

/// Whether a message of this id, `piece` aside, may be so long behind its prefix.
fn check_length(id: u8, length: u32, bounds: Bounds) -> Result<(), Broken> {
    let bound = match id {
        id::BITFIELD => bounds.bitfield_bytes_max.saturating_add(1),
        id::HASHES => bounds.hashes_bytes_max.saturating_add(HASH_FIELDS_BYTES),
        id::EXTENDED => EXTENDED_MESSAGE_BYTES_MAX,
        _ => OTHER_MESSAGE_BYTES_MAX,
    };
    if length > bound {
        return Err(Broken::TooLong);
    }
    let fits = match id {
        id::CHOKE..=id::NOT_INTERESTED | id::HAVE_ALL | id::HAVE_NONE => length == 1,
        id::HAVE | id::SUGGEST | id::ALLOWED_FAST => length == 5,
        id::REQUEST | id::CANCEL | id::REJECT => length == 13,
        id::PORT => length == 3,
        id::EXTENDED => length >= 2,
        id::HASH_REQUEST | id::HASH_REJECT => length == HASH_FIELDS_BYTES,
        id::HASHES => length >= HASH_FIELDS_BYTES && (length - HASH_FIELDS_BYTES).is_multiple_of(32),
        _ => true,
    };
    if fits { Ok(()) } else { Err(Broken::BadLength) }
}

/// The longest message there can be while its id is not known.
fn longest(bounds: Bounds) -> u32 {
    let bitfield = bounds.bitfield_bytes_max.saturating_add(1);
    let hashes = bounds.hashes_bytes_max.saturating_add(HASH_FIELDS_BYTES);
    EXTENDED_MESSAGE_BYTES_MAX.max(bitfield).max(hashes)
}

/// The head of a `piece` message, if that is what `front` is; its length has been checked.
#[inline]
fn piece_head(front: &[u8]) -> Option<Block> {
    let head: &[u8; PIECE_HEAD_BYTES] = front.first_chunk()?;
    if head[PREFIX_BYTES] != id::PIECE {
        return None;
    }
    let (prefix, fields) = head.split_first_chunk::<PREFIX_BYTES>()?;
    let (piece, begin) = two_numbers(fields.last_chunk()?);
    Some(Block { piece, begin, length: u32::from_be_bytes(*prefix) - PIECE_FIELDS_BYTES })
}

/// One whole message with its prefix, `piece` aside; its length has been checked.
fn decode(whole: &[u8]) -> Result<Message<'_>, Broken> {
    let body = whole.get(PREFIX_BYTES..).unwrap_or_default();
    let Some((&id, payload)) = body.split_first() else { return Ok(Message::KeepAlive) };
    Ok(match id {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have(number(payload)?),
        id::BITFIELD => Message::Bitfield(payload),
        id::REQUEST => Message::Request(block(payload)?),
        id::CANCEL => Message::Cancel(block(payload)?),
        id::PORT => Message::Port,
        id::SUGGEST => Message::Suggest(number(payload)?),
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(block(payload)?),
        id::ALLOWED_FAST => Message::AllowedFast(number(payload)?),
        id::EXTENDED => {
            let (&id, payload) = payload.split_first().ok_or(Broken::BadLength)?;
            Message::Extended { id, payload }
        }
        id::HASH_REQUEST => Message::HashRequest(hash_range(payload)?.0),
        id::HASHES => {
            let (range, hashes) = hash_range(payload)?;
            Message::Hashes { range, hashes }
        }
        id::HASH_REJECT => Message::HashReject(hash_range(payload)?.0),
        other => Message::Unknown(other),
    })
}

fn number(payload: &[u8]) -> Result<u32, Broken> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(Broken::BadLength)
}

fn two_numbers(bytes: &[u8; 8]) -> (u32, u32) {
    let both = u64::from_be_bytes(*bytes);
    ((both >> 32) as u32, both as u32)
}

fn block(payload: &[u8]) -> Result<Block, Broken> {
    let (front, length) = payload.split_first_chunk().ok_or(Broken::BadLength)?;
    let (piece, begin) = two_numbers(front);
    Ok(Block { piece, begin, length: number(length)? })
}

fn hash_range(payload: &[u8]) -> Result<(HashRange, &[u8]), Broken> {
    let (root, rest) = payload.split_first_chunk().ok_or(Broken::BadLength)?;
    let (front, rest) = rest.split_first_chunk().ok_or(Broken::BadLength)?;
    let (back, hashes) = rest.split_first_chunk().ok_or(Broken::BadLength)?;
    let ((base, index), (length, proofs)) = (two_numbers(front), two_numbers(back));
    Ok((HashRange { root: *root, base, index, length, proofs }, hashes))
}

/// Appends a message that we send. `Port` and unknown messages are only received: nothing is written for them.
pub fn write(out: &mut Vec<u8>, message: &Message<'_>) {
    match *message {
        Message::KeepAlive => out.extend_from_slice(&[0; PREFIX_BYTES]),
        Message::Choke => head(out, id::CHOKE, 0),
        Message::Unchoke => head(out, id::UNCHOKE, 0),
        Message::Interested => head(out, id::INTERESTED, 0),
        Message::NotInterested => head(out, id::NOT_INTERESTED, 0),
        Message::Have(piece) => write_number(out, id::HAVE, piece),
        Message::Bitfield(bits) => {
            head(out, id::BITFIELD, bits.len());
            out.extend_from_slice(bits);
        }
        Message::Request(block) => write_block(out, id::REQUEST, block),
        Message::Cancel(block) => write_block(out, id::CANCEL, block),
        Message::Suggest(piece) => write_number(out, id::SUGGEST, piece),
        Message::HaveAll => head(out, id::HAVE_ALL, 0),
        Message::HaveNone => head(out, id::HAVE_NONE, 0),
        Message::Reject(block) => write_block(out, id::REJECT, block),
        Message::AllowedFast(piece) => write_number(out, id::ALLOWED_FAST, piece),
        Message::Extended { id, payload } => {
            head(out, id::EXTENDED, 1 + payload.len());
            out.push(id);
            out.extend_from_slice(payload);
        }
        Message::HashRequest(range) => write_hash_range(out, id::HASH_REQUEST, range, &[]),
        Message::Hashes { range, hashes } => write_hash_range(out, id::HASHES, range, hashes),
        Message::HashReject(range) => write_hash_range(out, id::HASH_REJECT, range, &[]),
        Message::Port | Message::Unknown(_) => debug_assert!(false, "only received"),
    }
}

/// Appends the 13 bytes that come before a block's data.
pub fn write_piece_head(out: &mut Vec<u8>, block: Block) {
    debug_assert!((1..=BLOCK_BYTES_MAX).contains(&block.length));
    head(out, id::PIECE, 8 + block.length as usize);
    write_numbers(out, [block.piece, block.begin]);
}

fn head(out: &mut Vec<u8>, id: u8, payload_bytes: usize) {
    let length = u32::try_from(1 + payload_bytes).expect("what we send is far shorter than 4 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    out.push(id);
}

fn write_number(out: &mut Vec<u8>, id: u8, number: u32) {
    head(out, id, 4);
    write_numbers(out, [number]);
}

fn write_block(out: &mut Vec<u8>, id: u8, block: Block) {
    head(out, id, 12);
    write_numbers(out, [block.piece, block.begin, block.length]);
}

fn write_hash_range(out: &mut Vec<u8>, id: u8, range: HashRange, hashes: &[u8]) {
    head(out, id, 48 + hashes.len());
    out.extend_from_slice(&range.root);
    write_numbers(out, [range.base, range.index, range.length, range.proofs]);
    out.extend_from_slice(hashes);
}

fn write_numbers<const N: usize>(out: &mut Vec<u8>, numbers: [u32; N]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

const PREFIX_BYTES: usize = 4;
/// Prefix, id, index and begin.
const PIECE_HEAD_BYTES: usize = 13;
/// Id, index and begin: what the prefix counts besides the block.
const PIECE_FIELDS_BYTES: u32 = 9;
/// The same and one byte of a block.
const PIECE_BYTES_MIN: u32 = PIECE_FIELDS_BYTES + 1;
/// Id, root and four numbers.
const HASH_FIELDS_BYTES: u32 = 49;
/// What the buffer for gathered messages may keep between them: nearly all messages are shorter.
const KEPT_BYTES: usize = 128;

/// The ids of messages.
mod id {
    pub const CHOKE: u8 = 0;
    pub const UNCHOKE: u8 = 1;
    pub const INTERESTED: u8 = 2;
    pub const NOT_INTERESTED: u8 = 3;
    pub const HAVE: u8 = 4;
    pub const BITFIELD: u8 = 5;
    pub const REQUEST: u8 = 6;
    pub const PIECE: u8 = 7;
    pub const CANCEL: u8 = 8;
    pub const PORT: u8 = 9;
    pub const SUGGEST: u8 = 13;
    pub const HAVE_ALL: u8 = 14;
    pub const HAVE_NONE: u8 = 15;
    pub const REJECT: u8 = 16;
    pub const ALLOWED_FAST: u8 = 17;
    pub const EXTENDED: u8 = 20;
    pub const HASH_REQUEST: u8 = 21;
    pub const HASHES: u8 = 22;
    pub const HASH_REJECT: u8 = 23;
}

#[cfg(test)]
mod tests;
