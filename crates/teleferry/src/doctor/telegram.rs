//! What Telegram publishes, the clock, and whether Telegram can be reached on the ways that are configured.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Uri;
use teleferry_proto::dc::DcId;

use super::finding::Outside;
use super::{Finding, Level, Subject};
use crate::backend::Book;
use crate::clock;
use crate::config::{AddressPreference, Mode, Snapshot};
use crate::net::dial;
use crate::ping::ask_directly;
use crate::telegram::{Family, Known, Look, MAX_CLOCK_OFFSET, Seen, look};

/// The data centres that accounts live on.
pub(super) const DCS: [i16; 5] = [1, 2, 3, 4, 5];

/// How long a data centre may take from the connection to its answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether the configured data centres are on other machines.
pub(super) fn is_outside(snapshot: &Snapshot) -> bool {
    let book = Book::new(&snapshot.telegram);
    let found = DCS.into_iter().filter_map(|dc| book.find(DcId::new(dc)));
    found.flat_map(|found| found.addresses).any(|address| !address.ip().is_loopback())
}

/// Everything about Telegram.
pub(super) async fn examine(subject: &Subject<'_>, known: &Known) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    let through_middle = async {
        let (looks, known) = look(&snapshot.telegram, known).await;
        let mut findings = published(&looks, snapshot);
        findings.extend(middle_proxies(snapshot, &known).await);
        findings
    };
    let (mut findings, direct) = tokio::join!(through_middle, data_centres(snapshot));
    findings.extend(direct);
    findings
}

fn published(looks: &[Look], snapshot: &Snapshot) -> Vec<Finding> {
    let nothing = |look: &Look| match &look.seen {
        Seen::Nothing(why) => Some(why.clone()),
        Seen::Good(_) | Seen::Strange(_) => None,
    };
    let reasons: BTreeSet<_> = looks.iter().map(nothing).collect();
    // One cause is told once.
    let told = if reasons.len() == 1 && !reasons.contains(&None) { &looks[..1] } else { looks };
    let mut findings: Vec<Finding> = told.iter().filter_map(|look| unlike(look, snapshot)).collect();
    if findings.is_empty() {
        let found = "the secret and the lists of middle proxies can be fetched";
        findings.push(Finding::fine("published", found).with_outside(outside(looks)));
    } else if told.len() < looks.len() {
        let rest = ", and neither can the others";
        findings.iter_mut().for_each(|finding| finding.found.push_str(rest));
    }
    let clock = clock_of(looks);
    // Where nothing was fetched, there was nobody to tell the time.
    let follows = clock.level == Level::Unknown && findings.iter().any(|f| f.outside == Outside::Silent);
    findings.push(if follows { clock.with_outside(Outside::Silent) } else { clock });
    findings
}

/// What is wrong with one of the files.
fn unlike(Look { name, url, seen }: &Look, snapshot: &Snapshot) -> Option<Finding> {
    let (found, answered) = match seen {
        Seen::Good(_) => return None,
        Seen::Strange(why) => (format!("{name} at {url} is something else: {why}"), Outside::Answered),
        Seen::Nothing(why) => (format!("{name} at {url} cannot be fetched: {why}"), Outside::Silent),
    };
    let outside = if is_local_url(url) { Outside::Nothing } else { answered };
    let advice =
        "let this machine reach it, or set its key in [telegram] (proxy_secret_url and so on) to a mirror";
    let finding = if snapshot.telegram.mode == Mode::Direct {
        let meaning = "direct mode does without; this machine's clock may not be compared";
        Finding::advice("published", found, meaning, advice)
    } else {
        let meaning =
            "what is known of middle proxies grows old, until none of them takes this server any more";
        Finding::wrong("published", found, meaning, advice)
    };
    Some(finding.with_outside(outside))
}

fn outside(looks: &[Look]) -> Outside {
    if looks.iter().all(|look| is_local_url(&look.url)) { Outside::Nothing } else { Outside::Answered }
}

fn is_local_url(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether the clock is right, by what servers say.
fn clock_of(looks: &[Look]) -> Finding {
    let offset = looks.iter().find_map(|look| match look.seen {
        Seen::Good(offset) => offset,
        Seen::Strange(_) | Seen::Nothing(_) => None,
    });
    match offset {
        Some(offset) if offset.unsigned_abs() > MAX_CLOCK_OFFSET => Finding::wrong(
            "clock",
            format!(
                "this machine's clock is {} s {}",
                offset.unsigned_abs(),
                if offset > 0 { "ahead" } else { "behind" }
            ),
            "middle proxies refuse this server, and clients with a right clock may be taken for strangers",
            "let a time service (chrony, systemd-timesyncd) set the clock",
        ),
        Some(_) => Finding::fine("clock", "the clock is right"),
        None => Finding::unknown(
            "clock",
            "no server told the time, so that the clock was not compared",
            "when it is wrong by more than some seconds, clients are taken for strangers",
            "compare it yourself: date -u; timedatectl shows whether a time service sets it",
        ),
    }
}

async fn data_centres(snapshot: &Snapshot) -> Vec<Finding> {
    if snapshot.telegram.mode == Mode::Middle {
        return Vec::new();
    }
    let book = Book::new(&snapshot.telegram);
    let addresses = |dc| book.find(DcId::new(dc)).map(|found| found.addresses).unwrap_or_default();
    reach(snapshot, DATA_CENTRES, addresses).await
}

async fn middle_proxies(snapshot: &Snapshot, known: &Known) -> Vec<Finding> {
    if snapshot.telegram.mode == Mode::Direct {
        return Vec::new();
    }
    let addresses =
        |dc| known.middle_proxies().find(DcId::new(dc)).map(|(_, all)| all.to_vec()).unwrap_or_default();
    reach(snapshot, MIDDLE_PROXIES, addresses).await
}

/// Tries both families, as far as the settings use them.
async fn reach(snapshot: &Snapshot, what: What, addresses: impl Fn(i16) -> Vec<SocketAddr>) -> Vec<Finding> {
    let unused = match snapshot.telegram.prefer {
        AddressPreference::OnlyIpv4 => Some(Family::V6),
        AddressPreference::OnlyIpv6 => Some(Family::V4),
        AddressPreference::Ipv4 | AddressPreference::Ipv6 => None,
    };
    let families = [Family::V4, Family::V6].into_iter().filter(|family| Some(*family) != unused);
    let tries = families.map(|family| {
        let of_family = DCS.map(|dc| {
            let mut addresses = addresses(dc);
            addresses.retain(|address| family.has(address.ip()));
            (dc, addresses)
        });
        attempt(family, of_family, what, snapshot.telegram.connect_timeout)
    });
    let attempts: Vec<Attempt> = join_all(tries).await;
    judge(what, &attempts, tagged(snapshot))
}

fn tagged(snapshot: &Snapshot) -> bool {
    snapshot.listeners.iter().any(|listener| listener.ad_tag.is_some())
}

/// What came of one family.
#[derive(Debug)]
struct Attempt {
    family: Family,
    /// Data centres that were connected to, and how long it took.
    reached: Vec<(i16, Duration)>,
    /// Those that have addresses and answered at none of them.
    lost: Vec<i16>,
    /// Whether the addresses are on other machines.
    outside: bool,
}

async fn attempt(family: Family, dcs: [(i16, Vec<SocketAddr>); 5], what: What, each: Duration) -> Attempt {
    let outside = dcs.iter().flat_map(|(_, addresses)| addresses).any(|address| !address.ip().is_loopback());
    let dialling = dcs
        .iter()
        .filter(|(_, addresses)| !addresses.is_empty())
        .map(|(dc, addresses)| async move { (*dc, what.try_one(DcId::new(*dc), addresses, each).await) });
    let mut attempt = Attempt { family, reached: Vec::new(), lost: Vec::new(), outside };
    for (dc, took) in join_all(dialling).await {
        match took {
            Some(took) => attempt.reached.push((dc, took)),
            None => attempt.lost.push(dc),
        }
    }
    attempt
}

fn judge(what: What, attempts: &[Attempt], tagged: bool) -> Vec<Finding> {
    let reached =
        |dc| attempts.iter().any(|attempt| attempt.reached.iter().any(|(reached, _)| *reached == dc));
    let gone: Vec<i16> = DCS.into_iter().filter(|dc| !reached(*dc)).collect();
    let mut findings = Vec::new();
    for attempt in attempts {
        let outside = match (attempt.outside, attempt.reached.is_empty()) {
            (false, _) => Outside::Nothing,
            (true, false) => Outside::Answered,
            (true, true) => Outside::Silent,
        };
        findings.extend(of_family(what, attempt).map(|finding| finding.with_outside(outside)));
    }
    if !gone.is_empty() {
        let meaning = if what.about == MIDDLE_PROXIES.about && tagged {
            "clients with accounts there are not served on this way, and see no sponsored channel"
        } else {
            "clients with accounts there are not served on this way"
        };
        let outside = attempts.iter().any(|attempt| attempt.outside);
        let outside = if outside && gone.len() == DCS.len() { Outside::Silent } else { Outside::Nothing };
        let finding = Finding::wrong(
            what.about,
            format!("{} {}", what.nothing, what.of(&gone)),
            meaning,
            "see that nothing on the way blocks outgoing connections to Telegram, or set telegram.mode, telegram.prefer or telegram.dc",
        );
        findings.push(finding.with_outside(outside));
    }
    findings
}

/// How one family does. That nothing answers over it is told as advice: the other one may do.
fn of_family(what: What, attempt: &Attempt) -> Option<Finding> {
    let Attempt { family, reached, lost, .. } = attempt;
    let name = family.name();
    let slowest = reached.iter().map(|(_, took)| *took).max()?.as_millis();
    let dcs: Vec<i16> = reached.iter().map(|(dc, _)| *dc).collect();
    let found = format!("{} {} over {name}, within {slowest} ms", what.of(&dcs), what.well);
    if lost.is_empty() {
        return Some(Finding::fine(what.about, found));
    }
    Some(Finding::advice(
        what.about,
        format!("{found}; not so {}", list(lost)),
        "connections there are tried elsewhere first, or over the other family",
        "if it stays so, something on the way blocks these addresses",
    ))
}

/// What is tried, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct What {
    about: &'static str,
    /// Of one data centre, and of several.
    names: [&'static str; 2],
    /// What it does when all is well, and what is said when not.
    well: &'static str,
    nothing: &'static str,
    /// Whether it is asked a question. Else a connection is all that is tried.
    asks: bool,
}

pub(super) const DATA_CENTRES: What = What {
    about: "telegram",
    names: ["data centre", "data centres"],
    well: "answer",
    nothing: "no answer from",
    asks: true,
};
const MIDDLE_PROXIES: What = What {
    about: "middle",
    names: ["the middle proxies of data centre", "the middle proxies of data centres"],
    well: "can be connected to",
    nothing: "no connection to",
    asks: false,
};

impl What {
    /// It, of these data centres.
    pub(super) fn of(self, dcs: &[i16]) -> String {
        format!("{} {}", self.names[usize::from(dcs.len() != 1)], list(dcs))
    }

    /// How long it took, when it went well.
    async fn try_one(self, dc: DcId, addresses: &[SocketAddr], each: Duration) -> Option<Duration> {
        if self.asks {
            // A network that answers for everybody makes connections, and no answers.
            return ask_directly(addresses.to_vec(), dc, each + ANSWER).await.result.ok();
        }
        let start = clock::now();
        dial(addresses, each).await.is_ok().then(|| clock::now() - start)
    }
}

fn list(dcs: &[i16]) -> String {
    if dcs == DCS {
        return "1 to 5".to_owned();
    }
    dcs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(family: Family, reached: &[i16]) -> Attempt {
        let lost = DCS.into_iter().filter(|dc| !reached.contains(dc)).collect();
        let reached = reached.iter().map(|dc| (*dc, Duration::from_millis(30))).collect();
        Attempt { family, reached, lost, outside: true }
    }

    fn judged(attempts: &[Attempt]) -> Vec<(Level, Outside)> {
        let found = judge(DATA_CENTRES, attempts, false);
        found.iter().map(|finding| (finding.level, finding.outside)).collect()
    }

    #[test]
    fn one_family_is_enough_and_a_lost_data_centre_is_told() {
        let (v4, v6) = (Family::V4, Family::V6);
        // A machine without IPv6: nothing has to be said.
        assert_eq!(judged(&[family(v4, &DCS), family(v6, &[])]), [(Level::Ok, Outside::Answered)]);
        assert_eq!(
            judged(&[family(v4, &[1, 2]), family(v6, &DCS)]),
            [(Level::Advice, Outside::Answered), (Level::Ok, Outside::Answered)]
        );
        assert_eq!(
            judged(&[family(v4, &[1, 2, 3, 5]), family(v6, &[])]),
            [(Level::Advice, Outside::Answered), (Level::Mend, Outside::Nothing)]
        );
        assert_eq!(judged(&[family(v4, &[]), family(v6, &[])]), [(Level::Mend, Outside::Silent)]);
    }

    #[test]
    fn a_wrong_clock_is_told() {
        let look = |seen| Look { name: "x", url: Uri::from_static("http://127.0.0.1/"), seen };
        let level = |seen| clock_of(&[look(Seen::Nothing("gone".into())), look(seen)]).level;
        assert_eq!(level(Seen::Good(Some(-30))), Level::Ok);
        assert_eq!(level(Seen::Good(Some(31))), Level::Mend);
        assert_eq!(level(Seen::Good(None)), Level::Unknown);
    }

    #[test]
    fn what_is_on_this_machine_tells_nothing_of_the_way_out() {
        for (url, local) in [
            ("http://127.0.0.1:80/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/x", true),
            ("https://core.telegram.org/getProxySecret", false),
        ] {
            assert_eq!(is_local_url(&Uri::from_static(url)), local, "{url}");
        }
    }
}
