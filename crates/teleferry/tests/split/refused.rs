//! Certificates that do not fit, through running halves: refused, said in a sentence, and counted. And new ones.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SerialNumber, date_time_ymd};
use teleferry_sim::client::Protocol;

use super::stage::{Authority, BACKS, Half, Mode, Stage, TLS, closed, front_settings, sum};
use crate::common::soon;
use crate::support::Place;

const FRONT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;
const BACK: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;

fn place_of(authorities: &str, (certificate, key): (String, String)) -> Place {
    let place = Place::new();
    place.write("ca.pem", authorities);
    place.write("cert.pem", &certificate);
    place.write("key.pem", &key);
    place
}

fn expired(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2021, 1, 1);
}

/// A front with these files.
fn front(place: Place, back: &Half) -> Half {
    Half::start(place, &front_settings(&[back.address], TLS))
}

/// Its clients get nowhere, and are not kept waiting for ever.
async fn leads_nowhere(front: &Half) {
    let mut client = front.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 64])).await.expect_err("there is no back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_that_does_not_fit_is_refused_by_its_front() {
    let stage = Stage::new(Mode::Direct);
    let good = &stage.authority;
    let other = Authority::new();
    let cases = [
        ("another name", good.issue_with("back.example.net", BACK, &[], |_| {})),
        ("expired", good.issue_with("back.example.net", BACK, &BACKS, expired)),
        ("signed by nobody", other.issue("back.example.net", BACK)),
    ];
    for (said, files) in cases {
        let back = stage.back_at(place_of(&good.pem, files), "127.0.0.1:0", "");
        let front = front(place_of(&good.pem, good.issue("front-1", FRONT)), &back);
        leads_nowhere(&front).await;
        front.until_said(&["a back cannot be used", said]).await;
        assert!(sum(&front.status(), "failed") > 0, "{said}: it is counted");
        assert_eq!(sum(&back.status(), "calls"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_that_does_not_fit_is_refused_by_its_back() {
    let stage = Stage::new(Mode::Direct);
    let good = &stage.authority;
    let other = Authority::new();
    let revoked = |params: &mut CertificateParams| params.serial_number = Some(SerialNumber::from(77_u64));
    let cases = [
        ("expired", "expired", good.issue_with("front-1", FRONT, &[], expired)),
        ("revoked", "revoked", good.issue_with("front-1", FRONT, &[], revoked)),
        ("unknown_issuer", "who signed", other.issue("front-1", FRONT)),
    ];
    let place = place_of(&good.pem, good.issue("back.example.net", BACK));
    place.write("revoked.pem", &good.revoke(&[77]));
    let settings = stage.back_settings(&place, "127.0.0.1:0", "");
    let back =
        Half::start(place, &settings.replace("[role.tls]\n", "[role.tls]\nrevoked = \"revoked.pem\"\n"));
    for (cause, said, files) in cases {
        // It believes both, so that it does not find fault with itself.
        let front = front(place_of(&format!("{}{}", good.pem, other.pem), files), &back);
        leads_nowhere(&front).await;
        back.until_said(&["a certificate was refused", cause]).await;
        front.until_said(&["a back cannot be used", said]).await;
        assert!(sum(&front.status(), "failed") > 0, "{cause}: it is counted");
        assert!(sum(&back.status(), "failed") > 0, "{cause}: it is counted");
    }
    assert_eq!(sum(&back.status(), "calls"), 0);
    // Who fits comes in meanwhile.
    let front = stage.front(&[&back]);
    let mut client = front.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
}

/// New certificates on both sides, taken up while clients are there: connections that are open go on, and new ones have the
/// new certificates. One that was taken back does not open another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_under_sessions() {
    let stage = Stage::new(Mode::Middle);
    let authority = &stage.authority;
    let revocable = |params: &mut CertificateParams| params.serial_number = Some(SerialNumber::from(5_u64));
    let place = place_of(&authority.pem, authority.issue("back.example.net", BACK));
    place.write("revoked.pem", &authority.revoke(&[]));
    let settings = stage.back_settings(&place, "127.0.0.1:0", "");
    let back =
        Half::start(place, &settings.replace("[role.tls]\n", "[role.tls]\nrevoked = \"revoked.pem\"\n"));
    let own = authority.issue_with("front-old", FRONT, &[], revocable);
    let front = front(place_of(&authority.pem, own), &back);
    front.connected(2).await;
    let mut clients = front.clients(4).await;

    // The back has a new one, and does not take the front's any more. Nobody who is there notices.
    let (certificate, key) = authority.issue("new.example.net", BACK);
    back.place.write("cert.pem", &certificate);
    back.place.write("key.pem", &key);
    back.place.write("revoked.pem", &authority.revoke(&[5]));
    back.order("reload");
    for client in &mut clients {
        soon(client.echo(vec![2; 5000])).await.expect("it is there still");
    }
    assert_eq!(closed(&front.status()), []);
    // The same front comes again: now it is refused.
    let place = front.kill();
    let front = self::front(place, &back);
    leads_nowhere(&front).await;
    back.until_said(&["a certificate was refused", "revoked"]).await;

    // It gets a new one, and is let in by that without being started again.
    let (certificate, key) = authority.issue("front-new", FRONT);
    front.place.write("cert.pem", &certificate);
    front.place.write("key.pem", &key);
    front.order("reload");
    front.connected(2).await;
    front.clients(4).await;
    let status = back.status();
    let peers = status["peers"].as_array().expect("a list").iter();
    let new = peers.filter(|peer| peer["name"] == "front-new").map(|peer| peer["calls"].as_u64());
    assert_eq!(new.collect::<Vec<_>>(), [Some(4)]);
}
