//! How a command ends badly: a class that becomes the exit code, one line of text, sometimes a remedy.

use crate::paint::{Ink, Paint};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io;

/// The class of a failure; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing foreseen.
    Unexpected = 1,
    /// The command line.
    Usage = 2,
    /// What was given to work on.
    Input = 3,
    /// The local disk.
    Storage = 4,
    /// Nobody answered.
    Network = 5,
    /// Somebody answered no.
    Refused = 6,
    /// Data and hashes do not agree.
    Verification = 7,
    /// SIGHUP.
    HungUp = 129,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// A failure.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its class.
    pub class: Class,
    /// `<what failed>: <why>`.
    pub message: String,
    /// A remedy.
    pub hint: Option<String>,
    /// What there is to choose from, one a line below the message.
    pub choices: Vec<String>,
}

impl Failure {
    /// A failure of a class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: None, choices: Vec::new() }
    }

    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// Unusable input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Class::Input, message)
    }

    /// A local read error: the input's fault.
    pub fn reading(path: &std::path::Path, error: &io::Error) -> Self {
        Self::input(format!("{}: {}", path.display(), reason(error)))
    }

    /// A local write error: the disk's fault.
    pub fn writing(path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(Class::Storage, format!("cannot write {}: {}", path.display(), reason(error)))
    }

    /// Adds a remedy.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what there is to choose from.
    pub fn choices(mut self, choices: Vec<String>) -> Self {
        self.choices = choices;
        self
    }

    /// The lines for stderr.
    pub fn text(&self, paint: Paint) -> String {
        let mut text = format!("{} {}\n", paint.word(Ink::Bad, "wl:"), shown(&self.message));
        for choice in &self.choices {
            let _ = writeln!(text, "  {}", shown(choice));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {}", shown(hint));
        }
        text
    }

    /// The object for `--json`.
    pub fn json(&self) -> Value {
        let kind = match self.class {
            Class::Unexpected => "unexpected",
            Class::Usage => "usage",
            Class::Input => "input",
            Class::Storage => "storage",
            Class::Network => "network",
            Class::Refused => "refused",
            Class::Verification => "verification",
            Class::HungUp | Class::Interrupted | Class::Terminated => "stopped",
        };
        let mut error = json!({"kind": kind, "message": shown(&self.message)});
        if let (Some(hint), Some(error)) = (&self.hint, error.as_object_mut()) {
            error.insert("hint".into(), json!(hint));
        }
        json!({"error": error, "exit": self.class as u8})
    }
}

/// Why the system refused, in the words a person expects.
pub fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "no space left".into(),
        io::ErrorKind::ReadOnlyFilesystem => "read-only file system".into(),
        _ => {
            // The system's words without its number: "Too many levels of symbolic links (os error 40)".
            let text = error.to_string();
            let words = text.split(" (os error").next().unwrap_or(&text);
            let mut chars = words.chars();
            chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
        }
    }
}

/// Text from elsewhere made safe for a terminal: control bytes as `\xNN`, at most 1000 bytes.
pub fn shown(text: &str) -> String {
    clean(text, 1000)
}

/// The same for text from a server or a torrent, of which only the beginning is of interest: at most 200 bytes.
pub fn shown_foreign(text: &str) -> String {
    clean(text, 200)
}

fn clean(text: &str, bytes_max: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let hidden = c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let before = out.len();
        if hidden {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                let _ = write!(out, "\\x{byte:02x}");
            }
        } else {
            out.push(c);
        }
        if out.len() > bytes_max {
            out.truncate(before);
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_drive_a_terminal() {
        assert_eq!(shown_foreign("a\x1b[2Jb\n\u{202e}é"), "a\\x1b[2Jb\\x0a\\xe2\\x80\\xaeé");
        assert_eq!(shown_foreign(&"é".repeat(300)).len(), 200);
        assert!(shown_foreign(&"\x1b".repeat(300)).len() <= 200);
    }
}
