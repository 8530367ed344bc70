//! Many connections at the same time.

use std::time::Duration;

use super::{Plan, Probe, alone, browser, stranger};
use crate::script::{Script, Step};

pub(super) const LIST: &[Probe] =
    &[alone("47-2000-idle-connections", |_| idle()), alone("49-200-hellos-a-second", |_| hellos())];

/// Idle ones, and a visitor who wants something nevertheless.
fn idle() -> Plan {
    let mut scripts = vec![Script::default(); 2000];
    scripts.push(Script::tls(browser(), [Step::Send(b"GET / HTTP/1.0\r\n\r\n".to_vec())]));
    Plan::Crowd(scripts, Duration::from_micros(200))
}

/// From one address, each with a secret that nobody knows; each takes what is answered, and goes.
fn hellos() -> Plan {
    let hello = |_| Script::raw([Step::Send(stranger().wire()), Step::Await(400), Step::Reset]);
    Plan::Crowd((0..400).map(hello).collect(), Duration::from_millis(5))
}
