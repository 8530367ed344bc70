//! What watchers of both halves are told: readiness, states, failures by their cause, certificates.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use rcgen::ExtendedKeyUsagePurpose::ClientAuth;
use serde_json::Value;
use teleferry_sim::client::Protocol;

use super::stage::{Authority, Half, Mode, Stage, front_settings, sum};
use crate::support::Place;

const TLS: &str = "[role.tls]\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";

/// What a process answers at this path of its control socket: the status code and the body.
fn get(place: &Place, path: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(place.path("state/ctl.sock")).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
    (code, body.to_owned())
}

/// The value of a series with all of these labels.
fn metric(place: &Place, name: &str, labels: &[&str]) -> Option<f64> {
    let (_, text) = get(place, "/metrics");
    let mut lines = text.lines().filter(|line| line.starts_with(name));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// What a status tells of another half; null while it knows none of this name.
fn peer<'a>(status: &'a Value, name: &str) -> &'a Value {
    let peers = status["peers"].as_array().expect("a list");
    peers.iter().find(|peer| peer["name"] == name).unwrap_or(&Value::Null)
}

fn assert_ready(place: &Place, expected: Result<(), &str>) {
    let (code, body) = get(place, "/readyz");
    match expected {
        Ok(()) => assert_eq!(code, 200, "{body}"),
        Err(reason) => assert!(code == 503 && body.contains(reason), "{code} {body}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_is_ready_while_one_back_can_be_used() {
    let stage = Stage::new(Mode::Direct);
    let (one, two) = (stage.back(), stage.back());
    let front = stage.front(&[&one, &two]);
    front.connected(4).await;
    assert_ready(&front.place, Ok(()));
    assert_ready(&one.place, Ok(()));
    let mut client = front.client(Protocol::FakeTls).await;
    client.echo(vec![1; 64]).await.expect("echo");

    let status = front.until(|status| sum(status, "sessions") == 1).await;
    assert_eq!((status["state"].as_str(), status["role"].as_str()), (Some("online"), Some("front")));
    for back in [&one, &two] {
        let name = back.address.to_string();
        let peer = peer(&status, &name);
        assert_eq!((peer["state"].as_str(), peer["failed"].as_u64()), (Some("ready"), Some(0)), "{peer}");
        assert!(
            peer["round_trip_micros"].as_u64() > Some(0) && peer["sent_bytes"].as_u64() > Some(0),
            "{peer}"
        );
        let label = format!("peer=\"{name}\"");
        assert_eq!(metric(&front.place, "teleferry_trunks_ready", &[&label]), Some(2.0));
    }
    let with_client = if sum(&one.status(), "sessions") == 1 { &one } else { &two };
    let status = with_client.status();
    assert_eq!(peer(&status, "front-1")["state"], "connected");
    assert_eq!(metric(&with_client.place, "teleferry_trunk_sessions_open", &["front-1"]), Some(1.0));

    let gone = one.address.to_string();
    drop(one);
    let status = front.until(|status| peer(status, &gone)["state"] == "down").await;
    assert_eq!(status["state"], "troubled");
    assert!(
        status["verdict"].as_str().is_some_and(|v| v.starts_with("1 of 2 backs can be used")),
        "{status:#}"
    );
    assert_ready(&front.place, Ok(()));
    drop(two);
    front.until(|status| sum(status, "ready") == 0).await;
    assert_ready(&front.place, Err("no back can be used"));
    let status =
        front.until(|status| peer(status, &gone)["failures"]["self:unreachable"].as_u64() > Some(0)).await;
    assert!(status["verdict"].as_str().is_some_and(|v| v.starts_with("No back can be used")), "{status:#}");
    let shown =
        tokio::task::block_in_place(|| front.place.run(["ctl", "--config", "teleferry.toml", "status"]));
    assert!(shown.stdout.contains(&gone) && shown.stdout.contains("self:unreachable"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_counted_by_their_cause_on_both_sides() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    // It believes the back, and the back does not believe it.
    let stranger = Authority::new();
    let place = Place::new();
    stranger.equip(&place, "front-9", ClientAuth);
    // The front does not sign its own certificate by the authority that it believes, so it has both.
    place.write("ca.pem", &format!("{}{}", stage.authority.pem, stranger.pem));
    let front = Half::start(place, &front_settings(&[back.address], TLS));
    let name = back.address.to_string();
    front.until(|status| peer(status, &name)["failures"]["peer:unknown_issuer"].as_u64() > Some(0)).await;
    let status =
        back.until(|status| peer(status, "")["failures"]["self:unknown_issuer"].as_u64() > Some(0)).await;
    assert_eq!(sum(&status, "calls"), 0);
    let labels = ["by=\"self\"", "cause=\"unknown_issuer\"", "peer=\"\""];
    assert!(metric(&back.place, "teleferry_trunks_failed_total", &labels) >= Some(1.0));
    let labels = ["by=\"peer\"", "cause=\"unknown_issuer\"", &name];
    assert!(metric(&front.place, "teleferry_trunks_failed_total", &labels) >= Some(1.0));

    // A front that asks the back by a name that its certificate has not.
    let place = Place::new();
    stage.authority.equip(&place, "front-2", ClientAuth);
    let settings = front_settings(&[back.address], TLS).replace("https://127.0.0.1", "https://localhost");
    let front = Half::start(place, &settings);
    let name = format!("localhost:{}", back.address.port());
    front.until(|status| peer(status, &name)["failures"]["self:wrong_name"].as_u64() > Some(0)).await;
    back.until(|status| peer(status, "")["failures"]["peer:bad_certificate"].as_u64() > Some(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_certificates_is_told() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let now = teleferry::clock::unix_time();
    let status = back.status();
    let certificates = status["certificates"].as_array().expect("a list");
    assert_eq!(certificates[0]["title"], "the certificate of `back.example.net`");
    assert_eq!(certificates[1]["title"], "the authority `authority`");
    for certificate in certificates {
        let end = certificate["not_after"].as_u64().expect("a time");
        let left = (end - now) / 86_400;
        assert!(
            certificate["days_left"].as_u64().is_some_and(|days| days.abs_diff(left) <= 1),
            "{certificate}"
        );
        let title = certificate["title"].as_str().expect("text");
        let shown = metric(&back.place, "teleferry_certificate_expiry_timestamp_seconds", &[title]);
        assert_eq!(shown, Some(end as f64), "{title}");
    }
    let shown =
        tokio::task::block_in_place(|| back.place.run(["ctl", "--config", "teleferry.toml", "status"]));
    assert!(shown.stdout.contains("the certificate of `back.example.net` expires on "), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_whether_a_back_can_be_used() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let until = |status: &str| {
        tokio::task::block_in_place(|| {
            let mut message = [0; 512];
            loop {
                let len = socket.recv(&mut message).unwrap_or_else(|error| panic!("never {status}: {error}"));
                if String::from_utf8_lossy(&message[..len]).contains(status) {
                    return;
                }
            }
        });
    };
    stage.authority.equip(&place, "front-1", ClientAuth);
    place.write("teleferry.toml", &front_settings(&[back.address], TLS));
    let mut command = place.command(["run", "--config", "teleferry.toml"]);
    let notify = place.path("notify");
    let mut front =
        command.env("NOTIFY_SOCKET", notify).stderr(std::process::Stdio::null()).spawn().expect("started");
    until("STATUS=Online, nobody is connected");
    drop(back);
    until("STATUS=No back can be used, nobody is connected");
    front.kill().expect("it ran");
    front.wait().expect("ended");
}
