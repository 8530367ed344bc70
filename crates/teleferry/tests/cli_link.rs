//! `teleferry link`, through the built program.

mod support;

use serde_json::Value;
use support::{KEY, OTHER_KEY, Place, configuration};
use teleferry_proto::secret::{Domain, ProxyLink, Secret};

const DOMAIN_HEX: &str = "7777772e6578616d706c652e636f6d";

#[test]
fn every_secret_and_kind_of_client_has_its_links() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:8443"));
    let done = place.run(["link", "--config", "teleferry.toml"]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let secrets =
        [KEY, OTHER_KEY].map(|key| [format!("ee{key}{DOMAIN_HEX}"), format!("dd{key}"), key.to_owned()]);
    let expected: Vec<String> = secrets
        .iter()
        .flatten()
        .flat_map(|secret| {
            ["tg://proxy", "https://t.me/proxy"]
                .map(|base| format!("{base}?server=proxy.example&port=8443&secret={secret}"))
        })
        .collect();
    let printed: Vec<&str> = done.stdout.lines().filter(|line| line.contains("proxy?")).collect();
    assert_eq!(printed, expected);
    assert!(done.stdout.starts_with("all (tls):\n"), "{}", done.stdout);
    assert!(done.stdout.contains("\nall, alice (secure):\n"), "{}", done.stdout);
}

#[test]
fn json_says_what_each_link_is_for() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:8443"));
    let done = place.run(["link", "--json", "--listener", "all", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let json: Value = serde_json::from_str(&done.stdout).expect("JSON");
    let links = json["links"].as_array().expect("a list");
    assert_eq!(links.len(), 6);
    for link in links {
        let parsed = ProxyLink::parse(link["tg"].as_str().expect("a link")).expect("a link");
        assert_eq!(Ok(&parsed), ProxyLink::parse(link["https"].as_str().expect("a link")).as_ref());
        assert_eq!((parsed.host(), parsed.port()), ("proxy.example", 8443));
        let protocol = match parsed.secret() {
            Secret::Plain(_) => "classic",
            Secret::Secure(_) => "secure",
            Secret::Tls(..) => "tls",
        };
        assert_eq!(link["protocol"], protocol);
        assert_eq!(link["listener"], "all");
    }
    assert_eq!((&links[0]["secret"], &links[5]["secret"]), (&Value::Null, &Value::from("alice")));
}

#[test]
fn the_host_is_the_listeners_own_address_when_it_has_one() {
    let place = Place::new();
    let text = configuration("[2001:db8::7]:443").replace("public_host", "#");
    place.write("teleferry.toml", &text);
    let done = place.run(["link", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("server=2001:db8::7&port=443"), "IPv6 without brackets: {}", done.stdout);
}

/// the link of a host name carries the secret that is derived for it.
#[test]
fn a_42_links_for_host_names() {
    let place = Place::new();
    let salt = "[sni_secrets]\nenabled = true\nsalt = \"a salt of our own\"\n";
    place.write("teleferry.toml", &(configuration("192.0.2.7:443") + salt));
    let printed = |arguments: &[&str]| {
        let done = place.run(["link", "--config", "teleferry.toml"].iter().chain(arguments).copied());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout
    };
    let base = teleferry::config::secret_key(KEY).expect("a secret");
    let link_secret = |name: &str| {
        let key = teleferry_proto::per_sni::derive(&base, "a salt of our own", name.as_bytes());
        Secret::Tls(key, Domain::new(name.as_bytes()).expect("a name")).to_hex()
    };
    let all = printed(&[]);
    assert!(all.contains(&link_secret("www.example.com")), "{all}");
    assert!(all.contains(&format!("secret={KEY}")), "plain secrets stay: {all}");
    let one = printed(&["--sni", "alice.example.com"]);
    assert!(one.contains(&link_secret("alice.example.com")), "{one}");
    assert!(!one.contains("www.example.com") && !one.contains(&format!("secret={KEY}")), "{one}");
    let done = place.run(["link", "--config", "teleferry.toml", "--sni", "no name"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
}

#[test]
fn a_code_is_drawn_for_each_link() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("0.0.0.0:443").replace("\"secure\", \"classic\"", ""));
    let done = place.run(["link", "--qr", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let drawn = |line: &&str| line.chars().count() > 20 && line.chars().all(|c| " ▀▄█".contains(c));
    let lines: Vec<&str> = done.stdout.lines().filter(drawn).collect();
    assert!(lines.len() >= 2 * 20, "two codes: {}", done.stdout);
    let width = lines[0].chars().count();
    assert!(lines.iter().all(|line| line.chars().count() == width), "a square: {}", done.stdout);
}

#[test]
fn what_cannot_be_printed_is_said() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("127.0.0.1:0"));
    place.write("unix.toml", &configuration("unix:/run/a.sock"));
    for (arguments, told) in [
        (["--config", "teleferry.toml", "--listener", "none"].as_slice(), "there are: all"),
        (&["--config", "teleferry.toml"], "start `teleferry run` first"),
        (&["--config", "unix.toml"], "has no TCP address"),
        (&["--config", "unix.toml", "--sni", "a.example"], "sni_secrets.enabled"),
        (&["--config", "unix.toml", "--qr", "--json"], "cannot be used with"),
    ] {
        let done = place.run(["link"].into_iter().chain(arguments.iter().copied()));
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(done.stderr.contains(told), "{arguments:?}: {}", done.stderr);
    }
}
