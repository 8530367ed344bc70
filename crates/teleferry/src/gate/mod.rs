//! May a client that proved itself come in? Asked after the proof and before any byte is answered.

mod clock_window;
mod replay;
mod tables;

pub(crate) use clock_window::ClockWindow;
pub use replay::ReplayCounts;
pub use tables::{TableError, TableSize, Tables};
