//! Every probe: what somebody sends who wants to know whether this is a proxy.

mod bytes;
mod crowds;
mod hellos;
mod hijacks;
mod http2;
mod records;
mod secrets;
mod visits;

use std::net::Ipv4Addr;
use std::time::Duration;

use teleferry_proto::fake_tls::greeting::Greeting;
use teleferry_proto::secret::SecretKey;

use crate::script::{Script, Step, Tls};
use crate::stage::{DOMAIN, Timers};
use crate::{hello, random};

/// A probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// Its name: what is told, and what `--only` looks for.
    pub(crate) name: &'static str,
    /// When it is played.
    pub(crate) when: When,
    /// Which listener of the proxy it is for.
    pub(crate) door: Door,
    /// Makes it anew for every pair of proxy and site.
    pub(crate) plan: fn(&Kit) -> Plan,
}

/// When a probe is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Among others.
    Together,
    /// Alone, as it needs the machine for itself or restarts the proxy.
    Alone,
    /// Alone, and in long runs only.
    LongRunsOnly,
}

/// A listener of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// The one that takes clients from everywhere.
    Open,
    /// The one with rules.
    Ruled,
}

/// What is done.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// One connection.
    One(Script),
    /// A client of the proxy first, then one connection.
    After(Prelude, Script),
    /// A client's hello; when it is answered the script, and what comes from then on.
    Behind(Greeting, Script),
    /// Many connections, begun at this distance from each other.
    Crowd(Vec<Script>, Duration),
}

/// A client that the proxy must have taken before the probe begins.
#[derive(Debug, Clone)]
pub(crate) struct Prelude {
    /// Its hello.
    pub(crate) hello: Greeting,
    /// Where it comes from.
    pub(crate) source: Option<Ipv4Addr>,
    /// What happens then.
    pub(crate) then: Then,
}

/// What happens between a client and the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The client goes, and so much time passes.
    Wait(Duration),
    /// The client goes, and the proxy is stopped and started again.
    Restart,
    /// The client stays.
    Hold,
}

/// What probes are made from.
#[derive(Debug, Clone)]
pub(crate) struct Kit {
    /// The secret of the proxy.
    pub(crate) key: SecretKey,
    /// The timers of the site.
    pub(crate) timers: Timers,
}

impl Kit {
    /// A hello that the proxy's secret proves.
    fn client(&self) -> Greeting {
        hello::greet(&self.key, DOMAIN, 0)
    }
}

/// A hello of a Telegram app with a secret that nobody knows.
fn stranger() -> hello::Hello {
    hello::Hello::parse(&hello::greet(&SecretKey::new(random::array()), DOMAIN, 0).wire)
}

/// A session with a browser's offers.
fn browser() -> Tls {
    Tls { old: false, alpn: vec![b"http/1.1"], name: DOMAIN.to_owned() }
}

/// Every probe, in the order of its number.
pub(crate) fn all() -> Vec<Probe> {
    let lists =
        [bytes::LIST, records::LIST, hellos::LIST, secrets::LIST, visits::LIST, crowds::LIST, hijacks::LIST];
    let mut all = lists.concat();
    all.sort_by_key(|probe| probe.name);
    all
}

const fn probe(name: &'static str, plan: fn(&Kit) -> Plan) -> Probe {
    Probe { name, when: When::Together, door: Door::Open, plan }
}

const fn alone(name: &'static str, plan: fn(&Kit) -> Plan) -> Probe {
    Probe { name, when: When::Alone, door: Door::Open, plan }
}

/// Bytes in one piece, and nothing more.
fn send(bytes: impl Into<Vec<u8>>) -> Plan {
    steps([Step::Send(bytes.into())])
}

fn steps(steps: impl Into<Vec<Step>>) -> Plan {
    Plan::One(Script::raw(steps))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_has_a_probe_and_no_name_is_there_twice() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|probe| probe.name).collect();
        assert_eq!(names.len(), all.len());
        for number in 1..=50 {
            let prefix = format!("{number:02}-");
            assert!(names.iter().any(|name| name.starts_with(&prefix)), "no probe {number}");
        }
    }

    #[test]
    fn plans_are_fresh_every_time() {
        let kit = Kit { key: SecretKey::new([7; 16]), timers: Timers::SHORT };
        let wrong_secret = all().into_iter().find(|probe| probe.name == "31-wrong-secret").unwrap();
        let hello = || match (wrong_secret.plan)(&kit) {
            Plan::One(script) => format!("{:?}", script.steps),
            other => panic!("{other:?}"),
        };
        assert_ne!(hello(), hello());
    }
}
