//! The gate over real sockets: who proved itself and may not come in is a visitor of the cover site like everybody else.

mod common;
mod gate {
    mod limits;
    mod lists;
    mod passed_on;
    mod replay;
    mod rules;
    mod sni;
    mod stage;
}
