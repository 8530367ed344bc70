//! The keys of fronts and backs: what they mean when they are left out, and what a reload makes of a change.

use std::collections::BTreeSet;
use std::path::Path;

use teleferry::config::{self, Difference, Overrides, Role, Snapshot, keys};
use teleferry::identity::Side;
use teleferry::identity::authority::{Authority, Replace};
use tempfile::TempDir;

const LISTENER: &str = r#"[[listen]]
address = "127.0.0.1:1"
secret = "8f1d5b0c4e3a49719c2b7d60a5e4f312"
protocols = "secure"
"#;

/// Two authorities with a back and two fronts each, and two tokens.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for authority in ["a", "b"] {
        make(&directory.path().join(authority));
    }
    for (name, token) in [("one.token", "0123456789abcdef"), ("two.token", "fedcba9876543210")] {
        std::fs::write(directory.path().join(name), token).expect("written");
    }
    directory
}

fn make(directory: &Path) {
    let now = i64::try_from(teleferry::clock::unix_time()).expect("today");
    let back = ["back.example".to_owned()];
    let mut authority = Authority::make(directory, &back, now, Replace::Force).expect("an authority");
    for (side, name) in [(Side::Back, "back.example"), (Side::Front, "front-1"), (Side::Front, "front-2")] {
        authority.issue(side, &[name.to_owned()], now, Replace::Force).expect("a certificate");
    }
}

fn load(directory: &TempDir, text: &str) -> Snapshot {
    let path = directory.path().join("teleferry.toml");
    std::fs::write(&path, text).expect("written");
    config::load(&path, &Overrides::default(), Path::new("/state")).unwrap_or_else(|error| panic!("{error}"))
}

/// A file of a front or a back with these lines below the role's own heading and below [role.tls].
fn file(side: Side, own: &[&str], tls: &[&str]) -> String {
    let (listener, kind) = match side {
        Side::Front => (LISTENER, "front"),
        Side::Back => ("", "back"),
    };
    let [own, tls] = [own, tls].map(|lines| lines.join("\n"));
    format!("{listener}[role]\nkind = \"{kind}\"\n[role.{kind}]\n{own}\n[role.tls]\n{tls}\n")
}

const FRONT: &[&str] = &["backs = \"https://back.example\""];
const FRONT_TLS: &[&str] = &["ca = \"a/ca.pem\"", "cert = \"a/front-1.pem\"", "key = \"a/front-1.key\""];
const BACK: &[&str] = &["listen = \"127.0.0.1:8443\""];
const BACK_TLS: &[&str] =
    &["ca = \"a/ca.pem\"", "cert = \"a/back.example.pem\"", "key = \"a/back.example.key\""];

/// The lines with one of their own in place of the one for the same key, or at their end.
fn with<'a>(lines: &[&'a str], line: &'a str) -> Vec<&'a str> {
    let key = |line: &'a str| line.split(' ').next();
    let mut lines: Vec<&str> = lines.iter().copied().filter(|one| key(one) != key(line)).collect();
    lines.push(line);
    lines
}

/// What a reload would tell, and whether it leaves what the running process cannot change.
fn change(directory: &TempDir, before: &str, after: &str) -> Difference {
    let before = load(directory, before);
    let mut after = load(directory, after);
    let difference = before.difference(&after);
    after.keep_what_needs_a_restart(&before);
    assert_eq!(difference.live.is_empty(), after == before, "{difference:?}");
    assert_eq!(before.difference(&after), Difference { restart: Vec::new(), ..difference.clone() });
    difference
}

#[test]
fn every_key_of_a_half_is_taken_up_or_told_to_need_a_restart() {
    let directory = directory();
    let (front, back) = (file(Side::Front, FRONT, FRONT_TLS), file(Side::Back, BACK, BACK_TLS));
    let f = |own: &[&str], tls: &[&str]| file(Side::Front, own, tls);
    let b = |own: &[&str], tls: &[&str]| file(Side::Back, own, tls);
    let other_files: Vec<String> = FRONT_TLS.iter().map(|line| line.replace("front-1", "front-2")).collect();
    let other_files: Vec<&str> = other_files.iter().map(String::as_str).collect();
    let token = "token_file = \"one.token\"";
    let rows = [
        ("role.kind", front.clone(), back.clone()),
        ("role.front.backs", front.clone(), f(&with(FRONT, "backs = \"https://other.example\""), FRONT_TLS)),
        ("role.front.token_file", front.clone(), f(&with(FRONT, token), FRONT_TLS)),
        ("role.front.padding", front.clone(), f(&with(FRONT, "padding = false"), FRONT_TLS)),
        ("role.back.listen", back.clone(), b(&["listen = [\"127.0.0.1:1\", \"[::1]:1\"]"], BACK_TLS)),
        ("role.back.token_file", back.clone(), b(&with(BACK, token), BACK_TLS)),
        ("role.tls.ca", b(&with(BACK, token), BACK_TLS), b(&with(BACK, token), &BACK_TLS[1..])),
        ("role.tls.cert", front.clone(), f(FRONT, &other_files)),
        ("role.tls.key", front.clone(), f(FRONT, &other_files)),
        ("role.tls.revoked", front, f(FRONT, &with(FRONT_TLS, "revoked = \"a/revoked.pem\""))),
    ];
    for (key, before, after) in &rows {
        let known = keys::SECTIONS.iter().find_map(|section| {
            let name = key.strip_prefix(section.name)?.strip_prefix('.')?;
            section.keys.iter().find(|known| known.name == name)
        });
        for (before, after) in [(before, after), (after, before)] {
            let difference = change(&directory, before, after);
            let (said, other) = match known.expect(key).change {
                keys::Change::Live => (&difference.live, &difference.restart),
                keys::Change::Restart => (&difference.restart, &difference.live),
            };
            assert!(said.iter().any(|words| words.starts_with(&format!("{key}: "))), "{key}: {difference:?}");
            assert_eq!(*other, [""; 0], "{key}");
        }
    }
    let there: BTreeSet<String> = keys::SECTIONS
        .iter()
        .filter(|section| section.name.split('.').next() == Some("role"))
        .flat_map(|section| section.keys.iter().map(|key| format!("{}.{}", section.name, key.name)))
        .collect();
    assert_eq!(
        rows.iter().map(|row| row.0.to_owned()).collect::<BTreeSet<_>>(),
        there,
        "give every key a row"
    );
}

#[test]
fn files_with_another_content_are_a_change() {
    let directory = directory();
    let own = with(FRONT, "token_file = \"one.token\"");
    let tls = with(FRONT_TLS, "revoked = \"a/revoked.pem\"");
    let text = file(Side::Front, &own, &tls);
    let before = load(&directory, &text);
    assert_eq!(before.difference(&load(&directory, &text)), Difference::default());
    make(&directory.path().join("a"));
    std::fs::copy(directory.path().join("two.token"), directory.path().join("one.token")).expect("copied");
    let difference = before.difference(&load(&directory, &text));
    assert_eq!(difference.restart, [""; 0]);
    assert_eq!(
        difference.live,
        ["role.tls.ca", "role.tls.cert", "role.tls.key", "role.tls.revoked", "role.front.token_file"]
            .map(|key| format!("{key}: the file's content changed"))
    );
}

#[test]
fn defaults_of_a_half_are_those_of_the_table() {
    let directory = directory();
    let Role::Front(front) = load(&directory, &file(Side::Front, FRONT, FRONT_TLS)).role else {
        panic!("a front")
    };
    assert!(front.padding && front.token.is_none() && front.tls.revoked.is_none());
    for section in keys::SECTIONS.iter().filter(|section| section.name.starts_with("role.")) {
        let defaults = section.keys.iter().filter_map(|key| match key.value {
            keys::Value::Default(value) => Some((key.name, value)),
            keys::Value::Example(_) | keys::Value::Varies(_) => None,
        });
        let defaults: Vec<_> = defaults.collect();
        let wanted: &[(&str, &str)] = if section.name == "role.front" { &[("padding", "true")] } else { &[] };
        assert_eq!(defaults, wanted, "{}", section.name);
    }
    let Role::Back(back) = load(&directory, &file(Side::Back, BACK, BACK_TLS)).role else { panic!("a back") };
    assert!(back.token.is_none() && back.tls.revoked.is_none());
}

#[test]
fn a_token_takes_the_place_of_certificates_and_is_not_shown() {
    let directory = directory();
    let token = "token_file = \"one.token\"";
    let front = load(&directory, &file(Side::Front, &with(FRONT, token), &[]));
    let back = load(&directory, &file(Side::Back, &with(BACK, token), &BACK_TLS[1..]));
    for snapshot in [front, back] {
        let told = format!("{} {snapshot:?}", snapshot.show());
        assert!(told.contains("one.token") && !told.contains("0123456789abcdef"), "{told}");
        let tls = snapshot.role.tls().expect("a half").1;
        assert!(tls.credentials.authorities.is_empty());
    }
}

#[test]
fn flags_for_what_a_half_does_not_have_are_refused() {
    let directory = directory();
    let path = directory.path().join("teleferry.toml");
    let listener = Overrides {
        addresses: vec![config::listen_address("127.0.0.1:7").expect("an address")],
        ..Overrides::default()
    };
    let mode = Overrides { mode: Some(config::Mode::Direct), ..Overrides::default() };
    for (text, overrides, told) in [
        (file(Side::Back, BACK, BACK_TLS), listener, "mean a listener, and a back has none"),
        (file(Side::Front, FRONT, FRONT_TLS), mode, "--mode is the way to Telegram"),
    ] {
        std::fs::write(&path, text).expect("written");
        let error = config::load(&path, &overrides, Path::new("/state")).expect_err("refused").to_string();
        assert!(error.contains(told), "{error}");
    }
}
