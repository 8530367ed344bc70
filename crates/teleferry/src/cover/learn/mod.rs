//! Learning how the cover site answers hellos like our clients', so that our own answers are like its.
//!
//! The site is asked by real connections with hellos of the apps' shape, a few at once and then some more over a minute or
//! two, again after one to six hours, and at once when a check in between finds another answer than the one that was
//! learned: a new certificate has another length.

mod sample;
mod store;
mod verdict;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use teleferry_proto::fake_tls::greeting::Shape;
use teleferry_proto::fake_tls::profile::{Observation, Profile};
use teleferry_proto::secret::HostName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use sample::Failure;
pub(super) use sample::sample;
pub(super) use store::Store;
pub(crate) use verdict::Verdict;

use super::site::Places;
use crate::entropy;

/// Answers that a profile is made of.
const SAMPLES: usize = 24;
/// Those of them that are asked for at once: enough for a first profile.
const EAGER: usize = 4;
/// How fast a site is asked that must not notice it much.
pub(super) const GENTLE: Pace =
    Pace { pause: Duration::from_secs(1)..Duration::from_secs(5), silence: Duration::from_millis(300) };
/// How long a profile is good for.
const GOOD_FOR: Range<Duration> = Duration::from_hours(1)..Duration::from_hours(6);
/// Between two checks of it.
const CHECK: Range<Duration> = Duration::from_mins(10)..Duration::from_mins(20);
/// How soon it is tried again when nothing could be learned; doubled each time, up to the last.
const RETRY: Range<Duration> = Duration::from_mins(1)..Duration::from_hours(1);

/// The shapes of hello that clients send, with what servers make of them.
const SHAPES: [Shape; 2] = [Shape::Modern, Shape::Padded517];

/// What is known of the site's answers: by name that is asked for, and shape of the hello.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Profiles(BTreeMap<(String, bool), Profile>);

/// How fast a site is asked.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Between those answers that are not asked for at once.
    pause: Range<Duration>,
    /// A flight is over when nothing has come for as long.
    silence: Duration,
}

/// Everything that learning needs.
#[derive(Debug)]
pub(super) struct Learner {
    /// Where the site is.
    pub(super) places: Places,
    /// The names that clients ask for.
    pub(super) names: Vec<HostName>,
    pub(super) store: Store,
    pub(super) known: watch::Sender<Arc<Profiles>>,
    pub(super) pace: Pace,
}

impl Profiles {
    /// How the site answers a hello for this name that offers the hybrid key exchange, or not.
    pub(crate) fn of(&self, name: &str, hybrid: bool) -> Option<&Profile> {
        self.0.get(&(name.to_owned(), hybrid))
    }

    fn set(&mut self, name: &HostName, shape: Shape, profile: Profile) {
        self.0.insert((name.as_str().to_owned(), shape == Shape::Modern), profile);
    }
}

impl Learner {
    /// Learns until it is dropped.
    pub(super) async fn run(self) {
        let (kept, latencies) = self.store.load();
        self.places.latencies().restore(&latencies);
        self.known.send_if_modified(|known| {
            let none = known.0.is_empty();
            if none {
                *known = Arc::new(kept);
            }
            none
        });
        let mut said = None;
        let mut retry = RETRY.start;
        loop {
            let verdict = self.learn().await;
            let good = !matches!(verdict, Verdict::Unreachable(_) | Verdict::Loop);
            if said.as_ref() != Some(&verdict) {
                tell(&verdict);
                said = Some(verdict);
            }
            if good {
                retry = RETRY.start;
                self.keep_checking().await;
            } else {
                sleep(retry).await;
                retry = (retry * 2).min(RETRY.end);
            }
        }
    }

    /// Asks for all answers that a profile is made of. Says what came of it; of several things, the worst.
    async fn learn(&self) -> Verdict {
        let kinds: Vec<_> = self.names.iter().flat_map(|name| SHAPES.map(|shape| (name, shape))).collect();
        let mut seen: Vec<Vec<Observation>> = kinds.iter().map(|_| Vec::new()).collect();
        let mut worst = Verdict::Like;
        for round in 0..SAMPLES {
            if round >= EAGER {
                sleep(between(self.pace.pause.clone())).await;
            }
            for (&(name, shape), seen) in kinds.iter().zip(&mut seen) {
                match self.ask(name, shape).await {
                    Ok(observation) => seen.push(observation),
                    Err(failure) if round + 1 == EAGER && seen.is_empty() => {
                        worst = worst.max(Verdict::from(failure));
                    }
                    Err(failure) => debug!(%failure, "the cover site did not answer as it should"),
                }
            }
            if round + 1 == EAGER {
                self.publish(kinds.iter().copied().zip(&seen), false);
                if seen.iter().all(Vec::is_empty) {
                    return worst;
                }
            }
        }
        let profiles = self.publish(kinds.iter().copied().zip(&seen), true);
        if let Err(error) = self.store.save(&profiles, &self.places.latencies().to_lists()) {
            debug!(%error, "the cover site's profile cannot be kept");
        }
        profiles.0.values().map(Verdict::of).fold(worst, Verdict::max)
    }

    async fn ask(&self, name: &HostName, shape: Shape) -> Result<Observation, Failure> {
        sample(&self.places, name.as_str(), shape, self.pace.silence).await
    }

    /// Makes known what was seen; only where nothing is known yet, unless it is the `last` time.
    fn publish<'a>(
        &self,
        seen: impl Iterator<Item = ((&'a HostName, Shape), &'a Vec<Observation>)>,
        last: bool,
    ) -> Arc<Profiles> {
        let mut profiles = Profiles::clone(&self.known.borrow());
        for ((name, shape), observations) in seen {
            if let Some(profile) = Profile::of(observations)
                && (last || profiles.of(name.as_str(), shape == Shape::Modern).is_none())
            {
                profiles.set(name, shape, profile);
            }
        }
        let profiles = Arc::new(profiles);
        self.known.send_replace(Arc::clone(&profiles));
        profiles
    }

    /// Returns once the profiles are to be learned anew.
    async fn keep_checking(&self) {
        let until = Instant::now() + between(GOOD_FOR);
        while Instant::now() < until {
            sleep(between(CHECK)).await;
            for name in &self.names {
                let Ok(seen) = self.ask(name, Shape::Modern).await else { continue };
                let profiles = Arc::clone(&self.known.borrow());
                if profiles.of(name.as_str(), true).is_none_or(|profile| !profile.fits(&seen)) {
                    info!(
                        name = name.as_str(),
                        "the cover site answers in another way than before: it is learned anew"
                    );
                    return;
                }
            }
        }
    }
}

fn tell(verdict: &Verdict) {
    match verdict.advice() {
        None => info!("{verdict}"),
        Some(advice) => warn!("{verdict}: {} ({advice})", verdict.meaning()),
    }
}

/// A time in a range, drawn evenly.
fn between(range: Range<Duration>) -> Duration {
    let part = f64::from(u32::from_le_bytes(entropy::array())) / f64::from(u32::MAX);
    range.start + (range.end - range.start).mul_f64(part)
}

#[cfg(test)]
mod tests;
