//! What a failure means and what to do about it, in the light of everything else that was seen in the same run.

use super::failure::Failure;

/// What the rest of the run has shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Another exchange got its answer through the same protocol.
    pub(super) protocol_works: bool,
    /// An exchange of any protocol has shown that the proxy knows the secret.
    pub(super) secret_known: bool,
}

/// A sentence for people: what it means, what to do.
///
/// A plain or dd secret that is wrong and a data centre that is dead look alike from outside: the proxy says nothing. Both
/// are named, unless the run itself has shown which one it is.
pub(super) const fn meaning(failure: Failure, evidence: Evidence) -> &'static str {
    match failure {
        Failure::NameNotFound => "Check the host in the link, and this machine's DNS.",
        Failure::Refused => {
            "Nothing listens on this port: check that the proxy runs, and the port in the link."
        }
        Failure::ConnectTimeout | Failure::Unreachable(_) => {
            "The host or the way to it is down, or a firewall drops the connection."
        }
        Failure::NoKeyShare => "Try again on another machine; this is no fault of the proxy.",
        Failure::SilentDc | Failure::ClosedDc => DEAD_DC,
        Failure::SilentOpen | Failure::ClosedOpen => silence(evidence),
        Failure::Transport(-429) => "Telegram asks for patience: try again in some minutes.",
        Failure::Transport(-444) => {
            "Telegram has no such data centre: check --dc, and the proxy's DC addresses."
        }
        Failure::Transport(_) | Failure::NotResPq | Failure::Nonce => {
            "The proxy let the question through; what answers at its other end is no healthy data centre."
        }
        Failure::Trailing | Failure::Record(_) => {
            "Clients refuse this answer: update the proxy, or look for a middlebox that changes the stream."
        }
        Failure::Alert(_) if evidence.protocol_works => FLAKY,
        Failure::WebServer | Failure::Alert(_) => {
            "The secret is wrong, this machine's clock is, or no proxy is there but a web site."
        }
        Failure::Http => {
            "A web server is there and no proxy for this kind of client: check host, port and protocol."
        }
        Failure::NotTls => "Something else than a fake-TLS proxy is there: check host, port and protocol.",
        Failure::SilentHello | Failure::StalledHello | Failure::ClosedHello if evidence.protocol_works => {
            FLAKY
        }
        Failure::SilentHello | Failure::StalledHello | Failure::ClosedHello => {
            "The secret is wrong, the protocol is not allowed there, no proxy is there, or a middlebox blocks fake TLS."
        }
        Failure::Frame(_) | Failure::Unreadable => {
            "Something that does not know the secret answers: check host, port and secret."
        }
    }
}

const DEAD_DC: &str = "The secret is right; the proxy does not reach this data centre: look at the proxy's log and its way to Telegram.";
const FLAKY: &str = "Other exchanges went well: the proxy is overloaded, or the way to it loses connections.";

/// Nothing came back in the open.
const fn silence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence { protocol_works: true, .. } => DEAD_DC,
        Evidence { secret_known: true, .. } => {
            "The secret is right, as another protocol shows: this protocol is not allowed there, or the data centre is dead."
        }
        _ => {
            "Either the secret is wrong or this protocol is not allowed (the proxy then says nothing), or the data centre is dead."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_in_the_open_names_both_causes_until_one_is_ruled_out() {
        for failure in [Failure::SilentOpen, Failure::ClosedOpen] {
            let unknown = meaning(failure, Evidence::default());
            assert!(unknown.contains("secret is wrong") && unknown.contains("data centre is dead"));
            let elsewhere = meaning(failure, Evidence { secret_known: true, protocol_works: false });
            assert!(elsewhere.contains("secret is right") && elsewhere.contains("not allowed"));
            let here = meaning(failure, Evidence { secret_known: true, protocol_works: true });
            assert!(here.contains("secret is right") && !here.contains("not allowed"));
        }
    }
}
