//! The rules of web seeds, row by row.

use super::*;
use weightless::torrent::Metainfo;

const PIECE: u64 = 1 << 20;
const SECOND: Millis = 1000;

/// A v1 torrent with pieces of 1 MiB: one file called like it, or a directory of files by path (`/` between
/// components) and length; a path that begins with `.pad` is a pad.
fn content(name: &str, files: &[(&str, u64)]) -> Arc<Content> {
    let text = |text: &str| format!("{}:{text}", text.len());
    let total: u64 = files.iter().map(|file| file.1).sum();
    let body = match files {
        [("", length)] => format!("6:lengthi{length}e"),
        files => {
            let entry = |(path, length): &(&str, u64)| {
                let attr = if path.starts_with(".pad") { "4:attr1:p" } else { "" };
                let path: String = path.split('/').map(text).collect();
                format!("d{attr}6:lengthi{length}e4:pathl{path}ee")
            };
            format!("5:filesl{}e", files.iter().map(entry).collect::<String>())
        }
    };
    let pieces = "x".repeat(20 * total.div_ceil(PIECE) as usize);
    let info = format!("d{body}4:name{}12:piece lengthi{PIECE}e6:pieces{}e", text(name), text(&pieces));
    let metainfo = Metainfo::read_info(info.as_bytes()).expect("a torrent");
    Arc::new(Content::torrent(metainfo))
}

fn single(pieces: u64) -> Arc<Content> {
    content("f.bin", &[("", pieces * PIECE)])
}

/// Whoever keeps the pieces: hands out the longest gap.
struct Pieces {
    free: Vec<bool>,
}

impl Pieces {
    fn all(content: &Content) -> Self {
        Self { free: vec![true; content.piece_count() as usize] }
    }

    fn give(&mut self, wanted: &Wanted<'_>) -> Option<Range<u32>> {
        let mut best = 0..0;
        let mut start = 0;
        for piece in 0..=self.free.len() {
            let usable = self.free.get(piece).is_some_and(|free| *free && (wanted.can)(piece as u32));
            if !usable {
                if piece - start > best.len() {
                    best = start..piece;
                }
                start = piece + 1;
            }
        }
        let end = best.end.min(best.start + wanted.pieces_max as usize);
        let range = best.start..end;
        self.free.get_mut(range.clone())?.fill(false);
        (!range.is_empty()).then_some(range.start as u32..range.end as u32)
    }

    fn take_back(&mut self, upshot: &Upshot) {
        for range in &upshot.released {
            self.free[range.start as usize..range.end as usize].fill(true);
        }
    }
}

struct Bench {
    seeds: Webseeds,
    pieces: Pieces,
    now: Millis,
}

impl Bench {
    fn new(urls: &[&str], content: &Arc<Content>) -> Self {
        let urls = urls.iter().map(|url| ((*url).to_owned(), false)).collect();
        Self { seeds: Webseeds::new(urls, Arc::clone(content)), pieces: Pieces::all(content), now: 1 }
    }

    fn poll(&mut self) -> Vec<Fetch> {
        let mut out = Vec::new();
        self.seeds.poll(self.now, &mut |wanted| self.pieces.give(&wanted), &mut out);
        out
    }

    fn event(&mut self, event: WebEvent) -> (Upshot, Vec<Fetch>) {
        let mut out = Vec::new();
        let upshot = self.seeds.event(self.now, &event, &mut out);
        self.pieces.take_back(&upshot);
        (upshot, out)
    }

    /// Brings all of a fetch; gives what comes next in its run.
    fn complete(&mut self, fetch: &Fetch) -> Vec<Fetch> {
        let bytes = vec![0; (fetch.range.end - fetch.range.start) as usize];
        let (upshot, _) = self.event(WebEvent::Data { id: fetch.id, at: fetch.range.start, bytes });
        assert!(upshot.stream_at.is_some());
        self.event(WebEvent::Done { id: fetch.id }).1
    }

    fn fail(&mut self, id: u64, why: WebProblem) -> Upshot {
        self.event(WebEvent::Failed { id, why }).0
    }

    fn busy(&mut self, id: u64, retry_after_s: Option<u32>) -> Upshot {
        self.fail(id, WebProblem::Busy { why: "HTTP 503".into(), retry_after_s })
    }
}

fn lacking() -> WebProblem {
    WebProblem::Unavailable("HTTP 404".into())
}

#[test]
fn urls_of_files() {
    let one = content("a b.bin", &[("", 5)]);
    for (url, there) in [
        ("http://h/x", "http://h/x"),
        ("http://h/x?y=/", "http://h/x?y=/"),
        ("http://h/", "http://h/a%20b.bin"),
        ("http://h/d/?k=1", "http://h/d/a%20b.bin?k=1"),
    ] {
        assert_eq!(url::of_file(url, &one, 0), there);
    }
    let dir = content("dir", &[("é.bin", 5), ("s/a~b+c", 5)]);
    for (url, file, there) in [
        ("http://h", 0, "http://h/dir/%C3%A9.bin"),
        ("http://h/", 0, "http://h/dir/%C3%A9.bin"),
        ("http://h/x", 1, "http://h/x/dir/s/a~b%2Bc"),
        ("http://h/x?k=1", 1, "http://h/x/dir/s/a~b%2Bc?k=1"),
    ] {
        assert_eq!(url::of_file(url, &dir, file), there);
    }
}

#[test]
fn seeds_stand_once_http_only_and_there_is_a_bound() {
    let content = single(1);
    let count = |urls: Vec<String>| {
        let urls = urls.into_iter().map(|url| (url, false)).collect();
        Webseeds::new(urls, Arc::clone(&content)).status().count()
    };
    assert_eq!(count(vec!["http://a/".into(), "http://a/".into(), "ftp://b/".into(), "https://c".into()]), 2);
    for (urls, kept) in [(SEEDS_MAX, SEEDS_MAX), (SEEDS_MAX + 1, SEEDS_MAX)] {
        assert_eq!(count((0..urls).map(|n| format!("http://s{n}/")).collect()), kept);
    }
    assert!(Webseeds::new(Vec::new(), content).all_dropped());
}

#[test]
fn a_run_is_four_mebibytes_and_grows_with_the_rate_up_to_sixteen() {
    let content = single(100);
    let mut bench = Bench::new(&["http://h/f"], &content);
    let first = bench.poll();
    assert_eq!(first.len(), CONNECTIONS_PER_SEED_MAX);
    assert_eq!((first[0].range.clone(), first[0].file_bytes), (0..4 * PIECE, 100 * PIECE));
    assert_eq!(first[0].url, "http://h/f");
    bench.now += SECOND;
    assert_eq!(bench.complete(&first[0]), []);
    let next = bench.poll();
    assert_eq!(next[0].range, 16 * PIECE..24 * PIECE, "4 MiB a second: 8 MiB");
    bench.now += 1;
    bench.complete(&next[0]);
    assert_eq!(bench.poll()[0].range, 24 * PIECE..40 * PIECE);
    let large = content_with_large_pieces();
    let mut bench = Bench::new(&["http://h/f"], &large);
    assert_eq!(bench.poll()[0].range, 0..32 << 20, "at least a piece");
}

fn content_with_large_pieces() -> Arc<Content> {
    let length = 64 << 20;
    let info =
        format!("d6:lengthi{length}e4:name1:f12:piece lengthi{}e6:pieces40:{}e", length / 2, "x".repeat(40));
    Arc::new(Content::torrent(Metainfo::read_info(info.as_bytes()).expect("a torrent")))
}

#[test]
fn four_connections_to_a_seed_and_sixteen_in_all() {
    let content = single(1000);
    let urls: Vec<String> = (0..5).map(|n| format!("http://s{n}/f")).collect();
    let mut bench = Bench::new(&urls.iter().map(String::as_str).collect::<Vec<_>>(), &content);
    let fetches = bench.poll();
    assert_eq!(fetches.len(), CONNECTIONS_MAX);
    for seed in 0..4 {
        assert_eq!(fetches.iter().filter(|fetch| fetch.seed == seed).count(), CONNECTIONS_PER_SEED_MAX);
    }
    assert_eq!(bench.poll(), []);
}

#[test]
fn a_run_is_split_by_file_and_pads_are_skipped() {
    let pad = PIECE - 10;
    let content = content("dir", &[("a", 10), (".pad/1", pad), ("empty", 0), ("b", PIECE + 5), ("c", 7)]);
    let mut bench = Bench::new(&["http://h/"], &content);
    let a = bench.poll();
    assert_eq!((a.len(), a[0].url.as_str(), a[0].range.clone()), (1, "http://h/dir/a", 0..10));
    let b = bench.complete(&a[0]);
    assert_eq!((b[0].url.as_str(), b[0].range.clone()), ("http://h/dir/b", 0..PIECE + 5));
    let (upshot, _) = bench.event(WebEvent::Data { id: b[0].id, at: 0, bytes: vec![0; 9] });
    assert_eq!(upshot.stream_at, Some(PIECE));
    let upshot = bench.busy(b[0].id, None);
    assert_eq!(upshot.released, vec![1..3], "the first piece has come, pad and all");
    bench.now += 10 * SECOND;
    let again = bench.poll();
    assert_eq!((again[0].file, again[0].range.clone()), (2, 0..PIECE + 5));
    let c = bench.complete(&again[0]);
    assert_eq!((c[0].url.as_str(), c[0].range.clone()), ("http://h/dir/c", 0..7));
    assert_eq!(bench.complete(&c[0]), []);
    assert_eq!(bench.poll(), []);
}

#[test]
fn the_longest_gap_comes_first() {
    let content = single(20);
    let mut bench = Bench::new(&["http://h/f"], &content);
    bench.pieces.free[3] = false;
    assert_eq!(bench.poll()[0].range.start, 4 * PIECE);
}

#[test]
fn a_file_that_is_not_there_is_not_asked_for_again_and_without_any_the_seed_goes() {
    let content = content("dir", &[("a", 2 * PIECE), ("b", 2 * PIECE)]);
    let mut bench = Bench::new(&["http://h/"], &content);
    let a = bench.poll();
    let upshot = bench.fail(a[0].id, lacking());
    assert_eq!((upshot.released.as_slice(), upshot.dropped), (&[Range { start: 0, end: 4 }][..], None));
    let b = bench.poll();
    assert_eq!((b.len(), b[0].file, b[0].range.clone()), (1, 1, 0..2 * PIECE));
    let upshot = bench.fail(b[0].id, lacking());
    assert_eq!(upshot.dropped, Some((0, "HTTP 404".into())));
    assert_eq!(upshot.released, vec![2..4]);
    assert!(bench.seeds.all_dropped() && bench.poll().is_empty());
    assert_eq!(bench.seeds.status().next(), Some(("http://h/", Some("HTTP 404"))));
}

#[test]
fn a_busy_seed_is_left_alone_ever_longer_and_dropped_after_ten_times() {
    let content = single(4);
    let mut bench = Bench::new(&["http://h/f"], &content);
    for wait_s in [10, 20, 40, 80, 160, 320, 600, 600, 600] {
        let fetch = bench.poll().remove(0);
        assert_eq!(bench.busy(fetch.id, None).dropped, None);
        assert_eq!(bench.seeds.next_due(bench.now), Some(bench.now + wait_s * SECOND));
        bench.now += wait_s * SECOND - 1;
        assert_eq!(bench.poll(), []);
        bench.now += 1;
    }
    let fetch = bench.poll().remove(0);
    let upshot = bench.busy(fetch.id, None);
    assert_eq!(upshot.dropped, Some((0, "HTTP 503".into())));
    assert_eq!(bench.seeds.next_due(bench.now), None);
}

#[test]
fn retry_after_is_kept_within_reason_and_a_success_starts_over() {
    let content = single(100);
    let mut bench = Bench::new(&["http://h/f"], &content);
    for (retry_after_s, wait_s) in [(Some(30), 30), (Some(0), 1), (Some(u32::MAX), 600)] {
        let fetch = bench.poll().remove(0);
        for fetch in bench.seeds.runs.iter().map(|run| run.id).collect::<Vec<_>>() {
            bench.busy(fetch, retry_after_s);
        }
        assert!(fetch.id < 1000);
        assert_eq!(bench.seeds.next_due(bench.now), Some(bench.now + wait_s * SECOND));
        bench.now += wait_s * SECOND;
    }
    let fetches = bench.poll();
    assert_eq!(fetches.len(), 1, "one connection tries whether it is over");
    bench.complete(&fetches[0]);
    let fetches = bench.poll();
    assert_eq!(fetches.len(), CONNECTIONS_PER_SEED_MAX);
    for fetch in fetches {
        bench.busy(fetch.id, None);
    }
    assert_eq!(
        bench.seeds.next_due(bench.now),
        Some(bench.now + 10 * SECOND),
        "failing together counts once"
    );
}

#[test]
fn wrong_data_and_forbidden_urls_end_a_seed() {
    let content = single(100);
    let mut bench = Bench::new(&["http://a/f", "http://b/f"], &content);
    let fetches = bench.poll();
    let upshot = bench.seeds.wrong_data(0);
    assert_eq!(
        (upshot.dropped, upshot.released.len(), upshot.cancelled.len()),
        (Some((0, "wrong data".into())), 4, 4)
    );
    let (late, _) = bench.event(WebEvent::Data { id: fetches[0].id, at: 0, bytes: vec![0; 5] });
    assert_eq!(late, Upshot::default(), "what a dropped seed still brings is not wanted");
    assert_eq!(bench.seeds.wrong_data(0), Upshot::default());
    let other = fetches.iter().find(|fetch| fetch.seed == 1).expect("a fetch");
    let upshot = bench.fail(other.id, WebProblem::Forbidden("not there".into()));
    assert_eq!((upshot.dropped, upshot.cancelled.len()), (Some((1, "not there".into())), 3));
    assert!(bench.seeds.all_dropped());
}

#[test]
fn the_final_url_and_the_first_strong_tag_are_remembered() {
    let content = single(100);
    let mut bench = Bench::new(&["http://h/f"], &content);
    let fetches = bench.poll();
    assert_eq!(fetches[0].etag, None);
    for (fetch, etag) in fetches.iter().zip([Some("\"one\""), Some("\"two\""), None, None]) {
        let etag = etag.map(str::to_owned);
        bench.event(WebEvent::Began { id: fetch.id, etag, url: "http://mirror/f".into() });
    }
    bench.complete(&fetches[0]);
    let next = bench.poll().remove(0);
    assert_eq!((next.url.as_str(), next.etag.as_deref()), ("http://mirror/f", Some("\"one\"")));
}

#[test]
fn what_others_have_brought_is_given_up() {
    let content = single(100);
    let mut bench = Bench::new(&["http://h/f"], &content);
    let fetches = bench.poll();
    let upshot = bench.seeds.cancel(&(5..6));
    assert_eq!(upshot.cancelled, [fetches[1].id]);
    assert_eq!(upshot.released, [Range { start: 4, end: 8 }]);
    assert_eq!(bench.seeds.cancel(&(90..91)), Upshot::default());
}
