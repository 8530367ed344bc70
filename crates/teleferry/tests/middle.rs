//! Sessions over middle proxies, from end to end over real sockets.

mod common;

mod middle {
    mod choice;
    mod echo;
    mod model;
    mod moving;
    mod seen;
    mod slow;
    mod stage;
}
