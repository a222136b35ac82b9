//! The two file lists of the strict reader: the v1 list with its pads, the v2 tree, and whether the two of a hybrid say
//! the same.

use super::layout::Extent;
use super::metainfo::{Attributes, Directory, File, PathAt, Span};
use super::{FILES_MAX, Malformed, Shape, TOTAL_BYTES_MAX, files, tree};
use crate::wire::bencode::Value;

/// What the file lists of a torrent come down to.
pub(super) struct Lists {
    pub shape: Shape,
    pub files: Vec<File>,
    /// Only for a v2-only torrent, whose paths stand in the tree.
    pub directories: Vec<Directory>,
    pub extents: Vec<Extent>,
    pub stream: u64,
    /// Whether some gap of the v1 list is filled by more or less than one pad.
    odd_pads: bool,
}

/// A list with its one file at the start of the stream.
pub(super) fn single(length: u64) -> Result<Lists, Malformed> {
    let file =
        File { length, root: None, symlink: false, attributes: Attributes::default(), path: PathAt::Name };
    if length > TOTAL_BYTES_MAX {
        return Err(Malformed::BadFileEntry);
    }
    Ok(Lists {
        shape: Shape::SingleFile,
        files: vec![file],
        directories: Vec::new(),
        extents: vec![Extent { start: 0, length }],
        stream: length,
        odd_pads: false,
    })
}

/// The v1 key `files`. `prefer_utf8` takes `path.utf-8` where there is one.
pub(super) fn v1_files(list: Value<'_>, info: &[u8], prefer_utf8: bool) -> Result<Lists, Malformed> {
    let bad = Malformed::BadFileEntry;
    let mut lists = Lists {
        shape: Shape::Directory,
        files: Vec::new(),
        directories: Vec::new(),
        extents: Vec::new(),
        stream: 0,
        odd_pads: false,
    };
    let mut pads_in_gap = 0;
    // At most FILES_MAX entries: the bencode limit on lists is the same.
    for value in list.as_list().ok_or(bad)? {
        let entry = files::entry(value)?;
        let start = lists.stream;
        lists.stream = start.checked_add(entry.length).filter(|&sum| sum <= TOTAL_BYTES_MAX).ok_or(bad)?;
        if entry.pad {
            pads_in_gap += 1;
            lists.odd_pads |= entry.length == 0 || pads_in_gap > 1;
            continue;
        }
        if entry.length > 0 {
            pads_in_gap = 0;
        }
        let path = entry.path_utf8.filter(|_| prefer_utf8).or(entry.path).ok_or(bad)?;
        let path = PathAt::List(Span::locate(info, path.raw()).ok_or(bad)?);
        let (symlink, attributes) = (entry.symlink, entry.attributes);
        lists.files.push(File { length: entry.length, root: None, symlink, attributes, path });
        lists.extents.push(Extent { start, length: entry.length });
    }
    Ok(lists)
}

/// The file tree of a v2-only torrent.
pub(super) fn tree_files(tree: Value<'_>, info: &[u8], piece_length: u64) -> Result<Lists, Malformed> {
    let bad = Malformed::BadFileTree;
    let root = Directory { parent: 0, name: Span::EMPTY };
    let mut directories = vec![root];
    // The directories of the file before, outermost first: neighbours in the tree share their beginning.
    let mut open: Vec<(&[u8], u32)> = Vec::new();
    let (mut files, mut extents, mut stream, mut total) = (Vec::new(), Vec::new(), 0u64, 0u64);
    let mut top_is_one_file = false;
    tree::walk(tree, |path, leaf| {
        let (name, parents) = path.split_last().ok_or(bad)?;
        top_is_one_file = parents.is_empty() && files.is_empty();
        let shared = open.iter().zip(parents).take_while(|((a, _), b)| same_key(a, b)).count();
        open.truncate(shared);
        for parent in parents.iter().skip(shared) {
            let above = open.last().map_or(0, |(_, index)| *index);
            let index = u32::try_from(directories.len()).map_err(|_| bad)?;
            directories.push(Directory { parent: above, name: Span::locate(info, parent).ok_or(bad)? });
            open.push((parent, index));
        }
        let directory = open.last().map_or(0, |(_, index)| *index);
        let at = PathAt::Tree { directory, name: Span::locate(info, name).ok_or(bad)? };
        if files.len() >= FILES_MAX {
            return Err(bad);
        }
        total = total.checked_add(leaf.length).filter(|&sum| sum <= TOTAL_BYTES_MAX).ok_or(bad)?;
        if leaf.length > 0 {
            stream = stream.next_multiple_of(piece_length);
        }
        extents.push(Extent { start: stream, length: leaf.length });
        stream += leaf.length;
        let (symlink, attributes) = (leaf.symlink, leaf.attributes);
        files.push(File { length: leaf.length, root: leaf.root, symlink, attributes, path: at });
        Ok(())
    })?;
    let shape = if top_is_one_file { Shape::SingleFile } else { Shape::Directory };
    Ok(Lists { shape, files, directories, extents, stream, odd_pads: false })
}

/// Whether two keys are the same place in the input, not only equal bytes.
fn same_key(a: &[u8], b: &[u8]) -> bool {
    std::ptr::eq(a, b)
}

impl Lists {
    /// Checks the v1 list of a hybrid against its tree and takes the roots over from there: same files in the same
    /// order, each non-empty one at the start of the same piece, each gap one pad. The last pad may be missing, as
    /// older makers left it out.
    pub(super) fn match_tree(
        &mut self,
        tree: Value<'_>,
        name: &[u8],
        info: &[u8],
        piece_length: u64,
    ) -> Result<(), Malformed> {
        let differ = Malformed::ListsDiffer;
        let mut start = 0u64;
        let mut index = 0;
        let mut same = !self.odd_pads;
        let (files, extents) = (&mut self.files, &self.extents);
        tree::walk(tree, |path, leaf| {
            // The rest of the tree is still walked: a bad entry in it is reported before any difference.
            let (Some(file), Some(extent)) = (files.get_mut(index), extents.get(index)) else {
                same = false;
                return Ok(());
            };
            index += 1;
            same &= file.length == leaf.length
                && file.symlink == leaf.symlink
                && same_path(file, path, name, info);
            if leaf.length > 0 {
                start = start.next_multiple_of(piece_length);
                same &= extent.start == start;
                start = start.saturating_add(leaf.length).min(TOTAL_BYTES_MAX);
            }
            file.root = leaf.root;
            file.attributes.executable |= leaf.attributes.executable;
            file.attributes.hidden |= leaf.attributes.hidden;
            Ok(())
        })?;
        let ends_well = self.stream == start || self.stream == start.next_multiple_of(piece_length);
        if same && index == self.files.len() && ends_well { Ok(()) } else { Err(differ) }
    }
}

fn same_path(file: &File, path: &[&[u8]], name: &[u8], info: &[u8]) -> bool {
    match file.path {
        PathAt::List(list) => {
            let listed = Value::of_checked(list.of(info)).as_list().into_iter().flatten();
            listed.map(|component| component.as_bytes().unwrap_or_default()).eq(path.iter().copied())
        }
        _ => path == [name],
    }
}
