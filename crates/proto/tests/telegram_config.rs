//! Telegram's published files: vectors, embedded values, what is refused.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::{cases, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use teleferry_proto::dc::DcId;
use teleferry_proto::telegram_config::{
    ConfigError, MAX_CONFIG_LEN, MiddleSecret, MiddleSecretError, TelegramConfig, parse,
};

fn targets(config: &TelegramConfig) -> BTreeMap<i16, Vec<SocketAddr>> {
    config.iter().map(|(dc, targets)| (dc.get(), targets.to_vec())).collect()
}

fn expected_targets(clusters: &Value) -> BTreeMap<i16, Vec<SocketAddr>> {
    let clusters = clusters.as_object().expect("clusters");
    let target = |target: &Value| {
        let ip = target[0].as_str().expect("text").parse().expect("address");
        SocketAddr::new(ip, target[1].as_u64().expect("number") as u16)
    };
    clusters
        .iter()
        .map(|(dc, list)| {
            let list = list.as_array().expect("targets");
            (dc.parse().expect("number"), list.iter().map(target).collect())
        })
        .collect()
}

#[test]
fn a_74_every_sample() {
    for case in cases(&vectors("telegram-config"), "samples") {
        let (found, expect) = (parse(case["text"].as_str().expect("text").as_bytes()), &case["expect"]);
        if expect["error"] == true || expect["note"] == "may be refused" {
            assert!(found.is_err(), "{}", case["name"]);
            continue;
        }
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert_eq!((found.bad, found.ignored), (0, 0), "{}", case["name"]);
        let default = found.config.default_dc.map(|dc| i64::from(dc.get()));
        assert_eq!(default, expect["default"].as_i64(), "{}", case["name"]);
        assert_eq!(targets(&found.config), expected_targets(&expect["clusters"]), "{}", case["name"]);
    }
}

#[test]
fn a_75_without_a_default() {
    let config = parse(b"proxy_for 2 192.0.2.1:8888;").expect("a configuration").config;
    assert_eq!(config.default_dc, None);
    // Unknown ids go to data centre 2 all the same, and nowhere when that has no target either.
    assert_eq!(config.find(DcId::new(9)).map(|(dc, _)| dc.get()), Some(2));
    let config = parse(b"proxy_for 3 192.0.2.1:8888;").expect("a configuration").config;
    assert_eq!(config.find(DcId::new(9)), None);
}

#[test]
fn ids_find_their_own_targets_first() {
    let text = b"default 4; proxy_for 2 192.0.2.2:1; proxy_for -2 192.0.2.3:1; proxy_for 203 192.0.2.4:1;
        proxy_for -203 192.0.2.5:1; proxy_for 4 192.0.2.6:1; proxy_for -5 192.0.2.7:1;";
    let config = parse(text).expect("a configuration").config;
    for (id, under) in [
        (2, 2),
        (-2, -2),
        (203, 203),
        (-203, -203),
        (4, 4),
        // No media targets.
        (-4, 4),
        // Media targets are of no use to others.
        (5, 4),
        (-5, -5),
        (0, 4),
        (i16::MIN, 4),
    ] {
        let (dc, targets) = config.find(DcId::new(id)).expect("targets");
        assert_eq!((dc.get(), targets.len()), (under, 1), "{id}");
    }
}

#[test]
fn the_two_files_make_one_configuration() {
    let mut config = parse(b"default 4; proxy_for 2 192.0.2.2:1;").expect("a configuration").config;
    let v6 = parse(b"default 3; proxy_for 2 [2001:db8::2]:1; proxy_for 7 [2001:db8::7]:1;");
    config.merge(&v6.expect("a configuration").config);
    config.merge(&config.clone());
    assert_eq!(config.default_dc, Some(DcId::new(4)));
    let (_, two) = config.find(DcId::new(2)).expect("targets");
    assert_eq!(two.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2:1", "[2001:db8::2]:1"]);
    assert_eq!(config.iter().count(), 2);
}

#[test]
fn one_bad_statement_is_passed_over_and_many_are_not() {
    let good = "default 2; proxy_for 2 192.0.2.1:1; proxy_for 3 192.0.2.1:2; timeout 100; hello world;";
    for bad in [
        "proxy_for 2 192.0.2.1:0;",
        "proxy_for 2 192.0.2.1:65536;",
        "proxy_for 2 192.0.2.1;",
        "proxy_for 2 2001:db8::1:80;",
        "proxy_for 2 [192.0.2.1]:80;",
        "proxy_for 2 [2001:db8::1:80;",
        "proxy_for 32768 192.0.2.1:80;",
        "proxy_for x 192.0.2.1:80;",
        "proxy_for 2;",
        "proxy_for;",
        "proxy_for 2 192.0.2.1:80 3;",
        "default;",
        "default 2 3;",
        // Cut off.
        "proxy_for 2 192.0.2.9:8",
    ] {
        let once = parse(format!("{good} {bad}").as_bytes()).expect(bad);
        assert_eq!((once.bad, once.ignored), (1, 2), "{bad}");
        assert_eq!(once.config.iter().count(), 2, "{bad}");
        let bad = "default;";
        let twice = parse(format!("{good} {bad} {bad}").as_bytes());
        assert_eq!(twice, Err(ConfigError::TooManyBad { bad: 2, known: 5 }), "{bad}");
    }
}

#[test]
fn what_is_no_configuration_says_what_it_is() {
    assert_eq!(parse(b"\n <!DOCTYPE html>; proxy_for 2 192.0.2.1:1;"), Err(ConfigError::Html));
    for nothing in ["", "\n# proxy_for 2 192.0.2.1:1;\n", "Bad Gateway", "default 2;", ";;;"] {
        assert_eq!(parse(nothing.as_bytes()), Err(ConfigError::NoTargets), "{nothing}");
    }
    let mut long = b"proxy_for 2 192.0.2.1:1;".to_vec();
    long.resize(MAX_CONFIG_LEN, b' ');
    assert!(parse(&long).is_ok());
    long.push(b' ');
    assert_eq!(parse(&long), Err(ConfigError::TooLong));
}

#[test]
fn embedded_values_are_those_of_the_vectors() {
    let file = vectors("embedded");
    assert_eq!(MiddleSecret::embedded().as_bytes(), hex(&file["middle_secret"]));
    assert_eq!(MiddleSecret::new(&hex(&file["middle_secret"])), Ok(MiddleSecret::embedded()));
    let mut expected: BTreeMap<i16, Vec<SocketAddr>> = BTreeMap::new();
    for family in ["middle_targets_v4", "middle_targets_v6"] {
        for (dc, list) in file[family].as_object().expect("targets") {
            let list = list.as_array().expect("targets").iter();
            let list =
                list.map(|target| target.as_str().expect("text").parse::<SocketAddr>().expect("address"));
            expected.entry(dc.parse().expect("number")).or_default().extend(list);
        }
    }
    let config = TelegramConfig::embedded();
    assert_eq!(targets(&config), expected);
    assert_eq!(config.default_dc.map(|dc| i64::from(dc.get())), file["default_dc"].as_i64());
}

#[test]
fn middle_secrets_are_judged_before_they_are_used() {
    let file = &vectors("telegram-config")["proxy_secret"];
    let sample = hex(&file["sample"]);
    let secret = MiddleSecret::new(&sample).expect("a secret");
    assert_eq!(secret.selector().as_slice(), hex(&file["key_selector"]));
    assert_eq!(format!("{secret:?}"), "MiddleSecret(…)");
    for case in cases(file, "reject") {
        let len = case["len"].as_u64().expect("number") as usize;
        assert_eq!(MiddleSecret::new(&vec![7; len]), Err(MiddleSecretError::Length(len)));
    }
    for len in [32, 256] {
        assert!(MiddleSecret::new(&vec![7; len]).is_ok(), "{len}");
    }
    let mut zero = sample;
    zero[..4].fill(0);
    assert_eq!(MiddleSecret::new(&zero), Err(MiddleSecretError::NoSelector));
    let page = b"\r\n<html><head><title>502 Bad Gateway</title></head></html>";
    assert_eq!(MiddleSecret::new(page), Err(MiddleSecretError::Html));
    // It is not text: bytes that look like blanks at its ends are its own.
    let blank = [b' '; 32];
    assert_eq!(MiddleSecret::new(&blank).expect("a secret").as_bytes(), blank);
}

proptest! {
    #[test]
    fn arbitrary_texts_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300), words in "[a-z_0-9.:;#\\[\\] \n-]{0,300}") {
        for text in [bytes.as_slice(), words.as_bytes()] {
            if let Ok(parsed) = parse(text) {
                prop_assert!(!parsed.config.is_empty());
            }
        }
    }
}
