//! Why a request or a question came to nothing: by the rules, or by the database, and how the API page tells the kinds
//! of database failures apart.

use crate::registry::{ApiError, api};
use rusqlite::ErrorCode;

/// The reason.
#[derive(Debug)]
pub(super) enum Problem {
    /// By the rules.
    Refused(ApiError),
    /// By the database.
    Failed(rusqlite::Error),
}

impl Problem {
    /// What the API says to it; failures are logged.
    pub fn text(self) -> ApiError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(error) => {
                log::error!("store: a request failed: {error}");
                Failure::of(&error).text()
            }
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

pub(super) use crate::mailbox::StoreFault as Failure;

impl Failure {
    /// Which kind an error is.
    pub fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory,
            ) => Self::Storage,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            _ => Self::Other,
        }
    }

    /// What the API says to it.
    pub fn text(self) -> ApiError {
        match self {
            Self::Busy => api::DATABASE_BUSY,
            Self::Storage => api::STORAGE_UNAVAILABLE,
            Self::Corrupt | Self::Other => api::DATABASE_ERROR,
        }
    }
}
