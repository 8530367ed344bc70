//! Which ways to Telegram work.

/// What is known of the ways to one data centre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Its id, negative for media.
    pub dc: i16,
    /// Links to its middle proxies that take clients, on all shards. 0 when middle proxies are not used.
    pub middle_links: usize,
    /// Why the last link to one of its middle proxies failed; stays when others work.
    pub middle_error: Option<String>,
    /// Whether it can be reached without a middle proxy.
    pub direct: Direct,
    /// What the last of its own addresses that failed said; stays when others work.
    pub direct_error: Option<String>,
}

/// Whether a data centre can be reached directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direct {
    /// One of its addresses took a connection, or answered.
    Reachable,
    /// Not all of its addresses were tried, and none took a connection.
    Unknown,
    /// None of its addresses takes connections.
    Unreachable,
}

impl Direct {
    /// Its name in the API and in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
        }
    }
}
