//! Reload by signals, through the built program.

mod support;

use std::io::{BufRead as _, BufReader, Lines};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{OTHER_KEY, Place, configuration, shows_a_key};

/// A running proxy whose log is read; killed when the test is over, however it ends.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Running {
    /// Starts it; gives its address too.
    fn start(place: &Place, arguments: &[&str]) -> (Self, String) {
        Self::start_command(place.command(arguments.iter().copied()))
    }

    fn start_command(mut command: Command) -> (Self, String) {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program runs");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut running = Self { child, lines };
        let log = running.read_to("ready:");
        let (_, address) = log.rsplit_once(' ').expect("an address");
        let address = address.trim().to_owned();
        (running, address)
    }

    /// The log from here to the line that holds this.
    fn read_to(&mut self, end: &str) -> String {
        let mut log = String::new();
        for line in self.lines.by_ref() {
            log.push_str(&line.expect("UTF-8"));
            log.push('\n');
            if log.lines().last().is_some_and(|line| line.contains(end)) {
                return log;
            }
        }
        panic!("it ended before it said {end:?}: {log}");
    }

    fn tell(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("told");
    }

    fn stop(mut self) -> Option<i32> {
        self.tell(Signal::TERM);
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

const ARGUMENTS: [&str; 3] = ["run", "--config", "teleferry.toml"];

#[test]
fn both_signals_reload_and_say_what_changed() {
    let place = Place::new();
    let before = configuration("127.0.0.1:0");
    place.write("teleferry.toml", &before);
    let (mut running, address) = Running::start(&place, &ARGUMENTS);
    for (signal, memory) in [(Signal::HUP, "64MiB"), (Signal::USR2, "1GiB")] {
        let text = format!("{before}[limits]\nmemory = \"{memory}\"\n[log]\nformat = \"json\"\n");
        place.write("teleferry.toml", &text);
        running.tell(signal);
        let log = running.read_to("reloaded");
        assert!(log.contains(&format!("→ {memory}")) && log.contains("limits.memory: "), "{log}");
        assert!(log.contains("WARN log.format: text → json: this needs a restart"), "{log}");
    }
    // A key that is gone has its default again.
    place.write("teleferry.toml", &before);
    running.tell(Signal::HUP);
    assert!(running.read_to("reloaded").contains("limits.memory: 1GiB → 512MiB"));
    TcpStream::connect(address).expect("it listens still");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn a_broken_file_leaves_everything_as_it_was_and_the_place_is_told() {
    let place = Place::new();
    let before = configuration("127.0.0.1:0");
    place.write("teleferry.toml", &before);
    let (mut running, address) = Running::start(&place, &ARGUMENTS);
    let wrong = before.replace("mode = \"direct\"", "mode = \"sideways\"\ncolour = \"red\"");
    let line = 1 + wrong.lines().position(|line| line.starts_with("mode")).expect("a line");
    place.write("teleferry.toml", &wrong.replace("name = \"all\"", "name = \"other\""));
    running.tell(Signal::HUP);
    let log = running.read_to("nothing was reloaded");
    assert!(log.contains(&format!("teleferry.toml:{line}:8: ")), "line {line}: {log}");
    assert!(log.contains(&format!("teleferry.toml:{}:1: ", line + 1)), "line {line}: {log}");
    assert!(log.contains("`telegram.mode`") && !shows_a_key(&log), "{log}");
    TcpStream::connect(&address).expect("it listens still");

    std::fs::remove_file(place.path("teleferry.toml")).expect("removed");
    running.tell(Signal::HUP);
    let log = running.read_to("nothing was reloaded");
    assert!(log.contains("teleferry.toml cannot be read"), "{log}");

    place.write("teleferry.toml", &before.replace("name = \"all\"", "name = \"other\""));
    running.tell(Signal::HUP);
    let log = running.read_to("reloaded");
    assert!(log.contains("listener `other`: added") && log.contains("listener `all`: removed"), "{log}");
    let kept = std::fs::read_to_string(place.path("state/listening.json")).expect("kept for `link`");
    assert!(kept.contains("other") && kept.contains(&address), "{kept}");
    TcpStream::connect(&address).expect("the address has a new name and stays open");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn what_was_given_at_the_start_still_wins() {
    let place = Place::new();
    let before = configuration("127.0.0.1:0");
    place.write("teleferry.toml", &before);
    let arguments = [&ARGUMENTS[..], &["--secret", OTHER_KEY, "--mode", "direct"]].concat();
    place.write("teleferry.toml", &before.replace("secrets = {", "# {"));
    let (mut running, _) = Running::start(&place, &arguments);
    let changed = before.replace("secrets = {", "# {").replace("\"direct\"", "\"auto\"");
    place.write("teleferry.toml", &changed.replace("secret = \"8f1d", "secret = \"9f1d"));
    running.tell(Signal::HUP);
    let log = running.read_to("reloaded");
    assert!(log.contains("changes=0"), "{log}");
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let place = Place::new();
    let (mut running, _) = Running::start(&place, &["run", "--listen", "127.0.0.1:0", "--mode", "direct"]);
    running.tell(Signal::HUP);
    let log = running.read_to("nothing was reloaded");
    assert!(log.contains("there is nothing to reload") && log.contains("--config"), "{log}");
    assert_eq!(running.stop(), Some(0));
}

/// systemd ends a service that gives no sign of life within the time that it sets.
#[test]
fn systemd_is_given_signs_of_life() {
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    place.write("teleferry.toml", &configuration("127.0.0.1:0"));
    let mut command = place.command(ARGUMENTS);
    command.env("NOTIFY_SOCKET", place.path("notify")).env("WATCHDOG_USEC", "300000");
    let (running, _) = Running::start_command(command);
    let mut told = Vec::new();
    while told.iter().filter(|message: &&String| message.contains("WATCHDOG=1")).count() < 3 {
        let mut message = [0; 512];
        let len = socket.recv(&mut message).expect("a message");
        told.push(String::from_utf8_lossy(&message[..len]).into_owned());
    }
    assert!(told.iter().any(|message| message.starts_with("READY=1")), "{told:?}");
    assert_eq!(running.stop(), Some(0));
}

/// systemd waits with whoever asked for the reload until it is told that it is over, whatever came of it.
#[test]
fn systemd_is_told_of_the_reload_and_its_end() {
    let place = Place::new();
    let socket = UnixDatagram::bind(place.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let told = || {
        loop {
            let mut message = [0; 512];
            let len = socket.recv(&mut message).expect("a message");
            let message = String::from_utf8_lossy(&message[..len]).into_owned();
            // How it is comes in between.
            if !message.starts_with("STATUS=") {
                return message;
            }
        }
    };
    place.write("teleferry.toml", &configuration("127.0.0.1:0"));
    let mut command = place.command(ARGUMENTS);
    command.env("NOTIFY_SOCKET", place.path("notify"));
    let (mut running, _) = Running::start_command(command);
    assert!(told().starts_with("READY=1"));
    for (text, end) in
        [(configuration("127.0.0.1:0"), "reloaded"), ("broken".to_owned(), "nothing was reloaded")]
    {
        place.write("teleferry.toml", &text);
        running.tell(Signal::HUP);
        running.read_to(end);
        let began = told();
        assert!(began.contains("RELOADING=1") && began.contains("MONOTONIC_USEC="), "{began}");
        assert!(told().starts_with("READY=1"));
    }
    assert_eq!(running.stop(), Some(0));
}
