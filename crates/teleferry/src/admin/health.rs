//! Does the process turn, and could it serve a client now?

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use teleferry_proto::dc::DcId;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::clock;
use crate::config::RoleKind;
use crate::net::dial;
use crate::reading::Observer;

/// An answer from a data centre counts for this long.
const RECENT: Duration = Duration::from_secs(60);
/// So does a probe.
const PROBED: Duration = Duration::from_secs(15);
/// How long a probe may take, for each address.
const PROBE: Duration = Duration::from_secs(2);
/// The data centre that is probed: the one that most accounts live on.
const PROBED_DC: i16 = 2;

/// Whether all is well.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it is.
    pub ok: bool,
    /// Why it is not, in sentences without a full stop.
    pub reasons: Vec<String>,
}

/// What was last found out by asking a data centre.
#[derive(Debug, Default)]
pub(super) struct Probe(Mutex<Option<(Instant, bool)>>);

/// Whether every worker turns.
pub(super) fn turns(observer: &Observer) -> Health {
    let told = |(shard, age): (usize, Duration)| {
        format!("worker {shard} has not gone round for {} s", age.as_secs())
    };
    Health::new(observer.stuck().into_iter().map(told).collect())
}

/// Whether a client that comes now can be served.
pub(super) async fn ready(observer: &Observer, probe: &Probe) -> Health {
    let reading = observer.read();
    let mut reasons = turns(observer).reasons;
    if !reading.running {
        reasons.push("the server stops and accepts nobody".to_owned());
    }
    if reading.listeners.iter().all(|listener| listener.addresses.is_empty()) {
        reasons.push("no listener is open".to_owned());
    }
    if reading.role == RoleKind::Front {
        if reading.usable_backs() == 0 {
            reasons.push("no back can be used: there is no connection to any that takes sessions".to_owned());
        }
        return Health::new(reasons);
    }
    let recent = reading.since_direct_answer.is_some_and(|since| since < RECENT);
    if reading.ready_links() == 0 && !recent && !probe.reaches_telegram(observer).await {
        reasons.push(
            "Telegram cannot be reached: no link to a middle proxy is ready, and no data centre can be connected to"
                .to_owned(),
        );
    }
    Health::new(reasons)
}

impl Health {
    const fn new(reasons: Vec<String>) -> Self {
        Self { ok: reasons.is_empty(), reasons }
    }
}

impl Probe {
    /// Whether a data centre can be connected to. One probe at a time, and not more often than is useful.
    async fn reaches_telegram(&self, observer: &Observer) -> bool {
        let mut known = self.0.lock().await;
        if let Some((at, reached)) = *known
            && clock::now().saturating_duration_since(at) < PROBED
        {
            return reached;
        }
        let destination = observer.settings().book.find(DcId::new(PROBED_DC));
        let addresses = destination.map(|destination| destination.addresses).unwrap_or_default();
        let reached = dial(&addresses, PROBE).await.is_ok();
        *known = Some((clock::now(), reached));
        reached
    }
}
