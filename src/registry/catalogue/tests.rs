//! The catalogue against a naive model: seeded sequences of changes, then every kind of search on both.

use super::super::search::{Search, Sort, fold};
use super::{Catalogue, Listing};
use crate::base::{Rng, V1Hash};
use std::cmp::Reverse;
use std::collections::BTreeMap;

type Model = BTreeMap<i64, (Listing, u32)>;

const NAMES: [&str; 8] =
    ["Linux", "linux live", "ÄRZTE 100%", "a_b", "", "Ärzte\\live", "inux-li.l", "[x86_64].iso"];
const TEXTS: [&str; 32] = [
    "",
    "",
    "",
    "",
    "",
    "",
    "l",
    "LI",
    "x",
    "6",
    "live",
    "ä",
    "rzte 1",
    "%",
    "_",
    "\\",
    "-",
    "linux l",
    "linux live",
    "live ",
    " live",
    "Linuxl",
    "x-l",
    ".l",
    "86_64",
    "].",
    "4].iso",
    " 17",
    "l 5",
    " 1234 ",
    "0",
    "nothing here",
];
const SHELVES: [&str; 3] = ["", "Video", "video"];
const TAGS: [&str; 4] = ["", "a,b", "A,c%", "x_y"];

/// `seconds`: in how many of them everything was registered.
fn listing(rng: &mut Rng, row: i64, seconds: u32) -> Listing {
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.below(from.len() as u32) as usize].to_owned();
    Listing {
        row,
        info_hash: format!("{:040x}", (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        // Words of many names, of few and of one.
        name: format!("{}{} {} {row}", pick(rng, &NAMES), pick(rng, &NAMES), rng.below(200)),
        category: pick(rng, &SHELVES),
        // So few that their names are looked at one by one.
        publisher: if rng.below(60) == 0 { "rare".to_owned() } else { pick(rng, &SHELVES) },
        tags: pick(rng, &TAGS),
        created_at: i64::from(rng.below(seconds)),
        completions: u64::from(rng.below(3)),
    }
}

fn search(rng: &mut Rng) -> Search {
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.below(from.len() as u32) as usize].to_owned();
    let sorts = [Sort::CreatedAt, Sort::Completions, Sort::Seeders];
    Search {
        text: pick(rng, &TEXTS),
        category: pick(rng, &["", "", "Video", "VIDEO"]),
        publisher: pick(rng, &["", "", "video", "rare"]),
        tags: pick(rng, &["", "", "a", "B,", "%", "_"]),
        sort: sorts[rng.below(3) as usize],
        limit: rng.below(100) + 1,
        offset: u64::from(rng.below(4) * rng.below(700)),
    }
}

fn expected(model: &Model, search: &Search) -> (Vec<i64>, u64) {
    let exact = |want: &str, is: &str| want.is_empty() || want == is;
    let mut matches: Vec<_> = model
        .values()
        .filter(|(entry, _)| {
            fold(&entry.name).contains(&fold(&search.text))
                && exact(&search.category, &entry.category)
                && exact(&search.publisher, &entry.publisher)
                && entry.tags.to_ascii_lowercase().contains(&search.tags.to_ascii_lowercase())
        })
        .collect();
    matches.sort_by_key(|(entry, seeders)| {
        let value = match search.sort {
            Sort::CreatedAt => 0,
            Sort::Completions => entry.completions,
            Sort::Seeders => u64::from(*seeders),
        };
        (Reverse(value), Reverse(entry.created_at), entry.info_hash.clone())
    });
    let page = matches.iter().skip(search.offset as usize).take(search.limit as usize);
    (page.map(|(entry, _)| entry.row).collect(), matches.len() as u64)
}

fn change(rng: &mut Rng, seconds: u32, catalogue: &mut Catalogue, model: &mut Model) {
    // More than are looked at together.
    let row = i64::from(rng.below(2500));
    match rng.below(8) {
        0 | 1 => {
            catalogue.remove(row);
            model.remove(&row);
        }
        2 => {
            let seeders = rng.below(4);
            let info_hash = listing(&mut rng.clone(), row, seconds).info_hash;
            let key = V1Hash::from_hex(info_hash.as_bytes()).expect("40 hex digits").key();
            catalogue.set_seeders(key, seeders);
            if let Some(known) = model.get_mut(&row) {
                known.1 = seeders;
            }
        }
        3 => {
            let completions = u64::from(rng.below(9));
            catalogue.set_completions(row, completions);
            if let Some(known) = model.get_mut(&row) {
                known.0.completions = completions;
            }
        }
        _ => {
            let listing = listing(rng, row, seconds);
            catalogue.store(&listing);
            let seeders = model.get(&row).map_or(0, |known| known.1);
            model.insert(row, (listing, seeders));
        }
    }
}

#[test]
fn every_search_agrees_with_a_naive_model_after_any_changes() {
    for seed in 0..12 {
        let (mut rng, mut catalogue, mut model) = (Rng::new(seed), Catalogue::default(), Model::new());
        let seconds = [1, 5, 3000, u32::MAX][seed as usize % 4];
        for _ in 0..30 {
            for _ in 0..150 {
                change(&mut rng, seconds, &mut catalogue, &mut model);
            }
            for _ in 0..4 {
                let search = search(&mut rng);
                let found = catalogue.find(&search);
                assert_eq!((found.rows, found.total), expected(&model, &search), "seed {seed}, {search:?}");
            }
        }
        assert_eq!(catalogue.len(), model.len());
    }
}

/// Every page of a ranking, one after the other: nothing twice, nothing left out, also where the numbers that entries
/// are ranked by are as far apart as they can be.
#[test]
fn pages_put_together_are_the_whole_ranking() {
    let (mut rng, mut catalogue, mut model) = (Rng::new(1), Catalogue::default(), Model::new());
    for row in 0..3000 {
        let mut listing = listing(&mut rng, row, 5);
        (listing.created_at, listing.completions) = match row % 3 {
            0 => (u32::MAX.into(), u32::MAX.into()),
            1 => (i64::from(rng.below(2)), 0),
            _ => (listing.created_at, u64::from(rng.below(70_000))),
        };
        catalogue.store(&listing);
        model.insert(row, (listing, 0));
    }
    for sort in [Sort::CreatedAt, Sort::Completions, Sort::Seeders] {
        for text in ["", "l"] {
            let page =
                |offset, limit| Search { text: text.to_owned(), sort, limit, offset, ..Search::default() };
            let (whole, total) = expected(&model, &page(0, 3000));
            for offset in (0..total + 90).step_by(90) {
                let found = catalogue.find(&page(offset, 90));
                let rows = whole.iter().skip(offset as usize).take(90).copied();
                assert_eq!((found.rows, found.total), (rows.collect(), total), "{sort:?} {text:?} {offset}");
            }
            let counted = catalogue.find(&page(2000, 0));
            assert_eq!((counted.rows, counted.total), (Vec::new(), total));
        }
    }
}

#[test]
fn odd_rows_are_found_and_never_ranked_by_anothers_seeders() {
    let mut catalogue = Catalogue::default();
    for (row, info_hash) in [(1, "odd"), (2, "")] {
        let (info_hash, name) = (info_hash.to_owned(), "old".to_owned());
        catalogue.store(&Listing { row, info_hash, name, ..Listing::default() });
    }
    let all = Search { text: "OLD".to_owned(), limit: 50, ..Search::default() };
    assert_eq!(catalogue.find(&all).total, 2);
    catalogue.set_seeders(crate::base::SwarmKey([0; 20]), 5);
    assert_eq!(catalogue.find(&Search { sort: Sort::Seeders, ..all }).rows, [2, 1]);
}
