//! Clients that talk without a pause while something else happens.

use std::net::SocketAddr;

use teleferry::config::ListenAddress;
use teleferry::server::Server;
use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, Options, Protocol};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::{key, soon};

/// Clients of every protocol that have something echoed again and again.
pub(super) struct Crowd {
    stop: watch::Sender<bool>,
    rounds: Vec<watch::Receiver<u64>>,
    clients: Vec<JoinHandle<Client>>,
}

impl Crowd {
    /// One client of every protocol at this address.
    pub(super) async fn at(address: SocketAddr) -> Self {
        let mut crowd = Self { stop: watch::Sender::new(false), rounds: Vec::new(), clients: Vec::new() };
        for protocol in Protocol::ALL {
            let mut client = connect(address, protocol, key()).await.expect("let in");
            soon(client.echo(vec![1; 64])).await.expect("echo");
            let (round, rounds) = watch::channel(0);
            let stop = crowd.stop.subscribe();
            crowd.rounds.push(rounds);
            crowd.clients.push(tokio::spawn(async move {
                while !*stop.borrow() {
                    soon(client.echo(vec![2; 300])).await.expect("it is dropped");
                    round.send_modify(|count| *count += 1);
                    tokio::task::yield_now().await;
                }
                client
            }));
        }
        crowd
    }

    /// Each of them has been answered twice more: once for what was under way, and once for what came after.
    pub(super) async fn goes_on(&mut self) {
        for rounds in &mut self.rounds {
            let now = *rounds.borrow_and_update();
            soon(rounds.wait_for(|&count| count >= now + 2)).await.expect("it goes on");
        }
    }

    /// Ends the talking; gives the clients, still connected.
    pub(super) async fn rest(self) -> Vec<Client> {
        self.stop.send_replace(true);
        let mut clients = Vec::new();
        for client in self.clients {
            clients.push(soon(client).await.expect("none was dropped"));
        }
        clients
    }
}

/// A client that has been answered; `None` when it is not served.
pub(super) async fn connect(address: SocketAddr, protocol: Protocol, key: SecretKey) -> Option<Client> {
    let mut client = soon(Client::connect(address, &Options::new(protocol, Some(key)))).await.ok()?;
    soon(client.echo(vec![1; 64])).await.ok()?;
    Some(client)
}

/// Every open address of a listener.
pub(super) fn addresses_of(server: &Server, listener: &str) -> Vec<SocketAddr> {
    let open = server.addresses().into_iter().filter(|(name, _)| name == listener);
    open.filter_map(|(_, address)| match address {
        ListenAddress::Inet(address) => Some(address),
        _ => None,
    })
    .collect()
}
