//! `teleferry ping` as a command: its exit status says what came of it (F-29), and the secret is never printed.

mod common;

use std::process::{Command, Output};

use common::{Proxy, settings, telegram};

/// The listener's secret in hexadecimal digits.
fn secret() -> String {
    common::key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn ping(arguments: Vec<String>) -> Output {
    let run = move || Command::new(env!("CARGO_BIN_EXE_teleferry")).arg("ping").args(arguments).output();
    tokio::task::spawn_blocking(run).await.expect("no panic").expect("started")
}

fn link(proxy: &Proxy, secret: &str) -> String {
    format!("tg://proxy?server=127.0.0.1&port={}&secret={secret}", proxy.address.port())
}

#[tokio::test]
async fn f_29_the_exit_status_says_what_came_of_it() {
    let telegram = telegram();
    let proxy = Proxy::start(settings(&telegram));
    let domain = "7777772e6578616d706c652e636f6d";
    for secret_text in [secret(), format!("dd{}", secret()), format!("ee{}{domain}", secret())] {
        let done = ping(vec![link(&proxy, &secret_text)]).await;
        let text =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{text}");
        assert!(!text.contains(&secret()), "{text}");
    }
    telegram.set_behaviour(3, teleferry_sim::dc::Behaviour::Refuse).await;
    let tls = format!("ee{}{domain}", secret());
    let done = ping(vec![link(&proxy, &tls), "--dc".into(), "3,4".into(), "--json".into()]).await;
    assert_eq!(done.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(report.is_object() && !report.to_string().contains(&secret()), "{report}");
    for bad in ["tg://proxy?server=127.0.0.1&port=0&secret=00", "https://example.com", "nonsense"] {
        let done = ping(vec![bad.to_owned()]).await;
        assert_eq!(done.status.code(), Some(2), "{bad}");
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{bad}");
    }
}
