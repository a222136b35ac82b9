//! Torrents made by hand for the strict reader's tests: right ones, from the oracle's rules in the plainest form, and
//! a way to break them one key at a time. Nothing is sorted or checked here.

use weightless::torrent::{merkle, v1_hash};

/// A bencoded value in the order it is written.
#[derive(Clone)]
pub enum B {
    I(i64),
    S(Vec<u8>),
    L(Vec<B>),
    D(Vec<(Vec<u8>, B)>),
    /// Bytes that go out as they are.
    Raw(&'static [u8]),
}

pub fn s(text: impl AsRef<[u8]>) -> B {
    B::S(text.as_ref().to_vec())
}

pub fn d<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, B)>) -> B {
    B::D(entries.into_iter().map(|(key, value)| (key.as_ref().to_vec(), value)).collect())
}

impl B {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            B::I(n) => format!("i{n}e").into_bytes(),
            B::S(bytes) => [format!("{}:", bytes.len()).as_bytes(), bytes].concat(),
            B::L(items) => {
                [b"l".to_vec(), items.iter().flat_map(B::encode).collect(), b"e".to_vec()].concat()
            }
            B::D(entries) => {
                let inside = entries
                    .iter()
                    .flat_map(|(key, value)| [B::S(key.clone()).encode(), value.encode()].concat());
                [b"d".to_vec(), inside.collect(), b"e".to_vec()].concat()
            }
            B::Raw(bytes) => bytes.to_vec(),
        }
    }

    /// The value of a key; the key must be there.
    pub fn at(&mut self, key: &str) -> &mut B {
        let B::D(entries) = self else { panic!("not a dictionary") };
        &mut entries.iter_mut().find(|(name, _)| name == key.as_bytes()).expect("key is there").1
    }

    /// Sets a key, in sorted place.
    pub fn set(&mut self, key: &str, value: B) {
        self.remove(key);
        let B::D(entries) = self else { panic!("not a dictionary") };
        let at = entries.partition_point(|(name, _)| name.as_slice() < key.as_bytes());
        entries.insert(at, (key.as_bytes().to_vec(), value));
    }

    pub fn remove(&mut self, key: &str) {
        let B::D(entries) = self else { panic!("not a dictionary") };
        entries.retain(|(name, _)| name != key.as_bytes());
    }

    pub fn items(&mut self) -> &mut Vec<B> {
        let B::L(items) = self else { panic!("not a list") };
        items
    }
}

/// Byte i of every file is `i % 251`.
pub fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

pub const PL: usize = 16384;

fn leaf(length: usize) -> B {
    if length == 0 {
        return d([("", d([("length", B::I(0))]))]);
    }
    let (root, _) = tree(length);
    d([("", d([("length", B::I(length as i64)), ("pieces root", s(root))]))])
}

/// Root and layer at one block per piece.
pub fn tree(length: usize) -> (merkle::Hash, Vec<merkle::Hash>) {
    let leaves: Vec<_> = data(length).chunks(PL).map(merkle::leaf).collect();
    (merkle::file_root(leaves.clone(), PL as u32), leaves)
}

/// A hybrid single file `f`.
pub fn hybrid_file(length: usize) -> B {
    let pieces: Vec<u8> = data(length).chunks(PL).flat_map(|piece| v1_hash(piece).0).collect();
    let (root, layer) = tree(length);
    let layers = if length > PL { vec![(root.to_vec(), s(layer.concat()))] } else { vec![] };
    d([
        (
            "info",
            d([
                ("file tree", d([("f", leaf(length))])),
                ("length", B::I(length as i64)),
                ("meta version", B::I(2)),
                ("name", s("f")),
                ("piece length", B::I(PL as i64)),
                ("pieces", s(pieces)),
            ]),
        ),
        ("piece layers", d(layers)),
    ])
}

/// A hybrid directory `n`: `a/b` 20000, `a.txt` 5, `e` 0, `z` 16385, each padded.
pub fn hybrid_dir() -> B {
    let mut stream = Vec::new();
    let mut files = Vec::new();
    for (path, length) in [(&["a", "b"][..], 20000), (&["a.txt"], 5), (&["e"], 0), (&["z"], 16385)] {
        files.push(d([("length", B::I(length as i64)), ("path", B::L(path.iter().map(s).collect()))]));
        stream.extend(data(length));
        let pad = stream.len().next_multiple_of(PL) - stream.len();
        if pad > 0 {
            files.push(pad_entry(pad));
            stream.resize(stream.len() + pad, 0);
        }
    }
    let pieces: Vec<u8> = stream.chunks(PL).flat_map(|piece| v1_hash(piece).0).collect();
    let mut layers: Vec<_> =
        [20000, 16385].map(tree).map(|(root, layer)| (root.to_vec(), s(layer.concat()))).into();
    layers.sort_by(|a, b| a.0.cmp(&b.0));
    d([
        (
            "info",
            d([
                (
                    "file tree",
                    d([
                        ("a", d([("b", leaf(20000))])),
                        ("a.txt", leaf(5)),
                        ("e", leaf(0)),
                        ("z", leaf(16385)),
                    ]),
                ),
                ("files", B::L(files)),
                ("meta version", B::I(2)),
                ("name", s("n")),
                ("piece length", B::I(PL as i64)),
                ("pieces", s(pieces)),
            ]),
        ),
        ("piece layers", d(layers)),
    ])
}

pub fn pad_entry(length: usize) -> B {
    let path = B::L(vec![s(".pad"), s(length.to_string())]);
    d([("attr", s("p")), ("length", B::I(length as i64)), ("path", path)])
}

/// A v1 single file `f` of `length` at 16 KiB.
pub fn v1_file(length: usize) -> B {
    let mut torrent = hybrid_file(length);
    torrent.remove("piece layers");
    torrent.at("info").remove("file tree");
    torrent.at("info").remove("meta version");
    torrent
}

/// The same as v2 only.
pub fn v2_of(mut torrent: B) -> B {
    for key in ["files", "length", "pieces"] {
        torrent.at("info").remove(key);
    }
    torrent
}
