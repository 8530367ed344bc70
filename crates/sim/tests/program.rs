//! The program, as another program starts it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use teleferry_sim::client::{Client, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Program {
    child: Child,
    /// Kept open: a program that cannot say where it is does not go on.
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teleferry-sim"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended, or the test has failed.
        let _ = self.child.kill();
    }
}

#[tokio::test]
async fn it_says_where_it_is_and_serves_until_its_input_ends() {
    let mut program = Program::start(&["serve", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&program.first_line()).unwrap();
    assert!(told["rsa_public_key_pem"].as_str().unwrap().starts_with("-----BEGIN RSA PUBLIC KEY-----\n"));
    for dc in [1, 2, 3, 4, 5, 203, 10_001, 10_002, 10_003] {
        let address: SocketAddr = told["dc"][dc.to_string()][0].as_str().unwrap().parse().unwrap();
        let options = Options::new(Protocol::Padded, None).with_dc(dc);
        Client::connect(address, &options).await.unwrap().req_pq().await.unwrap();
    }
    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
}

#[tokio::test]
async fn it_says_where_the_configuration_of_its_middle_proxies_is() {
    let mut program = Program::start(&["serve", "--json", "--middle", "--rotate", "3600"]);
    let told: serde_json::Value = serde_json::from_str(&program.first_line()).unwrap();
    for (name, path) in [
        ("secret_url", "/getProxySecret"),
        ("config_url", "/getProxyConfig"),
        ("config_v6_url", "/getProxyConfigV6"),
        ("ip_url", "/ip"),
    ] {
        let url = told["middle"][name].as_str().unwrap();
        let address: SocketAddr =
            url.strip_prefix("http://").unwrap().strip_suffix(path).unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{url}");
    }
    let mut program = Program::start(&["serve", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&program.first_line()).unwrap();
    assert!(told.get("middle").is_none());
}

#[test]
fn it_ends_by_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut program = Program::start(&["serve"]);
        assert!(program.first_line().starts_with("DC 1: 127.0.0.1:"));
        kill_process(Pid::from_child(&program.child), signal).unwrap();
        assert!(program.child.wait().unwrap().success());
    }
}

#[test]
fn an_address_that_is_not_ours_is_an_error() {
    // Kept for documentation: no machine has it.
    let mut program = Program::start(&["serve", "--listen-ip", "192.0.2.1"]);
    assert_eq!(program.child.wait().unwrap().code(), Some(1));
}
