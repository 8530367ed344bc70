//! The operator's settings.

mod snapshot;

pub use snapshot::*;
