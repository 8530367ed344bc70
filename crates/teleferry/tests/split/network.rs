//! Networks that a test makes: its own, and one for each half, joined by cables that can be cut and narrowed.
//!
//! A test runs again in a namespace of its own, in which it may do everything, so that nothing is asked of the machine's
//! administrator. All of it goes with the last process that is in it, however the test ends.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::support::Place;

/// Set in the second run of a test.
const MARK: &str = "TELEFERRY_TEST_NETWORK";
const NAMESPACE: [&str; 4] = ["--user", "--map-root-user", "--net", "--mount"];
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the body of the test with this full name in a network of its own, in which there is 127.0.0.1 and [`TELEGRAM`].
/// Says so where the machine does not allow it.
pub(super) fn alone(test: &str, body: impl Future<Output = ()>) {
    alone_with_hosts(test, "127.0.0.1 localhost\n", body);
}

/// The same, and these are the names that hosts have there.
#[expect(clippy::print_stderr, reason = "what was skipped, and what the test in there said, is told")]
pub(super) fn alone_with_hosts(test: &str, hosts: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(MARK).is_some() {
        ip(&["link", "set", "lo", "up"]);
        add_address(&TELEGRAM.to_string());
        let names = Place::new();
        let names = names.write("hosts", hosts);
        let names = names.to_str().expect("UTF-8");
        run(None, "mount", &["--bind", names, "/etc/hosts"]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(body);
        return;
    }
    let probe = "ip link add name probe-a type veth peer name probe-b && command -v tc nsenter";
    let probed = Command::new("unshare").args(NAMESPACE).args(["sh", "-c", probe]).output();
    match probed {
        Ok(done) if done.status.success() => {}
        other => {
            eprintln!("skipped: this machine makes no networks for a test (unshare, ip, tc): {other:?}");
            return;
        }
    }
    let program = std::env::current_exe().expect("this program");
    let mut again = Command::new("unshare");
    again.args(NAMESPACE).arg(program).args(["--exact", test, "--nocapture"]).env(MARK, "1");
    let done = again.output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    eprintln!("{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "in its own network: {}", done.status);
    assert!(said.contains("1 passed"), "there is no test {test}");
}

/// Gives the test's own network another address.
pub(super) fn add_address(address: &str) {
    ip(&["address", "add", &format!("{address}/32"), "dev", "lo"]);
}

/// Where Telegram is.
pub(super) const TELEGRAM: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 77, 0, 1);

/// A network of its own, as long as one of these is there.
#[derive(Clone)]
pub(super) struct Network(Arc<Holder>);

/// Who keeps a network: ends when its input does.
struct Holder(Child);

/// A cable between two networks.
pub(super) struct Cable {
    ends: [(Option<Network>, String); 2],
}

impl Network {
    pub(super) fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a network");
        // It has one once it answers.
        let mut byte = [1];
        holder.stdin.as_mut().expect("a pipe").write_all(&byte).expect("written");
        holder.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("it runs");
        let network = Self(Arc::new(Holder(holder)));
        network.ip(&["link", "set", "lo", "up"]);
        network
    }

    /// The same command in this network.
    pub(super) fn command(&self, command: Command) -> Command {
        let mut inside = Command::new("/usr/bin/nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.id()));
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        for (name, value) in command.get_envs() {
            value.map(|value| inside.env(name, value));
        }
        command.get_current_dir().map(|directory| inside.current_dir(directory));
        inside.env("PATH", PATH).stdin(Stdio::null());
        inside
    }

    fn id(&self) -> u32 {
        self.0.0.id()
    }

    fn ip(&self, arguments: &[&str]) {
        run(Some(self), "ip", arguments);
    }

    /// What is not next door is reached through this address.
    pub(super) fn route(&self, by: &str) {
        self.ip(&["route", "add", "default", "via", by]);
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cable {
    /// Joins two networks, of which `None` is the test's own. The ends have the addresses 1 and 2 of `net`, as 10.77.3.
    pub(super) fn new(name: &str, a: Option<&Network>, b: Option<&Network>, net: &str) -> Self {
        let ends = [(a.cloned(), format!("{name}-a")), (b.cloned(), format!("{name}-b"))];
        // One of an earlier network, which the kernel takes its time to clear away.
        let _ = try_run(None, "ip", &["link", "delete", "dev", &ends[0].1]);
        ip(&["link", "add", "name", &ends[0].1, "type", "veth", "peer", "name", &ends[1].1]);
        for (number, (network, device)) in (1..).zip(&ends) {
            if let Some(network) = network {
                ip(&["link", "set", device, "netns", &network.id().to_string()]);
            }
            run(network.as_ref(), "ip", &["address", "add", &format!("{net}.{number}/24"), "dev", device]);
            run(network.as_ref(), "ip", &["link", "set", device, "up"]);
        }
        Self { ends }
    }

    /// Pulls it out at its second end.
    pub(super) fn cut(&self) {
        self.at_second("down");
    }

    /// Plugs it in again.
    pub(super) fn mend(&self) {
        self.at_second("up");
    }

    fn at_second(&self, state: &str) {
        let (network, device) = &self.ends[1];
        run(network.as_ref(), "ip", &["link", "set", device, state]);
    }

    /// Lets no more through than so much in each direction, as in 2mbit. What is too much for `wait` is lost.
    pub(super) fn narrow(&self, rate: &str, wait: &str) {
        for (network, device) in &self.ends {
            let tbf = ["tbf", "rate", rate, "burst", "16kb", "latency", wait];
            run(network.as_ref(), "tc", &[&["qdisc", "replace", "dev", device, "root"][..], &tbf].concat());
        }
    }

    /// Has everything arrive later, and some of it never. Says whether the kernel can.
    pub(super) fn worsen(&self, delay: &str, loss: &str) -> bool {
        self.ends.iter().all(|(network, device)| {
            let netem = ["netem", "delay", delay, "loss", loss];
            try_run(
                network.as_ref(),
                "tc",
                &[&["qdisc", "replace", "dev", device, "root"][..], &netem].concat(),
            )
        })
    }
}

fn ip(arguments: &[&str]) {
    run(None, "ip", arguments);
}

fn run(network: Option<&Network>, program: &str, arguments: &[&str]) {
    assert!(try_run(network, program, arguments), "{program} {arguments:?}");
}

fn try_run(network: Option<&Network>, program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(network) = network {
        command = network.command(command);
    }
    command.env("PATH", PATH).status().is_ok_and(|status| status.success())
}
