//! Whether a front's backs take its sessions, each looked at from its name to an answer of Telegram over it.

use std::io;
use std::net::SocketAddr;

use futures_util::future::join_all;

use super::Finding;
use super::finding::Outside;
use crate::backend::{Cause, Front, Look, Stop, look};
use crate::clock;
use crate::config::{Role, Snapshot};
use crate::identity::{self, About, Refusal, expires_soon};
use crate::trunk::Status;

const ABOUT: &str = "back";
const MEANING: &str = "clients are served over the other backs only; when there is none, nobody is";

/// Every back of a front.
pub(super) async fn examine(snapshot: &Snapshot) -> Vec<Finding> {
    let Role::Front(settings) = &snapshot.role else { return Vec::new() };
    let front = match Front::new(settings, None) {
        Ok(front) => front,
        Err(flaw) => {
            let advice = "see docs/operate/split-mode.md for the files that a front has";
            let found = format!("the certificates cannot be used: {flaw}");
            return vec![Finding::wrong(ABOUT, found, "no back can be called", advice)];
        }
    };
    let looks = join_all(front.backs.iter().map(|endpoint| look(&front, endpoint))).await;
    let told = front.backs.iter().zip(&looks);
    told.flat_map(|(endpoint, look)| tell(&endpoint.authority, look, now())).collect()
}

fn now() -> i64 {
    i64::try_from(clock::unix_time()).unwrap_or(i64::MAX)
}

/// What one back comes to.
fn tell(authority: &str, look: &Look, now: i64) -> Vec<Finding> {
    let seen = seen(look, now);
    let outside = match look.connected {
        Some((address, _)) if !address.ip().is_loopback() => Outside::Answered,
        _ => Outside::Nothing,
    };
    let verdict = match &look.stop {
        None => Finding::fine(ABOUT, format!("{authority}: {seen}")),
        Some(stop) => {
            let (why, advice) = mend(stop, look.connected.map(|(address, _)| address));
            let before = if seen.is_empty() { seen } else { format!(" ({seen})") };
            Finding::wrong(ABOUT, format!("{authority} {why}{before}"), MEANING, &advice)
        }
    };
    let expiring = look.certificate.as_ref().and_then(|about| expiring(authority, about, now));
    [Some(verdict.with_outside(outside)), expiring].into_iter().flatten().collect()
}

/// How far it went, in words.
fn seen(Look { connected, certificate, round_trip, version, telegram, .. }: &Look, now: i64) -> String {
    let ms = |time: &std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    let mut words = Vec::new();
    words.extend(connected.as_ref().map(|(address, took)| format!("{address} connected in {}", ms(took))));
    words.extend(certificate.as_ref().map(|about| {
        let names = about.names.join(", ");
        format!("its certificate for {names} is good for {}", days(about.not_after - now))
    }));
    words.extend(round_trip.as_ref().map(|took| format!("a round trip takes {}", ms(took))));
    words.extend(version.map(|version| format!("it speaks version {version}")));
    words.extend(telegram.as_ref().map(|took| format!("Telegram answers over it in {}", ms(took))));
    words.join(", ")
}

/// So many seconds in days.
fn days(seconds: i64) -> String {
    match seconds / (24 * 60 * 60) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

fn expiring(authority: &str, about: &About, now: i64) -> Option<Finding> {
    if !expires_soon(about.not_before, about.not_after, now) {
        return None;
    }
    let found = format!("the certificate of {authority} expires on {}", identity::day(about.not_after));
    let advice =
        "renew it where it was made (`teleferry certs renew`), copy it to the back, and reload there";
    Some(Finding::advice(ABOUT, found, "from that day on no front believes this back", advice))
}

/// What it is that does not work, behind the back's name, and what to do.
fn mend(stop: &Stop, address: Option<SocketAddr>) -> (String, String) {
    let (why, advice) = match stop {
        Stop::Connection(cause) => return of_connection(cause, address),
        Stop::Refused(sentence) => (
            format!("takes no sessions of this front: {sentence}"),
            "see that this front's certificate is of the authority in the back's role.tls.ca, or that both have the same token (role.front.token_file, role.back.token_file); and that the URL is a back's",
        ),
        Stop::Version(sentence) => {
            (format!("speaks another version: {sentence}"), "install the same version of teleferry on both")
        }
        Stop::Garbled => (
            "answers something else than a back does".to_owned(),
            "see that the URL in role.front.backs is a back's, and not that of another server",
        ),
        Stop::Telegram(status) => (
            match status {
                Some(Status::NotFound) => "cannot reach Telegram".to_owned(),
                Some(Status::DeadlineExceeded) | None => {
                    "has asked Telegram, which has not answered in time".to_owned()
                }
                Some(Status::Unavailable) => "stops just now".to_owned(),
                Some(_) => "has lost its connection to Telegram".to_owned(),
            },
            "run `teleferry doctor` on the back",
        ),
    };
    (why, advice.to_owned())
}

fn of_connection(cause: &Cause, address: Option<SocketAddr>) -> (String, String) {
    let (why, advice) = match cause {
        Cause::Lookup(error) => (
            format!("has no address: {error}"),
            "see that the name in role.front.backs is right, and that this machine's DNS knows it",
        ),
        Cause::Connect(error) => (
            match error {
                Some(error) => format!("cannot be reached: {error}"),
                None => "has no address".to_owned(),
            },
            "see that teleferry runs on the back, that role.back.listen there has this port, and that no firewall is between the two",
        ),
        Cause::Tls(error) => return of_tls(error),
        Cause::Protocol(error) => {
            return (
                format!("speaks no HTTP/2: {error}"),
                "see that the URL is a back's, and that what is in between carries HTTP/2".to_owned(),
            );
        }
        Cause::Silent if address.is_none() => (
            "does not answer: nothing comes from its address or its name server".to_owned(),
            "see that no firewall is between the two",
        ),
        Cause::Silent => (
            "takes the connection and answers nothing".to_owned(),
            "see that teleferry runs on the back and is not stopped, and that no firewall on the way swallows what comes behind the first packets",
        ),
        Cause::Closed => ("closes the connection".to_owned(), "read the back's log: it says why it closes"),
    };
    (why, advice.to_owned())
}

fn of_tls(error: &io::Error) -> (String, String) {
    use identity::Cause as C;
    let refusal = Refusal::of(error);
    let told = error.to_string();
    let detail = match told.strip_prefix("invalid peer certificate: ") {
        Some(detail) => format!(" ({detail})"),
        None if refusal.by_peer => String::new(),
        None => format!(" ({told})"),
    };
    let advice = match (refusal.by_peer, refusal.cause) {
        (false, C::Stranger) => {
            "see that role.tls.ca here is the authority that signed the back's certificate (or is left out for a public one), and that nobody stands in between"
        }
        (false, C::Expired) => {
            "renew the back's certificate (`teleferry certs renew`), copy it there and reload; compare the clocks of both machines"
        }
        (false, C::WrongName) => {
            "write the back into role.front.backs by a name that its certificate has, or issue one for that name (`teleferry certs issue --back NAME`)"
        }
        (false, C::Revoked) => {
            "the back's certificate was taken back: issue another one, or take this back out of role.front.backs"
        }
        (true, C::Stranger) => {
            "see that role.tls.ca on the back is the authority that signed this front's certificate"
        }
        (true, C::Expired) => {
            "renew this front's certificate (`teleferry certs renew`), copy it here and reload; compare the clocks of both machines"
        }
        (true, C::Revoked) => {
            "this front's certificate was taken back: have a new one issued (`teleferry certs issue NAME --force`)"
        }
        (true, C::NoCertificate) => "give this front a certificate: role.tls.cert and role.tls.key",
        (_, C::BadCertificate) => {
            "see that the front has a front's certificate and the back a back's (`teleferry check` on both)"
        }
        (_, C::Protocol | C::Broken) => {
            "see that the URL and its port are a back's, and that what is in between lets TLS 1.3 through"
        }
        (true, C::WrongName) | (false, C::NoCertificate) => "run `teleferry check` on both sides",
    };
    (format!("is not connected: {refusal}{detail}"), advice.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use teleferry_proto::call::Version;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn certificate(days: i64) -> About {
        About {
            common_name: None,
            names: vec!["back.example".to_owned()],
            serial: vec![1],
            not_before: 0,
            not_after: days * DAY + 1,
            is_authority: false,
            for_servers: true,
            for_clients: false,
        }
    }

    fn whole() -> Look {
        Look {
            connected: Some(("192.0.2.1:443".parse().expect("an address"), Duration::from_millis(12))),
            certificate: Some(certificate(700)),
            round_trip: Some(Duration::from_micros(38_500)),
            version: Some(Version { major: 1, minor: 0 }),
            telegram: Some(Duration::from_millis(80)),
            stop: None,
        }
    }

    #[test]
    fn a_back_that_serves_is_told_in_one_sentence() {
        let told = tell("back.example:443", &whole(), 0);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].found,
            "back.example:443: 192.0.2.1:443 connected in 12.0 ms, its certificate for back.example is good for 700 days, a round trip takes 38.5 ms, it speaks version 1.0, Telegram answers over it in 80.0 ms"
        );
        assert!(told[0].fine);
        // It expires soon.
        let told = tell("back.example:443", &whole(), 690 * DAY);
        assert_eq!(told.len(), 2);
        assert!(told[1].found.contains("expires on 1971-12-02"), "{told:?}");
    }

    #[test]
    fn what_stops_it_is_told_with_how_far_it_went() {
        let look = Look { telegram: None, stop: Some(Stop::Telegram(Some(Status::NotFound))), ..whole() };
        let told = tell("back.example:443", &look, 0);
        assert!(!told[0].fine);
        assert!(
            told[0].found.starts_with("back.example:443 cannot reach Telegram (192.0.2.1:443 connected"),
            "{told:?}"
        );
        let broken = io::Error::from(io::ErrorKind::ConnectionReset);
        for stop in [
            Stop::Connection(Cause::Lookup(io::Error::other("x"))),
            Stop::Connection(Cause::Connect(None)),
            Stop::Connection(Cause::Tls(broken)),
            Stop::Connection(Cause::Silent),
            Stop::Connection(Cause::Closed),
            Stop::Refused("x".to_owned()),
            Stop::Version("x".to_owned()),
            Stop::Garbled,
            Stop::Telegram(None),
        ] {
            let look = Look { stop: Some(stop), ..Look::default() };
            let told = tell("back.example:443", &look, 0);
            assert!(
                !told[0].fine && told[0].found.starts_with("back.example:443 ") && !told[0].advice.is_empty()
            );
        }
    }
}
