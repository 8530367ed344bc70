//! Hellos in records that are wrong, cut, or cut up.

use std::time::Duration;

use super::{Plan, Probe, probe, send, steps, stranger};
use crate::hello::{extension, record, records};
use crate::random;
use crate::script::Step;

pub(super) const LIST: &[Probe] = &[
    probe("08-one-byte-16", |_| send([0x16])),
    probe("09-record-header-only", |_| send([0x16, 3, 1, 2, 0])),
    probe("10-hello-cut-at-400", |_| send(&stranger().wire()[..400])),
    probe("10-hello-but-one-byte", |_| {
        let wire = stranger().wire();
        send(&wire[..wire.len() - 1])
    }),
    probe("11-hello-cut-then-fin", |_| steps([Step::Send(stranger().wire()[..400].to_vec()), Step::Finish])),
    probe("11-hello-then-fin", |_| steps([Step::Send(stranger().wire()), Step::Finish])),
    probe("13-record-version-0300", |_| in_version(0x0300)),
    probe("14-record-version-0303", |_| in_version(0x0303)),
    probe("15-record-version-0304", |_| in_version(0x0304)),
    probe("16-record-version-0505", |_| in_version(0x0505)),
    probe("17-record-length-0", |_| send([0x16, 3, 1, 0, 0])),
    probe("17-record-length-0-then-hello", |_| send([&[0x16, 3, 1, 0, 0][..], &stranger().wire()].concat())),
    probe("18-record-length-ffff", |_| of_length(0xffff)),
    probe("19-record-length-4001", |_| of_length(0x4001)),
    probe("20-handshake-type-2", |_| {
        let mut message = stranger().message();
        message[0] = 2;
        send(records(0x0301, &message, 16_384))
    }),
    probe("21-alert-first", |_| send(record(21, 0x0301, &[2, 40]))),
    probe("22-data-first", |_| send(record(23, 0x0303, &random::bytes(100)))),
    probe("23-ccs-first", |_| send(record(20, 0x0303, &[1]))),
    probe("23-ccs-then-hello", |_| send([record(20, 0x0303, &[1]), stranger().wire()].concat())),
    probe("24-hello-in-two-records", |_| send(records(0x0301, &stranger().message(), 1000))),
    probe("24-hello-in-tiny-records", |_| send(records(0x0301, &stranger().message(), 20))),
    probe("25-hello-in-three-segments", |_| {
        let wire = stranger().wire();
        let pause = || Step::Pause(Duration::from_millis(60));
        let part = |from, to| Step::Send(wire[from..to].to_vec());
        steps([part(0, 3), pause(), part(3, 700), pause(), part(700, wire.len())])
    }),
    probe("26-handshake-length-one-more", |_| of_message_length(1)),
    probe("26-handshake-length-one-less", |_| of_message_length(-1)),
    probe("27-trailing-garbage", |_| send([stranger().wire(), random::bytes(50)].concat())),
    probe("27-trailing-record", |_| {
        send([stranger().wire(), record(23, 0x0303, &random::bytes(200))].concat())
    }),
    probe("27-trailing-second-hello", |_| send([stranger().wire(), stranger().wire()].concat())),
    probe("27-trailing-ccs", |_| send([stranger().wire(), record(20, 0x0303, &[1])].concat())),
    probe("46-one-byte-a-second", |kit| {
        steps([Step::Drip(stranger().wire()[..30].to_vec(), kit.timers.header / 6)])
    }),
    probe("48-hello-of-32-kib", |_| send(stranger().with(extension::PADDING, vec![0; 31_000]).wire())),
    probe("48-hello-of-16-kib", |_| send(stranger().with(extension::PADDING, vec![0; 14_000]).wire())),
];

fn in_version(version: u16) -> Plan {
    send(records(version, &stranger().message(), 16_384))
}

/// The record says that it is as long as this; what follows is a hello, shorter.
fn of_length(len: u16) -> Plan {
    let mut wire = stranger().wire();
    wire[3..5].copy_from_slice(&len.to_be_bytes());
    send(wire)
}

/// The message says that it is so much longer than it is.
fn of_message_length(by: i32) -> Plan {
    let mut message = stranger().message();
    let len = (message.len() as u32 - 4).wrapping_add_signed(by).to_be_bytes();
    message[1..4].copy_from_slice(&len[1..]);
    send(records(0x0301, &message, 16_384))
}
