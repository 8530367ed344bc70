//! Our own links, tried from here: the first question of a key exchange through the running proxy, as a client asks it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use teleferry_proto::dc::DcId;
use teleferry_proto::secret::{ProxyLink, Secret};

use super::finding::Outside;
use super::ports::{from_here, open_addresses};
use super::running::Answering;
use super::telegram::{DATA_CENTRES, DCS, is_outside};
use super::{Finding, Subject};
use crate::config::{Listener, ProxyProtocol, Snapshot};
use crate::links::{Link, links_of};
use crate::ping::{Asked, ask_through};

const LINK: &str = "link";
/// For one question with everything before it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Listeners that are tried, at most.
const MOST: usize = 8;

/// One entry for each listener and kind of client.
pub(super) async fn examine(subject: &Subject<'_>, answering: &Answering) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    let looks =
        snapshot.listeners.iter().take(MOST).map(|listener| try_listener(listener, snapshot, answering));
    join_all(looks).await.into_iter().flatten().collect()
}

async fn try_listener(listener: &Listener, snapshot: &Snapshot, answering: &Answering) -> Vec<Finding> {
    let name = &listener.name;
    if listener.proxy_protocol == ProxyProtocol::Required {
        let found =
            format!("{name} takes clients from a load balancer alone, so its links were not tried here");
        let advice =
            "try one as clients do: `teleferry ping 'tg://proxy?…'` with the load balancer's address";
        return vec![Finding::unknown(LINK, found, "whether they work is not known", advice)];
    }
    // One address is like another, and one secret too.
    let Some(&address) = open_addresses(listener, answering).first() else { return Vec::new() };
    // Why there may be none is told with the hosts of links.
    let Ok(links) = links_of(listener, None, snapshot) else { return Vec::new() };
    let tries = one_of_each(&links).into_iter().map(|(protocol, secret)| async move {
        let dcs = DCS.map(DcId::new);
        let asked = ask_through(from_here(address), &secret, &dcs, PATIENCE).await;
        judge(&format!("{name} ({protocol})"), &asked, snapshot)
    });
    join_all(tries).await
}

/// The first link for each kind of client.
fn one_of_each(links: &[Link]) -> BTreeMap<&'static str, Secret> {
    let mut found = BTreeMap::new();
    for link in links {
        if let Ok(parsed) = ProxyLink::parse(&link.tg) {
            found.entry(link.protocol).or_insert_with(|| parsed.secret().clone());
        }
    }
    found
}

fn judge(what: &str, asked: &[Asked], snapshot: &Snapshot) -> Finding {
    let failed: Vec<_> =
        asked.iter().filter_map(|asked| asked.result.as_ref().err().map(|why| (asked.dc, why))).collect();
    let Some((_, first)) = failed.first() else {
        let slowest = asked.iter().filter_map(|asked| asked.result.as_ref().ok()).max();
        let slowest = slowest.map_or(0, Duration::as_millis);
        return Finding::fine(
            LINK,
            format!("the link of {what} works from here: data centres 1 to 5 answer within {slowest} ms"),
        );
    };
    let dcs: Vec<i16> = failed.iter().map(|(dc, _)| dc.get()).collect();
    let found =
        format!("through the link of {what}, no answer from {}: {}", DATA_CENTRES.of(&dcs), first.what);
    let some_answer = failed.len() < asked.len();
    if !first.proven && !some_answer && !snapshot.policies.is_empty() {
        return Finding::unknown(
            LINK,
            found,
            "your rules may refuse this machine, or the link does not work",
            "try it from a place that your rules let in: `teleferry ping 'tg://proxy?…'`",
        );
    }
    let advice = if first.proven || some_answer {
        "the proxy takes the link and does not get through: mend what is said of Telegram below, and read the log"
    } else {
        "if the settings were changed, `teleferry ctl reload`; else read the log with `teleferry ctl log debug`"
    };
    // Where nothing outside answers, this is a consequence.
    let outside =
        if first.proven && !some_answer && is_outside(snapshot) { Outside::Silent } else { Outside::Nothing };
    Finding::wrong(LINK, found, "clients wait with \"Connecting…\"", advice).with_outside(outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::doctor::Level;
    use crate::ping::Unanswered;

    fn snapshot(rest: &str) -> Snapshot {
        config::for_tests(&format!(
            "[[listen]]\naddress = \"127.0.0.1:443\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"a.example\"\nprotocols = [\"tls\", \"secure\"]\n{rest}"
        ))
    }

    fn asked(dc: i16, answered: bool, proven: bool) -> Asked {
        let unanswered = || Unanswered { what: "silence".to_owned(), proven };
        let result = if answered { Ok(Duration::from_millis(40)) } else { Err(unanswered()) };
        Asked { dc: DcId::new(dc), result }
    }

    #[test]
    fn each_kind_of_client_is_tried_once() {
        let snapshot = snapshot("secrets = { a = \"0b7c91d2e8f64a35bc1d7e90f2a3645c\" }");
        let links = links_of(&snapshot.listeners[0], None, &snapshot).expect("told");
        assert_eq!(links.len(), 4);
        assert_eq!(one_of_each(&links).into_keys().collect::<Vec<_>>(), ["secure", "tls"]);
    }

    #[test]
    fn what_a_client_would_see_is_judged() {
        let open = snapshot("");
        let level = |asked: &[Asked], snapshot: &Snapshot| judge("main", asked, snapshot).level;
        assert_eq!(level(&[asked(1, true, false), asked(2, true, false)], &open), Level::Ok);
        assert_eq!(level(&[asked(1, true, false), asked(2, false, true)], &open), Level::Mend);
        let found = judge("main", &[asked(1, true, false), asked(2, false, true)], &open);
        assert!(found.found.contains("data centre 2: silence"), "{found:?}");
        assert_eq!(level(&[asked(1, false, false)], &open), Level::Mend);
        // A rule that refuses this machine looks just like a wrong secret.
        let ruled = snapshot("[[policy]]\nrule = \"max_connections\"\nkeys = [\"client_ip\"]\nlimit = 1\n");
        assert_eq!(level(&[asked(1, false, false)], &ruled), Level::Unknown);
        assert_eq!(level(&[asked(1, false, true)], &ruled), Level::Mend);
    }
}
