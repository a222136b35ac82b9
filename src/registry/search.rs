//! The parameters of `GET /api/registry/search`, clamped and defaulted.

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
    /// Rows in a page, 1-100.
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
