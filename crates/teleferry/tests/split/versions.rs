//! Halves of other versions and of other makes.

use rcgen::ExtendedKeyUsagePurpose;
use teleferry_proto::call::{Open, Origin, Version, field, note};
use teleferry_proto::dc::DcId;
use teleferry_proto::transport::Framing;
use teleferry_sim::client::Protocol;

use super::reflector::{Going, Reflector};
use super::stage::{Mode, Stage, closed, sessions, sum};
use super::traffic::{Plan, assert_one_gap};
use super::visitors::{connect, tls};
use crate::common::soon;

const THIS: Version = teleferry_proto::call::VERSION;

/// What a later one adds is skipped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_of_a_later_minor_version_will_do() {
    let stage = Stage::new(Mode::Direct);
    let back = Reflector::start(&stage, Version { minor: THIS.minor + 1, ..THIS }).await;
    let front = stage.front_of("front-1", &[back.address]);
    let mut client = front.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 5000])).await.expect("echo");
}

/// A back of another version is refused with a sentence, and whoever came to it goes to one that can be understood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_of_another_version_is_named_and_left_alone() {
    let stage = Stage::new(Mode::Direct);
    let later = Reflector::start(&stage, Version { major: THIS.major + 1, minor: 0 }).await;
    let alone = stage.front_of("front-1", &[later.address]);
    let mut client = alone.client(Protocol::Padded).await;
    soon(client.echo(vec![1; 64])).await.expect_err("nobody is there for it");
    alone.until_said(&["a back takes no session of ours", "this back speaks 2.0"]).await;

    let back = stage.back();
    let front = stage.front_of("front-1", &[later.address, back.address]);
    front.connected(4).await;
    front.clients(8).await;
    assert_eq!(sum(&back.status(), "calls"), 8);
    front.until_said(&["a back takes no session of ours", "this back speaks 2.0"]).await;
}

/// A back says the same to a front of another version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_front_of_another_version_is_told_so() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let own = stage.authority.issue("front-1", ExtendedKeyUsagePurpose::ClientAuth);
    let stream = connect(&back, &tls(&stage, Some(own), &[b"h2"])).await.expect("TLS");
    let (mut requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("https://back.example.net{}", teleferry_proto::call::PATH))
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request");
    let (response, mut stream) = requests.send_request(request, false).expect("sent");
    let open = Open {
        version: Version { major: THIS.major + 1, minor: 0 },
        dc: DcId::new(2),
        framing: Framing::Padded,
        client: None,
        ad_tag: None,
        origin: Origin::New,
    };
    stream.send_data(note(&[(field::OPEN, &open.encode())], &[]).into(), false).expect("sent");
    let mut body = soon(response).await.expect("an answer").into_body();
    assert!(soon(body.data()).await.is_none(), "nothing but an end");
    let trailers = soon(body.trailers()).await.expect("an end").expect("with a word");
    assert_eq!(trailers["grpc-status"], "9");
    let sentence = trailers["grpc-message"].to_str().expect("text");
    assert!(sentence.contains("2.0") && sentence.contains("1."), "{sentence}");
    let version = serde_json::json!({ "version": 1 });
    back.until(|status| {
        status["peers"].as_array().is_some_and(|peers| peers.iter().any(|peer| peer["refusals"] == version))
    })
    .await;
}

/// A connection that takes no more calls (GOAWAY) is left to those that are on it; new ones get another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_goes_keeps_its_calls() {
    let stage = Stage::new(Mode::Direct);
    let back = Reflector::start(&stage, THIS).await;
    let front = stage.front_of("front-1", &[back.address]);
    front.connected(2).await;
    let mut clients = front.clients(6).await;
    back.go(Going::InOrder);
    for client in &mut clients {
        soon(client.echo(vec![2; 5000])).await.expect("it is there still");
    }
    // Whoever comes now needs another connection, and gets it.
    for _ in 0..6 {
        let mut client = front.client(Protocol::FakeTls).await;
        soon(client.echo(vec![3; 64])).await.expect("echo");
        clients.push(client);
    }
    assert!((3..=4).contains(&back.connections()), "{}", back.connections());
    for client in &mut clients {
        soon(client.echo(vec![4; 64])).await.expect("it is there still");
    }
    assert_eq!(closed(&front.status()), []);
}

/// One that goes at once, calls and all: its clients go on over another one, and nothing comes twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_off_is_replaced() {
    let stage = Stage::new(Mode::Direct);
    let backs = [Reflector::start(&stage, THIS).await, Reflector::start(&stage, THIS).await];
    let front = stage.front_of("front-1", &[backs[0].address, backs[1].address]);
    front.connected(4).await;
    let clients = front.clients(6).await;
    let lost = sessions(&front.status(), backs[0].address);
    assert!((1..=5).contains(&lost), "spread over both: {lost}");
    let plan = Plan::new(400, 12_000, usize::MAX >> 4);
    let travels = plan.start(clients);
    plan.until_came(300).await;
    backs[0].go(Going::AtOnce);
    let travels = soon(travels.join_all()).await;
    travels.iter().for_each(assert_one_gap);
    let ended = travels.iter().filter(|came| came.ended).count() as u64;
    assert!(ended <= lost, "those of the other back have nothing to do with it");
    assert_eq!(sum(&front.status(), "moved") + ended, lost);
}
