//! A registry of any size: rows that are always the same for one number, and every kind of search over them.

/// One entry.
pub struct Entry {
    /// Its v2 hash.
    pub info_hash: String,
    /// What it is called.
    pub name: String,
    /// One of four.
    pub category: &'static str,
    /// One of a thousand.
    pub publisher: String,
    /// Two of 24 words.
    pub tags: String,
}

impl Entry {
    /// The entry of this number.
    pub fn of(row: u32) -> Self {
        let mut chance = fastrand::Rng::with_seed(u64::from(row));
        let mut word = || WORDS[chance.usize(..WORDS.len())];
        let name =
            format!("{} {} {} {} - part {row} (2026) [x86_64].tar.zst", word(), word(), word(), word());
        let tags = format!("{},{}", word(), word());
        Self {
            info_hash: format!("{:016x}", u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(4),
            name,
            category: SHELVES[chance.usize(..SHELVES.len())],
            publisher: format!("publisher {}", chance.u32(..1000)),
            tags,
        }
    }

    /// The body that registers it.
    pub fn json(&self) -> String {
        let Self { info_hash, name, category, publisher, tags } = self;
        format!(
            r#"{{"info_hash":"{info_hash}","name":"{name}","category":"{category}","publisher":"{publisher}","tags":"{tags}"}}"#
        )
    }
}

/// Every kind of search: its name and its query.
pub fn kinds(rows: u32) -> [(&'static str, String); 15] {
    [
        ("newest", String::new()),
        ("most-completed", "sort=completions".into()),
        ("most-seeded", "sort=seeders".into()),
        ("one-letter", "q=x".into()),
        ("two-letters", "q=li".into()),
        ("common-word", "q=linux".into()),
        ("common-word-most-seeded", "q=linux&sort=seeders".into()),
        ("two-words", "q=linux+kernel".into()),
        ("one-entry", format!("q=part+{}+", rows / 2)),
        ("nothing", "q=quetzalcoatl".into()),
        ("category", "category=audio".into()),
        ("publisher-and-word", "publisher=publisher+7&q=linux".into()),
        ("tags", "tags=genome".into()),
        ("hundred-rows", "q=linux&limit=100".into()),
        ("deep-page", format!("offset={}", rows / 2)),
    ]
}

const SHELVES: [&str; 4] = ["video", "audio", "data", "books"];
const WORDS: [&str; 24] = [
    "linux",
    "debian",
    "ubuntu",
    "fedora",
    "archive",
    "dataset",
    "corpus",
    "wiki",
    "dump",
    "satellite",
    "genome",
    "climate",
    "lecture",
    "concert",
    "public",
    "domain",
    "open",
    "movie",
    "audio",
    "book",
    "map",
    "kernel",
    "image",
    "sensor",
];
