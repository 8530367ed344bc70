//! The configuration, its secrets and its tags.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use teleferry_proto::secret::SecretKey;

use super::{Finding, Subject};
use crate::config::{Mode, Snapshot};

const SETTINGS: &str = "settings";
const SECRETS: &str = "secrets";
const AD_TAG: &str = "ad_tag";
/// A random key of 16 bytes has fewer different bytes than this once in 10^13.
const FEWEST_BYTES: usize = 8;

/// Whether the settings make sense beyond being valid, which they are.
pub(super) fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    let mut findings = vec![valid(subject)];
    findings.extend(subject.warnings.iter().map(|warning| {
        Finding::advice(
            SETTINGS,
            warning.clone(),
            "the settings say something that has no effect or could be better",
            "see what it names; `teleferry check --explain` tells every key",
        )
    }));
    findings.extend(subject.file.and_then(readable_by_others));
    findings.extend(secrets(snapshot));
    findings.extend(ad_tags(snapshot));
    findings
}

fn valid(Subject { snapshot, file, .. }: &Subject<'_>) -> Finding {
    let secrets = snapshot.listeners.iter().map(|listener| listener.secrets.len()).sum();
    let from = file.map_or_else(|| "the settings are".to_owned(), |file| format!("{} is", file.display()));
    let (listeners, secrets) = (counted(snapshot.listeners.len(), "listener"), counted(secrets, "secret"));
    Finding::fine(SETTINGS, format!("{from} valid: {listeners}, {secrets}"))
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A file that others on this machine may read shows them its secrets.
fn readable_by_others(file: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.mode();
    (mode & 0o004 != 0).then(|| {
        Finding::advice(
            SETTINGS,
            format!("everybody on this machine may read {}", file.display()),
            "other users of this machine can see the secrets in it",
            &format!(
                "chmod o-r {} (the user that the service runs as must be able to read it)",
                file.display()
            ),
        )
    })
}

fn secrets(snapshot: &Snapshot) -> Vec<Finding> {
    let mut weak = Vec::new();
    for listener in &snapshot.listeners {
        for secret in &listener.secrets {
            if is_guessable(&secret.key) {
                let name = secret.name.as_deref().unwrap_or("the base secret");
                weak.push(format!("{name} of listener {}", listener.name));
            }
        }
    }
    if weak.is_empty() {
        return vec![Finding::fine(SECRETS, "none is one that everybody knows, and all look random")];
    }
    vec![Finding::wrong(
        SECRETS,
        format!("not made at random: {}", weak.join(", ")),
        "whoever guesses a secret can use the proxy, and can prove to others that it is one",
        "make a new one with `teleferry secret`, give its link out, and take the old one away later",
    )]
}

/// Few different bytes, or steps that are all the same: made by a hand.
fn is_guessable(key: &SecretKey) -> bool {
    let bytes = key.as_bytes();
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    let steady = bytes.windows(3).all(|three| match three {
        [a, b, c] => b.wrapping_sub(*a) == c.wrapping_sub(*b),
        _ => true,
    });
    different.len() < FEWEST_BYTES || steady || bytes.iter().all(u8::is_ascii_graphic)
}

fn ad_tags(snapshot: &Snapshot) -> Vec<Finding> {
    let tagged: Vec<_> = snapshot.listeners.iter().filter(|listener| listener.ad_tag.is_some()).collect();
    let mut findings = Vec::new();
    for listener in &tagged {
        let is_tag = |key: &SecretKey| listener.ad_tag.as_ref() == Some(key.as_bytes());
        if listener.secrets.iter().any(|secret| is_tag(&secret.key)) {
            findings.push(Finding::wrong(
                AD_TAG,
                format!("the ad tag of listener {} is one of its secrets", listener.name),
                "no channel is shown: a tag is what @MTProxybot answers, a secret is what it asks for",
                "send the secret to @MTProxybot, and set ad_tag to what it gives back",
            ));
        }
    }
    // That direct mode cannot use one is a warning of the settings already.
    if !tagged.is_empty() && findings.is_empty() && snapshot.telegram.mode != Mode::Direct {
        let names: Vec<&str> = tagged.iter().map(|listener| listener.name.as_str()).collect();
        findings.push(Finding::fine(AD_TAG, format!("has the right form: {}", names.join(", "))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn examined(listener: &str, rest: &str) -> Vec<(&'static str, bool)> {
        let text =
            format!("[[listen]]\naddress = \"127.0.0.1:0\"\ndomain = \"a.example\"\n{listener}\n{rest}");
        let snapshot = config::for_tests(&text);
        let subject = Subject { snapshot: &snapshot, warnings: Vec::new(), file: None };
        examine(&subject).into_iter().map(|finding| (finding.about, finding.fine)).collect()
    }

    #[test]
    fn secrets_that_a_hand_made_are_found() {
        for (secret, good) in [
            ("8f1d5b0c4e3a49719c2b7d60a5e4f312", true),
            ("11111111111111111111111111111111", false),
            ("deadbeefdeadbeefdeadbeefdeadbeef", false),
            ("000102030405060708090a0b0c0d0e0f", false),
            // "my secret is you"
            ("6d792d7365637265742d69732d796f75", false),
        ] {
            let found = examined(&format!("secret = \"{secret}\""), "");
            assert_eq!(found, [(SETTINGS, true), (SECRETS, good)], "{secret}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_a_tag_is_found() {
        let secret = "secret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"";
        let tagged = |tag| examined(&format!("{secret}\nad_tag = \"{tag}\""), "").pop();
        assert_eq!(tagged("8f1d5b0c4e3a49719c2b7d60a5e4f312"), Some((AD_TAG, false)));
        assert_eq!(tagged("0b7c91d2e8f64a35bc1d7e90f2a3645c"), Some((AD_TAG, true)));
    }

    #[test]
    fn a_file_that_everybody_may_read_is_found() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("teleferry.toml");
        std::fs::write(&file, "").expect("written");
        for (mode, found) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(readable_by_others(&file).is_some(), found, "{mode:o}");
        }
    }
}
