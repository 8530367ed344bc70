//! `teleferry doctor`, through the built program: everything it looks at is on this machine.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use support::{Place, finish};
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
        let mut dc = String::new();
        for (id, addresses) in self.telegram.addresses() {
            let addresses: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            write!(dc, "\"{id}\" = [{}], ", addresses.join(", ")).expect("text");
        }
        let config = self.telegram.config_server().expect("there is one");
        let url = config.url(teleferry_sim::config_server::Item::Config);
        let text = format!(
            "[server]\nstate_dir = \"state\"\nmax_connections = 10\n[[listen]]\naddress = \"127.0.0.1:0\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"{domain}\"\n[cover]\ntarget = \"{target}\"\n[telegram]\nmode = \"direct\"\nproxy_config_url = \"{url}\"\ndc = {{ {} }}\n",
            dc.trim_end_matches(", ")
        );
        self.place.write("teleferry.toml", &text);
    }

    /// Runs it; gives the exit code and what is to be mended, by what it is about.
    async fn run(&self) -> (Option<i32>, BTreeMap<String, String>) {
        let mut command = self.place.command(["doctor", "--config", "teleferry.toml", "--json"]);
        command.env("SSL_CERT_FILE", &self.certificate);
        let done = tokio::task::spawn_blocking(move || finish(&mut command)).await.expect("it ends");
        let report: Value = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", done.stdout, done.stderr));
        let findings = report["findings"].as_array().expect("a list");
        let text = |finding: &Value, key: &str| finding[key].as_str().expect("text").to_owned();
        let wrong = findings.iter().filter(|finding| finding["fine"] == false);
        let wrong: Vec<_> = wrong.collect();
        assert!(
            wrong
                .iter()
                .all(|finding| !text(finding, "meaning").is_empty() && !text(finding, "advice").is_empty())
        );
        assert!(findings.len() >= 6, "{report}");
        (
            done.code,
            wrong.into_iter().map(|finding| (text(finding, "about"), text(finding, "found"))).collect(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_server_is_told_so_and_a_sick_one_what_to_mend() {
    let stage = Stage::new().await;
    stage.configure("localhost", &stage.site.to_string());
    assert_eq!(stage.run().await, (Some(0), BTreeMap::new()));

    // Another name: neither its certificate nor its address is this site's.
    stage.configure("doctor.invalid", &stage.site.to_string());
    let (code, wrong) = stage.run().await;
    assert_eq!((code, wrong.keys().map(String::as_str).collect::<Vec<_>>()), (Some(1), vec!["cover", "dns"]));
    assert!(wrong["cover"].contains("certificate") && wrong["dns"].contains("doctor.invalid"), "{wrong:?}");

    // A data centre in the place of a web server.
    let other = stage.telegram.addresses()[&2][0];
    stage.configure("localhost", &other.to_string());
    let (code, wrong) = stage.run().await;
    assert_eq!(code, Some(1));
    assert!(wrong.contains_key("cover"), "{wrong:?}");
}
