//! Telling it what to do: who may, and what comes of it.

use std::os::unix::fs::PermissionsExt as _;

use teleferry_sim::client::{Client, Options, Protocol};

use crate::common::{key, soon, telegram};
use crate::program::{Program, TOKEN, text};

#[tokio::test]
async fn ctl_shows_how_it_is() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "");
    let socket = program.path("state/ctl.sock");
    let mode = std::fs::metadata(&socket).expect("there by default").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let mut client = soon(Client::connect(program.address, &Options::new(Protocol::Padded, Some(key()))))
        .await
        .expect("in");
    soon(client.echo(vec![7; 64])).await.expect("echo");

    let output = program.ctl(&["status", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["verdict"], "Online, 1 client connection");
    assert_eq!(status["listeners"][0]["clients"]["secure"], 1);
    assert_eq!(status["dcs"][0]["dc"], 2);
    let shown = text(&program.ctl(&["status"]).stdout);
    assert!(shown.starts_with("Online, 1 client connection.\n"), "{shown}");
    let shown = text(&program.ctl(&["dc"]).stdout);
    assert!(shown.contains("\n2  "), "{shown}");
}

#[tokio::test]
async fn ctl_reloads_and_tells_what_is_wrong() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "");
    let output = program.ctl(&["reload"]);
    assert_eq!(text(&output.stdout), "nothing has changed\n", "{}", text(&output.stderr));

    program.edit("memory = \"512MiB\"", "memory = \"much\"");
    // The file that names the socket is the broken one.
    let socket = program.path("state/ctl.sock");
    let socket = socket.to_str().expect("text");
    let output = program.ctl(&["--socket", socket, "reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("limits.memory") && said.contains("is no size"), "{said}");
    let output = program.ctl(&["--socket", socket, "status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&status["reloads_applied"], &status["reloads_refused"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn ctl_drains() {
    let telegram = telegram();
    let mut program = Program::start(&telegram.addresses(), "");
    let socket = program.path("state/ctl.sock");
    assert!(program.ctl(&["drain"]).status.success());
    let log = program.wait();
    assert!(log.contains("stopped"), "{log}");
    assert!(!socket.exists(), "nothing is left behind");

    let output = program.ctl(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("no running process answers on") && said.contains("start `teleferry run`"),
        "{said}"
    );
}

#[tokio::test]
async fn over_tcp_changes_need_the_token() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    assert_eq!(program.get("/status").status, 200, "whoever is on this machine may look");
    for path in ["/api/v1/reload", "/api/v1/drain"] {
        for refused in [
            program.request("POST", path, ""),
            program.request_with_token("POST", path, "a-token-of-sufficient-lengtH"),
            program.request_with_token("POST", path, ""),
            program.request("POST", path, &format!("Authorization: Basic {TOKEN}\r\n")),
        ] {
            assert_eq!(refused.status, 401, "{path}: {refused:?}");
            assert!(refused.head.contains("content-type: application/problem+json"), "{}", refused.head);
            assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
        }
    }
    assert_eq!(program.request_with_token("POST", "/api/v1/reload", TOKEN).status, 200);

    std::fs::write(program.path("token"), "another-token-of-length\n").expect("written");
    assert_eq!(program.request_with_token("POST", "/api/v1/reload", TOKEN).status, 200, "until a reload");
    assert_eq!(program.request_with_token("POST", "/api/v1/reload", TOKEN).status, 401);
    let with_new = program.request_with_token("POST", "/api/v1/reload", "another-token-of-length");
    assert_eq!(with_new.status, 200);
}

#[tokio::test]
async fn without_a_token_nothing_can_be_changed_over_tcp() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "http = \"127.0.0.1:0\"");
    for (method, path) in [("POST", "/api/v1/drain"), ("GET", "/api/v1/links"), ("DELETE", "/status")] {
        let refused = program.request_with_token(method, path, "");
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.body.contains("admin.token_file"), "{}", refused.body);
    }
    assert_eq!(program.get("/readyz").status, 200, "it runs on");
}

#[tokio::test]
async fn from_the_network_nothing_is_shown_without_the_token() {
    let telegram = telegram();
    let program = Program::start(&telegram.addresses(), "http = \"0.0.0.0:0\"\ntoken_file = \"token\"");
    for path in ["/metrics", "/status", "/readyz", "/api/v1/dcs", "/api/v1/history", "/nothing"] {
        assert_eq!(program.get(path).status, 401, "{path}");
    }
    for path in ["/", "/healthz"] {
        assert_eq!(program.get(path).status, 200, "{path}");
    }
    assert_eq!(program.request_with_token("GET", "/metrics", TOKEN).status, 200);
}

#[tokio::test]
async fn links_are_shown_with_the_token_alone() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    assert_eq!(program.get("/api/v1/links").status, 401);
    let links = program.request_with_token("GET", "/api/v1/links", TOKEN).json();
    let first = &links[0];
    assert!(
        first["tg"].as_str().is_some_and(|link| link.starts_with("tg://proxy?server=proxy.example&")),
        "{first}"
    );
    assert!(first["qr"]["size"].as_u64().is_some_and(|size| size > 20), "{first}");
    assert!(first["qr"]["path"].as_str().is_some_and(|path| path.starts_with("M0 0h7v1h-7z")), "{first}");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let telegram = telegram();
    let program = Program::with_token(&telegram.addresses());
    assert_eq!(program.get("/nothing").json()["status"], 404);
    assert_eq!(program.request_with_token("POST", "/status", TOKEN).json()["status"], 405);
    let description = program.get("/api/v1/openapi.json").json();
    assert!(description["paths"]["/api/v1/reload"]["post"].is_object());
}
