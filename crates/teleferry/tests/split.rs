//! A proxy in two halves: fronts, backs and Telegram as processes of their own.

mod common;
#[path = "docs/page.rs"]
mod page;
mod support;

mod split {
    mod balanced;
    mod cut;
    mod delay;
    mod drain;
    mod echo;
    mod lost;
    mod network;
    mod reflector;
    mod refused;
    mod replaced;
    mod stage;
    mod traffic;
    mod versions;
    mod visitors;
}
