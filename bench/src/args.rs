//! `--name value` and bare words, as far as the benchmarks need them.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The words of a command line.
#[derive(Debug, Default)]
pub struct Args {
    /// Words that belong to no option.
    pub words: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Args {
    /// Reads the arguments of this process. Options in `switches` take no value.
    pub fn read(switches: &[&str]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut rest = std::env::args().skip(1);
        while let Some(word) = rest.next() {
            match word.strip_prefix("--") {
                None => args.words.push(word),
                Some(name) if switches.contains(&name) => {
                    drop(args.options.insert(name.to_owned(), "1".into()))
                }
                Some(name) => {
                    let value = rest.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    args.options.insert(name.to_owned(), value);
                }
            }
        }
        Ok(args)
    }

    /// Takes an option's text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.options.remove(name)
    }

    /// Takes an option, or its default.
    pub fn number<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        match self.options.remove(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("--{name} cannot be {text}")),
        }
    }

    /// An error if options are left that nobody took.
    pub fn finish(&self) -> Result<(), String> {
        self.options.keys().next().map_or(Ok(()), |name| Err(format!("--{name} is not an option here")))
    }
}
