//! All probes in random order, proxy and site in turn; what differs, and how often.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use super::attempt::{Target, attempt};
use crate::catalogue::{Kit, Plan, Probe, When};
use crate::observation::{Difference, Observation};
use crate::random;
use crate::stage::Nginx;

/// Connections that are made at the same time, at most, by probes that bear company.
const AT_ONCE: usize = 48;
/// How often a probe is looked at again when it differed in time alone.
const SECOND_LOOKS: usize = 2;

/// The longest that a probe may take: one that waits in vain would wait for ever.
const PATIENCE: Duration = Duration::from_secs(900);

/// What came out for a probe.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) name: &'static str,
    /// How often it was played.
    pub(crate) played: usize,
    /// What differed, each time that something did.
    pub(crate) differences: Vec<Difference>,
    /// What the site showed, once.
    pub(crate) site: String,
}

/// What one side showed, or why it could not be asked.
type Sight = Result<Vec<Observation>, String>;

/// Plays probes against `target` and against the site.
pub(crate) async fn judge(stage: &Stage<'_>, probes: &[Probe], repeat: usize) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = probes.iter().map(|probe| Verdict::new(probe.name)).collect();
    let (together, alone): (Vec<usize>, Vec<usize>) = (0..probes.len())
        .flat_map(|index| std::iter::repeat_n(index, repeat))
        .partition(|index| probes[*index].when == When::Together);
    for (indices, at_once) in [(together, AT_ONCE), (alone, 1)] {
        let pairs = indices.into_iter().map(|index| (index, (probes[index].plan)(stage.kit))).collect();
        for (index, proxy, site) in look_at_all(stage, probes, pairs, at_once).await {
            verdicts[index].note(&proxy, &site);
        }
    }
    look_again(stage, probes, &mut verdicts).await;
    verdicts
}

/// Plays every plan against both sides, all in random order; gives what both showed.
async fn look_at_all(
    stage: &Stage<'_>,
    probes: &[Probe],
    pairs: Vec<(usize, Plan)>,
    at_once: usize,
) -> Vec<(usize, Sight, Sight)> {
    let mut order: Vec<(usize, bool)> =
        (0..pairs.len()).flat_map(|pair| [(pair, true), (pair, false)]).collect();
    random::shuffle(&mut order);
    let pairs = &pairs;
    let looks = order.into_iter().map(|(pair, is_target)| async move {
        let (index, plan) = &pairs[pair];
        (pair, is_target, stage.look(&probes[*index], plan, is_target).await)
    });
    let mut seen: Vec<_> = stream::iter(looks).buffer_unordered(at_once).collect().await;
    seen.sort_by_key(|(pair, is_target, _)| (*pair, !*is_target));
    let mut seen = seen.into_iter().map(|(_, _, sight)| sight);
    let both = pairs.iter().map(|(index, _)| Some((*index, seen.next()?, seen.next()?)));
    both.flatten().collect()
}

/// A machine that is busy can be late. A timer that is another one is so each time.
async fn look_again(stage: &Stage<'_>, probes: &[Probe], verdicts: &mut [Verdict]) {
    for _ in 0..SECOND_LOOKS {
        let suspects = (0..probes.len()).filter(|index| verdicts[*index].is_late());
        let pairs = suspects.map(|index| (index, (probes[index].plan)(stage.kit))).collect();
        for (index, target, site) in look_at_all(stage, probes, pairs, AT_ONCE / 4).await {
            verdicts[index].note_again(&target, &site);
        }
    }
}

/// Who is probed, and with what.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) kit: &'a Kit,
    pub(crate) site: &'a Nginx,
    pub(crate) target: Target,
}

impl Stage<'_> {
    async fn look(&self, probe: &Probe, plan: &Plan, is_target: bool) -> Sight {
        let target = if is_target { &self.target } else { &Target::Site };
        let played = attempt(plan, probe.door, self.kit, self.site, target);
        match tokio::time::timeout(PATIENCE, played).await {
            Ok(sight) => sight.map_err(|failure| failure.to_string()),
            Err(_) => Err("it never comes to an end".to_owned()),
        }
    }
}

impl Verdict {
    const fn new(name: &'static str) -> Self {
        Self { name, played: 0, differences: Vec::new(), site: String::new() }
    }

    fn note(&mut self, target: &Sight, site: &Sight) {
        self.played += 1;
        if let Ok([first, ..]) = site.as_deref() {
            self.site = first.to_string();
        }
        self.differences.extend(difference(target, site));
    }

    /// A second look: when nothing differs now, it was the machine.
    fn note_again(&mut self, target: &Sight, site: &Sight) {
        let before = self.differences.len();
        self.note(target, site);
        if self.differences.len() == before {
            self.differences.clear();
        }
    }

    /// Whether it differed, and in time alone.
    fn is_late(&self) -> bool {
        !self.differences.is_empty() && self.differences.iter().all(Difference::is_of_time)
    }
}

/// The first connection that differs, and how many others do.
fn difference(target: &Sight, site: &Sight) -> Option<Difference> {
    let (target, site) = match (target, site) {
        (Ok(target), Ok(site)) => (target, site),
        (Err(failure), _) => return Some(Difference::Sight(format!("the proxy: {failure}"))),
        (_, Err(failure)) => return Some(Difference::Sight(format!("the site: {failure}"))),
    };
    let mut differences: Vec<_> =
        target.iter().zip(site).filter_map(|(target, site)| target.difference(site)).collect();
    let count = differences.len();
    // What is more than time is told first.
    differences.sort_by_key(Difference::is_of_time);
    let first = differences.into_iter().next()?;
    // A crowd makes some late; another timer makes all.
    if first.is_of_time() && count * 2 < target.len() {
        return None;
    }
    Some(if target.len() == 1 { first } else { first.of_many(count, target.len()) })
}
