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
use crate::config::Role;
use crate::reading::Observer;

/// How often it is looked whether there is something to say: the system counts our descriptors for it, which may be many.
const PAUSE: Duration = Duration::from_secs(5);
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
                let told = certificates.tell(&observer.snapshot().role, clock::now(), clock::unix_time());
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
    fn tell(&mut self, role: &Role, now: Instant, unix: u64) -> Vec<String> {
        if now.saturating_duration_since(self.said) < DAY {
            return Vec::new();
        }
        self.said = now;
        let Some((_, tls)) = role.tls() else { return Vec::new() };
        tls.credentials.expiring(i64::try_from(unix).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Back, Tls};
    use crate::identity::authority::passing;

    /// The first of January 2026.
    const NOW: u64 = 1_767_225_600;

    #[test]
    fn certificates_that_end_are_told_once_a_day() {
        let [credentials, _] = passing("back.example", "front-1", NOW.cast_signed()).expect("certificates");
        let tls = Tls { credentials, ..Tls::default() };
        let role = Role::Back(Back { listen: Vec::new(), token: None, token_file: None, tls });
        let start = clock::now();
        let mut daily = Daily { said: start };
        let mut told = |hours: u64, days_left: u64| {
            daily.tell(&role, start + Duration::from_secs(hours * 3600), NOW + (730 - days_left) * 86_400)
        };
        assert_eq!(told(23, 10), [""; 0], "it was said at the start");
        let sentences = told(24, 10);
        assert!(
            sentences.len() == 1 && sentences[0].contains("`back.example` expires on 2028-01-01"),
            "{sentences:?}"
        );
        assert_eq!(told(47, 9), [""; 0]);
        assert!(told(48, 9)[0].contains("expires on"));
        assert_eq!(told(72, 100), [""; 0], "it was renewed");
        assert!(told(96, 0)[0].contains("`back.example`"));
    }
}
