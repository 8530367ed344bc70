//! The ways to Telegram. A session has one [`Leg`] and does not know which kind.

mod book;
mod direct;
mod exit;
mod health;
mod leg;
mod lookout;
mod middle;
mod remote;

pub(crate) use book::{Book, Destination};
pub(crate) use direct::{DirectLeg, Way};
pub(crate) use exit::Exit;
pub(crate) use health::Health;
pub(crate) use leg::Leg;
pub(crate) use lookout::look_out;
pub(crate) use middle::{Board, Endpoints, MiddleLeg, Passenger, Pool, Pools, Workbench};
pub(crate) use remote::{Backs, Cause, Front, Look, RemoteLeg, Stop, look};
