//! Words, numbers and addresses in HTML.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::{self, Display, Write};

/// Text in HTML, between tags or in a quoted attribute. Characters that turn the direction of what follows are left out.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'' | '\0' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let mut rest = self.0;
        while let Some(at) = rest.find(is_special) {
            let (plain, special) = rest.split_at(at);
            f.write_str(plain)?;
            let mut chars = special.chars();
            f.write_str(match chars.next() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&#39;",
                _ => "",
            })?;
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// A value of a query.
pub struct Encoded<'a>(pub &'a str);

impl Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        utf8_percent_encode(self.0, NON_ALPHANUMERIC).fmt(f)
    }
}

/// Bytes as people read them: `1.5 KB`, in powers of 1024.
pub struct Size(pub u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut units = ["KB", "MB", "GB", "TB", "PB", "EB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        // What would be rounded to 1024.0 is shown in the next unit.
        while value >= 1023.95 {
            value /= 1024.0;
            unit = units.next().unwrap_or(unit);
        }
        write!(f, "{value:.1} {unit}")
    }
}

/// A number with thin spaces between groups of three digits.
pub struct Grouped(pub u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char('\u{202f}')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// The beginning of a text, on one line.
pub fn summary(text: &str) -> String {
    let words = text.split_whitespace();
    let mut line = String::new();
    let mut chars = 0;
    for word in words {
        let space = usize::from(!line.is_empty());
        let more = word.chars().count() + space;
        if chars + more > SUMMARY_CHARS_MAX {
            if line.is_empty() {
                line.extend(word.chars().take(SUMMARY_CHARS_MAX));
            }
            line.push('…');
            return line;
        }
        if space == 1 {
            line.push(' ');
        }
        line.push_str(word);
        chars += more;
    }
    line
}

/// As much of a description stands in a list.
const SUMMARY_CHARS_MAX: usize = 180;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_for_people() {
        for (bytes, words) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KB"),
            (1_048_575, "1.0 MB"),
            (3_328_599_654, "3.1 GB"),
            (u64::MAX, "16.0 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), words);
        }
        assert_eq!(Grouped(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
        assert_eq!(Grouped(999).to_string(), "999");
    }

    #[test]
    fn a_summary_ends_at_a_word() {
        assert_eq!(summary("  a\n b\t c "), "a b c");
        let long = summary(&"word ".repeat(100));
        assert!(long.ends_with("word…") && long.chars().count() <= SUMMARY_CHARS_MAX + 1, "{long}");
        assert_eq!(summary(&"x".repeat(1000)).chars().count(), SUMMARY_CHARS_MAX + 1);
    }
}
