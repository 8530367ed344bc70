//! New settings while clients are there: what changed is in force, and nobody is dropped.

mod common;
mod reload {
    mod crowd;
    mod effects;
    mod keys;
    mod listeners;
    mod model;
}
#[path = "middle/stage.rs"]
#[allow(dead_code, reason = "the tests of middle proxies use the rest of it")]
mod stage;
