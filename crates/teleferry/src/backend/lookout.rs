//! Looks whether the data centres can be reached directly, before a client has to know.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::clock;
use crate::config::Mode;
use crate::net::dial;
use crate::shard::Shard;

/// How often somebody looks whether there is something to look at; and so, at the least, the time between two looks.
const PACE: Duration = Duration::from_secs(1);

/// For as long as it runs: connects to an address of each data centre whose state nobody knows, one at a time, and closes
/// the connection again. Clients that go direct keep theirs known.
pub(crate) async fn look_out(shard: Rc<Shard>) {
    let health = &shard.shared.health;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let now = clock::now();
        // With one way only there is nothing to choose, and nothing to be known beforehand; a front goes none itself.
        if shard.settings().telegram.mode != Mode::Auto || shard.backs().is_some() {
            continue;
        }
        let Some(address) = shard.find_dc_address(|of_dc| health.doubtful(of_dc, now)) else { continue };
        let connect_timeout = shard.settings().telegram.connect_timeout;
        match dial(&[address], connect_timeout).await {
            Ok(_) => health.connected(address, clock::now()),
            Err(error) => {
                debug!(%address, %error, "a data centre cannot be reached directly");
                health.failed(address, &error, clock::now());
            }
        }
    }
}
