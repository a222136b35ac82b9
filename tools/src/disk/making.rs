//! The last part of opening a download: what is done about files that stand in the way, room on the disk, and the files
//! themselves.

use super::existing::{self, Seen, Worth};
use super::job::Trouble;
use super::opening::{Lock, NotOpened, Options};
use super::output::{Output, State};
use super::root::Access;
use super::space::reserve;
use super::storage::{Place, Storage};
use super::trust::Stamp;
use crate::content::Content;
use crate::failure::{Class, Failure};
use crate::show_size::size;
use std::io;
use weightless::torrent::layout::Segment;

/// A download about to be made.
pub struct Making<'a> {
    pub content: &'a Content,
    pub wanted: &'a [bool],
    /// What was found of every file.
    pub seen: Vec<Seen>,
    /// Which pieces are good.
    pub have: Vec<bool>,
    pub options: &'a Options<'a>,
    pub notes: Vec<String>,
    /// Files nobody asked for that are not whole.
    dropped: Vec<usize>,
}

impl<'a> Making<'a> {
    pub fn new(
        content: &'a Content,
        wanted: &'a [bool],
        seen: Vec<Seen>,
        have: Vec<bool>,
        options: &'a Options<'a>,
    ) -> Self {
        Self { content, wanted, seen, have, options, notes: Vec::new(), dropped: Vec::new() }
    }

    /// Decides about every file that has its final name, and refuses what may not be touched. Returns the files to be
    /// taken over; nothing is changed yet. `is_new`: no run before this one has left a resume file.
    pub fn settle(&mut self, storage: &Storage, is_new: bool) -> Result<Vec<usize>, Failure> {
        let output = output_of(storage);
        let mut taken_over = Vec::new();
        for file in 0..self.seen.len() {
            if !self.is_whole_if_empty(file) {
                self.take_over(output, file, &mut taken_over)?;
            }
            if output.state(file) != State::Final {
                continue;
            }
            match existing::worth(self.content, &self.seen, file, &self.have) {
                Worth::Good => {}
                _ if !self.is_wanted(file) => self.dropped.push(file),
                Worth::Unproven if !self.options.overwrite => output.set_state(file, State::Unproven),
                Worth::Unproven | Worth::Other => self.take_over(output, file, &mut taken_over)?,
            }
        }
        if is_new && !self.options.overwrite && !self.have.contains(&true) {
            self.refuse_foreign(storage)?;
        }
        Ok(taken_over)
    }

    fn take_over(&self, output: &Output, file: usize, taken_over: &mut Vec<usize>) -> Result<(), Failure> {
        if !self.options.overwrite {
            let name = output.names.of(file);
            return Err(existing::refusal(self.content, &output.root, name, file, &self.have));
        }
        taken_over.push(file);
        Ok(())
    }

    /// A file that nobody asked for and that is not whole is left alone: what its good pieces share with other files is
    /// copied beside, and the others are not there.
    fn drop_unselected(&mut self, storage: &Storage, file: usize) -> Result<(), Trouble> {
        let (output, layout) = (output_of(storage), self.content.layout());
        for piece in layout.pieces_of(file) {
            let mut segments = layout.segments(layout.piece(piece)).filter(|segment| segment.file == file);
            let (Some(segment), Some(have)) = (segments.next(), self.have.get_mut(piece as usize)) else {
                continue;
            };
            let shared = output.pads.as_ref().is_some_and(|pads| pads.offset(&segment).is_some());
            if *have && shared {
                let mut bytes = vec![0; segment.length as usize];
                output.set_state(file, State::Final);
                storage.read(segment.at, &mut bytes)?;
                output.set_state(file, State::Unselected);
                storage.write(segment.at, &bytes)?;
            }
            *have &= shared;
        }
        output.set_state(file, State::Unselected);
        Ok(())
    }

    /// Incomplete files of which nothing matches, and no record of ours: another download's, perhaps one under way.
    fn refuse_foreign(&self, storage: &Storage) -> Result<(), Failure> {
        let output = output_of(storage);
        for file in output.files_in(State::Part) {
            let extent = self.content.layout().extent(file);
            let Some(extent) =
                extent.filter(|_| self.seen.get(file).is_some_and(|seen| seen.there.is_some()))
            else {
                continue;
            };
            if storage.has_data(&Segment { file, offset: 0, at: extent.start, length: extent.length }) {
                let part = output.names.part(file);
                return Err(existing::refusal(self.content, &output.root, &part, file, &self.have));
            }
        }
        Ok(())
    }

    /// Makes everything that is not there yet. Returns what the files look like afterwards.
    pub fn make(
        &mut self,
        storage: &Storage,
        taken_over: &[usize],
        lock: &mut Lock,
    ) -> Result<Vec<Stamp>, NotOpened> {
        let output = output_of(storage);
        let mut stamps: Vec<Stamp> =
            self.seen.iter().map(|seen| seen.there.map_or(Stamp::ABSENT, |there| there.stamp)).collect();
        let missing: Vec<usize> = (0..self.seen.len())
            .filter(|&file| taken_over.binary_search(&file).is_ok() || self.needs_making(output, file))
            .collect();
        if missing.is_empty() && self.is_complete() {
            // Nothing will be written, so nothing can go wrong with files that nobody asked for.
            return Ok(stamps);
        }
        lock.begin(&missing.first().map_or_else(|| output.root.shown(""), |&file| output.shown(file)))?;
        for file in std::mem::take(&mut self.dropped) {
            self.drop_unselected(storage, file)?;
        }
        self.check_room(output)?;
        for &file in taken_over {
            self.rename(output, file).map_err(|error| Failure::writing(&output.shown(file), &error))?;
            storage.descriptors.forget(file);
        }
        for &file in &missing {
            let path = output.shown(file);
            let made = self.make_file(output, file).map_err(|error| self.making(&path, &error))?;
            if let Some(stamp) = stamps.get_mut(file) {
                *stamp = made;
            }
        }
        let synced = output.sync_names(missing);
        synced.map_err(|error| Failure::writing(&output.root.shown(""), &error))?;
        Ok(stamps)
    }

    fn making(&self, path: &std::path::Path, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Failure::new(Class::Storage, format!("{}: no space left", path.display()))
            }
            _ => Failure::writing(path, error),
        }
    }

    fn needs_making(&self, output: &Output, file: usize) -> bool {
        let there = self.seen.get(file).and_then(|seen| seen.there);
        let bytes = i64::try_from(self.content.file_bytes(file)).unwrap_or(i64::MAX);
        match output.state(file) {
            State::Nothing => self.is_wanted(file) && !self.content.is_symlink(file) && there.is_none(),
            State::Part => self.options.preallocate || there.is_none_or(|there| there.stamp.size != bytes),
            State::Unselected | State::Unproven | State::Final => false,
        }
    }

    fn make_file(&self, output: &Output, file: usize) -> io::Result<Stamp> {
        let name = output.name(file);
        let made = match output.root.open_file(&name, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                output.root.make_parents(&name)?;
                output.root.create(&name)
            }
            opened => opened,
        }?;
        let bytes = self.content.file_bytes(file);
        if made.metadata()?.len() != bytes {
            made.set_len(bytes)?;
        }
        if self.options.preallocate && bytes > 0 {
            reserve(&made, bytes)?;
        }
        Ok(Stamp::of(&made.metadata()?))
    }

    /// A file of another content becomes an incomplete one; what of it matches is kept.
    fn rename(&self, output: &Output, file: usize) -> io::Result<()> {
        if self.content.file_bytes(file) == 0 {
            return output.root.remove(output.names.of(file));
        }
        output.root.replace(output.names.of(file), &output.names.part(file))?;
        output.set_state(file, State::Part);
        Ok(())
    }

    fn check_room(&mut self, output: &Output) -> Result<(), Failure> {
        let missing: u64 = output
            .files_in(State::Part)
            .map(|file| {
                let allocated = self.seen.get(file).and_then(|seen| seen.there);
                self.content.file_bytes(file).saturating_sub(allocated.map_or(0, |there| there.allocated))
            })
            .sum();
        let path = output.root.shown("");
        let path = path.display();
        match output.root.free_bytes() {
            None => self.notes.push(format!("{path}: how much space is left is unknown")),
            Some(free) if free < missing => {
                let more = size(missing - free);
                return Err(Failure::new(
                    Class::Storage,
                    format!("{path}: no space left (need {more} more)"),
                ));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Wanted files of a state whose pieces are all there.
    pub fn complete<'s>(&'s self, storage: &'s Storage, state: State) -> impl Iterator<Item = usize> + 's {
        let layout = self.content.layout();
        output_of(storage).files_in(state).filter(move |&file| {
            self.is_wanted(file)
                && layout.pieces_of(file).all(|piece| self.have.get(piece as usize) == Some(&true))
        })
    }

    /// Whether every piece of every wanted file is there.
    pub fn is_complete(&self) -> bool {
        let layout = self.content.layout();
        (0..self.seen.len())
            .filter(|&file| self.is_wanted(file))
            .all(|file| layout.pieces_of(file).all(|piece| self.have.get(piece as usize) == Some(&true)))
    }

    fn is_wanted(&self, file: usize) -> bool {
        self.wanted.get(file).copied().unwrap_or(false)
    }

    /// Something with bytes stands where an empty file belongs.
    fn is_whole_if_empty(&self, file: usize) -> bool {
        self.content.file_bytes(file) > 0
            || self.seen.get(file).and_then(|seen| seen.there).is_none_or(|there| there.stamp.size == 0)
    }
}

fn output_of(storage: &Storage) -> &Output {
    match &storage.place {
        Place::Output(output) => output,
        Place::Local { .. } => unreachable!("a download has an output directory"),
    }
}
