//! The URL of one file at a web seed (BEP 19).

use crate::content::Content;
use weightless::torrent::Shape;
use weightless::wire::tracker_client::push_escaped;

/// Where `file` is at the seed `url`. A single file: the URL as given, or with the name behind it when it ends in `/`.
/// A directory: the URL, a `/` if it has none, the name, and the path. A query stays at the end.
pub fn of_file(url: &str, content: &Content, file: usize) -> String {
    let Some(metainfo) = content.metainfo() else { return url.to_owned() };
    let url = url.split('#').next().unwrap_or_default();
    let (front, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let is_single = metainfo.shape() == Shape::SingleFile;
    if is_single && !front.ends_with('/') {
        return url.to_owned();
    }
    let mut out = front.as_bytes().to_vec();
    if !front.ends_with('/') {
        out.push(b'/');
    }
    push_escaped(&mut out, metainfo.name());
    if let (false, Some(file)) = (is_single, metainfo.files().get(file)) {
        for component in metainfo.path(file) {
            out.push(b'/');
            push_escaped(&mut out, component);
        }
    }
    // The parts were a str, or are ASCII.
    String::from_utf8_lossy(&out).into_owned() + query
}
