//! Chunked bodies (RFC 9112, section 7.1), decoded as they come. Extensions and trailers are read and dropped.

/// Where a decoder stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// In a size line; the digits so far.
    #[default]
    Size,
    /// Behind the digits, before the line's end.
    Extension,
    /// The line feed of the size line is due.
    SizeEnd,
    /// So many bytes of data are due.
    Data,
    /// The two bytes behind the data are due.
    DataCr,
    DataLf,
    /// In the trailer section, at the beginning of a line.
    Trailer,
    /// In a trailer line.
    TrailerLine,
    /// The last line feed is due.
    TrailerEnd,
    Done,
}

/// A decoder of one body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chunked {
    state: State,
    digits: u8,
    left: u64,
    /// Bytes decoded so far.
    total: u64,
    /// Bytes of extensions and trailers, which nobody needs and nobody should send many of.
    overhead: u32,
}

/// Whether the body is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// There is more to come.
    More,
    /// That was its end.
    Done,
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadChunk {
    /// Not in the chunked form.
    Malformed,
    /// More data than is allowed.
    TooLarge,
}

impl Chunked {
    /// Decodes what there is of `input`, appends the data to `out`. Returns how many bytes were used. `bytes_max` bounds
    /// the data of the whole body.
    pub fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: u64,
    ) -> Result<(usize, Progress), BadChunk> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = (input.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                out.extend_from_slice(&input[at..at + take]);
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.byte(input[at], bytes_max)?;
            at += 1;
        }
        Ok((at, if self.state == State::Done { Progress::Done } else { Progress::More }))
    }

    fn byte(&mut self, byte: u8, bytes_max: u64) -> Result<(), BadChunk> {
        self.state = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeEnd,
            (State::Size, b';' | b' ' | b'\t') if self.digits > 0 => self.spend(State::Extension)?,
            (State::Size, _) => {
                let digit = crate::wire::hex_value(byte).ok_or(BadChunk::Malformed)?;
                self.digits += 1;
                if self.digits > 16 {
                    return Err(BadChunk::Malformed);
                }
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\n' | 0) => return Err(BadChunk::Malformed),
            (State::Extension, _) => self.spend(State::Extension)?,
            (State::SizeEnd, b'\n') => self.begin_data(bytes_max)?,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Trailer | State::TrailerLine, b'\n') => self.spend(State::Trailer)?,
            (State::Trailer | State::TrailerLine, _) => self.spend(State::TrailerLine)?,
            (State::TrailerEnd, b'\n') => State::Done,
            _ => return Err(BadChunk::Malformed),
        };
        Ok(())
    }

    fn begin_data(&mut self, bytes_max: u64) -> Result<State, BadChunk> {
        self.digits = 0;
        self.total = self.total.checked_add(self.left).ok_or(BadChunk::TooLarge)?;
        if self.total > bytes_max {
            return Err(BadChunk::TooLarge);
        }
        Ok(if self.left == 0 { State::Trailer } else { State::Data })
    }

    fn spend(&mut self, next: State) -> Result<State, BadChunk> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX { Err(BadChunk::Malformed) } else { Ok(next) }
    }
}

/// Extensions and trailers of one body together.
const OVERHEAD_BYTES_MAX: u32 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5;x=y\r\nhello\r\nB \r\n wide world\r\n0\r\nTrailer: 1\r\n\r\nGET";

    #[test]
    fn every_split_of_a_body_decodes_to_the_same() {
        for cut in 0..BODY.len() {
            let mut chunked = Chunked::default();
            let mut out = Vec::new();
            let (first, progress) = chunked.decode(&BODY[..cut], &mut out, 16).expect("well-formed");
            let used = match progress {
                Progress::Done => first,
                Progress::More => {
                    first + chunked.decode(&BODY[first..], &mut out, 16).expect("well-formed").0
                }
            };
            assert_eq!((used, out.as_slice()), (BODY.len() - 3, &b"hello wide world"[..]));
        }
    }

    #[test]
    fn a_body_over_the_bound_or_out_of_form_is_refused() {
        let decode = |body: &[u8], max| Chunked::default().decode(body, &mut Vec::new(), max);
        assert!(decode(BODY, 16).is_ok());
        assert_eq!(decode(BODY, 15), Err(BadChunk::TooLarge));
        assert_eq!(decode(b"ffffffffffffffff\r\n", u64::MAX / 2), Err(BadChunk::TooLarge));
        for bad in [&b"\r\n"[..], b"g\r\n", b"5\nhello", b"1\r\nab", b"00000000000000001\r\n", b"1\r\na\n"] {
            assert_eq!(decode(bad, 99), Err(BadChunk::Malformed), "{bad:?}");
        }
        let long = [&b"1;"[..], &vec![b'x'; 9000]].concat();
        assert_eq!(decode(&long, 99), Err(BadChunk::Malformed));
    }
}
