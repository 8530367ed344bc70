//! The ways to Telegram. A session has one [`Leg`] and does not know which kind.

mod book;
mod health;
mod leg;

pub(crate) use book::{Book, Destination};
pub(crate) use health::Health;
pub(crate) use leg::Leg;
