//! whatever clients, data centres and links do, the proxy, the middle proxies and a model of both agree.

use proptest::prelude::*;
use proptest::test_runner::Config;
use teleferry_proto::rpc::{ConnId, Packet};
use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::middle::Order;

use super::stage::Stage;
use crate::common::{Proxy, soon};

#[derive(Debug, Clone)]
enum Step {
    Connect(Protocol),
    /// One of the clients has this many bytes echoed.
    Echo(prop::sample::Index, usize),
    /// One of the clients goes.
    Close(prop::sample::Index),
    /// The data centre closes one of the clients.
    Dismiss(prop::sample::Index),
    /// The link of one of the clients goes, in order or not.
    Cut(prop::sample::Index, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let any_client = any::<prop::sample::Index>;
    prop_oneof![
        3 => prop::sample::select(Protocol::ALL.to_vec()).prop_map(Step::Connect),
        6 => (any_client(), 1..20_000_usize).prop_map(|(client, len)| Step::Echo(client, len)),
        1 => any_client().prop_map(Step::Close),
        1 => any_client().prop_map(Step::Dismiss),
        1 => (any_client(), any::<bool>()).prop_map(|(client, order)| Step::Cut(client, order)),
    ]
}

/// What should have been counted.
#[derive(Debug, Default)]
struct Model {
    connected: u64,
    closed: u64,
    dismissed: u64,
    messages: u64,
}

/// Plays the steps and compares.
async fn play(steps: Vec<Step>) {
    let stage = Stage::new();
    let mut snapshot = stage.settings();
    snapshot.telegram.links_per_dc = 2;
    snapshot.telegram.clients_per_link = 2;
    let proxy = Proxy::start(snapshot);
    let (mut clients, mut model) = (Vec::new(), Model::default());
    for step in steps {
        take(&stage, &proxy, &mut clients, &mut model, step).await;
    }
    for client in &mut clients {
        soon(client.echo(vec![4; 64])).await.expect("whoever is left is served");
        model.messages += 1;
    }
    let open = clients.len() as u64;
    let on_links = |links: &[teleferry_sim::middle::LinkInfo]| {
        links.iter().map(|link| link.clients).sum::<u64>() == open
    };
    soon(stage.middle().wait_for_links(on_links)).await;
    let closed = [("client:closed", model.closed), ("telegram:closed", model.dismissed)];
    let closed: Vec<_> = closed.into_iter().filter(|(_, count)| *count > 0).collect();
    let counts = proxy.closed(&closed).await;
    assert_eq!((counts.accepted, counts.open), (model.connected, open));
    assert_eq!((counts.messages, counts.answers), (model.messages, model.messages));
    let seen = stage.middle().counters().read();
    assert_eq!((seen.messages_in, seen.messages_out), (model.messages, model.messages));
    assert_eq!(proxy.server.links().stranded, 0);
    stage.assert_no_violations();
}

async fn take(stage: &Stage, proxy: &Proxy, clients: &mut Vec<Client>, model: &mut Model, step: Step) {
    match step {
        Step::Connect(protocol) => {
            clients.push(proxy.client(protocol).await);
            model.connected += 1;
        }
        _ if clients.is_empty() => {}
        Step::Echo(client, len) => {
            let client = client.get_mut(clients.as_mut_slice());
            soon(client.echo(vec![len as u8; len])).await.expect("echo");
            model.messages += 1;
        }
        Step::Close(client) => {
            drop(clients.remove(client.index(clients.len())));
            model.closed += 1;
            proxy.counted(|counts| counts.closed.get("client:closed") == Some(&model.closed)).await;
        }
        Step::Dismiss(client) => {
            let mut client = clients.remove(client.index(clients.len()));
            let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
            let close = Packet::CloseExt(ConnId::new(told.conn));
            assert!(stage.middle().tell(told.link, Order::packet(&close)).await);
            assert!(matches!(soon(client.recv()).await, Ok(None)));
            model.messages += 1;
            model.dismissed += 1;
        }
        Step::Cut(client, in_order) => {
            let client = client.get_mut(clients.as_mut_slice());
            let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
            model.messages += 1;
            let before = proxy.server.links().uprooted;
            let order = if in_order { Order::Close } else { Order::Reset };
            assert!(stage.middle().tell(told.link, order).await);
            proxy.linked(|counts| counts.uprooted > before).await;
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 30, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_55_proxy_middle_proxies_and_model_agree(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(steps));
    }
}
