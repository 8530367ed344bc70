//! Whatever listeners come, go and change: what is open is what the settings say, and everybody is served.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::test_runner::Config;
use teleferry::config::Listener;
use teleferry_sim::client::Protocol;

use super::crowd::{addresses_of, connect};
use crate::common::{Proxy, at, key, listener, settings, soon, telegram};

/// Some of four listeners, in any order, each with one to three addresses.
fn listeners() -> impl Strategy<Value = Vec<Listener>> {
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d"], 1..=4).prop_shuffle();
    names.prop_flat_map(|names| {
        let addresses = prop::collection::vec(1..=3_usize, names.len());
        addresses.prop_map(move |addresses| {
            let both = names.iter().zip(addresses);
            both.map(|(name, count)| Listener {
                addresses: vec![at(Ipv4Addr::LOCALHOST.into()); count],
                ..listener(name)
            })
            .collect()
        })
    })
}

/// Reloads each set in turn. The clients of listeners that are no more have a minute, which is longer than this takes.
async fn play(sets: Vec<Vec<Listener>>) {
    let telegram = telegram();
    let mut snapshot = settings(&telegram);
    snapshot.listeners.clone_from(&sets[0]);
    let proxy = Proxy::start(snapshot.clone());
    let mut clients = Vec::new();
    for set in sets {
        let before: BTreeMap<_, _> = snapshot
            .listeners
            .iter()
            .map(|known| (known.name.clone(), addresses_of(&proxy.server, &known.name)))
            .collect();
        snapshot.listeners.clone_from(&set);
        soon(proxy.server.reload(snapshot.clone())).await.expect("it is taken up");
        assert_eq!(proxy.server.addresses().len(), set.iter().map(|one| one.addresses.len()).sum::<usize>());
        for one in &set {
            let open = addresses_of(&proxy.server, &one.name);
            assert_eq!(open.len(), one.addresses.len());
            if let Some(before) = before.get(&one.name) {
                let stay = before.len().min(open.len());
                assert_eq!(open[..stay], before[..stay], "an address that could stay has moved");
            }
            for address in open {
                clients.push(connect(address, Protocol::Padded, key()).await.expect("served"));
            }
        }
        for client in &mut clients {
            soon(client.echo(vec![3; 64])).await.expect("nobody is dropped");
        }
        let counts = proxy.server.listeners().into_iter().filter_map(|name| proxy.server.counts(&name));
        assert_eq!(counts.map(|counts| counts.open).sum::<u64>(), clients.len() as u64);
    }
}

proptest! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 30, failure_persistence: None, ..Config::default() })]

    #[test]
    fn f_03_f_25_what_is_open_is_what_the_settings_say(sets in prop::collection::vec(listeners(), 2..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(sets));
    }
}
