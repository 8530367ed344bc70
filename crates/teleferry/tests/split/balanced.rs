//! What docs/operate/several-fronts.md shows, as it stands there: HAProxy, two fronts and two backs, each a process. The
//! addresses are those of the page, in a network of the test's own; only the secret and the way to Telegram are put in.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use teleferry_sim::client::{Client, Options, Protocol};

use super::network::{TELEGRAM, add_address, alone_with_hosts};
use super::stage::{Half, Mode, Stage, closed, sum};
use crate::common::{key, soon};
use crate::page::Page;
use crate::support::Place;

const HOSTS: &str = "127.0.0.1 localhost\n198.51.100.21 back-1.example.net\n198.51.100.22 back-2.example.net\n\
                     10.0.0.10 www.example.com\n";
const BALANCER: &str = "203.0.113.10:443";
const ADDRESSES: [&str; 6] =
    ["203.0.113.10", "10.0.0.10", "10.0.0.11", "10.0.0.12", "198.51.100.21", "198.51.100.22"];

/// The page, and the directory in which its files are made.
struct Example {
    stage: Stage,
    page: Page,
    place: Place,
}

/// A process that is killed with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Example {
    fn new() -> Self {
        let path = crate::page::root().join("docs/operate/several-fronts.md");
        let example =
            Self { stage: Stage::at(TELEGRAM, Mode::Middle), page: Page::read(&path), place: Place::new() };
        let secret: String = key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        example.place.write("haproxy.cfg", &example.block("frontend clients"));
        example.place.write("front-1.toml", &example.block("kind = \"front\"").replace('…', &secret));
        let telegram = example.stage.telegram_settings();
        example
            .place
            .write("back-1.toml", &example.block("kind = \"back\"").replace("mode = \"auto\"\n", &telegram));
        // The page's own commands make the other two, and all certificates.
        for command in example.commands() {
            let program = Path::new(env!("CARGO_BIN_EXE_teleferry")).parent().expect("a directory");
            let path = format!("PATH={}:$PATH; {command}", program.display());
            assert!(example.place.shell("sh", ["-c", &path]).success(), "{command}");
        }
        example
    }

    fn block(&self, part: &str) -> String {
        let mut with = self.page.blocks.iter().filter(|block| block.text.contains(part));
        let block = with.next().unwrap_or_else(|| panic!("the page has a block with {part}"));
        assert!(with.next().is_none(), "the page has one block with {part}");
        block.text.clone()
    }

    /// The lines of blocks for a shell that need no server.
    fn commands(&self) -> impl Iterator<Item = &str> {
        let blocks = self.page.blocks.iter().filter(|block| block.language == "sh");
        blocks.flat_map(|block| block.text.lines()).filter(|line| !line.contains("teleferry ctl"))
    }

    /// A place for one half with its files, as the page says which those are.
    fn place_of(&self, name: &str, certificate: &str) -> Place {
        let place = Place::new();
        for file in ["ca.pem", "revoked.pem", &format!("{certificate}.pem"), &format!("{certificate}.key")] {
            std::fs::copy(self.place.path("certs").join(file), place.path(file)).expect("it was made");
        }
        place.write("settings", &std::fs::read_to_string(self.place.path(name)).expect("it was made"));
        place
    }

    fn back(&self, number: u32) -> Half {
        self.back_in(self.place_of(&format!("back-{number}.toml"), &format!("back-{number}.example.net")))
    }

    /// The same again in the place where it was.
    fn back_in(&self, place: Place) -> Half {
        let settings = std::fs::read_to_string(place.path("settings")).expect("written");
        self.stage.keep_published(&place);
        Half::start(place, &settings)
    }

    fn front(&self, number: u32) -> Half {
        let name = format!("front-{number}");
        let place = self.place_of(&format!("{name}.toml"), &name);
        let settings = std::fs::read_to_string(place.path("settings")).expect("written");
        Half::start(place, &settings)
    }

    fn balancer(&self) -> Running {
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-db", "-f", "haproxy.cfg"]).current_dir(self.place.path("")).stdin(Stdio::null());
        Running(haproxy.spawn().expect("started"))
    }
}

/// A client of the balancer that has had an echo, and the address that it came from.
async fn client() -> (Client, SocketAddr) {
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let address: SocketAddr = BALANCER.parse().expect("an address");
    soon(async {
        loop {
            // Until HAProxy listens.
            let Ok(mut client) = Client::connect(address, &options).await else { continue };
            let own = client.sender.stream().local_addr().expect("an address");
            client.echo(vec![1; 64]).await.expect("echo");
            return (client, own);
        }
    })
    .await
}

#[test]
fn several_fronts_behind_haproxy_and_two_backs() {
    if !Command::new("haproxy").arg("-v").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    {
        eprintln!("skipped: this machine has no haproxy");
        return;
    }
    let test = "split::balanced::several_fronts_behind_haproxy_and_two_backs";
    alone_with_hosts(test, HOSTS, async {
        ADDRESSES.into_iter().for_each(add_address);
        let example = Example::new();
        let mut backs = vec![example.back(1), example.back(2)];
        let mut fronts = vec![example.front(1), example.front(2)];
        let _balancer = example.balancer();
        for front in &fronts {
            front.until(|status| ready_backs(status) == 2).await;
        }

        // Clients pass, by both fronts and over both backs, and Telegram is told their own addresses.
        let mut clients = Vec::new();
        for _ in 0..8 {
            let (mut client, own) = client().await;
            let told = soon(client.report()).await.expect("a report").middle.expect("over a middle proxy");
            assert_eq!(told.client, own);
            clients.push(client);
        }
        for front in &fronts {
            assert_eq!(sum(&front.status(), "sessions"), 4, "the balancer gives both as many");
        }
        for back in &backs {
            assert!(sum(&back.status(), "sessions") >= 2, "each front gives both about as many");
        }

        // One front is lost: its clients come again, and to the other one.
        fronts.remove(0).kill();
        let (mut stayed, mut ended) = (Vec::new(), 0);
        for mut client in clients {
            match soon(client.echo(vec![2; 64])).await {
                Ok(()) => stayed.push(client),
                Err(_) => ended += 1,
            }
        }
        assert_eq!((stayed.len(), ended), (4, 4));
        for _ in 0..4 {
            stayed.push(client().await.0);
        }
        assert_eq!(sum(&fronts[0].status(), "sessions"), 8);

        // One back after the other is restarted: nobody is closed.
        for index in [0, 1] {
            backs[index].terminate();
            let place = backs.remove(index).stopped();
            backs.insert(index, example.back_in(place));
            fronts[0].until(|status| ready_backs(status) == 2).await;
            for client in &mut stayed {
                soon(client.echo(vec![3; 5000])).await.expect("it is there still");
            }
        }
        // That is how its checks end, whether the front is there.
        let closed = closed(&fronts[0].status());
        assert!(closed.iter().all(|(reason, _)| reason == "client:reset"), "{closed:?}");
        assert_eq!(example.stage.telegram.middle().counters().violations(), [].into());
    });
}

/// Backs with a connection from every shard.
fn ready_backs(status: &serde_json::Value) -> usize {
    let shards = std::thread::available_parallelism().expect("known").get() as u64;
    let peers = status["peers"].as_array().expect("a list").iter();
    peers.filter(|peer| peer["ready"].as_u64().expect("a number") >= shards).count()
}
