//! How a split proxy is run: what an operator is told of both halves, reloads, clients that hoard, and what is in the logs.

mod common;
mod support;

mod split {
    mod demo;
    mod doctor;
    mod hoard;
    mod reload;
    mod secrets;
    #[allow(dead_code, reason = "the stage has more than this needs")]
    mod stage;
    mod watched;
}
