//! Choosing the files of a torrent: which are taken, under which names, in which order; what is skipped with a warning
//! and what ends the work.

use super::glob::Glob;
use crate::failure::Failure;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use unicode_normalization::UnicodeNormalization;
use weightless::torrent::names;
use weightless::torrent::{Shape, TOTAL_BYTES_MAX};

/// What to do with symlinks below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Leave them out, with a warning.
    Skip,
    /// Take what they point to, as long as it lies inside the directory.
    Follow,
    /// Refuse to go on.
    Error,
}

/// How files are chosen.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What to leave out.
    pub exclude: Vec<Glob>,
    /// What to do with symlinks.
    pub symlinks: Symlinks,
    /// Take names that are not UTF-8 as they are.
    pub raw_names: bool,
    /// The output file, which is left out of its own torrent.
    pub output: Option<PathBuf>,
}

/// The files of a torrent to be.
#[derive(Clone, Debug)]
pub struct Tree {
    /// A file or a directory.
    pub shape: Shape,
    /// The absolute path of the argument.
    pub root: PathBuf,
    /// The last component of that path; `None` for `/`.
    pub base_name: Option<Vec<u8>>,
    /// The files in torrent order.
    pub files: Vec<Found>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// A file that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub disk: PathBuf,
    /// Its components below the root; for a single file its name.
    pub path: Vec<Vec<u8>>,
    /// What it looked like before it was read.
    pub stamp: Stamp,
}

/// What tells a changed file from an unchanged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its length in bytes.
    pub length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Found {
    /// Whether the file still looks as it did when it was found.
    pub fn unchanged(&self) -> bool {
        fs::metadata(&self.disk).is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }
}

impl Tree {
    /// One file that is not on this machine, checked like the others.
    pub fn remote(url: &str, name: Vec<u8>, length: u64, rules: &Rules) -> Result<Self, Failure> {
        let found = Found {
            disk: PathBuf::from(url),
            path: vec![name.clone()],
            stamp: Stamp { length, modified: None },
        };
        let mut tree = Self {
            shape: Shape::SingleFile,
            root: PathBuf::from(url),
            base_name: Some(name),
            files: vec![found],
            warnings: Vec::new(),
        };
        check(&mut tree, rules)?;
        Ok(tree)
    }
}

/// Most components below the name (libtorrent refuses 96), longest component, longest path; largest file.
const DEPTH_MAX: usize = 95;
const COMPONENT_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 4096;
const FILE_BYTES_END: u64 = (1 << 44) - 16384;

/// Finds the files of `argument`.
pub fn walk(argument: &Path, rules: &Rules) -> Result<Tree, Failure> {
    let root = absolute(argument)?;
    let metadata = fs::metadata(&root).map_err(|error| Failure::reading(argument, &error))?;
    let base_name = root.file_name().map(|name| name.as_encoded_bytes().to_vec());
    let mut tree =
        Tree { shape: Shape::SingleFile, root, base_name, files: Vec::new(), warnings: Vec::new() };
    if metadata.is_dir() {
        tree.shape = Shape::Directory;
        let mut walk =
            Walk { rules, tree: &mut tree, skip: None, real_root: PathBuf::new(), above: Vec::new() };
        walk.start()?;
    } else if metadata.is_file() {
        let path = vec![tree.base_name.clone().unwrap_or_default()];
        tree.files.push(Found { disk: tree.root.clone(), path, stamp: Stamp::of(&metadata) });
    } else {
        return Err(Failure::input(format!("{}: not a file or directory", argument.display())));
    }
    if tree.files.is_empty() {
        return Err(Failure::input("no files found in directory"));
    }
    // Component by component, as the file tree is ordered: `a/b` comes before `a.txt`.
    tree.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    check(&mut tree, rules)?;
    Ok(tree)
}

/// The path made absolute; `..` at its end is resolved, so that it has a name. A symlink keeps its own name.
pub fn absolute(argument: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(argument).map_err(|error| Failure::reading(argument, &error))?;
    if absolute.file_name().is_none() && absolute.parent().is_some() {
        return fs::canonicalize(&absolute).map_err(|error| Failure::reading(argument, &error));
    }
    Ok(absolute)
}

struct Walk<'a> {
    rules: &'a Rules,
    tree: &'a mut Tree,
    /// The output file, if it lies inside the tree.
    skip: Option<PathBuf>,
    real_root: PathBuf,
    /// The real paths of the directories being read, outermost first: a link back to one of them is a loop.
    above: Vec<PathBuf>,
}

impl Walk<'_> {
    fn start(&mut self) -> Result<(), Failure> {
        let root = self.tree.root.clone();
        self.real_root = fs::canonicalize(&root).map_err(|error| Failure::reading(&root, &error))?;
        if let Some(output) = &self.rules.output
            && let (Some(parent), Some(name)) = (output.parent(), output.file_name())
            && let Ok(parent) = fs::canonicalize(parent)
        {
            self.skip = parent.join(name).strip_prefix(&self.real_root).ok().map(|inside| root.join(inside));
        }
        self.above.push(self.real_root.clone());
        self.directory(&root, &mut Vec::new())
    }

    fn directory(&mut self, directory: &Path, path: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let entries = fs::read_dir(directory).map_err(|error| Failure::reading(directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::reading(directory, &error))?;
            let name = entry.file_name();
            let disk = directory.join(&name);
            if self.skip.as_deref() == Some(&disk) {
                continue;
            }
            path.push(name.as_encoded_bytes().to_vec());
            if !self.rules.exclude.iter().any(|glob| glob.matches(path)) {
                self.entry(&disk, path)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn entry(&mut self, disk: &Path, path: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        let mut metadata = fs::symlink_metadata(disk).map_err(|error| Failure::reading(disk, &error))?;
        if metadata.is_symlink() {
            match self.link(disk)? {
                Some(target) => metadata = target,
                None => return Ok(()),
            }
        }
        if metadata.is_dir() {
            if path.len() >= DEPTH_MAX {
                return Err(Failure::input(format!("{}: more than {DEPTH_MAX} levels deep", disk.display())));
            }
            self.descend(disk, path)
        } else if metadata.is_file() {
            let stamp = Stamp::of(&metadata);
            self.tree.files.push(Found { disk: disk.to_path_buf(), path: path.clone(), stamp });
            Ok(())
        } else {
            self.warn(format!("skipped {}: not a regular file", disk.display()));
            Ok(())
        }
    }

    fn descend(&mut self, disk: &Path, path: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
        // Real paths are only needed to find loops, and only links make loops.
        if self.rules.symlinks != Symlinks::Follow {
            return self.directory(disk, path);
        }
        let real = fs::canonicalize(disk).map_err(|error| Failure::reading(disk, &error))?;
        if self.above.contains(&real) {
            self.warn(format!("skipped {}: directory loop", disk.display()));
            return Ok(());
        }
        self.above.push(real);
        let outcome = self.directory(disk, path);
        self.above.pop();
        outcome
    }

    /// What a symlink leads to, if it is to be taken.
    fn link(&mut self, disk: &Path) -> Result<Option<Metadata>, Failure> {
        match self.rules.symlinks {
            Symlinks::Error => Err(Failure::input(format!("{}: symbolic link", disk.display()))
                .hint("--symlinks skip or --symlinks follow")),
            Symlinks::Skip => {
                self.warn(format!("skipped {}: symbolic link", disk.display()));
                Ok(None)
            }
            Symlinks::Follow => {
                let Ok(real) = fs::canonicalize(disk) else {
                    self.warn(format!("skipped {}: broken symbolic link", disk.display()));
                    return Ok(None);
                };
                if !real.starts_with(&self.real_root) {
                    self.warn(format!("skipped {}: symbolic link out of the directory", disk.display()));
                    return Ok(None);
                }
                fs::metadata(disk).map(Some).map_err(|error| Failure::reading(disk, &error))
            }
        }
    }

    fn warn(&mut self, warning: String) {
        self.tree.warnings.push(warning);
    }
}

/// The rules that hold for each file, wherever it came from.
fn check(tree: &mut Tree, rules: &Rules) -> Result<(), Failure> {
    let mut total = 0u64;
    let mut folded: Vec<(String, String, usize)> = Vec::new();
    let mut warnings = Vec::new();
    for (index, file) in tree.files.iter().enumerate() {
        let place = file.disk.display();
        let path_bytes: usize = file.path.iter().map(|component| component.len() + 1).sum();
        if path_bytes > PATH_BYTES_MAX || file.path.iter().any(|part| part.len() > COMPONENT_BYTES_MAX) {
            return Err(Failure::input(format!("{place}: name too long for a torrent")));
        }
        if file.path.len() > DEPTH_MAX {
            return Err(Failure::input(format!("{place}: more than {DEPTH_MAX} levels deep")));
        }
        if !rules.raw_names && file.path.iter().any(|part| std::str::from_utf8(part).is_err()) {
            return Err(Failure::input(format!("{place}: file name is not UTF-8"))
                .hint("--raw-names puts the bytes into the torrent as they are"));
        }
        if file.stamp.length >= FILE_BYTES_END {
            return Err(Failure::input(format!("{place}: file too large for a torrent")));
        }
        total = total.saturating_add(file.stamp.length);
        if let Some(part) = file.path.iter().find(|part| is_renamed(part)) {
            let part = String::from_utf8_lossy(part);
            warnings.push(format!("{part:?} will be renamed by downloaders on some systems"));
        }
        let path = String::from_utf8_lossy(&file.path.join(&b'/')).into_owned();
        let composed: String = if path.is_ascii() { path } else { path.nfc().collect() };
        folded.push((composed.to_lowercase(), composed, index));
    }
    if total > TOTAL_BYTES_MAX {
        return Err(Failure::input("more data than a torrent can hold"));
    }
    folded.sort_unstable();
    for pair in folded.windows(2) {
        if let [(a, a_composed, first), (b, b_composed, second)] = pair
            && a == b
            && let (Some(first), Some(second)) = (tree.files.get(*first), tree.files.get(*second))
        {
            let (first, second) = (first.disk.display(), second.disk.display());
            let accents = a_composed == b_composed;
            let what = if accents { "the ways to write an accent do not differ" } else { "case is ignored" };
            warnings.push(format!("{first} and {second} are one file where {what} (macOS, Windows)"));
        }
    }
    if total == 0 {
        warnings.push("other clients refuse a torrent without data".into());
    }
    tree.warnings.extend(warnings);
    Ok(())
}

/// Whether a component cannot be a name on every system.
pub fn is_renamed(part: &[u8]) -> bool {
    let text = String::from_utf8_lossy(part);
    part.iter().any(|&b| b < 0x20 || b == 0x7f || b == b'\\') || names::is_reserved(&text)
}
