//! What may be believed at the start without hashing: the resume file's word, file by file.

use super::resume::Record;

/// Size and time of a file, as the resume file records them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: i64,
    /// When it was changed last: seconds since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: i64,
}

impl Stamp {
    /// A file that is not there.
    pub const ABSENT: Self = Self { size: -1, seconds: 0, nanoseconds: 0 };

    /// Of an open file.
    #[cfg(unix)]
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let size = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        Self { size, seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() }
    }
}

/// How far the record is believed about one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// There is no file: none of its pieces.
    Gone,
    /// Its recorded pieces and no others.
    Recorded,
    /// Its recorded pieces; the others are hashed where there is data.
    RecordedOrData,
    /// Its recorded pieces; the others are hashed.
    RecordedOrAll,
    /// Nothing: all of it is hashed.
    Nothing,
}

/// What is to be done about one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is there.
    Have,
    /// It is not there.
    Lack,
    /// Only hashing tells.
    Hash,
    /// Hashing tells, if there is data at all.
    HashData,
}

/// How far `record` is believed about file `file`, which looks like `now`.
pub fn of_file(record: Option<&Record>, file: usize, now: Option<Stamp>) -> Trust {
    let Some(now) = now else { return Trust::Gone };
    let Some((record, before)) = record.and_then(|record| Some((record, record.files.get(file)?))) else {
        return Trust::Nothing;
    };
    match record.clean {
        true if *before == now => Trust::Recorded,
        false if before.size == now.size => Trust::RecordedOrData,
        _ => Trust::Nothing,
    }
}

impl Trust {
    /// The same of a file that has its final name. It is complete or another one, and a piece that is not recorded does
    /// not tell which: it may have been left out because a file beside it was not there.
    pub fn of_final(self) -> Self {
        match self {
            Self::Recorded | Self::RecordedOrData => Self::RecordedOrAll,
            Self::Gone | Self::RecordedOrAll | Self::Nothing => self,
        }
    }
}

/// What follows for a piece from the files it touches, and from its recorded bit.
pub fn of_piece(files: impl IntoIterator<Item = Trust>, recorded: bool) -> Step {
    let mut step = if recorded { Step::Have } else { Step::Lack };
    for trust in files {
        match trust {
            Trust::Gone => return Step::Lack,
            Trust::Nothing => step = Step::Hash,
            Trust::RecordedOrAll if step != Step::Have => step = Step::Hash,
            Trust::RecordedOrData if step == Step::Lack => step = Step::HashData,
            Trust::RecordedOrAll | Trust::RecordedOrData | Trust::Recorded => {}
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(clean: bool, before: Stamp) -> Record {
        Record { clean, uploaded: 0, files: vec![before], bits: Vec::new() }
    }

    const NOW: Stamp = Stamp { size: 5, seconds: 7, nanoseconds: 9 };

    #[test]
    fn every_row_of_the_trust_table() {
        let of = |record: Option<Record>| of_file(record.as_ref(), 0, Some(NOW));
        assert_eq!(of(None), Trust::Nothing, "absent, or --recheck");
        assert_eq!(of(Some(record(true, NOW))), Trust::Recorded);
        for other in [
            Stamp { size: 6, ..NOW },
            Stamp { seconds: 8, ..NOW },
            Stamp { nanoseconds: 8, ..NOW },
            Stamp::ABSENT,
        ] {
            assert_eq!(of(Some(record(true, other))), Trust::Nothing, "{other:?}");
        }
        assert_eq!(of(Some(record(false, Stamp { seconds: 0, ..NOW }))), Trust::RecordedOrData);
        assert_eq!(of(Some(record(false, Stamp { size: 6, ..NOW }))), Trust::Nothing);
        assert_eq!(of(Some(record(false, Stamp::ABSENT))), Trust::Nothing);
        assert_eq!(of_file(Some(&record(true, NOW)), 0, None), Trust::Gone);
        assert_eq!(of_file(Some(&record(true, NOW)), 1, Some(NOW)), Trust::Nothing, "not in the record");
    }

    #[test]
    fn a_piece_is_believed_as_far_as_the_least_of_its_files() {
        use Trust::{Gone, Nothing, Recorded, RecordedOrAll, RecordedOrData};
        for (files, set, unset) in [
            (vec![Recorded, Recorded], Step::Have, Step::Lack),
            (vec![Recorded, RecordedOrData], Step::Have, Step::HashData),
            (vec![RecordedOrAll, RecordedOrData], Step::Have, Step::Hash),
            (vec![RecordedOrData, RecordedOrAll], Step::Have, Step::Hash),
            (vec![RecordedOrData, Nothing], Step::Hash, Step::Hash),
            (vec![Nothing, RecordedOrData], Step::Hash, Step::Hash),
            (vec![Nothing, Gone], Step::Lack, Step::Lack),
            (vec![Recorded, Gone], Step::Lack, Step::Lack),
        ] {
            assert_eq!(of_piece(files.clone(), true), set, "{files:?}");
            assert_eq!(of_piece(files.clone(), false), unset, "{files:?}");
        }
    }
}
