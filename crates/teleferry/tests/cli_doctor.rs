//! `teleferry doctor`, through the built program: everything it looks at is on this machine.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use support::{KEY, Place, finish};
use teleferry_sim::config_server::Item;
use teleferry_sim::telegram::{self, Telegram};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

struct Stage {
    place: Place,
    certificate: PathBuf,
    site: SocketAddr,
    telegram: Telegram,
}

impl Stage {
    async fn new() -> Self {
        let place = Place::new();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = place.write("site.pem", &made.cert.pem());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the library's own")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("the key fits");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
        let site = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
            }
        });
        let telegram = Telegram::start(&telegram::Options::default())
            .and_then(|telegram| telegram.with_middle_proxies(1))
            .expect("loopback has room");
        Self { place, certificate, site, telegram }
    }

    fn configure(&self, domain: &str, target: &str) {
        self.configure_with(domain, target, &self.telegram.addresses());
    }

    fn configure_with(&self, domain: &str, target: &str, dcs: &BTreeMap<i16, Vec<SocketAddr>>) {
        let mut dc = String::new();
        for (id, addresses) in dcs {
            let addresses: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            write!(dc, "\"{id}\" = [{}], ", addresses.join(", ")).expect("text");
        }
        let config = self.telegram.config_server().expect("there is one");
        let [secret, list, list_v6] = [Item::Secret, Item::Config, Item::Config].map(|item| config.url(item));
        let text = format!(
            r#"[server]
state_dir = "state"
max_connections = 10
public_host = "localhost"
[[listen]]
address = "127.0.0.1:0"
secret = "{KEY}"
domain = "{domain}"
protocols = ["tls", "secure"]
[cover]
target = "{target}"
[telegram]
mode = "direct"
proxy_secret_url = "{secret}"
proxy_config_url = "{list}"
proxy_config_v6_url = "{list_v6}"
ip_lookup = []
dc = {{ {} }}
"#,
            dc.trim_end_matches(", ")
        );
        let file = self.place.write("teleferry.toml", &text);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("set");
    }

    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.place.command(arguments);
        command.env("SSL_CERT_FILE", &self.certificate);
        command
    }

    async fn run(&self) -> Told {
        let command = self.command(["doctor", "--config", "teleferry.toml", "--json"]);
        tokio::task::spawn_blocking(|| Told::by(command)).await.expect("it ends")
    }

    /// A server with these settings that has opened its port.
    fn start(&self) -> Running {
        let mut command = self.command(["run", "--config", "teleferry.toml"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut lines = lines.map(|line| line.expect("UTF-8"));
        assert!(lines.any(|line| line.contains("ready: ")), "it is ready");
        std::thread::spawn(move || lines.for_each(drop));
        Running(child)
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Gone already where the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What doctor said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    /// Level and sentence by what it is about; of several the worst.
    about: BTreeMap<String, (String, String)>,
}

impl Told {
    fn by(mut command: Command) -> Self {
        let done = finish(&mut command);
        let report: Value = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", done.stdout, done.stderr));
        let findings = report["findings"].as_array().expect("a list");
        let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_owned();
        let mut about: BTreeMap<String, (String, String)> = BTreeMap::new();
        for finding in findings {
            let level = text(finding, "level");
            let helps = !text(finding, "meaning").is_empty() && !text(finding, "advice").is_empty();
            assert_eq!(helps, level != "ok", "{finding}");
            assert_eq!(finding["fine"], level != "mend", "{finding}");
            let entry = (level, text(finding, "found"));
            let kept = about.entry(text(finding, "about")).or_insert_with(|| entry.clone());
            if rank(&entry.0) > rank(&kept.0) {
                *kept = entry;
            }
        }
        let ok = report["ok"].as_bool().expect("a verdict");
        assert_eq!((done.code, ok), if ok { (Some(0), true) } else { (Some(1), false) });
        assert_eq!(ok, findings.iter().all(|finding| finding["fine"] == true));
        assert!(!support::shows_a_key(&done.stdout) && !support::shows_a_key(&done.stderr));
        Self { code: done.code, about }
    }

    /// What is to be mended, but for what only the machine that runs the tests can be blamed for.
    fn wrong(&self) -> BTreeMap<&str, &str> {
        let wrong = self.about.iter().filter(|(about, (level, _))| {
            level == "mend" && !["memory", "kernel", "descriptors"].contains(&about.as_str())
        });
        wrong.map(|(about, (_, found))| (about.as_str(), found.as_str())).collect()
    }

    fn level(&self, about: &str) -> &str {
        self.about.get(about).map_or("absent", |(level, _)| level)
    }
}

fn rank(level: &str) -> usize {
    ["ok", "advice", "unknown", "mend"].iter().position(|known| *known == level).expect("a level")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_server_is_told_so_and_a_sick_one_what_to_mend() {
    let stage = Stage::new().await;
    stage.configure("localhost", &stage.site.to_string());
    let told = stage.run().await;
    assert_eq!(told.wrong(), BTreeMap::new(), "{told:?}");
    for about in ["settings", "secrets", "ports", "state", "log", "host", "dns", "telegram", "published"] {
        assert_eq!(told.level(about), "ok", "{about}: {told:?}");
    }
    assert_eq!((told.level("process"), told.level("link")), ("advice", "absent"), "nothing runs: {told:?}");
    assert_eq!(told.level("clock"), "unknown", "the simulator tells no time: {told:?}");

    // Over middle proxies too, which are those that are published.
    let file = stage.place.path("teleferry.toml");
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.replace("\"direct\"", "\"auto\"")).expect("written");
    let told = stage.run().await;
    assert_eq!((told.level("middle"), told.level("telegram")), ("ok", "ok"), "{told:?}");

    // Another name: neither its certificate nor its address is this site's.
    stage.configure("doctor.invalid", &stage.site.to_string());
    let told = stage.run().await;
    let wrong = told.wrong();
    assert_eq!(
        (told.code, wrong.keys().copied().collect::<Vec<_>>()),
        (Some(1), vec!["cover", "dns"]),
        "{told:?}"
    );
    assert!(wrong["cover"].contains("certificate") && wrong["dns"].contains("doctor.invalid"), "{wrong:?}");

    // A data centre in the place of a web server.
    let other = stage.telegram.addresses()[&2][0];
    stage.configure("localhost", &other.to_string());
    let told = stage.run().await;
    assert!(told.wrong().contains_key("cover"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_tried_through_its_own_link() {
    let stage = Stage::new().await;
    stage.configure("localhost", &stage.site.to_string());
    let running = stage.start();
    let told = stage.run().await;
    assert_eq!(told.wrong(), BTreeMap::new(), "{told:?}");
    for about in ["process", "ports", "link"] {
        assert_eq!(told.level(about), "ok", "{about}: {told:?}");
    }
    drop(running);

    // One data centre is not there.
    let (_held, nobody) = refusing();
    let mut dcs = stage.telegram.addresses();
    dcs.insert(4, vec![nobody]);
    stage.configure_with("localhost", &stage.site.to_string(), &dcs);
    let running = stage.start();
    let told = stage.run().await;
    let wrong = told.wrong();
    assert_eq!(wrong.keys().copied().collect::<Vec<_>>(), ["link", "telegram"], "{told:?}");
    assert!(
        wrong["link"].contains("data centre 4:") && wrong["telegram"].contains("data centre 4"),
        "{wrong:?}"
    );

    // The settings were changed since it began.
    let file = stage.place.path("teleferry.toml");
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.replace("[[listen]]", "[[listen]]\nname = \"new\"")).expect("written");
    let told = stage.run().await;
    assert!(told.wrong()["ports"].contains("no listener new"), "{told:?}");
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_with_who_has_it() {
    let stage = Stage::new().await;
    stage.configure("localhost", &stage.site.to_string());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has room");
    let address = listener.local_addr().expect("address");
    let file = stage.place.path("teleferry.toml");
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.replace("127.0.0.1:0", &address.to_string())).expect("written");
    let told = stage.run().await;
    let wrong = told.wrong();
    assert_eq!(wrong.keys().copied().collect::<Vec<_>>(), ["ports"], "{told:?}");
    assert!(wrong["ports"].contains(&format!("(process {})", std::process::id())), "{wrong:?}");
}

#[test]
fn a_machine_without_network_is_told_so_once() {
    let place = Place::new();
    let file = place.write(
        "teleferry.toml",
        &format!(
            "[server]\nstate_dir = \"state\"\npublic_host = \"proxy.example\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nsecret = \"{KEY}\"\ndomain = \"www.example.com\"\n[cover]\ntarget = \"www.example.com:443\"\n"
        ),
    );
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("set");
    let Some(command) = alone(&place, place.command(["doctor", "--config", "teleferry.toml", "--json"]))
    else {
        eprintln!("skipped: this machine gives no network of its own to a command (unshare)");
        return;
    };
    let told = Told::by(command);
    let wrong = told.wrong();
    assert_eq!(wrong.keys().copied().collect::<Vec<_>>(), ["network"], "{told:?}");
    assert!(wrong["network"].contains("no network"), "{wrong:?}");
    for about in ["clock", "cover", "dns", "host", "middle", "published", "telegram"] {
        assert!(wrong["network"].contains(about), "{about} is named: {wrong:?}");
        assert_eq!(told.level(about), "absent", "{about} is told once: {told:?}");
    }
}

/// The same command in a network of its own that leads nowhere, where the system allows it.
fn alone(place: &Place, command: Command) -> Option<Command> {
    let namespace = ["--net", "--user", "--map-root-user"];
    let allowed = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut alone = Command::new("unshare");
    alone.args(namespace).arg(command.get_program()).args(command.get_args());
    alone.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    alone.env("STATE_DIRECTORY", place.path("state")).current_dir(place.path(""));
    Some(alone)
}

/// An address of loopback at which connections are refused, for as long as the socket lives.
fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address = socket.local_addr().expect("address").as_socket().expect("ip");
    (socket, address)
}
