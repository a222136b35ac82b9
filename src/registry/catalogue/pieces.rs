//! Where names and texts are cut: behind what separates two words, so that each part is a word with the separators that
//! follow it. A text that is looked for may begin and end in the middle of a part; what lies between is a whole one.

/// The parts of a name. Words are letters and digits that stand together, and whatever is not ASCII. Only the first part may
/// be without a word, only the last one without separators.
pub(super) fn parts(mut name: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let word = name.iter().position(is_between).unwrap_or(name.len());
        let between = name[word..].iter().position(|byte| !is_between(byte));
        let (part, others) = name.split_at(between.map_or(name.len(), |between| word + between));
        name = others;
        (!part.is_empty()).then_some(part)
    })
}

/// A part of a text, and how it must stand in a part of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// A part must begin with it.
    begins: bool,
    /// A part must end with it.
    ends: bool,
}

impl Piece<'_> {
    /// Whether a part that holds its bytes holds them where it must.
    pub fn fits(&self, part: &[u8]) -> bool {
        match (self.begins, self.ends) {
            (true, true) => part.len() == self.bytes.len(),
            (true, false) => part.starts_with(self.bytes),
            (false, true) => part.ends_with(self.bytes),
            (false, false) => true,
        }
    }
}

/// The pieces of a text. A name that holds the text has a fitting part for each of them; of a text of one piece, a name
/// that has a fitting part holds the text.
pub(super) fn pieces(text: &[u8]) -> Vec<Piece<'_>> {
    let last = parts(text).count().saturating_sub(1);
    let parts = parts(text).enumerate();
    parts.map(|(at, bytes)| Piece { bytes, begins: at > 0, ends: at < last }).collect()
}

fn is_between(byte: &u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(name: &str) -> Vec<&str> {
        parts(name.as_bytes()).map(|part| std::str::from_utf8(part).expect("cut between letters")).collect()
    }

    #[test]
    fn names_are_cut_behind_whatever_is_no_letter_or_digit() {
        assert_eq!(cut("linux-6.1 [x86_64] ärzte"), ["linux-", "6.", "1 [", "x86_", "64] ", "ärzte"]);
        assert_eq!(cut(" - a - "), [" - ", "a - "]);
        assert_eq!((cut("-"), cut(""), cut("a")), (vec!["-"], vec![], vec!["a"]));
    }

    #[test]
    fn a_piece_is_bound_on_the_sides_where_the_text_goes_on() {
        let fits = |text: &str, parts: &[&str]| -> Vec<Vec<bool>> {
            let fits = |piece: Piece<'_>| parts.iter().map(|part| piece.fits(part.as_bytes())).collect();
            pieces(text.as_bytes()).into_iter().map(fits).collect()
        };
        assert_eq!(fits("b.", &["b.", "ab.", "b. [", "ab. ["]), [[true; 4]]);
        let three = fits("b. c.d", &["b. ", "ab. ", "b. [", "c.", "xc.", "c.[", "d", "xd", "d. "]);
        assert_eq!(three[0][..3], [true, true, false]);
        assert_eq!(three[1][3..6], [true, false, false]);
        assert_eq!(three[2][6..], [true, false, true]);
    }
}
