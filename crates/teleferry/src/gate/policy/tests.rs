use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::{Rule, TableKind, TableSettings};

/// Settings with rules alone.
struct Stage {
    snapshot: Snapshot,
    tables: Tables,
    counters: Arc<Counters>,
}

fn table(kind: TableKind, entries: &[&str]) -> TableSettings {
    let entries = entries.iter().map(|entry| kind.entry(entry).expect("an entry")).collect();
    TableSettings { kind, entries, source: None, refresh: Duration::from_secs(60) }
}

fn stage(policies: Vec<config::Policy>) -> Stage {
    let tables = BTreeMap::from([
        ("names".to_owned(), table(TableKind::Domain, &["a.example"])),
        ("bad".to_owned(), table(TableKind::Network, &["192.0.2.0/24", "2001:db8::/32"])),
    ]);
    let text = "[[listen]]\naddress = \"127.0.0.1:1\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"a.example\"\n";
    let mut snapshot = config::for_tests(text);
    let tables_there = Tables::new(&tables, Path::new("/dev/null/nowhere"));
    (snapshot.policies, snapshot.tables) = (policies, tables);
    Stage { snapshot, tables: tables_there, counters: Arc::new(Counters::new()) }
}

impl Stage {
    fn policy(&self, listener: &str) -> Policy {
        Policy::new(&self.snapshot, listener, &self.tables)
    }

    fn admit(&self, candidate: &Candidate<'_>) -> Result<Vec<Claim>, Refused> {
        self.policy(candidate.listener).admit(candidate, &self.counters)
    }
}

fn rule(rule: Rule) -> config::Policy {
    config::Policy { rule, listeners: None }
}

fn in_table(key: PolicyKey, table: &str, listed: bool) -> config::Policy {
    rule(Rule::Table { key, table: table.to_owned(), listed })
}

fn max(keys: &[PolicyKey], limit: usize) -> config::Policy {
    rule(Rule::MaxConnections { keys: keys.to_vec(), limit })
}

fn client(address: &str) -> Candidate<'static> {
    let address = address.parse().expect("an address");
    Candidate { listener: "main", secret: None, tls_domain: Some(b"a.example"), address: Some(address) }
}

#[test]
fn f_02_who_is_refused_is_not_counted_whatever_the_order_of_the_rules() {
    let both = [
        max(&[PolicyKey::TlsDomain], 3),
        max(&[PolicyKey::Listener], 1),
        in_table(PolicyKey::TlsDomain, "names", true),
    ];
    let stage = stage(both.to_vec());
    let stranger = Candidate { tls_domain: Some(b"b.example"), ..client("10.0.0.1") };
    for _ in 0..10 {
        assert_eq!(stage.admit(&stranger).err(), Some(Refused));
    }
    assert_eq!(stage.counters.totals(), (0, 0));
    // One that passes the first count and not the second gives the first back.
    let first = stage.admit(&client("10.0.0.1")).expect("let in");
    for _ in 0..10 {
        assert_eq!(stage.admit(&client("10.0.0.1")).err(), Some(Refused));
    }
    assert_eq!(stage.counters.totals(), (2, 2));
    drop(first);
    assert_eq!(stage.counters.totals(), (0, 0));
    stage.tables.add("names", "b.example").expect_err("not kept, but done");
    stage.admit(&stranger).expect("listed now");
}

#[test]
fn f_26_counts_stay_right_when_the_rules_change() {
    let mut stage = stage(vec![max(&[PolicyKey::ClientIp], 2)]);
    let clients = [(); 2].map(|()| stage.admit(&client("10.0.0.1")).expect("let in"));
    assert_eq!(stage.admit(&client("10.0.0.1")).err(), Some(Refused));
    // The same rule in another place and with another limit: those who are there count.
    stage.snapshot.policies =
        vec![in_table(PolicyKey::TlsDomain, "names", true), max(&[PolicyKey::ClientIp], 3)];
    let third = stage.admit(&client("10.0.0.1")).expect("let in");
    assert_eq!(stage.admit(&client("10.0.0.1")).err(), Some(Refused));
    // No rule any more: who came with one still gives back.
    stage.snapshot.policies = Vec::new();
    assert!(stage.admit(&client("10.0.0.1")).expect("let in").is_empty());
    drop(clients);
    drop(third);
    assert_eq!(stage.counters.totals(), (0, 0));
}

#[test]
fn f_09_an_ipv4_client_is_one_in_every_form() {
    let stage = stage(vec![in_table(PolicyKey::ClientIp, "bad", false)]);
    for (address, passes) in [
        ("192.0.2.1", false),
        ("::ffff:192.0.2.1", false),
        ("192.0.3.1", true),
        ("::ffff:192.0.3.1", true),
        ("2001:db8::1", false),
        ("2001:db9::1", true),
    ] {
        assert_eq!(stage.admit(&client(address)).is_ok(), passes, "{address}");
    }
    let local = Candidate { address: None, ..client("10.0.0.1") };
    assert!(stage.admit(&local).is_ok(), "no address, no lookup");
}

#[test]
fn rules_whose_key_says_nothing_of_a_client_pass() {
    let key = |key| in_table(key, "bad", true);
    for (policy, passing, refused) in [
        (in_table(PolicyKey::TlsDomain, "names", true), Some(None), Some(b"".as_slice())),
        (in_table(PolicyKey::TlsDomain, "names", true), Some(Some(b"A.Example".as_slice())), None),
    ] {
        let stage = stage(vec![policy]);
        if let Some(tls_domain) = passing {
            assert!(stage.admit(&Candidate { tls_domain, ..client("10.0.0.1") }).is_ok());
        }
        if let Some(domain) = refused {
            let nameless = Candidate { tls_domain: Some(domain), ..client("10.0.0.1") };
            assert!(stage.admit(&nameless).is_err(), "fake TLS without a name is in no table");
        }
    }
    assert!(stage(vec![key(PolicyKey::ClientIpv4(32))]).admit(&client("2001:db9::1")).is_ok());
    assert!(stage(vec![key(PolicyKey::ClientIpv6(128))]).admit(&client("10.0.0.1")).is_ok());
    assert!(stage(vec![key(PolicyKey::ClientIpv4(24))]).admit(&client("192.0.2.9")).is_ok());
    assert!(stage(vec![key(PolicyKey::ClientIpv4(23))]).admit(&client("192.0.2.9")).is_err());
    // A count with such a key is skipped as a whole.
    let counting = stage(vec![max(&[PolicyKey::Listener, PolicyKey::ClientIpv4(24)], 1)]);
    let held: Vec<_> = (0..3).map(|_| counting.admit(&client("2001:db9::1")).expect("let in")).collect();
    assert!(held.iter().all(Vec::is_empty));
}

#[test]
fn counts_are_by_all_keys_together() {
    let stage = stage(vec![max(&[PolicyKey::Secret, PolicyKey::ClientIpv4(24)], 1)]);
    let named = |secret, address| Candidate { secret, ..client(address) };
    let _first = stage.admit(&named(Some("alice"), "10.0.0.1")).expect("let in");
    assert!(stage.admit(&named(Some("alice"), "10.0.0.77")).is_err(), "the same network");
    let _second = stage.admit(&named(Some("alice"), "10.0.1.1")).expect("another network");
    let _third = stage.admit(&named(None, "10.0.0.1")).expect("another secret");
    assert!(stage.admit(&named(None, "10.0.0.1")).is_err());
}

#[test]
fn rules_are_for_their_listeners_alone() {
    let mut scoped = max(&[PolicyKey::ClientIp], 1);
    scoped.listeners = Some(vec!["main".to_owned()]);
    let stage = stage(vec![scoped, max(&[PolicyKey::ClientIp], 3)]);
    let other = Candidate { listener: "other", ..client("10.0.0.1") };
    let _others = [(); 2].map(|()| stage.admit(&other).expect("let in"));
    let _main = stage.admit(&client("10.0.0.1")).expect("the others do not count here");
    assert!(stage.admit(&client("10.0.0.1")).is_err());
    assert!(stage.admit(&other).is_err(), "three over all listeners");
}
