//! The last look at a download before it gets its name: every piece is read back from the disk and hashed again. Made
//! for idtorrents, whose files are small enough for it.

use super::job::Trouble;
use super::root::Access;
use super::storage::Storage;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io;

impl Storage {
    /// The pieces of these files that are not what their SHA-1 says. The id of an idtorrent is made of its name, its size
    /// and these hashes, so with them it is checked too. What is too long is cut.
    pub(super) fn reread(&self, files: &[usize]) -> Result<Vec<u32>, Trouble> {
        self.sync_files(files)?;
        let layout = self.content.layout();
        let mut wrong = Vec::new();
        let mut bytes = Vec::new();
        for &number in files {
            let file = self.open(number, Access::Write)?;
            self.cut(number, &file)?;
            forget_cached(&file);
            for piece in layout.pieces_of(number) {
                let piece = u32::try_from(piece).unwrap_or(u32::MAX);
                bytes.resize(self.content.piece_bytes(piece) as usize, 0);
                match self.read(layout.piece(u64::from(piece)).start, &mut bytes) {
                    Ok(()) => {}
                    Err(trouble) if trouble.error.kind() == io::ErrorKind::UnexpectedEof => bytes.clear(),
                    Err(trouble) => return Err(trouble),
                }
                if self.content.piece_sha1(piece) != Some(Sha1::digest(&bytes).into()) {
                    wrong.push(piece);
                }
            }
        }
        Ok(wrong)
    }

    fn cut(&self, number: usize, file: &File) -> Result<(), Trouble> {
        let bytes = self.content.file_bytes(number);
        let longer = file.metadata().map(|metadata| metadata.len() > bytes);
        let cut = longer.and_then(|longer| if longer { file.set_len(bytes) } else { Ok(()) });
        cut.map_err(|error| self.trouble(number, error))
    }
}

/// What the system keeps of a file in memory is dropped, so that it is read from where it will be read next year.
fn forget_cached(file: &File) {
    // Where that cannot be asked for, or is not done, the file is hashed all the same.
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}
