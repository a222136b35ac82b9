//! What stands where the files of a download belong, and what it is worth once its pieces are known.

use super::names::Names;
use super::output::State;
use super::root::{Found, Root, What};
use super::trust::Stamp;
use crate::content::Content;
use crate::failure::{Class, Failure};
use std::io;

/// What was found of one file.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// How it stands before anything is hashed: [`State::Final`] for whatever has its final name.
    pub state: State,
    /// What there is, under the name of that state.
    pub there: Option<There>,
}

/// A regular file.
#[derive(Clone, Copy, Debug)]
pub struct There {
    /// Its size and time.
    pub stamp: Stamp,
    /// The bytes it takes on the disk.
    pub allocated: u64,
}

/// What a file with a final name is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It is complete and right.
    Good,
    /// It is right as far as its pieces can be told from those of files that are not there.
    Unproven,
    /// It is another file.
    Other,
}

/// Looks for every file. Fails when something that is no file stands in the way of a wanted one.
pub fn look(content: &Content, root: &Root, names: &Names, wanted: &[bool]) -> Result<Vec<Seen>, Failure> {
    let is_wanted = |file: usize| wanted.get(file).copied().unwrap_or(false);
    (0..content.file_count()).map(|file| look_at(content, root, names, file, is_wanted(file))).collect()
}

fn look_at(
    content: &Content,
    root: &Root,
    names: &Names,
    file: usize,
    wanted: bool,
) -> Result<Seen, Failure> {
    if content.is_symlink(file) || (content.file_bytes(file) == 0 && !wanted) {
        return Ok(Seen { state: State::Nothing, there: None });
    }
    let find = |name: &str| match root.look(name) {
        Ok(Some(Found::File { stamp, allocated, .. })) => Ok(Some(There { stamp, allocated })),
        Ok(Some(Found::Other(what))) if wanted => Err(in_the_way(root, name, what)),
        Err(error) if wanted => Err(Failure::writing(&root.shown(name), &error)),
        Ok(_) | Err(_) => Ok(None),
    };
    let complete = find(names.of(file))?;
    if content.file_bytes(file) == 0 {
        return Ok(Seen { state: State::Nothing, there: complete });
    }
    let part = find(&names.part(file))?;
    let size = i64::try_from(content.file_bytes(file)).unwrap_or(i64::MAX);
    // Of a file nobody asked for only one that can be right is of use.
    let complete = complete.filter(|there| wanted || there.stamp.size == size);
    Ok(match (complete, part) {
        (Some(there), _) => Seen { state: State::Final, there: Some(there) },
        (None, Some(there)) => Seen { state: State::Part, there: Some(there) },
        (None, None) => {
            let state = if wanted { State::Part } else { State::Unselected };
            Seen { state, there: None }
        }
    })
}

fn in_the_way(root: &Root, name: &str, what: What) -> Failure {
    let what = match what {
        What::Directory => "is a directory",
        What::Link => "is a symbolic link",
        What::Special => "is not a regular file",
    };
    Failure::writing(&root.shown(name), &io::Error::other(what))
}

/// What a file with its final name is worth, with these good pieces.
pub fn worth(content: &Content, seen: &[Seen], file: usize, have: &[bool]) -> Worth {
    let layout = content.layout();
    if !is_whole(content, seen, file) {
        return Worth::Other;
    }
    let mut worth = Worth::Good;
    for piece in layout.pieces_of(file) {
        if have.get(piece as usize) == Some(&true) {
            continue;
        }
        // A piece that also lies in a file which is not whole says nothing about this one.
        let mut others = layout.segments(layout.piece(piece)).filter(|segment| segment.file != file);
        if others.all(|segment| is_whole(content, seen, segment.file)) {
            return Worth::Other;
        }
        worth = Worth::Unproven;
    }
    worth
}

fn is_whole(content: &Content, seen: &[Seen], file: usize) -> bool {
    let bytes = i64::try_from(content.file_bytes(file)).unwrap_or(i64::MAX);
    seen.get(file).is_some_and(|seen| {
        seen.state == State::Final && seen.there.is_some_and(|there| there.stamp.size == bytes)
    })
}

/// What to say of a file that is another one.
pub fn refusal(content: &Content, root: &Root, name: &str, file: usize, have: &[bool]) -> Failure {
    let layout = content.layout();
    let good = layout.pieces_of(file).filter(|&piece| have.get(piece as usize) == Some(&true));
    let matching: u64 = good
        .flat_map(|piece| layout.segments(layout.piece(piece)))
        .filter(|segment| segment.file == file)
        .map(|segment| segment.length)
        .sum();
    let percent = 100 * matching / content.file_bytes(file).max(1);
    let path = root.shown(name);
    Failure::new(
        Class::Storage,
        format!(
            "{} exists and differs ({percent} % matches); use --overwrite or another --output",
            path.display()
        ),
    )
}
