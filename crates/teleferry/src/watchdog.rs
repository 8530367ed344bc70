//! Signs of life for systemd (`WatchdogSec=`), as long as every worker goes round.

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::reading::Observer;

/// How many signs are given in the time within which one has to come.
const SIGNS: u32 = 3;

/// Gives signs of life until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog(AbortHandle);

impl Watchdog {
    /// Begins, if systemd asks for it.
    pub(crate) fn begin(observer: Observer) -> Option<Self> {
        let within = sd_notify::watchdog_enabled().filter(|within| !within.is_zero())?;
        let signs = tokio::spawn(async move {
            let mut ticks = interval(within / SIGNS);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // Workers that have ended go round no more; how long stopping may take is another limit.
                if (observer.is_stopping() || observer.stuck().is_empty())
                    && let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog])
                {
                    warn!(%error, "systemd cannot be given a sign of life");
                }
            }
        });
        Some(Self(signs.abort_handle()))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}
