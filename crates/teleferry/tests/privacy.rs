//! The log of the built program, at its most talkative: no secret, no whole address of a client, no flood.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use common::{DOMAIN, soon, telegram, wrong_key};
use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A secret that is found in a log at once.
const SECRET: &str = "c0ffee00c0ffee11c0ffee22c0ffee33";

struct Program {
    child: Child,
    address: SocketAddr,
    /// Reads standard error to its end.
    log: JoinHandle<String>,
}

impl Program {
    fn start(dc: &BTreeMap<i16, Vec<SocketAddr>>, format: &str) -> Self {
        let (child, address, mut stderr, mut log) = start(dc, format);
        let log = std::thread::spawn(move || {
            stderr.read_to_string(&mut log).expect("text");
            log
        });
        Self { child, address, log }
    }

    /// Stops it; gives everything that it said.
    fn stop(mut self) -> String {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        let log = self.log.join().expect("read");
        assert!(self.child.wait().expect("ended").success(), "{log}");
        log
    }
}

/// Starts the program and reads its log up to the ready line.
#[expect(clippy::zombie_processes, reason = "whoever called waits for it")]
fn start(
    dc: &BTreeMap<i16, Vec<SocketAddr>>,
    format: &str,
) -> (Child, SocketAddr, BufReader<ChildStderr>, String) {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("teleferry.toml");
    let dc: String = dc.iter().map(|(id, list)| format!("\"{id}\" = [\"{}\"]\n", list[0])).collect();
    let text = format!(
        "[server]\nworkers = 1\nstate_dir = {:?}\n[log]\nlevel = \"trace\"\nformat = \"{format}\"\n\
         [telegram]\nmode = \"direct\"\n[telegram.dc]\n{dc}[[listen]]\nname = \"main\"\n\
         address = \"127.0.0.1:0\"\nsecret = \"{SECRET}\"\nprotocols = [\"tls\", \"secure\", \"classic\"]\n\
         domain = \"{DOMAIN}\"\n",
        directory.path().join("state"),
    );
    std::fs::write(&file, text).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_teleferry"))
        .args(["run", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut log = String::new();
    loop {
        let begin = log.len();
        assert_ne!(stderr.read_line(&mut log).expect("text"), 0, "it ended:\n{log}");
        if let Some((_, address)) = log[begin..].split_once("ready: main ") {
            let address = address.split(['"', '\n']).next().and_then(|text| text.trim().parse().ok());
            return (child, address.expect("an address"), stderr, log);
        }
    }
}

async fn ask(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(bytes).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    soon(stream.read_to_end(&mut Vec::new())).await.expect("an orderly end");
}

/// Everything that makes the program speak: clients of every kind, strangers, a dead data centre, an unknown one.
async fn provoke(address: SocketAddr) {
    let key = SecretKey::new(std::array::from_fn(|i| {
        u8::from_str_radix(&SECRET[2 * i..2 * i + 2], 16).expect("hex")
    }));
    for protocol in Protocol::ALL {
        let options = Options::new(protocol, Some(key.clone()));
        let mut client = soon(Client::connect(address, &options)).await.expect("let in");
        soon(client.echo(vec![1; 64])).await.expect("echo");
        let mut unknown =
            soon(Client::connect(address, &options.clone().with_dc(777))).await.expect("let in");
        soon(unknown.req_pq()).await.expect("the default answers");
        let mut dead = soon(Client::connect(address, &options.with_dc(4))).await.expect("let in");
        assert!(!matches!(soon(dead.recv()).await, Ok(Some(_))));
        let wrong = Opening::new(&Options::new(protocol, Some(wrong_key())));
        ask(address, wrong.first_bytes()).await;
    }
    let late = Options { clock_skew_s: -5000, ..Options::new(Protocol::FakeTls, Some(key)) };
    for _ in 0..300 {
        ask(address, Opening::new(&late).first_bytes()).await;
    }
}

#[tokio::test]
async fn logs_tell_no_secret_and_no_whole_address() {
    let telegram = telegram();
    telegram.set_behaviour(4, teleferry_sim::dc::Behaviour::Refuse).await;
    for format in ["text", "json"] {
        let program = Program::start(&telegram.addresses(), format);
        provoke(program.address).await;
        let log = tokio::task::spawn_blocking(|| program.stop()).await.expect("stopped");
        assert!(log.contains("127.0.x.x"), "addresses of clients are told, masked:\n{log}");
        for secret in [SECRET, &SECRET[8..16], &SECRET.to_uppercase()] {
            assert!(!log.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in the log");
        }
        // Addresses with a port are our own and Telegram's; clients' ports are never told.
        let peers = log.lines().filter(|line| line.contains("peer"));
        for line in peers {
            assert!(!line.contains("127.0.0.1"), "{line}");
        }
        let loud =
            log.lines().filter(|line| ["INFO", "WARN", "ERROR"].iter().any(|level| line.contains(level)));
        let loud: Vec<_> = loud.collect();
        assert!(loud.len() < 20, "310 strangers and clients may not flood the log:\n{}", loud.join("\n"));
        assert!(!log.contains("panicked"), "{log}");
        assert_can_be_followed(&log);
    }
}

/// One number leads from the first line of a session to its last.
fn assert_can_be_followed(log: &str) {
    let number = |line: &str| {
        let (_, behind) = line.split_once("session")?;
        Some(
            behind
                .chars()
                .skip_while(|c| !c.is_ascii_digit())
                .take_while(char::is_ascii_digit)
                .collect::<String>(),
        )
    };
    let relayed = log.lines().find(|line| line.contains("on its way to Telegram")).and_then(number);
    let lines: Vec<_> = log.lines().filter(|line| number(line) == relayed).collect();
    let story = ["accepted", "a client", "on its way to Telegram", "closed"];
    assert_eq!(lines.len(), story.len(), "{lines:#?}");
    for (line, step) in lines.iter().zip(story) {
        assert!(line.contains(step), "{step}: {line}");
    }
}

/// Nobody reads the log, and the pipe is full: the data plane goes on.
#[tokio::test]
async fn a_log_that_nobody_reads_stops_nobody() {
    let telegram = telegram();
    telegram.set_behaviour(4, teleferry_sim::dc::Behaviour::Refuse).await;
    let (mut child, address, _unread, _) = start(&telegram.addresses(), "json");
    for _ in 0..3 {
        provoke(address).await;
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
}
