//! One page of a search: the form, what was found, the way to the other pages.

use super::text::{Encoded, Escaped, Grouped, Size, summary};
use super::{Html, Part, live_begin, tags};
use crate::registry::entry::Entry;
use crate::registry::search::{Search, Sort};
use std::fmt::{self, Display, Write};

/// One page of a search.
pub fn list(search: &Search, rows: &[Entry], total: u64) -> Html {
    let mut parts: Vec<Part> = Vec::with_capacity(rows.len());
    let mut html = String::with_capacity(2048);
    form(&mut html, search);
    heading(&mut html, search, rows.len() as u64, total);
    if !rows.is_empty() {
        html.push_str("<ol class=\"entries\">\n");
    }
    for entry in rows {
        row(&mut html, entry);
        parts.push(Part { html: std::mem::take(&mut html), hashes: entry.hashes() });
        html.push_str("</p></li>\n");
    }
    if !rows.is_empty() {
        html.push_str("</ol>\n");
    }
    pages(&mut html, search, rows.len() as u64, total);
    let title = if search.text.is_empty() { "Browse".to_owned() } else { search.text.clone() };
    Html { title, parts, tail: html }
}

fn form(html: &mut String, search: &Search) {
    let _ = write!(
        html,
        "<form class=\"search\" role=\"search\" action=\"./\" method=\"get\">\n\
         <label class=\"grow\"><span class=\"visually-hidden\">Search by name</span>\
         <input type=\"search\" name=\"q\" value=\"{}\" placeholder=\"Search by name\" autocomplete=\"off\" \
         spellcheck=\"false\" maxlength=\"255\"></label>\n",
        Escaped(&search.text)
    );
    for (name, value) in
        [("category", &search.category), ("publisher", &search.publisher), ("tags", &search.tags)]
    {
        if !value.is_empty() {
            let _ = writeln!(html, "<input type=\"hidden\" name=\"{name}\" value=\"{}\">", Escaped(value));
        }
    }
    html.push_str("<label><span class=\"visually-hidden\">Order</span><select name=\"sort\">");
    for (sort, words) in [
        (Sort::CreatedAt, "Newest first"),
        (Sort::Seeders, "Most seeders"),
        (Sort::Completions, "Most downloaded"),
    ] {
        let selected = if search.sort == sort { " selected" } else { "" };
        let _ = write!(html, "<option value=\"{}\"{selected}>{words}</option>", sort.name());
    }
    html.push_str("</select></label>\n<button type=\"submit\">Search</button>\n</form>\n");
}

/// What is shown, and how to see more of it.
fn heading(html: &mut String, search: &Search, shown: u64, total: u64) {
    let narrowed = !(search.text.is_empty()
        && search.category.is_empty()
        && search.publisher.is_empty()
        && search.tags.is_empty());
    html.push_str("<div class=\"found\">");
    match (shown, total, narrowed) {
        (0, 0, false) => html.push_str(
            "<h1>Nothing here yet</h1></div>\n<div class=\"empty\"><p>This registry is empty. The first entry is \
             a drag and a drop away: <a href=\"#share\">share a file or a folder</a>, or run \
             <code>wl create</code> on your data.</p></div>\n",
        ),
        (0, 0, true) => html.push_str(
            "<h1>No match</h1></div>\n<div class=\"empty\"><p>Nothing in this registry fits. A part of a name is \
             enough; upper and lower case do not matter.</p></div>\n",
        ),
        (0, ..) => html.push_str("<h1>Past the last page</h1></div>\n"),
        _ => {
            let first = search.offset + 1;
            let _ = writeln!(
                html,
                "<h1>{} {}</h1><p>{} to {}</p></div>",
                Grouped(total),
                if total == 1 { "entry" } else { "entries" },
                Grouped(first),
                Grouped(search.offset + shown)
            );
        }
    }
    filters(html, search);
}

/// What narrows the search, each with the way out of it.
fn filters(html: &mut String, search: &Search) {
    let filters: Vec<_> = [
        ("category", "Category", &search.category),
        ("publisher", "Publisher", &search.publisher),
        ("tags", "Tag", &search.tags),
    ]
    .into_iter()
    .filter(|(_, _, value)| !value.is_empty())
    .collect();
    if filters.is_empty() {
        return;
    }
    html.push_str("<ul class=\"filters\" aria-label=\"Filters\">");
    for (name, words, value) in filters {
        let mut without = Search { offset: 0, ..search.clone() };
        match name {
            "category" => without.category.clear(),
            "publisher" => without.publisher.clear(),
            _ => without.tags.clear(),
        }
        let _ = write!(
            html,
            "<li><a href=\"{}\" aria-label=\"Remove filter {words} {value}\">{words}: <b>{value}</b> \
             <span aria-hidden=\"true\">×</span></a></li>",
            Link(&without),
            value = Escaped(value),
        );
    }
    html.push_str("</ul>\n");
}

fn row(html: &mut String, entry: &Entry) {
    let hash = Encoded(&entry.info_hash);
    let _ = writeln!(
        html,
        "<li><h2><a href=\"./?info_hash={hash}\">{}</a>{}</h2>",
        Escaped(&entry.name),
        if entry.kind.is_empty() { "" } else { " <span class=\"kind\">idtorrent</span>" }
    );
    if !entry.description.is_empty() {
        let _ = writeln!(html, "<p class=\"about\">{}</p>", Escaped(&summary(&entry.description)));
    }
    html.push_str("<p class=\"facts\">");
    if entry.size != 0 {
        let _ = write!(html, "<span>{}</span>", Size(entry.size));
    }
    if !entry.publisher.is_empty() {
        let _ = write!(html, "<span>{}</span>", Escaped(&entry.publisher));
    }
    if !entry.signature.is_empty() {
        html.push_str("<span>signed</span>");
    }
    if !entry.category.is_empty() {
        let only = Search { category: entry.category.clone(), ..Search::default() };
        let _ = write!(html, "<a href=\"{}\">{}</a>", Link(&only), Escaped(&entry.category));
    }
    tags(html, entry);
    html.push_str("</p>\n");
    live_begin(html, entry);
}

fn pages(html: &mut String, search: &Search, shown: u64, total: u64) {
    let step = u64::from(search.limit.max(1));
    let end = search.offset + shown;
    if search.offset == 0 && end >= total {
        return;
    }
    html.push_str("<nav class=\"pages\" aria-label=\"Pages\">");
    let mut to = |offset: u64, words: &str, rel: &str| {
        let there = Search { offset, ..search.clone() };
        let _ = write!(html, "<a rel=\"{rel}\" href=\"{}\">{words}</a>", Link(&there));
    };
    if search.offset > 0 {
        // From behind the end, the last page is the one before.
        let back = if shown == 0 {
            total.saturating_sub(1) / step * step
        } else {
            search.offset.saturating_sub(step)
        };
        to(back, "← Previous", "prev");
    }
    if shown > 0 && end < total {
        to(end, "Next →", "next");
    }
    html.push_str("</nav>\n");
}

/// The address of a search, ready for an attribute.
pub(super) struct Link<'a>(pub &'a Search);

impl Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let search = self.0;
        let mut sign = '?';
        f.write_str("./")?;
        let sort = if search.sort == Sort::default() { "" } else { search.sort.name() };
        for (name, value) in [
            ("q", search.text.as_str()),
            ("category", &search.category),
            ("publisher", &search.publisher),
            ("tags", &search.tags),
            ("sort", sort),
        ] {
            if !value.is_empty() {
                write!(f, "{sign}{name}={}", Encoded(value))?;
                sign = '&';
            }
        }
        if search.offset > 0 {
            write!(f, "{sign}offset={}", search.offset)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_to_each_other_and_keep_the_search() {
        let row = Entry { info_hash: "ab".repeat(20), name: "n".to_owned(), ..Entry::default() };
        let rows = vec![row; 25];
        let search = Search {
            text: "a b&c".to_owned(),
            sort: Sort::Seeders,
            limit: 25,
            offset: 25,
            ..Search::default()
        };
        let tail = list(&search, &rows, 60).tail;
        assert!(tail.contains("rel=\"prev\" href=\"./?q=a%20b%26c&sort=seeders\""), "{tail}");
        assert!(tail.contains("rel=\"next\" href=\"./?q=a%20b%26c&sort=seeders&offset=50\""), "{tail}");
        let last = list(&Search { offset: 50, ..search.clone() }, &rows[..10], 60).tail;
        assert!(last.contains("prev") && !last.contains("next"), "{last}");
        let beyond = list(&Search { offset: 5000, ..search }, &[], 60).tail;
        assert!(beyond.contains("offset=50\">← Previous"), "{beyond}");
        assert!(!list(&Search { limit: 25, ..Search::default() }, &rows, 25).tail.contains("<nav"));
    }
}
