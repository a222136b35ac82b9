//! Manual pages in roff (man(7)): the few macros a page of options needs, and text that cannot be taken for markup.

/// A page being written.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// Begins the page `name(section)`; `version` stands in its footer. No date is written: the same program gives
    /// the same page.
    pub fn new(name: &str, section: u8, version: &str) -> Self {
        let title = name.to_uppercase();
        Self(format!(
            ".TH {} {section} \"\" \"Weightless {}\"\n.nh\n.ad l\n",
            escape(&title),
            escape(version)
        ))
    }

    /// A heading.
    pub fn section(&mut self, title: &str) -> &mut Self {
        self.line(&format!(".SH {}", escape(&title.to_uppercase())))
    }

    /// A heading inside a section.
    pub fn subsection(&mut self, title: &str) -> &mut Self {
        self.line(&format!(".SS {}", escape(title)))
    }

    /// A paragraph.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        self.line(".PP").line(&escape(text))
    }

    /// A term in bold, and what it means below it.
    pub fn item(&mut self, term: &str, meaning: &str) -> &mut Self {
        self.line(".TP").line(&format!("\\fB{}\\fR", escape_inside(term))).line(&escape(meaning))
    }

    /// A line to be typed, as it is.
    pub fn verbatim(&mut self, line: &str) -> &mut Self {
        self.line(".PP").line(".nf").line(&format!("    {}", escape_inside(line))).line(".fi")
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: &str) -> &mut Self {
        self.0.push_str(line);
        self.0.push('\n');
        self
    }
}

/// Text at the start of a line, where a dot or an apostrophe would begin a request.
fn escape(text: &str) -> String {
    let guard = if text.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{}", escape_inside(text))
}

/// A hyphen that is typed must be one in print too, and a line break would end the request.
fn escape_inside(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\'' => out.push_str("\\(aq"),
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut page = Page::new("wl", 1, "1.0");
        page.section("name").paragraph(".TH a\\fB 'x'\n.b").item("--flag", "'q").verbatim(".x");
        let text = page.finish();
        assert!(text.starts_with(".TH WL 1 \"\" \"Weightless 1.0\"\n"));
        assert!(text.ends_with(
            ".SH NAME\n.PP\n\\&.TH a\\efB \\(aqx\\(aq .b\n.TP\n\\fB\\-\\-flag\\fR\n\\&\\(aqq\n.PP\n.nf\n    .x\n.fi\n"
        ));
    }
}
