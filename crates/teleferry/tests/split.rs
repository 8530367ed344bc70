//! A proxy in two halves: fronts, backs and Telegram as processes of their own.

mod common;
mod support;

mod split {
    mod drain;
    mod echo;
    mod lost;
    mod stage;
    mod visitors;
}
