//! The registry's words and rules without its storage: entries, the questions people ask of them, and the JSON that
//! goes in and out. Pure: no database, no socket. The store runs the questions, the server frames the answers.

pub mod answer;
pub mod api;
pub mod body;
pub mod catalogue;
pub mod entry;
pub mod html;
pub mod intake;
pub mod meta;
pub mod question;
pub mod registration;
pub mod search;

pub use answer::{Answer, ApiError, Row};
pub use catalogue::{Catalogue, Listing};
pub use entry::{Entry, FileKind};
pub use intake::Intake;
pub use question::{HashText, Named, Personal, Question, hashes_of};
pub use registration::{Registration, Update, Upload, parse_registration};
pub use search::{Page, Search, Sort};
