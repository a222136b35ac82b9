//! Names that files have while they are incomplete, and the names of our own files beside them.

use crate::content::Content;
use std::collections::{HashMap, HashSet};

/// The names of a torrent's files below the output directory.
pub struct Names {
    finals: Vec<String>,
    /// Temporary names that are not simply the final one with [`PART`] behind it.
    unusual: HashMap<usize, String>,
}

const PART: &str = ".wlpart";
/// Most bytes of one component on most file systems.
const COMPONENT_BYTES_MAX: usize = 255;

impl Names {
    /// Names for these final paths.
    pub fn new(finals: Vec<String>) -> Self {
        let mut names = Self { finals, unusual: HashMap::new() };
        // Only a name with this ending can be what another file is called meanwhile.
        let taken: HashSet<String> =
            names.finals.iter().map(|path| path.to_lowercase()).filter(|path| path.ends_with(PART)).collect();
        for (file, path) in names.finals.iter().enumerate() {
            let long = last_component(path).len() + PART.len() > COMPONENT_BYTES_MAX;
            if long || (!taken.is_empty() && taken.contains(&format!("{path}{PART}").to_lowercase())) {
                names.unusual.insert(file, unusual(path, file, &taken));
            }
        }
        names
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.finals.len()
    }

    /// The final path of a file.
    pub fn of(&self, file: usize) -> &str {
        self.finals.get(file).map_or("", String::as_str)
    }

    /// Its path while it is incomplete.
    pub fn part(&self, file: usize) -> String {
        match self.unusual.get(&file) {
            Some(path) => path.clone(),
            None => format!("{}{PART}", self.of(file)),
        }
    }
}

/// `<cut name>.<index>.wlpart`: short enough, and nobody else's.
fn unusual(path: &str, file: usize, taken: &HashSet<String>) -> String {
    let name = last_component(path);
    let front = path.get(..path.len() - name.len()).unwrap_or_default();
    let mut number = file.to_string();
    loop {
        let end = format!(".{number}{PART}");
        let room = COMPONENT_BYTES_MAX - end.len();
        let cut = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&cut| cut <= room).last();
        let part = format!("{front}{}{end}", name.get(..cut.unwrap_or(0)).unwrap_or_default());
        if !taken.contains(&part.to_lowercase()) {
            return part;
        }
        number.push('_');
    }
}

fn last_component(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The resume file.
pub fn resume(content: &Content) -> String {
    format!(".{}.wlresume", short_hash(content))
}

/// The file for the bytes of unselected files.
pub fn pads(content: &Content) -> String {
    format!(".{}.wlpads", short_hash(content))
}

fn short_hash(content: &Content) -> String {
    let mut hex = content.hashes().best_hex();
    hex.truncate(16);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_names_fit_and_are_nobody_elses() {
        let long = "é".repeat(127);
        let finals = [
            "d/a",
            "d/A.wlpart",
            "d/b",
            &format!("d/{long}"),
            &"x".repeat(248),
            "c",
            "c.wlpart",
            "c.5.WLPART",
        ];
        let names = Names::new(finals.map(String::from).to_vec());
        assert_eq!(names.part(0), "d/a.0.wlpart", "case does not tell names apart everywhere");
        assert_eq!(names.part(1), "d/A.wlpart.wlpart");
        assert_eq!(names.part(2), "d/b.wlpart");
        assert!(names.part(3).starts_with("d/é") && names.part(3).ends_with("é.3.wlpart"));
        assert!(last_component(&names.part(3)).len() <= 255);
        assert_eq!(names.part(4).len(), 255);
        assert_eq!(names.part(5), "c.5_.wlpart");
        let mut all: Vec<String> = (0..names.len()).map(|file| names.part(file).to_lowercase()).collect();
        all.extend(finals.iter().map(|path| path.to_lowercase()));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
