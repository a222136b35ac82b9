//! The registry's words and rules without its storage: entries, the questions people ask of them, and the JSON that
//! goes in and out. Pure: no database, no socket. The store runs the questions, the server frames the answers.

pub mod answer;
pub mod question;
pub mod search;

pub use answer::{Answer, ApiError, Row};
pub use question::{HashText, Question};
pub use search::{Search, Sort};
