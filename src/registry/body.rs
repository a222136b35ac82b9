//! The JSON body of `POST /api/registry` as fields, before any rule about what they may hold (registry-api, 4).
//!
//! One object, nothing but white space after it, nested at most `NESTING_MAX` deep. Unknown fields are read and
//! forgotten, a repeated field counts as its last value, `null` as absent. Strings without escapes are borrowed, so
//! that a torrent of a hundred megabytes is not copied here.

use super::answer::ApiError;
use super::api::INVALID_JSON;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// The fields the registry knows.
#[derive(Debug, Default)]
pub struct Body<'a> {
    values: [Value<'a>; FIELDS.len()],
}

/// The value of one field.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum Value<'a> {
    /// Not there, or null.
    #[default]
    Absent,
    /// A string.
    Text(Cow<'a, str>),
    /// A number; `None` when it is not an integer from 0 to 2^63-1.
    Number(Option<u64>),
    /// Something no field may be.
    Other,
}

impl<'a> Body<'a> {
    /// Reads the object. Every way to get it wrong is `Invalid JSON body`: broken JSON, bad UTF-8, not an object, too
    /// deep, a known field of the wrong type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ApiError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let body = json.deserialize_map(Fields).map_err(|_| INVALID_JSON)?;
        json.end().map_err(|_| INVALID_JSON)?;
        let fits = |(name, value): (&&str, &Value)| match value {
            Value::Absent => true,
            Value::Text(_) => *name != SIZE,
            Value::Number(_) => *name == SIZE,
            Value::Other => false,
        };
        if FIELDS.iter().zip(&body.values).all(fits) { Ok(body) } else { Err(INVALID_JSON) }
    }

    /// The text of a field, `None` when absent. `name` is one of the known fields.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// `size`: absent is 0, `None` is out of range.
    pub fn size(&self) -> Option<u64> {
        match self.value(SIZE) {
            Value::Number(number) => *number,
            _ => Some(0),
        }
    }

    /// How many bytes of a body a field takes up. An escaped text is longer in the body than it is; base64 knows one
    /// character that some encoders escape, the slash, so each of those counts twice.
    pub fn bytes_of(&self, name: &str) -> usize {
        match self.value(name) {
            Value::Text(Cow::Borrowed(text)) => text.len(),
            Value::Text(Cow::Owned(text)) => text.len() + memchr::memchr_iter(b'/', text.as_bytes()).count(),
            _ => 0,
        }
    }

    fn value(&self, name: &str) -> &Value<'a> {
        let index = FIELDS.iter().position(|field| *field == name);
        &self.values[index.expect("callers ask for known fields only")]
    }
}

const SIZE: &str = "size";
const FIELDS: [&str; 13] = [
    "info_hash",
    "v1_info_hash",
    "name",
    "description",
    "publisher",
    "license",
    SIZE,
    "category",
    "tags",
    "torrent_data",
    "idt_data",
    "publisher_key",
    "signature",
];
/// Objects and lists inside each other, the body itself being the first.
const NESTING_MAX: u32 = 16;

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(At { level: 1 })?;
            if let Some(index) = FIELDS.iter().position(|field| *field == name) {
                body.values[index] = value;
            }
        }
        Ok(body)
    }
}

/// Reads one value of any type that stands inside `level` objects and lists.
#[derive(Clone, Copy)]
struct At {
    level: u32,
}

impl At {
    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.level < NESTING_MAX { Ok(Self { level: self.level + 1 }) } else { Err(E::custom("too deep")) }
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
        Ok(Value::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number((number <= i64::MAX as u64).then_some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(u64::try_from(number).ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(None))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let inside = self.inside()?;
        while map.next_key::<String>()?.is_some() {
            map.next_value_seed(inside)?;
        }
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_field_counts_and_null_is_absent() {
        let body =
            Body::parse(br#" {"name":1,"name":"a","tags":"x","tags":null,"other":[{}]} "#).expect("valid");
        assert_eq!((body.text("name"), body.text("tags"), body.size()), (Some("a"), None, Some(0)));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let bad: [&[u8]; 12] = [
            b"",
            b"[]",
            b"\"x\"",
            b"null",
            b"{} x",
            b"{}{}",
            b"{\"name\":}",
            b"{\"name\":\"\xff\"}",
            b"{\"name\":7}",
            b"{\"size\":\"7\"}",
            b"{\"tags\":[\"a\"]}",
            b"\xef\xbb\xbf{}",
        ];
        for bytes in bad {
            assert_eq!(Body::parse(bytes).err(), Some(INVALID_JSON), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn sixteen_levels_are_read_and_seventeen_are_not() {
        let nested = |levels: usize| {
            let inner = levels - 1;
            format!("{{\"x\":{}{}}}", "[".repeat(inner), "]".repeat(inner)).into_bytes()
        };
        assert!(Body::parse(&nested(16)).is_ok());
        assert!(Body::parse(&nested(17)).is_err());
        assert!(Body::parse(&nested(100_000)).is_err());
    }

    #[test]
    fn a_size_is_a_whole_number_of_63_bits() {
        let size = |text: &str| {
            let json = format!("{{\"size\":{text}}}");
            Body::parse(json.as_bytes()).map(|body| body.size())
        };
        assert_eq!(size("9223372036854775807"), Ok(Some(i64::MAX as u64)));
        assert_eq!(size("9223372036854775808"), Ok(None));
        assert_eq!(size("-1"), Ok(None));
        assert_eq!(size("1.5"), Ok(None));
        assert_eq!(size("0"), Ok(Some(0)));
    }

    #[test]
    fn an_escaped_slash_counts_as_the_two_bytes_it_takes() {
        let json = br#"{"torrent_data":"a\/b\/"}"#;
        assert_eq!(Body::parse(json).expect("valid").bytes_of("torrent_data"), 6);
    }
}
