//! Fronts and backs as processes, before a simulated Telegram in this one.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::config_server::Item;
use teleferry_sim::telegram::{self, Telegram};
use tokio::sync::watch;

use crate::common::{DOMAIN, keep_published, key, soon};
use crate::support::{Done, Place};

/// How a back goes to Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Direct,
    Middle,
}

/// Where backs are in tests; the last two in networks of their own.
pub(super) const BACKS: [&str; 3] = ["127.0.0.1", "10.77.3.2", "10.77.5.2"];

/// An authority and what it signs.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, of a front or of a back at one of [`BACKS`].
    pub(super) fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let hosts = if usage == ExtendedKeyUsagePurpose::ServerAuth { &BACKS[..] } else { &[] };
        self.issue_with(name, usage, hosts, |_| {})
    }

    /// One for these hosts, with whatever is to be changed about it.
    pub(super) fn issue_with(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        hosts: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<_> = [name].iter().chain(hosts).map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// A list of certificates that were revoked: those with these serial numbers.
    pub(super) fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2126, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("signed").pem().expect("PEM")
    }

    /// Puts the files of one side into its place.
    pub(super) fn equip(&self, place: &Place, name: &str, usage: ExtendedKeyUsagePurpose) {
        let (certificate, key) = self.issue(name, usage);
        place.write("ca.pem", &self.pem);
        place.write("cert.pem", &certificate);
        place.write("key.pem", &key);
    }
}

/// Telegram, an authority, and what is needed to start halves of a proxy.
pub(super) struct Stage {
    pub(super) telegram: Telegram,
    pub(super) authority: Authority,
    mode: Mode,
}

/// One half, as a process. Killed with the test.
pub(super) struct Half {
    pub(super) place: Place,
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What it has logged.
    said: watch::Receiver<Vec<String>>,
}

pub(super) const TLS: &str = "[role.tls]\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";

impl Stage {
    pub(super) fn new(mode: Mode) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, mode)
    }

    /// With Telegram at this address.
    pub(super) fn at(telegram: Ipv4Addr, mode: Mode) -> Self {
        let mut telegram =
            Telegram::start(&telegram::Options { listen: vec![telegram.into()] }).expect("loopback has room");
        if mode == Mode::Middle {
            telegram = telegram.with_middle_proxies(1).expect("loopback has room");
        }
        Self { telegram, authority: Authority::new(), mode }
    }

    /// A back at a port that the system chooses.
    pub(super) fn back(&self) -> Half {
        self.back_at(Place::new(), "127.0.0.1:0", "")
    }

    /// A back that keeps its place, with more settings.
    pub(super) fn back_at(&self, place: Place, address: &str, more: &str) -> Half {
        let settings = self.back_settings(&place, address, more);
        Half::start(place, &settings)
    }

    /// The settings of a back, with files for it in its place.
    pub(super) fn back_settings(&self, place: &Place, address: &str, more: &str) -> String {
        if !place.path("cert.pem").exists() {
            self.authority.equip(place, "back.example.net", ExtendedKeyUsagePurpose::ServerAuth);
        }
        let mut text = format!(
            "[server]\nworkers = 2\nstate_dir = \"state\"\ndrain = \"10s\"\n\
             [role]\nkind = \"back\"\n[role.back]\nlisten = \"{address}\"\n{more}{TLS}"
        );
        match self.mode {
            Mode::Direct => {
                text.push_str("[telegram]\nmode = \"direct\"\n[telegram.dc]\n");
                for (id, addresses) in self.telegram.addresses() {
                    writeln!(text, "\"{id}\" = [\"{}\"]", addresses[0]).expect("text");
                }
            }
            Mode::Middle => {
                self.keep_published(place);
                write!(text, "[telegram]\n{}", self.telegram_settings()).expect("text");
            }
        }
        text
    }

    /// What a section `telegram` says so that middle proxies are asked, and the ones of this stage.
    pub(super) fn telegram_settings(&self) -> String {
        let server = self.telegram.config_server().expect("it has one");
        format!(
            "mode = \"middle\"\nprefer = \"only-ipv4\"\nip_lookup = []\nlinks_per_dc = 2\n\
             proxy_secret_url = \"{}\"\nproxy_config_url = \"{}\"\nproxy_config_v6_url = \"{}\"\n",
            server.url(Item::Secret),
            server.url(Item::Config),
            server.url(Item::ConfigV6),
        )
    }

    /// Puts what is published now where an earlier run of this half would have kept it.
    pub(super) fn keep_published(&self, place: &Place) {
        let state = place.path("state");
        std::fs::create_dir_all(&state).expect("a directory");
        keep_published(&self.telegram, &state);
    }

    /// A front of these backs.
    pub(super) fn front(&self, backs: &[&Half]) -> Half {
        self.front_named("front-1", backs)
    }

    pub(super) fn front_named(&self, name: &str, backs: &[&Half]) -> Half {
        let addresses: Vec<_> = backs.iter().map(|back| back.address).collect();
        self.front_of(name, &addresses)
    }

    /// A front of backs at these addresses.
    pub(super) fn front_of(&self, name: &str, backs: &[SocketAddr]) -> Half {
        Half::start(self.front_place(name), &front_settings(backs, TLS))
    }

    /// A place with the files of a front.
    pub(super) fn front_place(&self, name: &str) -> Place {
        let place = Place::new();
        self.authority.equip(&place, name, ExtendedKeyUsagePurpose::ClientAuth);
        place
    }
}

/// A front's settings, with this at their end.
pub(super) fn front_settings(backs: &[SocketAddr], more: &str) -> String {
    let backs: Vec<_> = backs.iter().map(|back| format!("\"https://{back}\"")).collect();
    let secret: String = key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "[server]\nworkers = 2\nstate_dir = \"state\"\ndrain = \"10s\"\n\
         [[listen]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\nsecret = \"{secret}\"\ndomain = \"{DOMAIN}\"\n\
         protocols = [\"tls\", \"secure\", \"classic\"]\n\
         [role]\nkind = \"front\"\n[role.front]\nbacks = [{}]\n{more}",
        backs.join(", ")
    )
}

impl Half {
    /// Starts a process and waits until it listens.
    pub(super) fn start(place: Place, settings: &str) -> Self {
        Self::start_by(std::convert::identity, place, settings)
    }

    /// The same by another command that runs this one.
    pub(super) fn start_by(by: impl FnOnce(Command) -> Command, place: Place, settings: &str) -> Self {
        place.write("teleferry.toml", settings);
        let mut command = by(place.command(["run", "--config", "teleferry.toml"]));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let address = lines.find_map(|line| {
            let address = line.split_once("ready: ").map(|(_, rest)| rest.to_owned());
            said.push(line);
            address
        });
        let address = address.unwrap_or_else(|| panic!("it is not ready: {said:#?}"));
        let (say, said) = watch::channel(said);
        // It writes there as long as it runs.
        std::thread::spawn(move || lines.for_each(|line| say.send_modify(|said| said.push(line))));
        let (_, address) = address.trim().split_once(' ').expect("a name and an address");
        Self { address: address.parse().expect("an address"), place, child, said }
    }

    /// Waits until it has logged a line with all of this.
    pub(super) async fn until_said(&self, parts: &[&str]) {
        let mut said = self.said.clone();
        let has_all = |line: &String| parts.iter().all(|part| line.contains(part));
        let waiting = said.wait_for(|said| said.iter().any(has_all));
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await;
        assert!(matches!(in_time, Ok(Ok(_))), "it never said {parts:?}: {:#?}", *self.said.borrow());
    }

    /// Gives it an order.
    pub(super) fn order(&self, order: &str) -> Done {
        let run = || self.place.run(["ctl", "--config", "teleferry.toml", order, "--json"]);
        let done = tokio::task::block_in_place(run);
        assert_eq!(done.code, Some(0), "{done:?}");
        done
    }

    /// A client of the data centre 2.
    pub(super) async fn client(&self, protocol: Protocol) -> Client {
        let options = Options::new(protocol, Some(key()));
        soon(Client::connect(self.address, &options)).await.expect("let in")
    }

    /// So many clients, of each protocol in turn, that have had an echo.
    pub(super) async fn clients(&self, count: usize) -> Vec<Client> {
        let mut clients = Vec::with_capacity(count);
        for protocol in Protocol::ALL.into_iter().cycle().take(count) {
            let mut client = self.client(protocol).await;
            soon(client.echo(vec![1; 64])).await.expect("echo");
            clients.push(client);
        }
        clients
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, signal).expect("it is there");
    }

    /// Ends it without a word.
    pub(super) fn kill(mut self) -> Place {
        self.signal(Signal::KILL);
        self.child.wait().expect("ended");
        std::mem::replace(&mut self.place, Place::new())
    }

    /// Stops it from running, without ending it.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Tells it to stop in order.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until it has stopped by itself.
    pub(super) fn stopped(mut self) -> Place {
        let status = tokio::task::block_in_place(|| self.child.wait().expect("ended"));
        assert!(status.success(), "{status}");
        std::mem::replace(&mut self.place, Place::new())
    }

    /// How it is.
    pub(super) fn status(&self) -> Value {
        let done = self.order("status");
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    /// Waits until its status fulfils a condition, and gives it.
    pub(super) async fn until(&self, mut condition: impl FnMut(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let asked = async {
            loop {
                last = self.status();
                if condition(&last) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
        assert!(in_time.is_ok(), "never: {last:#}");
        last
    }

    /// Waits until it has a connection that takes sessions on every shard to every back.
    pub(super) async fn connected(&self, connections: u64) {
        self.until(|status| sum(status, "ready") == connections).await;
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One number of all the other halves, summed.
pub(super) fn sum(status: &Value, what: &str) -> u64 {
    let peers = status["peers"].as_array().expect("a list");
    peers.iter().map(|peer| peer[what].as_u64().expect("a number")).sum()
}

/// How connections of the first listener ended.
pub(super) fn closed(status: &Value) -> Vec<(String, u64)> {
    let closed = status["listeners"][0]["closed"].as_object().expect("a table");
    closed.iter().map(|(reason, times)| (reason.clone(), times.as_u64().expect("a number"))).collect()
}

/// The sessions of one back, as the front counts them.
pub(super) fn sessions(status: &Value, back: SocketAddr) -> u64 {
    let peers = status["peers"].as_array().expect("a list");
    let peer = peers.iter().find(|peer| peer["name"] == back.to_string()).expect("a back of this name");
    peer["sessions"].as_u64().expect("a number")
}
