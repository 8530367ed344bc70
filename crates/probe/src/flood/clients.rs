//! Clients who have something echoed, again and again.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, ClientError, Options, Protocol};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::failure::{Failure, Result};
use crate::stage::DOMAIN;

/// How many.
const COUNT: usize = 50;
/// Between an echo and the next question.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients in session.
#[derive(Debug)]
pub(super) struct Clients {
    tasks: JoinSet<std::result::Result<(), ClientError>>,
    times: Arc<Mutex<Vec<Duration>>>,
    leave: watch::Sender<bool>,
}

impl Clients {
    /// Connects them all: to a proxy with this secret, or without one to a data centre. They begin at once.
    pub(super) async fn connect(address: SocketAddr, key: Option<&SecretKey>) -> Result<Self> {
        let protocol = if key.is_some() { Protocol::FakeTls } else { Protocol::Padded };
        let times = Arc::new(Mutex::new(Vec::new()));
        let (leave, left) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..COUNT {
            let mut options = Options::new(protocol, key.cloned());
            DOMAIN.clone_into(&mut options.domain);
            let client = Client::connect(address, &options).await.map_err(broken)?;
            tasks.spawn(echo(client, Arc::clone(&times), left.clone()));
        }
        Ok(Self { tasks, times, leave })
    }

    /// Forgets the times measured so far.
    pub(super) fn forget(&self) {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The median and the 99th percentile of the times since then.
    pub(super) fn percentiles(&self) -> Result<(Duration, Duration)> {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        times.sort();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied();
        at(50).zip(at(99)).ok_or_else(|| Failure::new("no client had anything echoed"))
    }

    /// Ends them all; every echo must have been right.
    pub(super) async fn leave(mut self) -> Result<()> {
        self.leave.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| Failure::new(error.to_string()))?.map_err(broken)?;
        }
        Ok(())
    }
}

async fn echo(
    mut client: Client,
    times: Arc<Mutex<Vec<Duration>>>,
    left: watch::Receiver<bool>,
) -> std::result::Result<(), ClientError> {
    while !*left.borrow() {
        let asked = clock::now();
        client.echo(vec![7; 200]).await?;
        times.lock().unwrap_or_else(PoisonError::into_inner).push(asked.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn broken(error: ClientError) -> Failure {
    Failure::new(format!("a client in session: {error}"))
}
