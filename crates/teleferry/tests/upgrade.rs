//! A new program takes the running one's place, through the built program and under load: nobody is refused, and nobody
//! who is there is cut off.

mod common;
mod support;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use common::{key, soon, telegram};
use rustix::process::{Pid, Signal, kill_process};
use support::{Done, Place};
use teleferry_sim::client::{Client, Opening, Options, Protocol};
use teleferry_sim::telegram::Telegram;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const CONFIG: [&str; 2] = ["--config", "teleferry.toml"];

/// The process that runs now, however many there were before; ended with the test.
struct Running {
    first: Child,
    now: Pid,
    address: SocketAddr,
}

impl Running {
    fn start(place: &Place, telegram: &Telegram) -> Self {
        let dc: String =
            telegram.addresses().iter().map(|(id, list)| format!("\"{id}\" = [\"{}\"]\n", list[0])).collect();
        let text = format!(
            "[server]\nworkers = 2\nstate_dir = \"state\"\ndrain = \"1m\"\n[telegram]\nmode = \"direct\"\n\
             [telegram.dc]\n{dc}[[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n\
             secret = \"{}\"\nprotocols = [\"secure\"]\n",
            key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        );
        place.write("teleferry.toml", &text);
        let mut first =
            place.command(["run"].into_iter().chain(CONFIG)).stderr(Stdio::piped()).spawn().expect("started");
        let mut lines =
            BufReader::new(first.stderr.take().expect("a pipe")).lines().map(|line| line.expect("UTF-8"));
        let ready = lines.find_map(|line| Some(line.split_once("ready: main ")?.1.trim().to_owned()));
        // Its successors write to the same pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let now = pid(first.id());
        Self { first, now, address: ready.expect("it is ready").parse().expect("an address") }
    }

    /// Has the next one take its place.
    fn upgrade(&mut self, place: &Place) {
        let done = ctl(place, &["upgrade", "--json"]);
        assert_eq!(done.code, Some(0), "{done:?}");
        let answer: serde_json::Value = serde_json::from_str(&done.stdout).expect("JSON");
        self.now = pid(answer["process"].as_u64().and_then(|id| id.try_into().ok()).expect("a process"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Each may have ended by itself.
        let _ = kill_process(self.now, Signal::KILL);
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process")
}

fn ctl(place: &Place, order: &[&str]) -> Done {
    place.run(["ctl"].into_iter().chain(CONFIG).chain(order.iter().copied()))
}

async fn connect(address: SocketAddr) -> Client {
    let options = Options::new(Protocol::Padded, Some(key()));
    soon(Client::connect(address, &options)).await.expect("let in")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_and_nobody_cut_off() {
    let (place, telegram) = (Place::new(), telegram());
    let mut running = Running::start(&place, &telegram);
    let address = running.address;
    let mut stays = connect(address).await;
    soon(stays.echo(vec![1; 64])).await.expect("echo");

    let (over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (over, served) = (Arc::clone(&over), Arc::clone(&served));
            tokio::spawn(async move {
                while !over.load(Relaxed) {
                    soon(connect(address).await.echo(vec![2; 600])).await.expect("served");
                    served.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for generation in 1..=2 {
        let before = served.load(Relaxed);
        tokio::task::block_in_place(|| running.upgrade(&place));
        // Whoever comes from now on meets the new process.
        soon(async {
            while served.load(Relaxed) < before + 200 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        soon(stays.echo(vec![3; 64])).await.expect("the one who was there before is there still");
        assert!(
            running.first.try_wait().expect("known").is_none(),
            "generation {generation}: it has a client"
        );
    }
    over.store(true, Relaxed);
    for task in load {
        task.await.expect("nobody was refused");
    }
    drop(stays);
    let left = tokio::task::block_in_place(|| running.first.wait().expect("ended"));
    assert_eq!(left.code(), Some(0), "the first leaves when its last client has left");
    soon(connect(address).await.echo(vec![4; 64])).await.expect("the last one serves");
    let status = tokio::task::block_in_place(|| ctl(&place, &["status"]));
    assert_eq!(status.code, Some(0), "the control socket is the last one's: {status:?}");
}

/// What one process has let in, the next one knows for a recording.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_known_to_the_next_process() {
    let (place, telegram) = (Place::new(), telegram());
    let mut running = Running::start(&place, &telegram);
    let options = Options::new(Protocol::Padded, Some(key()));
    let opening = Opening::new(&options);
    let recording = opening.first_bytes().to_vec();
    let address = running.address;
    let played = async || {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(&recording).await.expect("sent");
        stream
    };
    let strangers = || {
        let status = tokio::task::block_in_place(|| ctl(&place, &["status", "--json"]));
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
        status["refused_visitors"]["header_replay"].as_u64().unwrap_or(0)
    };
    let _first = played().await;
    // Whoever comes later is served by then: the first one was let in before.
    soon(connect(address).await.echo(vec![1; 64])).await.expect("served");
    assert_eq!(strangers(), 0);
    tokio::task::block_in_place(|| running.upgrade(&place));
    let _again = played().await;
    soon(async {
        while strangers() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_does_not_start_takes_nobodys_place() {
    let (place, telegram) = (Place::new(), telegram());
    let running = Running::start(&place, &telegram);
    let mut stays = connect(running.address).await;
    let socket = place.path("state/ctl.sock");
    place.write("teleferry.toml", "[server]\ncolour = \"red\"\n");
    let socket = socket.to_str().expect("UTF-8");
    let done = tokio::task::block_in_place(|| place.run(["ctl", "--socket", socket, "upgrade"]));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("ended before it accepted connections (exit status: 2)"), "{done:?}");
    soon(stays.echo(vec![1; 64])).await.expect("the old one goes on");
    soon(connect(running.address).await.echo(vec![1; 64])).await.expect("and takes connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_levels_are_shown_and_changed() {
    let (place, telegram) = (Place::new(), telegram());
    let _running = Running::start(&place, &telegram);
    let told = |order: &[&str]| tokio::task::block_in_place(|| ctl(&place, order));
    assert_eq!(told(&["log"]).stdout, "info\n");
    assert_eq!(told(&["log", "warn,backend=debug"]).stdout, "warn,backend=debug\n");
    assert_eq!(told(&["log"]).stdout, "warn,backend=debug\n");
    let refused = told(&["log", "kitchen=info"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("there is no part"), "{refused:?}");
    assert_eq!(told(&["reload"]).code, Some(0));
    assert_eq!(told(&["log"]).stdout, "info\n", "a reload says what the file says");
}

/// A state directory is one process's: another one refuses to start, and takes it when the first has gone. In an upgrade it
/// goes on to the new process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_directory_is_one_process_s() {
    let (place, telegram) = (Place::new(), telegram());
    let mut running = Running::start(&place, &telegram);
    let refused = |process: Pid| {
        let done = tokio::task::block_in_place(|| place.run(["run"].into_iter().chain(CONFIG)));
        assert_eq!(done.code, Some(1), "{done:?}");
        let expected = format!("another process ({}) keeps its state in", process.as_raw_nonzero());
        assert!(done.stderr.contains(&expected), "{done:?}");
    };
    refused(running.now);
    tokio::task::block_in_place(|| running.upgrade(&place));
    let left = tokio::task::block_in_place(|| running.first.wait().expect("ended"));
    assert_eq!(left.code(), Some(0));
    refused(running.now);
    soon(connect(running.address).await.echo(vec![1; 64])).await.expect("it serves");
    kill_process(running.now, Signal::KILL).expect("it runs");
    // Its successor finds the directory free as soon as the system has cleaned up.
    let mut again = tokio::task::block_in_place(|| {
        loop {
            let mut command = place.command(["run"].into_iter().chain(CONFIG));
            let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
            let mut lines =
                BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
            if lines.any(|line| line.contains("ready: main")) {
                break child;
            }
            child.wait().expect("ended");
        }
    });
    again.kill().expect("it runs");
    again.wait().expect("ended");
}
