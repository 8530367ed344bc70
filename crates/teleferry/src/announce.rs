//! What the process says by itself while it runs: to systemd how it is (`systemctl status` shows it), and in the log, once a
//! day, which of its certificates end soon.

use std::env;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::admin::verdict;
use crate::clock;
use crate::config::Snapshot;
use crate::reading::Observer;

/// How often it is looked whether there is something to say.
const PAUSE: Duration = Duration::from_secs(2);
/// How long after it was said that a certificate ends it is said again.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Speaks until it is dropped.
#[derive(Debug)]
pub(crate) struct Announcer(AbortHandle);

impl Announcer {
    /// Begins. What is wrong with certificates at this moment has been said.
    pub(crate) fn begin(observer: Observer) -> Self {
        let speaking = tokio::spawn(async move {
            let hears = env::var_os("NOTIFY_SOCKET").is_some();
            let mut said = String::new();
            let mut certificates = Daily { said: clock::now() };
            let mut ticks = interval(PAUSE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if hears {
                    tell_systemd(verdict(&observer), &mut said);
                }
                let told = certificates.tell(&observer.snapshot(), clock::now(), clock::unix_time());
                told.iter().for_each(|sentence| warn!("{sentence}"));
            }
        });
        Self(speaking.abort_handle())
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells it what it was not told last.
fn tell_systemd(verdict: String, said: &mut String) {
    if verdict == *said {
        return;
    }
    if let Err(error) = sd_notify::notify(&[NotifyState::Status(&verdict)]) {
        warn!(%error, "systemd cannot be told how it is");
    }
    *said = verdict;
}

/// What is said once a day.
struct Daily {
    said: Instant,
}

impl Daily {
    /// Which certificates end soon or do not hold, when it is time to say it; `unix` is in seconds since 1970.
    fn tell(&mut self, snapshot: &Snapshot, now: Instant, unix: u64) -> Vec<String> {
        if now.saturating_duration_since(self.said) < DAY {
            return Vec::new();
        }
        self.said = now;
        let Some((_, tls)) = snapshot.role.tls() else { return Vec::new() };
        tls.credentials.expiring(i64::try_from(unix).unwrap_or(i64::MAX))
    }
}
