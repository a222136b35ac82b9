//! The registry as people see it in a browser: one page of a search, or one entry, as HTML that needs no script.
//!
//! Made where the rows are read, so that the thread that serves announces only puts the pieces together. Everything that
//! somebody registered is escaped; live counts are left out, because only the swarm table knows them.

mod entry;
mod list;
mod text;

pub use entry::{Surroundings, entry};
pub use list::list;
pub use text::{Escaped, Grouped};

use super::entry::Entry;
use super::search::Search;
use crate::base::InfoHashes;
use list::Link;
use std::fmt::Write;

/// The inside of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Html {
    /// What it is called.
    pub title: String,
    /// Its pieces; behind each one the live counts of a swarm belong.
    pub parts: Vec<Part>,
    /// What follows the last of them.
    pub tail: String,
}

/// A piece of a page, up to where live counts belong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// HTML.
    pub html: String,
    /// Whose counts; `None` for a row of an old database that no client can announce.
    pub hashes: Option<InfoHashes>,
}

/// Rows of one page of a search.
pub const ROWS: u32 = 25;
/// So many tags of an entry are links.
const TAGS_MAX: usize = 12;

/// A page that says what went wrong.
pub fn problem(title: &str, words: &str) -> Html {
    let tail = format!(
        "<div class=\"empty\"><h1>{}</h1>\n<p>{}</p>\n<p><a href=\"./\">Back to the registry</a></p></div>\n",
        Escaped(title),
        Escaped(words)
    );
    Html { title: title.to_owned(), parts: Vec::new(), tail }
}

fn tags(html: &mut String, entry: &Entry) {
    for tag in entry.tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).take(TAGS_MAX) {
        let only = Search { tags: tag.to_owned(), ..Search::default() };
        let _ = write!(html, "<a class=\"tag\" href=\"{}\">{}</a>", Link(&only), Escaped(tag));
    }
}

fn live_begin(html: &mut String, entry: &Entry) {
    let _ = write!(html, "<p class=\"live\" data-live=\"{}\">", Escaped(&entry.info_hash));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_registered_can_become_markup() {
        let evil = "\"><script>alert('x')</script>&\u{202e}gpj.exe";
        let text = || evil.to_owned();
        let row = Entry {
            info_hash: "ab".repeat(20),
            name: text(),
            description: text(),
            publisher: text(),
            license: text(),
            category: text(),
            tags: text(),
            kind: text(),
            ..Entry::default()
        };
        let search =
            Search { text: text(), category: text(), publisher: text(), tags: text(), ..Search::default() };
        let old = Entry { info_hash: text(), kind: String::new(), ..row.clone() };
        let around = Surroundings { has_file: true, trackers: &[text()] };
        for page in [
            list(&search, &[row.clone(), old.clone()], 99),
            list(&search, &[], 0),
            entry(&row, around),
            entry(&old, around),
            problem(evil, evil),
        ] {
            let whole: String =
                page.parts.iter().map(|part| part.html.as_str()).chain([page.tail.as_str()]).collect();
            assert!(whole.contains("&lt;script&gt;"), "{whole}");
            assert!(!whole.contains("<script") && !whole.contains('\u{202e}'), "{whole}");
            // An attribute is never left early: its quotes come in pairs outside the text.
            assert!(!whole.contains("\"\">") || !whole.contains("x')"), "{whole}");
        }
    }
}
