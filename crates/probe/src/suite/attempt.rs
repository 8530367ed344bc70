//! One probe against one side.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use teleferry_proto::fake_tls::answer;
use teleferry_proto::secret::SecretKey;
use tokio::sync::Mutex;

use crate::catalogue::{Door, Kit, Plan, Prelude, Then};
use crate::failure::{Failure, Result};
use crate::observation::Observation;
use crate::script::{Script, Step};
use crate::stage::{Nginx, Proxy};
use crate::visitor::{Visitor, visit};

/// A flight that has begun is over by then.
const FLIGHT: Duration = Duration::from_millis(300);

/// Who is probed.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// The site alone.
    Site,
    /// A proxy in front of it.
    Proxy(Proxied),
    /// A relay in front of it that knows no clients.
    Relay(SocketAddr),
}

/// A proxy that a probe may start anew.
#[derive(Debug, Clone)]
pub(crate) struct Proxied(Arc<Mutex<Proxy>>);

impl Proxied {
    pub(crate) fn new(proxy: Proxy) -> Self {
        Self(Arc::new(Mutex::new(proxy)))
    }

    /// What it has warned of.
    pub(crate) async fn warnings(&self) -> Result<Vec<String>> {
        self.0.lock().await.warnings()
    }
}

impl Target {
    async fn address(&self, site: &Nginx, door: Door) -> SocketAddr {
        match (self, door) {
            (Self::Site, _) => site.address,
            (Self::Relay(address), _) => *address,
            (Self::Proxy(proxy), Door::Open) => proxy.0.lock().await.open,
            (Self::Proxy(proxy), Door::Ruled) => proxy.0.lock().await.ruled,
        }
    }
}

/// Plays a plan, and gives what was seen on each of its connections.
///
/// # Errors
/// A connection cannot be made, or a client was not taken that the plan needs.
pub(crate) async fn attempt(
    plan: &Plan,
    door: Door,
    kit: &Kit,
    site: &Nginx,
    target: &Target,
) -> Result<Vec<Observation>> {
    let address = target.address(site, door).await;
    match plan {
        Plan::One(script) => Ok(vec![observe(address, script, kit, site).await?]),
        Plan::Crowd(scripts, gap) => {
            let visits = (0..).zip(scripts).map(|(index, script)| async move {
                tokio::time::sleep(*gap * index).await;
                observe(address, script, kit, site).await
            });
            try_join_all(visits).await
        }
        Plan::Behind(hello, script) => {
            let prelude = Prelude { hello: hello.clone(), source: script.source, then: Then::Hold };
            let mut client = take_in(address, &prelude, kit, site, target).await?;
            // A site's flight is longer than a proxy's answer; what comes behind either is looked at.
            client.play(&Step::Pause(FLIGHT)).await?;
            client.forget();
            for step in &script.steps {
                client.play(step).await?;
            }
            Ok(vec![Observation::of(&client.watch(kit.timers.window()).await)])
        }
        Plan::After(prelude, script) => {
            let client = take_in(address, prelude, kit, site, target).await?;
            // Held until the probe is over, or gone before it begins.
            let _client = if prelude.then == Then::Hold { Some(client) } else { None };
            match (prelude.then, target) {
                (Then::Wait(time), _) => tokio::time::sleep(time).await,
                (Then::Restart, Target::Proxy(proxy)) => proxy.0.lock().await.restart()?,
                _ => {}
            }
            // Another one after a restart.
            let address = target.address(site, door).await;
            Ok(vec![observe(address, script, kit, site).await?])
        }
    }
}

async fn observe(address: SocketAddr, script: &Script, kit: &Kit, site: &Nginx) -> Result<Observation> {
    let visit = visit(address, script, kit.timers.window(), &site.certificate).await?;
    Ok(Observation::of(&visit))
}

/// Sends a client's hello, and waits for the answer, which a proxy has to prove.
async fn take_in(
    address: SocketAddr,
    prelude: &Prelude,
    kit: &Kit,
    site: &Nginx,
    target: &Target,
) -> Result<Visitor> {
    let script = Script { source: prelude.source, ..Script::default() };
    let mut client = Visitor::connect(address, &script, &site.certificate).await?;
    client.send(&prelude.hello.wire).await?;
    match target {
        Target::Proxy(_) => proven(&mut client, prelude, &kit.key).await?,
        // A site has no clients: the same bytes, the same wait.
        Target::Site | Target::Relay(_) => client.play(&Step::Await(600)).await?,
    }
    Ok(client)
}

async fn proven(client: &mut Visitor, prelude: &Prelude, key: &SecretKey) -> Result<()> {
    let refused = || Failure::new("a client with the right secret was not taken, so nothing can be replayed");
    let answered = async {
        while !client.has_ended() {
            client.read().await;
            match answer::check(client.wire(), key, &prelude.hello.random) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(_) => break,
            }
        }
        Err(refused())
    };
    tokio::time::timeout(Duration::from_secs(5), answered).await.map_err(|_| refused())?
}
