//! Random registrations, takedowns and pardons against a naive model: same answers, same entries, and the same again
//! after a restart. Prints the seed when it fails.

use super::support::*;
use std::collections::{BTreeMap, BTreeSet};
use weightless::base::Rng;

/// Entries by their primary key with their v1 hash, and blocked names with their partner. Hashes are numbers: a v2
/// hash and the v1 hash of the same number share their 20-byte key.
#[derive(Default)]
struct Model {
    entries: BTreeMap<String, Option<u32>>,
    blocked: BTreeMap<String, Option<String>>,
}

impl Model {
    fn keys(primary: &str, v1: Option<u32>) -> BTreeSet<String> {
        v1.map(short).into_iter().chain([primary[..40].to_owned()]).collect()
    }

    fn is_blocked(&self, keys: &BTreeSet<String>) -> bool {
        self.blocked.keys().any(|name| keys.contains(&name[..40]))
    }

    fn register(&mut self, primary: &str, v1: Option<u32>) -> u16 {
        let kept = self.entries.get(primary).copied().flatten();
        let v1 = v1.or(kept);
        let keys = Self::keys(primary, v1);
        if self.is_blocked(&keys) {
            return 403;
        }
        let taken = |(other, v1): (&String, &Option<u32>)| {
            other != primary && !Self::keys(other, *v1).is_disjoint(&keys)
        };
        if self.entries.iter().any(taken) {
            return 409;
        }
        self.entries.insert(primary.to_owned(), v1);
        201
    }

    fn find(&self, hash: &str) -> Option<String> {
        if self.entries.contains_key(hash) {
            return Some(hash.to_owned());
        }
        if hash.len() == 64 {
            return None;
        }
        let names = |(entry, v1): &(&String, &Option<u32>)| Self::keys(entry, **v1).contains(hash);
        self.entries.iter().find(names).map(|(entry, _)| entry.clone())
    }

    fn takedown(&mut self, hash: &str) {
        let sharing = |(entry, v1): &(&String, &Option<u32>)| Self::keys(entry, **v1).contains(&hash[..40]);
        let by_key = || self.entries.iter().find(sharing).map(|(entry, _)| entry.clone());
        let Some(entry) = self.find(hash).or_else(by_key) else {
            self.blocked.entry(hash.to_owned()).or_default();
            return;
        };
        let v1 = self.entries.remove(&entry).flatten().map(short).filter(|_| entry.len() == 64);
        for (name, pair) in [(Some(entry.clone()), v1.clone()), (v1, Some(entry))] {
            if let Some(name) = name {
                let known = self.blocked.entry(name).or_default();
                *known = known.take().or(pair);
            }
        }
    }

    fn unblock(&mut self, hash: &str) -> u16 {
        let mut names: Vec<String> =
            self.blocked.keys().filter(|name| name[..40] == hash[..40]).cloned().collect();
        if names.is_empty() {
            return 404;
        }
        let partners: Vec<_> = names.iter().filter_map(|name| self.blocked[name].clone()).collect();
        names.extend(partners);
        for name in names {
            self.blocked.remove(&name);
        }
        200
    }
}

fn status(answer: weightless::registry::Answer) -> u16 {
    match answer {
        weightless::registry::Answer::Json { status, .. } => status,
        weightless::registry::Answer::Error(error) => error.status,
        other => panic!("{other:?}"),
    }
}

fn agree(desk: &mut Desk, model: &Model, seed: u64) {
    for n in 0..6 {
        for hash in [short(n), long(n)] {
            let known = matches!(desk.entry(&hash), weightless::registry::Answer::Entry(_));
            assert_eq!(known, model.find(&hash).is_some(), "seed {seed}, {hash}");
        }
    }
    assert_eq!(desk.search(text("")).1, model.entries.len() as u64, "seed {seed}");
}

#[test]
fn any_sequence_of_changes_agrees_with_the_model_and_survives_a_restart() {
    for seed in 0..12 {
        let (_directory, path) = place();
        let (mut desk, mut model, mut rng) = (Desk::file(&path), Model::default(), Rng::new(seed));
        for step in 0..120 {
            let hash = if rng.below(2) == 0 { short(rng.below(6)) } else { long(rng.below(6)) };
            match rng.below(8) {
                0 => {
                    assert_eq!(status(desk.takedown(&hash, "").0), 200);
                    model.takedown(&hash);
                }
                1 | 2 => assert_eq!(status(desk.unblock(&hash).0), model.unblock(&hash), "seed {seed}"),
                _ => {
                    let v1 = (hash.len() == 64 && rng.below(2) == 0).then(|| rng.below(6));
                    let mut body = serde_json::json!({ "info_hash": hash, "name": "n" });
                    if let Some(v1) = v1 {
                        body["v1_info_hash"] = short(v1).into();
                    }
                    let answer = desk.register(&body.to_string());
                    assert_eq!(status(answer), model.register(&hash, v1), "seed {seed}, step {step}, {body}");
                }
            }
            if step % 40 == 39 {
                agree(&mut desk, &model, seed);
                desk.close();
                desk = Desk::file(&path);
                assert_eq!(desk.loaded.registered.len(), model.entries.len(), "seed {seed}");
                agree(&mut desk, &model, seed);
            }
        }
        desk.close();
    }
}
