//! Colour, for a person at a terminal who has not asked for none.

use crate::env::Env;

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// Wrong.
    Bad,
}

/// Whether one stream takes colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For a stream that is a terminal or not; `refused` is `--no-color`.
    pub fn new(env: &Env, is_terminal: bool, refused: bool) -> Self {
        let dumb = env.get("TERM") == Some("dumb") || env.get("NO_COLOR").is_some();
        Self { on: is_terminal && !dumb && !refused }
    }

    /// The word in its colour, or as it is.
    pub fn word(self, ink: Ink, word: &str) -> String {
        let code = match ink {
            Ink::Good => 32,
            Ink::Odd => 33,
            Ink::Bad => 31,
        };
        if self.on { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_string() }
    }
}
