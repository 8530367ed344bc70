//! Hellos that the secret proves and the proxy must refuse all the same: recordings, and clients whom a rule keeps out.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Door, Kit, Plan, Prelude, Probe, Then, When, alone, probe};
use crate::script::{Script, Step};

pub(super) const LIST: &[Probe] = &[
    probe("34-replay-after-1-s", |kit| replay(kit, Then::Wait(Duration::from_secs(1)), 0)),
    probe("34-replay-while-the-client-is-here", |kit| replay(kit, Then::Hold, 0)),
    probe("34-replay-with-another-time", |kit| replay(kit, Then::Wait(Duration::from_millis(100)), 4)),
    probe("34-replay-in-two-records", replay_in_two_records),
    alone("34-replay-after-a-restart", |kit| replay(kit, Then::Restart, 0)),
    Probe {
        when: When::LongRunsOnly,
        ..probe("34-replay-after-10-min", |kit| replay(kit, Then::Wait(Duration::from_secs(600)), 0))
    },
    Probe { door: Door::Ruled, ..probe("50-client-from-a-blocked-address", blocked) },
    Probe { door: Door::Ruled, ..alone("50-client-over-a-limit", over_a_limit) },
];

/// A client's hello, and the same again, with its time changed by these bits.
fn replay(kit: &Kit, then: Then, time_bits: u8) -> Plan {
    let hello = kit.client();
    let mut wire = hello.wire.clone();
    // The last four bytes of the random field carry the time, in the clear for whoever changes bits.
    wire[11 + 28] ^= time_bits;
    Plan::After(Prelude { hello, source: None, then }, Script::raw([Step::Send(wire)]))
}

/// The same hello, split differently over records: the digest is of the hello, whatever its records.
fn replay_in_two_records(kit: &Kit) -> Plan {
    let hello = kit.client();
    let wire = crate::hello::records(0x0301, &hello.wire[5..], 900);
    let prelude = Prelude { hello, source: None, then: Then::Wait(Duration::from_millis(100)) };
    Plan::After(prelude, Script::raw([Step::Send(wire)]))
}

/// A fresh hello from the address that a rule refuses.
fn blocked(kit: &Kit) -> Plan {
    let source = Some(Ipv4Addr::from(crate::stage::BLOCKED));
    Plan::One(Script { source, ..Script::raw([Step::Send(kit.client().wire)]) })
}

/// A fresh hello from an address that has its one client already.
fn over_a_limit(kit: &Kit) -> Plan {
    let source = Some(Ipv4Addr::new(127, 0, 0, 3));
    let prelude = Prelude { hello: kit.client(), source, then: Then::Hold };
    Plan::After(prelude, Script { source, ..Script::raw([Step::Send(kit.client().wire)]) })
}
