//! `doctor` on a front and on a back.

use std::net::SocketAddr;

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use serde_json::Value;
use teleferry_sim::telegram::Telegram;
use tokio::net::TcpListener;

use super::stage::{Authority, Half, Mode, Stage, front_settings};
use crate::support::Place;

const TLS: &str = "[role.tls]\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";

/// What doctor says of one thing in this place: level, sentence and advice.
fn told(place: &Place, about: &str) -> (String, String, String) {
    let done = tokio::task::block_in_place(|| place.run(["doctor", "--config", "teleferry.toml", "--json"]));
    let report: Value =
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    let findings = report["findings"].as_array().expect("a list");
    let finding = findings.iter().find(|f| f["group"] == "halves" && f["about"] == about);
    let finding = finding.unwrap_or_else(|| panic!("nothing of {about}: {report:#}"));
    let text = |key: &str| finding[key].as_str().expect("text").to_owned();
    (text("level"), text("found"), text("advice"))
}

/// A front that is not running, of this authority, that knows backs under these names.
fn front(authority: &Authority, backs: &[SocketAddr], settings: impl Fn(String) -> String) -> Place {
    let place = Place::new();
    authority.equip(&place, "front-1", ClientAuth);
    place.write("teleferry.toml", &settings(front_settings(backs, TLS)));
    place
}

/// The one finding about a back of such a front has this level, and both words in sentence and advice.
fn assert_told(place: &Place, level: &str, found: &str, advice: &str) {
    let told = told(place, "back");
    assert!(told.0 == level && told.1.contains(found) && told.2.contains(advice), "{found}: {told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_that_serves_is_seen_to_reach_telegram() {
    for mode in [Mode::Direct, Mode::Middle] {
        let stage = Stage::new(mode);
        let back = stage.back();
        let place = front(&stage.authority, &[back.address], |text| text);
        let (level, found, _) = told(&place, "back");
        assert_eq!(level, "ok", "{found}");
        for word in [
            &format!("{}: {} connected in ", back.address, back.address),
            "its certificate for back.example.net, 127.0.0.1, ",
            " is good for ",
            "a round trip takes ",
            "it speaks version 1.0",
            "Telegram answers over it in ",
        ] {
            assert!(found.contains(word), "{word}: {found}");
        }
        let (level, found, _) = told(&back.place, "fronts");
        assert_eq!(level, "ok");
        assert!(found.contains("a front's certificate of `authority` (no revocation list)"), "{found}");
        for place in [&place, &back.place] {
            let (level, found, _) = told(place, "certificates");
            assert!(level == "ok" && found.contains("the authority `authority` holds until "), "{found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_is_told_with_what_to_do() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();

    // Nobody is there.
    let port = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let nowhere = port.local_addr().expect("an address");
    drop(port);
    let place = front(&stage.authority, &[nowhere], |text| text);
    assert_told(&place, "mend", "cannot be reached: Connection refused", "role.back.listen");

    // Its name has no address.
    let port = back.address.port();
    let named = |name: &str| {
        let name = name.to_owned();
        move |text: String| {
            text.replace(&format!("https://127.0.0.1:{port}"), &format!("https://{name}:{port}"))
        }
    };
    let place = front(&stage.authority, &[back.address], named("back.invalid"));
    assert_told(&place, "mend", "has no address", "DNS");

    // Its certificate is for another name.
    let place = front(&stage.authority, &[back.address], named("localhost"));
    assert_told(&place, "mend", "its certificate is for another name", "certs issue --back");

    // Neither knows who signed the other's certificate, or one does not.
    let stranger = Authority::new();
    let place = front(&stranger, &[back.address], |text| text);
    assert_told(&place, "mend", "signed by nobody who is believed here", "role.tls.ca here");
    let place = front(&stranger, &[back.address], |text| text);
    place.write("ca.pem", &format!("{}{}", stranger.pem, stage.authority.pem));
    assert_told(&place, "mend", "it does not know who signed our certificate", "role.tls.ca on the back");

    // It takes certificates alone, and the front shows a token.
    let place = front(&stage.authority, &[back.address], |text| {
        let text = text.replace("cert = \"cert.pem\"\nkey = \"key.pem\"\n", "");
        text.replace("[role.tls]", "token_file = \"link.token\"\n[role.tls]")
    });
    place.write("link.token", "0123456789abcdef0123456789abcdef");
    assert_told(&place, "mend", "takes no sessions of this front: the answer is 404", "token");

    // It is no back at all.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let place = front(&stage.authority, &[silent.local_addr().expect("an address")], |text| text);
    let accepting = tokio::spawn(async move {
        while let Ok((stream, _)) = silent.accept().await {
            drop(stream);
        }
    });
    assert_told(&place, "mend", "the connection broke off during the handshake", "TLS 1.3");
    accepting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_without_telegram_is_told_so() {
    let mut stage = Stage::new(Mode::Direct);
    let back: Half = stage.back();
    // The data centres go away.
    stage.telegram =
        Telegram::start(&teleferry_sim::telegram::Options::default()).expect("loopback has room");
    let place = front(&stage.authority, &[back.address], |text| text);
    assert_told(&place, "mend", "cannot reach Telegram", "doctor` on the back");
}
