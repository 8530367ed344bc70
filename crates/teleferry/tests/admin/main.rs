//! The running program as those see it who watch it and tell it what to do.

#[path = "../common/mod.rs"]
mod common;

mod bounds;
mod control;
mod health;
mod metrics;
mod page;
mod privacy;
mod program;
