//! Patterns for leaving files out: `*` and `?` stay within one path component, `**` does not, `[a-z]` and `[!a-z]` are
//! classes. Bytes are compared as they are.

/// A pattern of `--exclude`.
#[derive(Clone, Debug)]
pub struct Glob(Vec<u8>);

impl Glob {
    /// Any text is a pattern; an unclosed `[` stands for itself.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.as_bytes().to_vec())
    }

    /// Whether the pattern matches the whole relative path, or one of its components.
    pub fn matches(&self, path: &[Vec<u8>]) -> bool {
        // The walk asks for every directory on the way, so the last component is the only new one.
        matches(&self.0, &path.join(&b'/')) || path.last().is_some_and(|last| matches(&self.0, last))
    }
}

/// Greedy matching with one point to come back to for each kind of star: linear in practice, quadratic at worst.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to resume behind the last `*` and the last `**`, and the text position tried there.
    let mut star: Option<(usize, usize)> = None;
    let mut double: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p..).is_some_and(|rest| rest.starts_with(b"**")) {
            p += 2;
            // `**/` also stands for no directory at all.
            if pattern.get(p) == Some(&b'/') && (t == 0 || text.get(t - 1) == Some(&b'/')) {
                p += 1;
            }
            (star, double) = (None, Some((p, t)));
            continue;
        }
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        match (text.get(t), one(pattern, p, text.get(t).copied())) {
            (None, _) if p == pattern.len() => return true,
            (Some(_), Some(next)) => {
                (p, t) = (next, t + 1);
                continue;
            }
            _ => {}
        }
        if let Some((back, at)) = star
            && text.get(at).is_some_and(|&b| b != b'/')
        {
            star = Some((back, at + 1));
            (p, t) = (back, at + 1);
        } else if let Some((back, at)) = double
            && at < text.len()
        {
            (star, double) = (None, Some((back, at + 1)));
            (p, t) = (back, at + 1);
        } else {
            return false;
        }
    }
}

/// Matches one byte against what stands at `p`, and says where the pattern goes on.
fn one(pattern: &[u8], p: usize, byte: Option<u8>) -> Option<usize> {
    let byte = byte?;
    match pattern.get(p)? {
        b'?' => (byte != b'/').then_some(p + 1),
        b'[' => match class(pattern, p + 1, byte) {
            Some((hit, next)) => (hit && byte != b'/').then_some(next),
            None => (byte == b'[').then_some(p + 1),
        },
        literal => (*literal == byte).then_some(p + 1),
    }
}

/// Whether `byte` is in the class that begins behind the `[`, and where the pattern goes on; `None` if it never closes.
fn class(pattern: &[u8], mut p: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(p), Some(b'!' | b'^'));
    p += usize::from(negated);
    let first = p;
    let mut hit = false;
    loop {
        let low = *pattern.get(p)?;
        if low == b']' && p > first {
            return Some((hit != negated, p + 1));
        }
        match (pattern.get(p + 1), pattern.get(p + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                hit |= (low..=high).contains(&byte);
                p += 3;
            }
            _ => {
                hit |= low == byte;
                p += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths_and_components() {
        let path = |text: &str| text.split('/').map(|part| part.as_bytes().to_vec()).collect::<Vec<_>>();
        for (pattern, text, hit) in [
            ("*.tmp", "a.tmp", true),
            ("*.tmp", "d/e/a.tmp", true),
            ("*.tmp", "a.tmp/b", false),
            ("d/*", "d/a", true),
            ("d/*", "d/e/a", false),
            ("d/**", "d/e/a", true),
            ("**/a", "a", true),
            ("**/a", "d/e/a", true),
            ("d/**/a", "d/a", true),
            ("d/**/a", "d/x/y/a", true),
            ("d/**/a", "d/x/y/b", false),
            ("a?c", "abc", true),
            ("d?c", "d/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[x", "[x", true),
            ("", "a", false),
            ("*", "a", true),
            ("a*b*c", "aXbYbZc", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(&path(text)), hit, "{pattern} {text}");
        }
    }
}
