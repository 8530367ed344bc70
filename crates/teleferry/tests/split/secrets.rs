//! Nothing secret is in the logs of either half, however much they tell.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use teleferry_sim::client::{Client, Options, Protocol};

use super::stage::{Mode, Stage, front_settings};
use crate::common::{key, soon};
use crate::support::Place;

const TOKEN: &str = "tOkEn-0f-the-t3st-nobody-may-see";

/// A half whose log is kept. Killed with the test.
struct Logged {
    place: Place,
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Logged {
    fn start(place: Place, settings: &str) -> Self {
        place.write("teleferry.toml", &format!("{settings}\n[log]\nlevel = \"trace\"\n"));
        let mut child = place
            .command(["run", "--config", "teleferry.toml"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&log);
        let keep = move |line: &str| {
            let mut kept = kept.lock().expect("whole");
            kept.push_str(line);
            kept.push('\n');
        };
        let address = loop {
            let line = lines.next().expect("it becomes ready").expect("UTF-8");
            keep(&line);
            if let Some((_, rest)) = line.split_once("ready: ") {
                break rest.rsplit(' ').next().and_then(|rest| rest.parse().ok()).expect("an address");
            }
        };
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| keep(&line)));
        Self { place, child, address, log }
    }

    fn log(&self) -> String {
        self.log.lock().expect("whole").clone()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_reaches_a_log() {
    let stage = Stage::new(Mode::Direct);
    let place = Place::new();
    stage.authority.equip(&place, "back.example.net", ServerAuth);
    place.write("link.token", TOKEN);
    let dcs: Vec<_> =
        stage.telegram.addresses().iter().map(|(id, all)| format!("\"{id}\" = [\"{}\"]", all[0])).collect();
    let back = Logged::start(
        place,
        &format!(
            "[server]\nworkers = 1\nstate_dir = \"state\"\n[role]\nkind = \"back\"\n[role.back]\n\
             listen = \"127.0.0.1:0\"\ntoken_file = \"link.token\"\n[role.tls]\nca = \"ca.pem\"\n\
             cert = \"cert.pem\"\nkey = \"key.pem\"\n[telegram]\nmode = \"direct\"\n[telegram.dc]\n{}\n",
            dcs.join("\n")
        ),
    );
    let place = Place::new();
    // One front shows a certificate and the token, of the other a certificate is enough.
    stage.authority.equip(&place, "front-1", ClientAuth);
    place.write("link.token", TOKEN);
    let tls =
        "token_file = \"link.token\"\n[role.tls]\nca = \"ca.pem\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
    let front = Logged::start(place, &front_settings(&[back.address], tls));
    let content = b"what-a-client-says-to-telegram-..".repeat(8)[..256].to_vec();
    for protocol in Protocol::ALL {
        let options = Options::new(protocol, Some(key()));
        let mut client = soon(Client::connect(front.address, &options)).await.expect("let in");
        soon(client.echo(content.clone())).await.expect("echo");
    }
    let place = Place::new();
    place.write("ca.pem", &stage.authority.pem);
    place.write("link.token", TOKEN);
    let tls = "token_file = \"link.token\"\n[role.tls]\nca = \"ca.pem\"\n";
    let bare = Logged::start(place, &front_settings(&[back.address], tls));
    let options = Options::new(Protocol::FakeTls, Some(key()));
    let mut client = soon(Client::connect(bare.address, &options)).await.expect("let in");
    soon(client.echo(content.clone())).await.expect("echo");

    for (who, half) in [("front", &front), ("bare front", &bare), ("back", &back)] {
        let log = half.log();
        // It does tell of what goes on.
        assert!(log.contains("DEBUG"), "{who}: {log}");
        let mut secrets = vec![TOKEN.to_owned(), "what-a-client-says".to_owned()];
        secrets.push(BASE64_NOPAD.encode(TOKEN.as_bytes()));
        secrets.push(HEXLOWER.encode(TOKEN.as_bytes()));
        secrets.push(HEXLOWER.encode(key().as_bytes()));
        secrets.push(BASE64.encode(key().as_bytes()));
        secrets.push(format!("{:?}", key().as_bytes()).trim_matches(['[', ']']).to_owned());
        secrets.push(format!("{:?}", TOKEN.as_bytes()).trim_matches(['[', ']']).to_owned());
        if let Ok(pem) = std::fs::read_to_string(half.place.path("key.pem")) {
            secrets.extend(pem.lines().filter(|line| !line.starts_with('-')).map(ToOwned::to_owned));
        }
        for secret in secrets {
            let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
            assert_eq!(line, None, "{who} tells {secret}");
        }
    }
}
