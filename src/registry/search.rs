//! The parameters of `GET /api/registry/search`, clamped and defaulted, and how names are compared.

/// One search. Filters combine with AND; an empty filter matches everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// Substring of the name, without regard to case.
    pub text: String,
    /// Exact category.
    pub category: String,
    /// Exact publisher.
    pub publisher: String,
    /// Substring of the tags, without regard to ASCII case.
    pub tags: String,
    /// The order.
    pub sort: Sort,
    /// Rows in a page, 1-100. (0 asks for no row, only for the total.)
    pub limit: u32,
    /// Rows skipped.
    pub offset: u64,
}

/// The order of a search. Ties: newest first, then by hash, so that pages never overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// Newest first.
    #[default]
    CreatedAt,
    /// Most completed downloads first.
    Completions,
    /// Most live seeders first, over every match.
    Seeders,
}

/// Which rows of a list are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Rows in a page, 1-100.
    pub limit: u32,
    /// Rows skipped.
    pub offset: u64,
}

impl Sort {
    /// Its name as a parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Completions => "completions",
            Self::Seeders => "seeders",
        }
    }
}

impl Search {
    /// Reads the parameters through `get`, which answers the decoded value of a query parameter. Nothing is refused:
    /// what is out of range or not a number takes its default, as in the seed.
    pub fn from_params(get: impl Fn(&str) -> Option<String>) -> Self {
        let Page { limit, offset } = Page::from_params(&get);
        let text = |name| get(name).unwrap_or_default();
        let sort = match text("sort").as_str() {
            "completions" => Sort::Completions,
            "seeders" => Sort::Seeders,
            _ => Sort::CreatedAt,
        };
        let (category, publisher, tags) = (text("category"), text("publisher"), text("tags"));
        Self { text: text("q"), category, publisher, tags, sort, limit, offset }
    }
}

impl Page {
    /// Reads `limit` (default 50, at most 100) and `offset` (default 0) through `get`.
    pub fn from_params(get: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| get(name).and_then(|text| text.parse::<i64>().ok());
        let limit = match number("limit") {
            Some(n) if n > 0 => n.min(PAGE_ROWS_MAX) as u32,
            _ => PAGE_ROWS_DEFAULT,
        };
        Self { limit, offset: number("offset").and_then(|n| u64::try_from(n).ok()).unwrap_or(0) }
    }
}

/// The form in which names are compared: every letter in lower case, each by itself. (`str::to_lowercase` looks at
/// the neighbours of a sigma, so a part of a name would not always be found in the whole.)
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

const PAGE_ROWS_DEFAULT: u32 = 50;
const PAGE_ROWS_MAX: i64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(limit: &str, offset: &str) -> (u32, u64) {
        let page = Page::from_params(|name| match name {
            "limit" => Some(limit.to_owned()),
            "offset" => Some(offset.to_owned()),
            _ => None,
        });
        (page.limit, page.offset)
    }

    #[test]
    fn pages_are_clamped_and_defaulted_as_in_the_seed() {
        assert_eq!(page("", ""), (50, 0));
        assert_eq!(page("1", "7"), (1, 7));
        assert_eq!(page("100", "0"), (100, 0));
        assert_eq!(page("101", "-1"), (100, 0));
        assert_eq!(page("0", "x"), (50, 0));
        assert_eq!(page("-3", "1.5"), (50, 0));
        assert_eq!(page("ten", "9223372036854775807"), (50, i64::MAX as u64));
        assert_eq!(page("99999999999999999999", "99999999999999999999"), (50, 0));
    }

    #[test]
    fn an_unknown_order_is_the_default() {
        let sort = |text: &str| Search::from_params(|name| (name == "sort").then(|| text.to_owned())).sort;
        assert_eq!(sort("seeders"), Sort::Seeders);
        assert_eq!(sort("completions"), Sort::Completions);
        assert_eq!(sort("created_at"), Sort::CreatedAt);
        assert_eq!(sort("Seeders"), Sort::CreatedAt);
    }

    #[test]
    fn folding_a_part_gives_a_part_of_the_folded_whole() {
        assert_eq!(fold("ΟΔΟΣ"), fold("ΟΔΟ") + &fold("Σ"));
        assert_eq!(fold("ÄÖ Linux"), "äö linux");
    }
}
