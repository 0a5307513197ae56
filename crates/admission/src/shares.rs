//! How the slots of a gate are shared between the databases and the kinds of calls.

/// How many large calls run at once, and how many of one database.
const MOST_LARGE: usize = 8;
const MOST_LARGE_OF_DB: usize = 2;

/// How many calls may run at once: of all databases, and of each one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Calls of any kind. Long streams count apart.
    pub(crate) calls: usize,
    pub(crate) calls_of_db: usize,
    /// Those of `calls` that may be streams.
    pub(crate) streams: usize,
    pub(crate) streams_of_db: usize,
    /// Long streams.
    pub(crate) long: usize,
    pub(crate) long_of_db: usize,
}

impl Shares {
    /// The shares of `calls` slots.
    pub(crate) fn of(calls: usize) -> Self {
        let (of_db, long) = (half(calls), half(calls));
        Self {
            calls,
            calls_of_db: of_db,
            streams: most_streams(calls),
            streams_of_db: most_streams(of_db),
            long,
            long_of_db: half(long),
        }
    }

    /// The shares of large calls, for a store that may run `calls` calls in all.
    pub(crate) fn of_large(calls: usize) -> Self {
        let large = calls.min(MOST_LARGE);
        Self {
            calls: large,
            calls_of_db: half(large).min(MOST_LARGE_OF_DB),
            streams: most_streams(large),
            streams_of_db: most_streams(half(large)).min(MOST_LARGE_OF_DB),
            ..Self::of(calls)
        }
    }
}

/// The share of one database.
pub(crate) fn half(slots: usize) -> usize {
    slots.div_ceil(2)
}

/// How many of the slots streams may hold. The callers of streams may need one of the others.
pub(crate) fn most_streams(slots: usize) -> usize {
    (slots - slots / 4).min(slots.saturating_sub(1)).max(1)
}
