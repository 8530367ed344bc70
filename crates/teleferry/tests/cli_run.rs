//! `teleferry run`, through the built program.

mod support;

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use support::{Place, configuration, kept_state, shows_a_key};

/// A running proxy; killed when the test is over, however it ends.
struct Running {
    child: Child,
    log: Vec<String>,
}

impl Running {
    /// Starts it and reads its log up to the ready line. Nobody reads it after that: it must bear that too.
    fn start(mut command: std::process::Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut running = Self { child, log: Vec::new() };
        for line in lines {
            running.log.push(line.expect("UTF-8"));
            if running.ready().contains("ready") {
                return running;
            }
        }
        panic!("it ended before it was ready: {:?}", running.log);
    }

    fn ready(&self) -> &str {
        self.log.last().map_or("", String::as_str)
    }

    /// The address in the ready line.
    fn address(&self) -> &str {
        let (_, address) = self.ready().rsplit_once(' ').expect("an address");
        address.trim_end_matches(['"', '}'])
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("told");
    }

    /// Tells it to stop, as an operator does; gives its exit code.
    fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("ended").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Logs go to a file, here one that can be waited for, and to a new one of its name when told.
#[test]
fn the_log_file_is_opened_anew_on_usr1() {
    let place = Place::new();
    let pipe = |name| assert!(place.shell("mkfifo", [name]).success());
    pipe("log");
    place.write("teleferry.toml", &format!("{}[log]\nfile = \"log\"\n", configuration("127.0.0.1:0")));
    let child = place.command(["run", "--config", "teleferry.toml"]).spawn().expect("the program runs");
    let mut running = Running { child, log: Vec::new() };
    let mut before = place.lines("log");
    assert!(before.any(|line| line.contains("ready: ")), "it ended before it was ready");

    assert!(place.shell("mv", ["log", "log.1"]).success());
    pipe("log");
    running.signal(rustix::process::Signal::USR1);
    let mut after = place.lines("log");
    assert!(after.next().is_some_and(|line| line.contains("the log goes on here")));
    running.log.extend(before);
    assert_eq!(running.log, [""; 0], "nothing goes to the old file");
    // So that its last lines do not meet a closed pipe.
    let reading = std::thread::spawn(move || after.count());
    assert_eq!(running.stop(), Some(0));
    assert!(reading.join().expect("read") > 0, "stopping is told");
}

#[test]
fn it_listens_where_the_file_says_until_told_to_stop() {
    let place = Place::new();
    place.write("teleferry.toml", &configuration("127.0.0.1:0"));
    let running = Running::start(place.command(["run", "--config", "teleferry.toml"]));
    TcpStream::connect(running.address()).expect("it listens");
    assert!(!shows_a_key(&running.log.join("\n")), "{:?}", running.log);

    let links = place.run(["link", "--config", "teleferry.toml"]);
    let (_, port) = running.address().rsplit_once(':').expect("a port");
    assert!(links.stdout.contains(&format!("port={port}&")), "the chosen port: {links:?}");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn without_a_file_it_makes_up_a_secret_and_keeps_it() {
    let place = Place::new();
    let arguments = ["run", "--listen", "127.0.0.1:0", "--mode", "direct"];
    let first = Running::start(place.command(arguments));
    assert!(first.log.iter().any(|line| line.contains("a domain of your own")), "{:?}", first.log);
    assert_eq!(kept_state(&place), ["ctl.sock", "generated.toml", "listening.json", "lock"]);
    let made = std::fs::read_to_string(place.path("state/generated.toml")).expect("kept");
    let secret =
        made.lines().find_map(|line| line.strip_prefix("secret = ")).expect("a secret").trim_matches('"');
    assert!(!first.log.join("\n").contains(secret), "the log shows the secret");
    let links = place.run(["link"]).stdout;
    let (_, port) = first.address().rsplit_once(':').expect("a port");
    assert!(links.contains(&format!("server=127.0.0.1&port={port}&secret=ee{secret}")), "{links}");
    assert_eq!(first.stop(), Some(0));

    let second = Running::start(place.command(arguments));
    assert_eq!(std::fs::read_to_string(place.path("state/generated.toml")).expect("kept"), made);
    assert_eq!(second.stop(), Some(0));
}

#[test]
fn log_lines_can_be_json() {
    let place = Place::new();
    place.write("teleferry.toml", &(configuration("127.0.0.1:0") + "[log]\nformat = \"json\"\n"));
    let running = Running::start(place.command(["run", "--config", "teleferry.toml"]));
    for line in &running.log {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[test]
fn an_address_that_is_taken_ends_it_with_1() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    place.write("teleferry.toml", &configuration(&address));
    let done = place.run(["run", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains(&address) && done.stderr.contains("another program"), "{}", done.stderr);
}

#[test]
fn wrong_settings_end_it_with_2_before_anything_is_opened() {
    let place = Place::new();
    place.write("teleferry.toml", &(configuration("127.0.0.1:0") + "[relay]\nidle_timeout = \"0s\"\n"));
    let done = place.run(["run", "--config", "teleferry.toml"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("`relay.idle_timeout` is not between 1s and 7d"), "{}", done.stderr);
    assert!(kept_state(&place).is_empty());
}

#[test]
fn a_state_directory_that_cannot_be_written_is_said() {
    let place = Place::new();
    place.write("state", "a file, not a directory");
    let done = place.run(["run", "--listen", "127.0.0.1:0", "--mode", "direct"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("generated.toml cannot be"), "{}", done.stderr);
}
