//! Making progress durable. The order is everything: data before the record that tells of it, a file's bytes before its
//! final name, names before the record goes away. After a crash at any moment what the record says is true.

use super::job::Trouble;
use super::lock::Locked;
use super::output::{Output, State};
use super::resume::{Record, bits_bytes};
use super::root::{Access, Found};
use super::storage::{PADS, Place, Storage};
use super::trust::Stamp;
use std::io;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};

/// What is recorded, and where.
pub struct Progress {
    /// The resume file.
    pub locked: Locked,
    /// What it says.
    pub record: Record,
    /// Its path, for people.
    pub shown: PathBuf,
    /// The directory it is in.
    pub root: super::root::Root,
}

/// From so many files on, one call that writes back the whole file system costs less than one for each.
const SYNC_ALL_FILES: usize = 64;

impl Storage {
    /// Data first, then the record: `bits` must only name pieces that were stored before.
    pub(super) fn checkpoint(&self, bits: Vec<u8>, uploaded: u64, clean: bool) -> Result<(), Trouble> {
        let Some(mut progress) = self.progress() else { return Ok(()) };
        self.sync_changed(&mut progress.record.files)?;
        progress.record.bits = bits;
        progress.record.bits.resize(bits_bytes(&self.content), 0);
        progress.record.uploaded = uploaded;
        progress.record.clean = clean;
        progress.save(&self.content)
    }

    /// First half of a checkpoint: what was written is on the disk, and the record knows how the files look now.
    pub(super) fn sync_changed(&self, stamps: &mut [Stamp]) -> Result<(), Trouble> {
        let changed: Vec<usize> = std::mem::take(&mut self.changes().files).into_iter().collect();
        self.sync(&changed, stamps)
    }

    fn sync(&self, files: &[usize], stamps: &mut [Stamp]) -> Result<(), Trouble> {
        if let Some(path) = self.changes().lost.clone() {
            return Err(Trouble::new(path, io::Error::other("could not be written back")));
        }
        let synced = self.sync_together(files).unwrap_or_else(|| {
            files.iter().try_for_each(|&key| {
                let file = self.open(key, Access::Read)?;
                file.sync_data().map_err(|error| self.trouble(key, error))
            })
        });
        if let Err(trouble) = synced {
            // The system reports such an error once and then forgets the bytes.
            self.changes().lost = Some(trouble.path.clone());
            return Err(trouble);
        }
        for &key in files.iter().filter(|&&key| key != PADS) {
            let file = self.open(key, Access::Read)?;
            let metadata = file.metadata().map_err(|error| self.trouble(key, error))?;
            if let Some(stamp) = stamps.get_mut(key) {
                *stamp = Stamp::of(&metadata);
            }
        }
        Ok(())
    }

    /// Writes back many files with one call, if they all lie on the file system of the output directory.
    fn sync_together(&self, files: &[usize]) -> Option<Result<(), Trouble>> {
        let Place::Output(output) = &self.place else { return None };
        if files.len() <= SYNC_ALL_FILES {
            return None;
        }
        let names: Vec<String> =
            files.iter().filter(|&&key| key != PADS).map(|&key| output.name(key)).collect();
        if !output.are_here(names.iter().map(String::as_str)) {
            return None;
        }
        let synced = output.root.sync_all()?;
        Some(synced.map_err(|error| Trouble::new(output.root.shown(""), error)))
    }

    /// Gives files their final names. What is in them is on the disk before.
    pub(super) fn finish(&self, files: &[usize]) -> Result<(), Trouble> {
        let Place::Output(output) = &self.place else { return Ok(()) };
        self.sync_files(files)?;
        for &file in files {
            match output.state(file) {
                State::Part => self.rename(output, file)?,
                State::Unproven => output.set_state(file, State::Final),
                State::Nothing | State::Unselected | State::Final => {}
            }
        }
        Ok(())
    }

    /// What was written to these files is on the disk.
    pub(super) fn sync_files(&self, files: &[usize]) -> Result<(), Trouble> {
        let mut progress = self.progress();
        let changed: Vec<usize> = {
            let mut changes = self.changes();
            files.iter().copied().filter(|file| changes.files.remove(file)).collect()
        };
        let mut nowhere = Vec::new();
        let stamps = progress.as_mut().map_or(&mut nowhere, |progress| &mut progress.record.files);
        self.sync(&changed, stamps)
    }

    fn rename(&self, output: &Output, file: usize) -> Result<(), Trouble> {
        let name = output.names.of(file);
        output
            .root
            .rename(&output.names.part(file), name)
            .map_err(|error| Trouble::new(output.root.shown(name), error))?;
        output.set_state(file, State::Final);
        self.descriptors.forget(file);
        Ok(())
    }

    /// Everything is finished: names to the disk, then the record goes. The file of unselected bytes goes too, unless a
    /// later run for more files could use it.
    pub(super) fn close(&self) -> Result<(), Trouble> {
        let Place::Output(output) = &self.place else { return Ok(()) };
        let Some(progress) = self.progress() else { return Ok(()) };
        let synced = output.sync_names(output.files_in(State::Final));
        synced.map_err(|error| Trouble::new(output.root.shown(""), error))?;
        self.remove_pads()?;
        progress.locked.remove(&progress.root).map_err(|error| Trouble::new(progress.shown.clone(), error))
    }

    /// Removes the file of unselected bytes when every file has its own.
    pub(super) fn remove_pads(&self) -> Result<(), Trouble> {
        match &self.place {
            Place::Output(output) if output.files_in(State::Unselected).next().is_none() => {
                output.root.remove(&output.pads_name).map_err(|error| self.trouble(PADS, error))
            }
            _ => Ok(()),
        }
    }

    /// Files that no longer look as they did when they were verified.
    pub(super) fn inspect(&self) -> Vec<usize> {
        match &self.place {
            Place::Local { paths, stamps } => paths
                .iter()
                .zip(stamps)
                .enumerate()
                .filter(|(_, (path, before))| {
                    let now = std::fs::metadata(path).map_or(Stamp::ABSENT, |now| Stamp::of(&now));
                    **before != Stamp::ABSENT && now != **before
                })
                .map(|(file, _)| file)
                .collect(),
            Place::Output(output) => {
                let Some(progress) = self.progress() else { return Vec::new() };
                let changed = |&file: &usize| {
                    let now = match output.root.look(output.names.of(file)) {
                        Ok(Some(Found::File { stamp, .. })) => stamp,
                        _ => Stamp::ABSENT,
                    };
                    progress.record.files.get(file).is_some_and(|before| *before != now)
                };
                output.files_in(State::Final).filter(changed).collect()
            }
        }
    }

    fn progress(&self) -> Option<MutexGuard<'_, Progress>> {
        Some(self.progress.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Progress {
    /// Replaces the resume file.
    pub fn save(&mut self, content: &crate::content::Content) -> Result<(), Trouble> {
        let bytes = self.record.write(content);
        let saved = self.locked.replace(&self.root, &bytes);
        saved.map_err(|error| Trouble::new(self.shown.clone(), error))
    }
}
