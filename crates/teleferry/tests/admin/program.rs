//! The built program with its API, and requests to it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::common::DOMAIN;

/// The listener's secret, that of [`crate::common::key`].
pub(crate) const SECRET: &str = "7369787465656e2062797465732e2e2e";
/// What the token file holds.
pub(crate) const TOKEN: &str = "a-token-of-sufficient-length";
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(40);

/// The program, with its API on a port of the kernel's choice and on its control socket.
pub(crate) struct Program {
    child: Child,
    directory: TempDir,
    /// Where clients come in.
    pub(crate) address: SocketAddr,
    /// Where the API is.
    pub(crate) http: SocketAddr,
    log: Option<JoinHandle<String>>,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Program {
    /// Starts it in front of these data centres, with further lines in its `[admin]` section.
    pub(crate) fn start(dc: &BTreeMap<i16, Vec<SocketAddr>>, admin: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("token"), TOKEN).expect("written");
        let dc: String = dc.iter().map(|(id, list)| format!("\"{id}\" = [\"{}\"]\n", list[0])).collect();
        let text = format!(
            "[server]\nworkers = 2\nstate_dir = \"state\"\npublic_host = \"proxy.example\"\n\
             [telegram]\nmode = \"direct\"\n[telegram.dc]\n{dc}[[listen]]\nname = \"main\"\n\
             address = \"127.0.0.1:0\"\nsecret = \"{SECRET}\"\nprotocols = [\"tls\", \"secure\", \"classic\"]\n\
             domain = \"{DOMAIN}\"\n[limits]\nmemory = \"512MiB\"\n[admin]\n{admin}\n"
        );
        std::fs::write(directory.path().join("teleferry.toml"), text).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_teleferry"))
            .args(["run", "--config"])
            .arg(directory.path().join("teleferry.toml"))
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (mut log, mut http, mut address) = (String::new(), None, None);
        while address.is_none() {
            let begin = log.len();
            assert_ne!(stderr.read_line(&mut log).expect("text"), 0, "it ended:\n{log}");
            http = http.or_else(|| after(&log[begin..], "http://"));
            address = after(&log[begin..], "ready: main ");
        }
        let log = std::thread::spawn(move || {
            // What comes after bytes that are no text is of no interest.
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            child,
            directory,
            address: address.expect("an address"),
            http: http.unwrap_or(unknown),
            log: Some(log),
        }
    }

    /// With its API on loopback, and a token.
    pub(crate) fn with_token(dc: &BTreeMap<i16, Vec<SocketAddr>>) -> Self {
        Self::start(dc, "http = \"127.0.0.1:0\"\ntoken_file = \"token\"")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Changes the configuration file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.path("teleferry.toml");
        let text = std::fs::read_to_string(&path).expect("the file");
        assert!(text.contains(from));
        std::fs::write(path, text.replace(from, to)).expect("written");
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    /// A request with these header lines, each ending in CRLF.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        self.send(head.as_bytes())
    }

    pub(crate) fn request_with_token(&self, method: &str, path: &str, token: &str) -> Response {
        self.request(method, path, &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Sends these bytes and reads the answer to its end.
    pub(crate) fn send(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect();
        // It may answer and close before it has read all.
        let _ = stream.write_all(bytes);
        read_response(&mut stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
    }

    /// Asks it with `teleferry ctl`.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teleferry"));
        command.arg("ctl").args(arguments).env_clear().arg("--config").arg(self.path("teleferry.toml"));
        command.output().expect("the program runs")
    }

    /// Waits until it has left by itself; gives everything that it said.
    pub(crate) fn wait(&mut self) -> String {
        let status = self.child.wait().expect("ended");
        let log = self.log.take().expect("once").join().expect("read");
        assert!(status.success(), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads an answer, which ends with the connection.
pub(crate) fn read_response(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    // A reset after the answer cuts nothing off it.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Response { status, head: head.to_lowercase(), body: body.to_owned() }
}

impl Response {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The address that stands behind some words.
fn after(line: &str, words: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(words)?;
    rest.split(['/', '\n', ',']).next()?.trim().parse().ok()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}
