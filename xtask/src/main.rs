//! Generated references.

fn main() {}
