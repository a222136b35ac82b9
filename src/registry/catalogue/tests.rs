//! The catalogue against a naive model: seeded sequences of changes, then every kind of search on both.

use super::super::search::{Search, Sort, fold};
use super::{Catalogue, Listing};
use crate::base::{Rng, V1Hash};
use std::cmp::Reverse;
use std::collections::BTreeMap;

type Model = BTreeMap<i64, (Listing, u32)>;

const NAMES: [&str; 6] = ["Linux", "linux live", "ÄRZTE 100%", "a_b", "", "Ärzte\\live"];
const SHELVES: [&str; 3] = ["", "Video", "video"];
const TAGS: [&str; 4] = ["", "a,b", "A,c%", "x_y"];

fn listing(rng: &mut Rng, row: i64) -> Listing {
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.below(from.len() as u32) as usize].to_owned();
    Listing {
        row,
        info_hash: format!("{:040x}", (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        name: pick(rng, &NAMES) + &pick(rng, &NAMES),
        category: pick(rng, &SHELVES),
        // So few that their names are looked at one by one.
        publisher: if rng.below(60) == 0 { "rare".to_owned() } else { pick(rng, &SHELVES) },
        tags: pick(rng, &TAGS),
        created_at: i64::from(rng.below(5)),
        completions: u64::from(rng.below(3)),
    }
}

fn search(rng: &mut Rng) -> Search {
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.below(from.len() as u32) as usize].to_owned();
    let sorts = [Sort::CreatedAt, Sort::Completions, Sort::Seeders];
    Search {
        text: pick(rng, &["", "", "l", "LI", "live", "ä", "%", "_", "\\", "linux l", "nothing here"]),
        category: pick(rng, &["", "", "Video", "VIDEO"]),
        publisher: pick(rng, &["", "", "video", "rare"]),
        tags: pick(rng, &["", "", "a", "B,", "%", "_"]),
        sort: sorts[rng.below(3) as usize],
        limit: rng.below(100) + 1,
        offset: u64::from(rng.below(4) * rng.below(400)),
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

fn change(rng: &mut Rng, catalogue: &mut Catalogue, model: &mut Model) {
    // More than are looked at together.
    let row = i64::from(rng.below(2500));
    match rng.below(8) {
        0 | 1 => {
            catalogue.remove(row);
            model.remove(&row);
        }
        2 => {
            let seeders = rng.below(4);
            let info_hash = listing(&mut rng.clone(), row).info_hash;
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
            let listing = listing(rng, row);
            catalogue.store(&listing);
            let seeders = model.get(&row).map_or(0, |known| known.1);
            model.insert(row, (listing, seeders));
        }
    }
}

#[test]
fn every_search_agrees_with_a_naive_model_after_any_changes() {
    for seed in 0..10 {
        let (mut rng, mut catalogue, mut model) = (Rng::new(seed), Catalogue::default(), Model::new());
        for _ in 0..30 {
            for _ in 0..150 {
                change(&mut rng, &mut catalogue, &mut model);
            }
            let search = search(&mut rng);
            let found = catalogue.find(&search);
            assert_eq!((found.rows, found.total), expected(&model, &search), "seed {seed}, {search:?}");
        }
        assert_eq!(catalogue.len(), model.len());
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
