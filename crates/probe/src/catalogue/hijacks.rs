//! Somebody on the way has held a client's hello back and plays it himself, or puts bytes of his own behind it. He cannot go
//! on as the client would; what he sees then has to be what a site shows to those who cannot go on.

use super::{Kit, Plan, Probe, probe};
use crate::hello::record;
use crate::random;
use crate::script::{Script, Step};

pub(super) const LIST: &[Probe] = &[
    probe("51-after-flight-ccs-and-200-bytes", |kit| send(kit, [ccs(), data(200)].concat())),
    probe("53-after-flight-ccs-and-69-bytes", |kit| send(kit, [ccs(), data(69)].concat())),
    probe("53-after-flight-69-bytes", |kit| send(kit, data(69))),
    probe("57-after-flight-40-ccs", |kit| send(kit, ccs().repeat(40))),
    probe("58-after-flight-wrong-ccs", |kit| send(kit, record(20, 0x0303, &[2]))),
    probe("59-after-flight-record-too-long", |kit| send(kit, vec![23, 3, 3, 0x41, 0x01])),
    probe("60-after-flight-warning", |kit| send(kit, record(21, 0x0303, &[1, 0]))),
    probe("60-after-flight-fatal-alert", |kit| send(kit, record(21, 0x0303, &[2, 40]))),
    probe("61-after-flight-http", |kit| send(kit, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec())),
    probe("62-after-flight-second-hello", |kit| send(kit, super::stranger().wire())),
    probe("63-after-flight-handshake-record", |kit| send(kit, record(22, 0x0303, &random::bytes(52)))),
    probe("64-after-flight-fin", |kit| hijack(kit, [Step::Finish])),
    probe("66-after-flight-silence", |kit| hijack(kit, [])),
    probe("67-after-flight-header-of-nobody", |kit| send(kit, [ccs(), data(300)].concat())),
    probe("70-after-flight-64-bytes", |kit| send(kit, data(64))),
    probe("70-after-flight-80-bytes", |kit| send(kit, data(80))),
];

fn send(kit: &Kit, bytes: Vec<u8>) -> Plan {
    hijack(kit, [Step::Send(bytes)])
}

fn hijack(kit: &Kit, steps: impl Into<Vec<Step>>) -> Plan {
    Plan::Behind(kit.client(), Script::raw(steps))
}

fn ccs() -> Vec<u8> {
    record(20, 0x0303, &[1])
}

/// A record of data that nobody can decrypt.
fn data(len: usize) -> Vec<u8> {
    record(23, 0x0303, &random::bytes(len))
}
