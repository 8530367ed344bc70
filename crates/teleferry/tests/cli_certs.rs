//! `teleferry certs`, through the built program, and what `check` says of its files.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use support::{Done, KEY, Place};
use teleferry::identity::authority::{Authority, Replace};
use teleferry::identity::{About, Side, read_certificates};

const NAMES: [&str; 2] = ["back.example.net", "192.0.2.1"];

fn with_authority() -> (Place, Done) {
    let place = Place::new();
    let done = place.run(["certs", "init", "--name", NAMES[0], "--name", NAMES[1]]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    (place, done)
}

fn good(place: &Place, arguments: &[&str]) -> String {
    let done = place.run(arguments.iter().copied());
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    done.stdout
}

fn refused(place: &Place, arguments: &[&str], why: &str) {
    let done = place.run(arguments.iter().copied());
    assert_eq!(done.code, Some(1), "{arguments:?}: {}", done.stdout);
    assert!(done.stderr.contains(why), "{arguments:?}: {}", done.stderr);
}

fn about(path: &Path) -> About {
    About::read(&read_certificates(path).expect("certificates")[0]).expect("one")
}

/// Every file below the authority's directory with its content.
fn files(place: &Place) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(place.path("certs"))
        .expect("there")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn init_makes_an_authority_and_a_back_and_says_what_to_do() {
    let (place, done) = with_authority();
    let names: Vec<String> = files(&place).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["back.example.net.key", "back.example.net.pem", "ca.key", "ca.pem", "issued.txt", "revoked.pem"]
    );
    for (name, mode) in [("ca.key", 0o600), ("back.example.net.key", 0o600), ("ca.pem", 0o644)] {
        let found = fs::metadata(place.path("certs").join(name)).expect("there").permissions().mode();
        assert_eq!(found & 0o777, mode & found, "{name}: the umask may take more away");
        assert_eq!(found & 0o077 & !mode, 0, "{name}");
    }
    for line in
        ["certs/ca.pem", "kind = \"back\"", "cert = \"back.example.net.pem\"", "revoked = \"revoked.pem\""]
    {
        assert!(done.stdout.lines().any(|told| told.trim() == line), "{line} is not in:\n{}", done.stdout);
    }
    let back = about(&place.path("certs/back.example.net.pem"));
    assert_eq!(back.names, NAMES);
    assert!(back.for_servers && !back.for_clients && !back.is_authority, "{back:?}");
    let years = (back.not_after - back.not_before) / (365 * 24 * 60 * 60);
    assert_eq!(years, 2);
}

#[test]
fn nothing_in_a_certificate_says_what_it_is_for() {
    let (place, _) = with_authority();
    good(&place, &["certs", "issue", "front-1"]);
    for (name, _) in files(&place).iter().filter(|(name, _)| name.ends_with(".pem") && name != "revoked.pem")
    {
        let certificate = &read_certificates(&place.path("certs").join(name)).expect("certificates")[0];
        let text = String::from_utf8_lossy(certificate).to_lowercase();
        for word in ["teleferry", "telegram", "proxy", "rcgen", "mtproto"] {
            assert!(!text.contains(word), "{name} says {word}");
        }
    }
}

#[test]
fn nothing_is_overwritten_that_was_not_asked_for() {
    let (place, _) = with_authority();
    good(&place, &["certs", "issue", "front-1"]);
    let before = files(&place);
    refused(&place, &["certs", "init", "--name", "other.example"], "ca.pem is there already");
    refused(&place, &["certs", "issue", "front-1"], "front-1.pem is there already");
    refused(&place, &["certs", "issue", "ca"], "name of a file of the authority itself");
    refused(&place, &["certs", "issue", "../front"], "is no name for a front");
    refused(&place, &["certs", "issue", "--back", "a b"], "is no host name and no address");
    refused(&place, &["certs", "renew", "front-2"], "no certificate was made for `front-2`");
    refused(&place, &["certs", "revoke", "front-2"], "no certificate was made for `front-2`");
    refused(&place, &["certs", "list", "--dir", "elsewhere"], "there is no authority in elsewhere");
    assert_eq!(files(&place), before);
    let told = good(&place, &["certs", "issue", "front-1", "--force"]);
    assert!(told.contains("is still good"), "{told}");
    let changed = |name: &str| {
        let find = |files: &[(String, Vec<u8>)]| files.iter().find(|file| file.0 == name).cloned();
        find(&before) != find(&files(&place))
    };
    assert!(changed("front-1.pem") && changed("front-1.key") && !changed("ca.key") && !changed("ca.pem"));
}

#[test]
fn renewing_keeps_the_key_and_the_names() {
    let (place, _) = with_authority();
    for name in ["back.example.net", "front-1"] {
        if name == "front-1" {
            good(&place, &["certs", "issue", name]);
        }
        let [certificate, key] = ["pem", "key"].map(|end| place.path(&format!("certs/{name}.{end}")));
        let (before, key_before) = (about(&certificate), fs::read(&key).expect("a key"));
        let told = good(&place, &["certs", "renew", name]);
        assert!(told.contains("its key is the same"), "{told}");
        let after = about(&certificate);
        assert_eq!(fs::read(&key).expect("a key"), key_before);
        assert_eq!((after.names, after.for_servers), (before.names, before.for_servers));
        assert_ne!(after.serial, before.serial);
    }
}

#[test]
fn the_list_tells_what_is_good_replaced_and_revoked() {
    let (place, _) = with_authority();
    good(&place, &["certs", "issue", "front-1"]);
    good(&place, &["certs", "renew", "front-1"]);
    good(&place, &["certs", "issue", "front-2"]);
    good(&place, &["certs", "issue", "--back", "back2.example.net"]);
    let states = |place: &Place| -> Vec<(String, String)> {
        let told = good(place, &["certs", "list"]);
        let lines = told.lines().skip(1).map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[..2].join(" "), words[3..].join(" "))
        });
        lines.collect()
    };
    let state = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let mut wanted = [
        state("- ca", "good"),
        state("back.example.net back", "good"),
        state("front-1 front", "replaced by a newer one, good until then"),
        state("front-1 front", "good"),
        state("front-2 front", "good"),
        state("back2.example.net back", "good"),
    ];
    assert_eq!(states(&place), wanted);
    let told = good(&place, &["certs", "revoke", "front-1"]);
    assert!(told.starts_with("2 certificates of `front-1`"), "{told}");
    let told = good(&place, &["certs", "revoke", "front-1"]);
    assert!(told.contains("on the list already"), "{told}");
    good(&place, &["certs", "revoke", "back2.example.net"]);
    for at in [2, 3, 5] {
        wanted[at].1 = "revoked".to_owned();
    }
    assert_eq!(states(&place), wanted);
    refused(&place, &["certs", "renew", "front-1"], "was revoked");
    good(&place, &["certs", "issue", "front-1", "--force"]);
    assert_eq!(states(&place).last(), Some(&state("front-1 front", "good")));
}

#[test]
fn what_expires_is_told_by_list_and_check() {
    let place = Place::new();
    let now = i64::try_from(teleferry::clock::unix_time()).expect("today");
    let days = |days: i64| now - days * 24 * 60 * 60;
    let mut authority =
        Authority::make(&place.path("certs"), &[NAMES[0].to_owned()], days(800), Replace::Never)
            .expect("made");
    let mut issue = |name: &str, when| {
        authority.issue(Side::Front, &[name.to_owned()], when, Replace::Never).expect("made");
    };
    issue("old", days(800));
    issue("soon", days(710));
    issue("new", days(0));
    let told = good(&place, &["certs", "list"]);
    for (name, state) in [("old", "expired"), ("soon", "expires soon: renew it"), ("new", "good")] {
        let line = told.lines().find(|line| line.starts_with(name)).expect("listed");
        assert!(line.ends_with(state), "{line}");
        place.write("front.toml", &front(name));
        let done = place.run(["check", "--config", "front.toml"]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let words = match name {
            "old" => "warning: the certificate of `old` expired on ",
            "soon" => "warning: the certificate of `soon` expires on ",
            _ => "",
        };
        assert!(
            done.stderr.starts_with(words) && words.is_empty() == done.stderr.is_empty(),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn doctor_looks_at_what_a_half_depends_on() {
    let place = Place::new();
    let now = i64::try_from(teleferry::clock::unix_time()).expect("today");
    let back = [NAMES[0].to_owned()];
    let mut authority = Authority::make(&place.path("certs"), &back, now, Replace::Never).expect("made");
    for (name, when) in [("old", now - 800 * 24 * 60 * 60), ("new", now)] {
        authority.issue(Side::Front, &[name.to_owned()], when, Replace::Never).expect("made");
        place.write("front.toml", &front(name).replace("192.0.2.1:443", "off"));
        let done = place.run(["doctor", "--config", "front.toml", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
        let findings = report["findings"].as_array().expect("a list");
        let of = |about: &str| findings.iter().find(|finding| finding["about"] == about);
        assert_eq!(of("certificates").expect("there")["fine"], name == "new", "{}", done.stdout);
        // The way to Telegram is the back's.
        assert!(
            of("telegram").is_none() && of("middle").is_none() && of("clock").is_none(),
            "{}",
            done.stdout
        );
    }
}

#[test]
fn a_back_has_no_links() {
    let (place, _) = with_authority();
    place.write("back.toml", &back(NAMES[0]));
    let done = place.run(["link", "--config", "back.toml"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("a back has no listeners"), "{}", done.stderr);
}

/// A front with the files of a name.
fn front(name: &str) -> String {
    format!(
        r#"[[listen]]
address = "127.0.0.1:0"
secret = "{KEY}"
protocols = ["secure"]

[cover]
target = "192.0.2.1:443"

[role]
kind = "front"
[role.front]
backs = "https://back.example.net"
[role.tls]
ca = "certs/ca.pem"
cert = "certs/{name}.pem"
key = "certs/{name}.key"
revoked = "certs/revoked.pem"
"#
    )
}

/// A back with the files of a name.
fn back(name: &str) -> String {
    format!(
        r#"[role]
kind = "back"
[role.back]
listen = "127.0.0.1:0"
[role.tls]
ca = "certs/ca.pem"
cert = "certs/{name}.pem"
key = "certs/{name}.key"
revoked = "certs/revoked.pem"
"#
    )
}

#[test]
fn what_was_made_is_taken_by_check_and_what_does_not_fit_is_not() {
    let (place, _) = with_authority();
    good(&place, &["certs", "issue", "front-1"]);
    good(&place, &["certs", "issue", "front-2"]);
    good(&place, &["certs", "init", "--name", "other.example", "--dir", "other"]);
    good(&place, &["certs", "issue", "front-1", "--dir", "other"]);
    for text in [front("front-1"), back(NAMES[0])] {
        place.write("good.toml", &text);
        let done = place.run(["check", "--config", "good.toml"]);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        assert!(done.stdout.contains("ca = \"certs/ca.pem\""), "{}", done.stdout);
        assert!(!done.stdout.contains("PRIVATE"), "{}", done.stdout);
    }
    let revoked = good(&place, &["certs", "revoke", "front-2"]);
    assert!(revoked.contains("role.tls.revoked"), "{revoked}");
    for (text, told) in [
        (front("front-2"), "`role.tls.cert` is on the list of `role.tls.revoked`"),
        (front("front-1").replace("front-1.key", "front-2.key"), "is not the key of the certificate"),
        (front("front-1").replace("certs/front-1", "other/front-1"), "is not signed by the authority"),
        (front("front-1").replace("certs/revoked", "other/revoked"), "`role.tls.revoked` is not signed by"),
        (front("front-1").replace("certs/ca.pem", "certs/front-1.pem"), "that is none of an authority"),
        (front("ca"), "is the certificate of an authority"),
        (front(NAMES[0]), "is a server's certificate, and this is a front"),
        (back("front-1"), "is a client's certificate, and this is a back"),
        (front("front-1").replace("certs/ca.pem", "good.toml"), "which holds no certificate in PEM"),
        (front("front-1").replace("certs/ca.pem", "nothing.pem"), "which cannot be read"),
        (front("front-1").replace("key = ", "#key = "), "`role.tls.cert` needs `role.tls.key`"),
        (back(NAMES[0]).replace("ca = ", "#ca = "), "`role.tls.revoked` needs `role.tls.ca`"),
    ] {
        place.write("bad.toml", &text);
        let done = place.run(["check", "--config", "bad.toml"]);
        assert_eq!(done.code, Some(2), "{told}: {}", done.stderr);
        assert!(done.stderr.contains(told) && done.stderr.contains("bad.toml:"), "{told}: {}", done.stderr);
        assert!(!done.stderr.contains("PRIVATE"), "{}", done.stderr);
    }
}
