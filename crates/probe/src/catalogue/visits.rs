//! What visitors of the site do.

use std::time::Duration;

use super::{Kit, Plan, Probe, alone, browser, http2, probe, stranger};
use crate::script::{Script, Step, Tls};
use crate::stage::DOMAIN;

pub(super) const LIST: &[Probe] = &[
    probe("40-visit", |_| visit([get("/", "")])),
    probe("40-visit-and-close", |_| visit([get("/", "Connection: close\r\n")])),
    probe("40-visit-tls-1.2", |_| Plan::One(Script::tls(Tls { old: true, ..browser() }, [get("/", "")]))),
    probe("40-visit-nothing-there", |_| visit([get("/nothing", "")])),
    probe("40-visit-bad-request", |_| visit([Step::Send(b"NONSENSE\r\n\r\n".to_vec())])),
    probe("40-session-without-a-request", |_| visit([])),
    probe("40-post", |_| {
        visit([Step::Send(
            format!("POST / HTTP/1.1\r\nHost: {DOMAIN}\r\nContent-Length: 9\r\n\r\nabc").into(),
        )])
    }),
    probe("41-visit-h2", |_| {
        let tls = Tls { alpn: vec![b"h2", b"http/1.1"], ..browser() };
        // The site's SETTINGS first, so that they stand in a record of their own each time.
        let request = [Step::Pause(Duration::from_millis(200)), Step::Send(http2::request())];
        Plan::One(Script::tls(tls, request))
    }),
    probe("42-download-6-mib", |_| visit([get("/large", "Connection: close\r\n")])),
    alone("42-download-100-mib", |_| visit([get("/sparse", "Connection: close\r\n")])),
    probe("43-idle-then-request-1", |kit| idle_then_request(kit, 2)),
    probe("43-idle-then-request-2", |kit| idle_then_request(kit, 6)),
    probe("43-idle-then-request-3", |kit| idle_then_request(kit, 10)),
    probe("43-idle-then-request-4", |kit| idle_then_request(kit, 16)),
    probe("44-goodbye-after-request", |_| visit([get("/", ""), Step::Finish])),
    probe("44-goodbye-after-answer", |_| visit([get("/", ""), Step::Await(300), Step::Finish])),
    probe("44-fin-after-request-in-the-clear", |_| {
        let request = format!("GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n");
        Plan::One(Script::raw([Step::Send(request.into()), Step::Finish]))
    }),
    probe("45-reset-in-a-download", |_| visit([get("/large", ""), Step::Await(1 << 20), Step::Reset])),
    probe("45-reset-after-a-hello", |_| {
        Plan::One(Script::raw([Step::Send(stranger().wire()), Step::Await(100), Step::Reset]))
    }),
];

fn visit(steps: impl Into<Vec<Step>>) -> Plan {
    Plan::One(Script::tls(browser(), steps))
}

fn get(path: &str, more: &str) -> Step {
    Step::Send(format!("GET {path} HTTP/1.1\r\nHost: {DOMAIN}\r\n{more}\r\n").into_bytes())
}

/// A request, so many twelfths of the site's keep-alive time, and another request.
fn idle_then_request(kit: &Kit, twelfths: u32) -> Plan {
    visit([get("/", ""), Step::Pause(kit.timers.keep_alive * twelfths / 12), get("/nothing", "")])
}
