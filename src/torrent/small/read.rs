//! The strict reader. Nothing is allocated for what a number in the file promises: lists grow as their items come, up
//! to their bounds, and the rules are then checked in the order of the specification's table.

use super::{
    CHUNKS_MAX, FILE_BYTES_MAX, Idtorrent, METAFILE_BYTES_MAX, Malformed, NESTING_MAX, TRACKERS_MAX,
    chunk_count, chunk_size_of, file_id, is_file_name,
};
use crate::base::V1Hash;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

pub(super) fn read(
    bytes: &[u8],
    file_bytes_max: u64,
    wanted: Option<V1Hash>,
) -> Result<Idtorrent, Malformed> {
    if bytes.len() > METAFILE_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let found = json.deserialize_map(Fields).map_err(|_| Malformed::NotAnIdtorrent)?;
    json.end().map_err(|_| Malformed::NotAnIdtorrent)?;
    found.judge(file_bytes_max.min(FILE_BYTES_MAX), wanted)
}

/// The fields that mean something, in the order in which they are judged.
const FIELDS: [&str; 8] =
    ["file_name", "file_size", "chunk_size", "num_chunks", "chunk_hashes", "file_id", "trackers", "comment"];

/// What stands in the file.
#[derive(Default)]
struct Found<'a> {
    values: [Option<Value<'a>>; FIELDS.len()],
    repeated: Option<&'static str>,
}

/// The value of a field.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    /// Every item a hash of 40 hex digits, and not too many of them.
    Hashes(Vec<[u8; 20]>),
    /// Every item a text, and not too many of them.
    Texts(Vec<String>),
    /// What no field may be.
    Other,
}

impl<'a> Found<'a> {
    fn judge(self, file_bytes_max: u64, wanted: Option<V1Hash>) -> Result<Idtorrent, Malformed> {
        if let Some(field) = self.repeated {
            return Err(Malformed::Repeated(field));
        }
        let required = if wanted.is_some() { 5 } else { 6 };
        if let Some(at) = self.values.iter().take(required).position(Option::is_none) {
            return Err(Malformed::Missing(FIELDS[at]));
        }
        let [name, size, chunk_size, count, hashes, id, trackers, comment] = self.values;
        let file_name = text(name).filter(|name| is_file_name(name)).ok_or(Malformed::FileName)?;
        let file_size = number(size).ok_or(Malformed::FileSize)?;
        if file_size > file_bytes_max {
            return Err(Malformed::TooLarge(file_bytes_max));
        }
        let chunk_size = number(chunk_size).ok_or(Malformed::ChunkSize).and_then(chunk_size_of)?;
        let chunks = chunk_count(file_size, chunk_size)?;
        if number(count) != Some(chunks) {
            return Err(Malformed::ChunkCount);
        }
        let chunk_hashes = match hashes {
            Some(Value::Hashes(hashes)) if hashes.len() as u64 == chunks => hashes,
            _ => return Err(Malformed::ChunkHashes),
        };
        let file_id = file_id(&file_name, file_size, &chunk_hashes);
        let stated = match id {
            Some(value) => text(Some(value)).and_then(|id| V1Hash::from_hex(id.as_bytes())) == Some(file_id),
            None => true,
        };
        if !stated || wanted.is_some_and(|wanted| wanted != file_id) {
            return Err(Malformed::FileId);
        }
        let trackers = match trackers {
            None => Vec::new(),
            Some(Value::Texts(trackers)) => trackers,
            Some(_) => return Err(Malformed::Trackers),
        };
        let comment = match comment {
            None => None,
            Some(Value::Text(comment)) => Some(comment.into_owned()),
            Some(_) => return Err(Malformed::Comment),
        };
        let file_name = file_name.into_owned();
        Ok(Idtorrent { file_name, file_size, chunk_size, chunk_hashes, file_id, trackers, comment })
    }
}

fn text<'a>(value: Option<Value<'a>>) -> Option<Cow<'a, str>> {
    if let Some(Value::Text(text)) = value { Some(text) } else { None }
}

fn number(value: Option<Value<'_>>) -> Option<u64> {
    if let Some(Value::Number(number)) = value { Some(number) } else { None }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let field = FIELDS.iter().position(|field| **field == *name);
            let list = match field.map(|at| FIELDS[at]) {
                Some("chunk_hashes") => List::Hashes,
                Some("trackers") => List::Texts,
                _ => List::Any,
            };
            let value = map.next_value_seed(At { level: 1, list })?;
            let Some(at) = field else { continue };
            if found.values[at].replace(value).is_some() {
                found.repeated = found.repeated.or(Some(FIELDS[at]));
            }
        }
        Ok(found)
    }
}

/// What a list is read as.
#[derive(Clone, Copy)]
enum List {
    Hashes,
    Texts,
    Any,
}

/// Reads one value that stands inside `level` objects and lists.
#[derive(Clone, Copy)]
struct At {
    level: u32,
    list: List,
}

impl At {
    fn inside<E: Error>(self) -> Result<Self, E> {
        match self.level < NESTING_MAX {
            true => Ok(Self { level: self.level + 1, list: List::Any }),
            false => Err(E::custom("too deep")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for At {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(u64::try_from(number).map_or(Value::Other, Value::Number))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    /// Reads every item, so that what follows is found, but keeps none beyond the first that does not fit.
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        let (mut hashes, mut texts, mut fits) = (Vec::new(), Vec::new(), true);
        while let Some(item) = items.next_element_seed(inside)? {
            fits = fits
                && match (self.list, item) {
                    (List::Hashes, Value::Text(text)) => V1Hash::from_hex(text.as_bytes())
                        .filter(|_| (hashes.len() as u64) < CHUNKS_MAX)
                        .map(|hash| hashes.push(hash.0))
                        .is_some(),
                    (List::Texts, Value::Text(text)) if texts.len() < TRACKERS_MAX => {
                        texts.push(text.into_owned());
                        true
                    }
                    _ => false,
                };
        }
        Ok(match self.list {
            List::Hashes if fits => Value::Hashes(hashes),
            List::Texts if fits => Value::Texts(texts),
            _ => Value::Other,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        while map.next_key::<Cow<'de, str>>()?.is_some() {
            map.next_value_seed(inside)?;
        }
        Ok(Value::Other)
    }
}
