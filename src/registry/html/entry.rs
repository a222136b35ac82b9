//! The page of one entry: what it is, how to get it, who vouches for it.

use super::list::Link;
use super::text::{Encoded, Escaped, Grouped, Size};
use super::{Html, Part, live_begin, tags};
use crate::base::InfoHashes;
use crate::registry::entry::Entry;
use crate::registry::search::Search;
use crate::torrent::Magnet;
use crate::torrent::signature::Signature;
use std::fmt::Write;

/// What else a page about one entry needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Whether its file is stored.
    pub has_file: bool,
    /// Where clients announce.
    pub trackers: &'a [String],
}

/// The page of one entry.
pub fn entry(entry: &Entry, around: Surroundings<'_>) -> Html {
    let mut html = String::with_capacity(4096);
    let hash = Escaped(&entry.info_hash);
    let kind = if entry.kind.is_empty() { "torrent" } else { &entry.kind };
    let _ = write!(
        html,
        "<article class=\"entry\" data-hash=\"{hash}\" data-kind=\"{}\" data-file=\"{}\">\n\
         <p class=\"crumb\"><a href=\"./\">Registry</a></p>\n<h1>{}</h1>\n",
        Escaped(kind),
        u8::from(around.has_file),
        Escaped(&entry.name),
    );
    live_begin(&mut html, entry);
    let part = Part { html, hashes: entry.hashes() };
    let mut tail = String::with_capacity(2048);
    let _ = writeln!(tail, " <span class=\"n\">{} completed</span></p>", Grouped(entry.completions));
    if !entry.description.is_empty() {
        let _ = writeln!(tail, "<p class=\"description\">{}</p>", Escaped(&entry.description));
    }
    actions(&mut tail, entry, around);
    facts(&mut tail, entry, around);
    tail.push_str("</article>\n");
    Html { title: entry.name.clone(), parts: vec![part], tail }
}

fn actions(html: &mut String, entry: &Entry, around: Surroundings<'_>) {
    html.push_str("<p class=\"actions\">");
    let is_idt = !entry.kind.is_empty();
    if let (Some(hashes), false) = (entry.hashes(), is_idt) {
        let _ = write!(
            html,
            "<a class=\"button\" href=\"{}\">Open magnet link</a>",
            Escaped(&magnet(entry, hashes, around))
        );
    }
    if around.has_file {
        let suffix = if is_idt { ".idtorrent" } else { ".torrent" };
        let _ = write!(
            html,
            "<a class=\"button{}\" download href=\"api/registry/torrent?info_hash={}\">Download {suffix}</a>",
            if is_idt { "" } else { " quiet" },
            Encoded(&entry.info_hash)
        );
    }
    html.push_str("</p>\n");
    if !around.has_file {
        html.push_str(if is_idt {
            "<p class=\"hint\">Its file was not uploaded, so only those who have it can fetch the content.</p>\n"
        } else {
            "<p class=\"hint\">The .torrent was not uploaded; clients get it from seeders by the magnet link.</p>\n"
        });
    }
}

fn magnet(entry: &Entry, hashes: InfoHashes, around: Surroundings<'_>) -> String {
    let link =
        Magnet { name: Some(entry.name.clone()), trackers: around.trackers.to_vec(), ..Magnet::new(hashes) };
    link.to_string()
}

fn facts(html: &mut String, entry: &Entry, around: Surroundings<'_>) {
    html.push_str("<dl class=\"facts\">\n");
    if entry.size != 0 {
        let _ = writeln!(
            html,
            "<dt>Size</dt><dd>{} <span class=\"dim\">{} bytes</span></dd>",
            Size(entry.size),
            Grouped(entry.size)
        );
    }
    if !entry.category.is_empty() {
        let only = Search { category: entry.category.clone(), ..Search::default() };
        let _ = writeln!(
            html,
            "<dt>Category</dt><dd><a href=\"{}\">{}</a></dd>",
            Link(&only),
            Escaped(&entry.category)
        );
    }
    if !entry.tags.is_empty() {
        html.push_str("<dt>Tags</dt><dd class=\"tags\">");
        tags(html, entry);
        html.push_str("</dd>\n");
    }
    if !entry.publisher.is_empty() {
        let only = Search { publisher: entry.publisher.clone(), ..Search::default() };
        let _ = writeln!(
            html,
            "<dt>Publisher</dt><dd><a href=\"{}\">{}</a> <span class=\"dim\">as claimed</span></dd>",
            Link(&only),
            Escaped(&entry.publisher)
        );
    }
    if !entry.license.is_empty() {
        let _ = writeln!(html, "<dt>Licence</dt><dd>{}</dd>", Escaped(&entry.license));
    }
    if entry.kind.is_empty() {
        let _ = writeln!(html, "<dt>Signature</dt><dd>{}</dd>", Escaped(&signed(entry)));
    } else if entry.verified {
        html.push_str("<dt>Checked</dt><dd>confirmed by the operator of this tracker</dd>\n");
    }
    let hash = |html: &mut String, words: &str, value: &str| {
        let _ = writeln!(html, "<dt>{words}</dt><dd><code data-copy>{}</code></dd>", Escaped(value));
    };
    match (entry.hashes(), entry.kind.is_empty()) {
        (_, false) => hash(html, "File id", &entry.info_hash),
        (Some(InfoHashes::V1(_)), _) => hash(html, "Info hash, v1", &entry.info_hash),
        (Some(_), _) => hash(html, "Info hash, v2", &entry.info_hash),
        (None, _) => hash(html, "Name of an old row", &entry.info_hash),
    }
    if !entry.v1_info_hash.is_empty() && entry.v1_info_hash != entry.info_hash {
        hash(html, "Info hash, v1", &entry.v1_info_hash);
    }
    if let (Some(hashes), true) = (entry.hashes(), entry.kind.is_empty()) {
        hash(html, "Magnet link", &magnet(entry, hashes, around));
    }
    let base = around.trackers.first().and_then(|url| url.strip_suffix("/announce")).unwrap_or_default();
    let tracker = if base.is_empty() { String::new() } else { format!(" --tracker {base}") };
    hash(html, "On a command line", &format!("wl get {}{tracker}", entry.info_hash));
    html.push_str("</dl>\n");
}

/// What a signature says, and what it does not (signing.md, section 3).
fn signed(entry: &Entry) -> String {
    let confirmed = "publisher confirmed by the operator of this tracker";
    if entry.signature.is_empty() {
        let also = if entry.verified { format!("; {confirmed}") } else { String::new() };
        return format!("not signed{also}");
    }
    let verdict = Signature::from_hex(entry.publisher_key.as_bytes(), entry.signature.as_bytes())
        .zip(entry.hashes())
        .map(|(signature, hashes)| signature.verify(&hashes));
    match verdict {
        None => "INVALID signature: malformed signature".to_owned(),
        Some(Err(why)) => format!("INVALID signature: {why}"),
        Some(Ok(_)) => {
            let weak = if entry.info_hash.len() == 40 { "; weak: SHA-1 only" } else { "" };
            let key = &entry.publisher_key;
            if entry.verified {
                format!("signed by key {key}; {confirmed}{weak}")
            } else {
                format!("signed by key {key} (identity not checked){weak}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_never_more_than_it_is() {
        let entry = |key: &str, signature: &str, verified| Entry {
            info_hash: "e331e866830976d21f48440f768fb41ff850ebb5891eff2259455511a7ad47e7".to_owned(),
            v1_info_hash: "efb5faac75b001de8b0472d25a0681503dde90f0".to_owned(),
            publisher_key: key.to_owned(),
            signature: signature.to_owned(),
            verified,
            ..Entry::default()
        };
        let key = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
        let good = "22ab78f140ff91122ffba36a057e2205a58e55c3f9fb754f7c8c84889a03a2ace7c66605178fbec51db4df245e91825ff9c3ab75b43e9e79fed3674ef48a6b0b";
        assert_eq!(signed(&entry("", "", false)), "not signed");
        assert_eq!(signed(&entry(key, good, false)), format!("signed by key {key} (identity not checked)"));
        assert_eq!(
            signed(&entry(key, good, true)),
            format!("signed by key {key}; publisher confirmed by the operator of this tracker")
        );
        let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(signed(&entry(other, good, true)), "INVALID signature: signature does not match");
        assert_eq!(signed(&entry("zz", good, true)), "INVALID signature: malformed signature");
    }
}
