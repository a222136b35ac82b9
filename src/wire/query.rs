//! Query strings: split, found, decoded. Two dialects: what BitTorrent clients send, and HTML forms.

use super::hex_value;

/// Pairs of a query string, raw. Split at `&`, then at the first `=`; empty pairs are left out.
pub fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    ampersands(query).filter(|pair| !pair.is_empty()).map(|pair| {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }
    })
}

/// `split`, but by leaps: values are long.
fn ampersands(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(query);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(b'&', text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

/// What `+` means in `info_hash` and `peer_id`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plus {
    /// A space, as form encoders mean it.
    Space,
    /// Itself.
    Literal,
}

impl Plus {
    /// A client that writes `%20` for a space and never `%2B` for a plus leaves its pluses bare; every other one that
    /// sends a `+` means a space.
    pub fn of(query: &[u8]) -> Self {
        let has = |text: &[u8]| query.windows(3).any(|window| window.eq_ignore_ascii_case(text));
        if has(b"%20") && !has(b"%2b") { Self::Literal } else { Self::Space }
    }
}

/// A bad percent escape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadEscape;

/// Percent-decodes into `out`, which must take the result; returns the decoded length even if that is more than
/// `out` holds (what is over is counted, not kept).
#[inline]
pub fn decode_into(value: &[u8], plus: impl Fn() -> Plus, out: &mut [u8]) -> Result<usize, BadEscape> {
    let mut length = 0;
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        let mut decoded = byte;
        if let Some(&[_, high, low]) = value.get(at..).and_then(|rest| rest.first_chunk()) {
            // Which bytes of a hash are escaped is chance, so nothing here may be a branch on it.
            let escaped = byte == b'%';
            let digits = HEX_VALUES[high as usize] << 4 | HEX_VALUES[low as usize];
            if escaped & (digits > 0xff) {
                return Err(BadEscape);
            }
            decoded = std::hint::select_unpredictable(escaped, digits as u8, byte);
            at += 2 * usize::from(escaped);
        } else if byte == b'%' {
            return Err(BadEscape);
        }
        if byte == b'+' && plus() == Plus::Space {
            decoded = b' ';
        }
        if let Some(place) = out.get_mut(length) {
            *place = decoded;
        }
        length += 1;
        at += 1;
    }
    Ok(length)
}

/// The value of each hex digit; of everything else a number that no two digits make.
const HEX_VALUES: [u16; 256] = {
    let mut values = [0x100; 256];
    let mut digit = 0;
    while digit < 256 {
        if let Some(value) = hex_value(digit as u8) {
            values[digit] = value as u16;
        }
        digit += 1;
    }
    values
};

/// A form parameter that is not UTF-8, or badly escaped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8;

/// The value of a form parameter: the first one of that name, `+` as a space. `None` when absent or empty.
pub fn form_param(query: &[u8], name: &str) -> Result<Option<String>, NotUtf8> {
    let Some((_, value)) = pairs(query).find(|(key, _)| *key == name.as_bytes()) else { return Ok(None) };
    let mut decoded = vec![0; value.len()];
    let length = decode_into(value, || Plus::Space, &mut decoded).map_err(|_| NotUtf8)?;
    decoded.truncate(length);
    let text = String::from_utf8(decoded).map_err(|_| NotUtf8)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_space_unless_the_client_escapes_spaces_and_not_pluses() {
        for (query, plus) in [
            ("info_hash=a+b", Plus::Space),
            ("info_hash=a+b%2Bc", Plus::Space),
            ("info_hash=a+b%20c", Plus::Literal),
            ("info_hash=a%20b%2bc", Plus::Space),
        ] {
            assert_eq!(Plus::of(query.as_bytes()), plus, "{query}");
        }
    }

    #[test]
    fn form_parameters_are_found_and_decoded() {
        let query = b"&&a=&q=caf%C3%A9+x&q=2&bad=%zz&raw=%ff";
        assert_eq!(form_param(query, "q"), Ok(Some("café x".to_owned())));
        assert_eq!(form_param(query, "a"), Ok(None));
        assert_eq!(form_param(query, "none"), Ok(None));
        assert_eq!(form_param(query, "bad"), Err(NotUtf8));
        assert_eq!(form_param(query, "raw"), Err(NotUtf8));
    }
}
