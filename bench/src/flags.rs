//! `--name value` arguments.

use std::collections::BTreeMap;
use std::str::FromStr;

/// The arguments after the mode. Each is taken once; `finish` complains about what nobody took.
pub struct Flags {
    values: BTreeMap<String, String>,
}

impl Flags {
    /// Reads `--name value` pairs; a name in `switches` stands alone.
    pub fn parse(args: impl Iterator<Item = String>, switches: &[&str]) -> Result<Self, String> {
        let mut args = args;
        let mut values = BTreeMap::new();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").ok_or_else(|| format!("{arg}: expected --name"))?;
            let value = match switches.contains(&name) {
                true => String::new(),
                false => args.next().ok_or_else(|| format!("--{name} needs a value"))?,
            };
            values.insert(name.to_owned(), value);
        }
        Ok(Self { values })
    }

    /// The value of `name`, if it was given.
    pub fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("--{name}: cannot read {value:?}"))
    }

    /// The value of `name`, or `default`.
    pub fn with_default<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// The value of `name`, which must be there.
    pub fn required<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.optional(name)?.ok_or_else(|| format!("--{name} is missing"))
    }

    /// Whether the switch `name` was given.
    pub fn switch(&mut self, name: &str) -> bool {
        self.values.remove(name).is_some()
    }

    /// An error if an argument is left.
    pub fn finish(self) -> Result<(), String> {
        match self.values.keys().next() {
            Some(name) => Err(format!("--{name} is not an option of this mode")),
            None => Ok(()),
        }
    }
}
