//! Secrets and links: what the official client library reads, and what we print.

mod common;

use common::{array, cases, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use teleferry_proto::secret::{
    Domain, HostName, LinkError, ProxyLink, Secret, SecretError, SecretKey, is_public_secret, is_public_tag,
};

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no {field} in {case}"))
}

#[test]
fn secrets_are_read_in_every_written_form() {
    for case in cases(&vectors("links"), "secrets") {
        let read = Secret::parse(text(case, "text"));
        let kind = match &read {
            Ok(Secret::Plain(_)) => "plain",
            Ok(Secret::Secure(_)) => "dd",
            Ok(Secret::Tls(..)) => "ee",
            Err(_) => "invalid",
        };
        assert_eq!(kind, text(case, "kind"), "{case}");
        if let Ok(secret) = read {
            assert_eq!(*secret.key().as_bytes(), array(&case["key"]), "{case}");
            assert_eq!(secret.domain().map(Domain::as_bytes), case["domain"].as_str().map(str::as_bytes));
        }
    }
}

#[test]
fn links_are_printed_in_hex() {
    for case in cases(&vectors("links"), "links_to_print") {
        let secret = Secret::from_bytes(&hex(&case["secret_bytes"])).expect("a secret");
        assert_eq!(secret.to_hex(), text(case, "hex"));
        assert_eq!(secret.to_base64url(), text(case, "base64url_nopad"));
        let link = ProxyLink::new("proxy.example", 443, secret).expect("a link");
        assert_eq!(link.to_tg(), text(case, "tg_link"));
        assert_eq!(link.to_https(), text(case, "https_link"));
    }
}

#[test]
fn links_are_read_as_the_client_library_reads_them() {
    for case in cases(&vectors("links"), "measured_with_tdlib") {
        let measured = &case["tdlib"];
        let read = ProxyLink::parse(text(case, "link"));
        assert_eq!(read.is_ok(), measured["accepted"] == true, "{case}: {read:?}");
        if let Ok(link) = read {
            assert_eq!(link.host(), text(measured, "server"), "{case}");
            assert_eq!(u64::from(link.port()), measured["port"].as_u64().expect("port"), "{case}");
            let shown = match link.secret() {
                Secret::Tls(..) => link.secret().to_base64url(),
                Secret::Plain(_) | Secret::Secure(_) => link.secret().to_hex(),
            };
            assert_eq!(shown, text(measured, "secret_normalised"), "{case}");
        }
    }
}

#[test]
fn f_18_upper_case_hex_is_the_same_secret() {
    let lower = Secret::parse("fbefbefbefbefbefbefbefbefbefbefb").expect("lower case");
    assert_eq!(Secret::parse("FBEFBEFBEFBEFBEFBEFBEFBEFBEFBEFB"), Ok(lower.clone()));
    assert_eq!(Secret::parse("FbEfbEfbEfbEfbEfbEfbEfbEfbEfbEfB"), Ok(lower));
}

#[test]
fn what_is_wrong_is_told() {
    let parse = |text: &str| Secret::parse(text).expect_err("no secret");
    assert_eq!(parse(""), SecretError::TooShort);
    assert_eq!(parse("!!!!"), SecretError::Undecodable);
    assert_eq!(parse(&"ab".repeat(17)), SecretError::UnknownKind);
    assert_eq!(parse(&format!("ee{}", "ab".repeat(16))), SecretError::NoDomain);
    assert_eq!(parse(&format!("ee{}", "ab".repeat(16 + 183))), SecretError::DomainTooLong);
    assert_eq!(parse(&"?".repeat(100_000)), SecretError::Undecodable);
    assert_eq!(ProxyLink::parse("https://example.com/"), Err(LinkError::NotALink));
    assert_eq!(
        ProxyLink::parse("tg://proxy?server=h&port=1&secret=ab"),
        Err(LinkError::Secret(SecretError::TooShort))
    );
}

#[test]
fn secrets_of_manuals_are_known() {
    let file = vectors("public-secrets");
    let mut known = 0;
    for written in cases(&file, "refused_secrets") {
        // One of them has a digit too many, so that it is refused as no secret.
        if let Ok(secret) = Secret::parse(written.as_str().expect("text")) {
            assert!(is_public_secret(secret.key()), "{written}");
            known += 1;
        }
    }
    assert_eq!(known, 5);
    for tag in cases(&file, "refused_tags") {
        assert!(is_public_tag(&array(tag)), "{tag}");
    }
    assert!(!is_public_secret(&SecretKey::new(common::det("some secret", 16).try_into().expect("16 bytes"))));
    assert!(!is_public_tag(&[7; 16]));
}

#[test]
fn debug_shows_no_key() {
    let secret =
        Secret::parse("ee000102030405060708090a0b0c0d0e0f7777772e6578616d706c652e636f6d").expect("secret");
    let link = ProxyLink::new("proxy.example", 443, secret).expect("link");
    let shown = format!("{link:?}");
    assert!(shown.contains("SecretKey(…)") && !shown.contains("0405"), "{shown}");
}

fn secret() -> impl Strategy<Value = Secret> {
    (any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 1..=182), 0..3).prop_map(|(key, domain, kind)| {
        let key = SecretKey::new(key);
        match kind {
            0 => Secret::Plain(key),
            1 => Secret::Secure(key),
            _ => Secret::Tls(key, Domain::new(&domain).expect("1 to 182 bytes")),
        }
    })
}

proptest! {
    #[test]
    fn printed_secrets_are_read_back(secret in secret()) {
        prop_assert_eq!(Secret::from_bytes(&secret.to_bytes()), Ok(secret.clone()));
        prop_assert_eq!(Secret::parse(&secret.to_hex()), Ok(secret.clone()));
        prop_assert_eq!(Secret::parse(&secret.to_hex().to_uppercase()), Ok(secret.clone()));
    }

    #[test]
    fn base64_is_read_back_with_and_without_padding(key in any::<[u8; 16]>(), domain in "[a-z]{1,182}") {
        // A base64 text that happens to be hex is read as hex, by clients too.
        let secret = Secret::Tls(SecretKey::new(key), Domain::new(domain.as_bytes()).expect("a domain"));
        let written = secret.to_base64url();
        prop_assume!(!written.bytes().all(|byte| byte.is_ascii_hexdigit()));
        prop_assert_eq!(Secret::parse(&written), Ok(secret.clone()));
        let padding = "=".repeat(written.len().next_multiple_of(4) - written.len());
        prop_assert_eq!(Secret::parse(&(written + &padding)), Ok(secret));
    }

    #[test]
    fn printed_links_are_read_back(host in "\\PC{1,60}", port in 1u16.., secret in secret()) {
        let link = ProxyLink::new(&host, port, secret).expect("a link");
        prop_assert_eq!(ProxyLink::parse(&link.to_tg()), Ok(link.clone()));
        prop_assert_eq!(ProxyLink::parse(&link.to_https()), Ok(link));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Secret::parse(&text);
        let _ = Secret::from_bytes(&bytes);
        let _ = HostName::new(&text);
        let _ = ProxyLink::parse(&text);
        let _ = ProxyLink::parse(&format!("tg://proxy?{text}"));
        let _ = ProxyLink::parse(&format!("tg://proxy?server={text}&port={text}&secret={text}"));
    }
}
