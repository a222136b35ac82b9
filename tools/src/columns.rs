//! Text in columns of a terminal: a Chinese character takes two of them, an accent on the letter before it none.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The beginning of `text` that fits into `columns`, filled up with spaces to exactly that many.
pub fn fit(text: &str, columns: usize) -> String {
    let mut fitted = String::new();
    let mut used = 0;
    for c in text.chars() {
        let more = c.width().unwrap_or(0);
        if used + more > columns {
            break;
        }
        used += more;
        fitted.push(c);
    }
    // What the characters take together counts: some of them join.
    let used = fitted.width().min(columns);
    fitted.extend(std::iter::repeat_n(' ', columns - used));
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_takes_its_columns() {
        for (text, fitted) in [
            ("abc", "abc  "),
            ("abcdef", "abcde"),
            ("日本", "日本 "),
            ("日本語", "日本 "),
            ("e\u{301}e\u{301}", "e\u{301}e\u{301}   "),
            ("abcde\u{301}f", "abcde\u{301}"),
            ("", "     "),
        ] {
            assert_eq!(fit(text, 5), fitted);
            assert_eq!(fit(text, 5).width(), 5);
        }
    }
}
