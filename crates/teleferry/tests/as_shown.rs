//! Set-ups that pages show, tried with the files that they show: behind nginx and HAProxy (clients get through, and everybody
//! else comes to the site, each with their address told), cover sites of nginx and of Caddy, two cover domains at a time,
//! personal proxies.

#[path = "docs/page.rs"]
mod page;
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use page::{Page, root};
use support::{Done, KEY, OTHER_KEY, Place, finish};
use teleferry_proto::secret::{Domain, HostName, ProxyLink, Secret, SecretKey};
use teleferry_sim::telegram::{self, Telegram};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

const BEHIND: &str = "docs/operate/behind-nginx-or-haproxy.md";
const COVER: &str = "docs/operate/cover-domain.md";
const PERSONAL: &str = "docs/operate/personal-proxies.md";
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
/// The names and addresses on the page.
const DOMAIN: &str = "proxy.example.com";
const PROXY: &str = "127.0.0.1:8444";
const SITES: &str = "127.0.0.1:8443";
/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A block of a page that holds some text.
fn shown(page: &str, language: &str, holds: &str) -> String {
    let name = page;
    let page = Page::read(&root().join(name));
    let block = page.blocks.iter().find(|block| block.language == language && block.text.contains(holds));
    block.unwrap_or_else(|| panic!("{name} shows no {language} with {holds}")).text.clone()
}

/// A process of ours that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already where the test failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that went to the background by itself, and wrote its number into the file `pid` in this directory.
struct Front(PathBuf);

impl Front {
    /// Runs the command, which returns once the program listens.
    fn start(directory: &Path, command: &mut Command) -> Self {
        // What goes to the background keeps a pipe open, and its end would be waited for.
        let errors = fs::File::create(directory.join("errors")).expect("made");
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).status();
        let said = fs::read_to_string(directory.join("errors")).unwrap_or_default();
        assert!(status.expect("it runs").success(), "{command:?}: {said}");
        Self(directory.join("pid"))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Ok(process) = fs::read_to_string(&self.0) {
            // Gone already where the test failed.
            let _ = Command::new("kill").arg(process.trim()).status();
        }
    }
}

/// The proxy as the page has it, a site behind, and a port for what stands in front.
struct Stage {
    place: Place,
    _telegram: Telegram,
    _proxy: Process,
    proxy: SocketAddr,
    sites: SocketAddr,
    /// What visitors of the site sent first.
    visits: mpsc::UnboundedReceiver<Vec<u8>>,
    /// Nobody else is given this port while the socket lives.
    _reserved: socket2::Socket,
    front: SocketAddr,
}

impl Stage {
    /// With the configuration of a page that holds some text.
    async fn new(page: &str, holds: &str) -> Self {
        let (sites, visits) = site().await;
        Self::before(page, holds, sites, visits)
    }

    /// The same with a site of the test.
    fn before(page: &str, holds: &str, sites: SocketAddr, visits: mpsc::UnboundedReceiver<Vec<u8>>) -> Self {
        let place = Place::new();
        // Some of these programs run under another user.
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).expect("set");
        let telegram = Telegram::start(&telegram::Options::default()).expect("loopback has room");
        let mut text = shown(page, "toml", holds).replace('…', KEY);
        for address in [PROXY, "[::]:443"] {
            text = text.replace(address, "127.0.0.1:0");
        }
        text = text.replace(SITES, &sites.to_string());
        let mut dc = String::new();
        for (id, addresses) in telegram.addresses() {
            write!(dc, "\"{id}\" = [\"{}\"], ", addresses[0]).expect("text");
        }
        write!(text, "\n[telegram]\nmode = \"direct\"\ndc = {{ {} }}\n", dc.trim_end_matches(", "))
            .expect("text");
        place.write("teleferry.toml", &text);
        let mut command = place.command(["run", "--config", "teleferry.toml"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let ready = lines.find(|line| line.contains("ready: ")).expect("it is ready");
        std::thread::spawn(move || lines.for_each(drop));
        let proxy = ready.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("an address");
        let (reserved, front) = reserve();
        Self {
            place,
            _telegram: telegram,
            _proxy: Process(child),
            proxy,
            sites,
            visits,
            _reserved: reserved,
            front,
        }
    }

    /// What the page shows, at the addresses of this test.
    fn adapt(&self, text: &str) -> String {
        text.replace(PROXY, &self.proxy.to_string()).replace(SITES, &self.sites.to_string())
    }

    /// Asks data centre 2 at this address, as a client with this secret and domain; whether it was answered.
    async fn client_at(&self, at: SocketAddr, key: &str, domain: &str) -> bool {
        let key = SecretKey::new(u128::from_str_radix(key, 16).expect("hex").to_be_bytes());
        let domain = Domain::from(&HostName::new(domain).expect("a name"));
        let link = ProxyLink::new("127.0.0.1", at.port(), Secret::Tls(key, domain)).expect("a link");
        self.works(&link.to_tg()).await
    }

    /// The same through the front.
    async fn client(&self, key: &str, domain: &str) -> bool {
        self.client_at(self.front, key, domain).await
    }

    /// Whether a link leads to data centre 2.
    async fn works(&self, link: &str) -> bool {
        let done = self.run(&["ping", link, "--dc", "2", "--timeout", "15s"]).await;
        done.code == Some(0)
    }

    async fn run(&self, arguments: &[&str]) -> Done {
        let mut command = self.place.command(arguments.iter().copied());
        tokio::task::spawn_blocking(move || finish(&mut command)).await.expect("it ends")
    }

    /// Clients come to Telegram; others to the site, with a header that tells their address.
    async fn expect_all_served(&mut self) {
        assert!(self.client(KEY, DOMAIN).await, "a client gets through");
        assert!(self.visits.try_recv().is_err(), "the site knows nothing of it");
        assert!(!self.client(OTHER_KEY, DOMAIN).await, "a stranger that names the cover domain");
        let stranger = timeout(PATIENCE, self.visits.recv()).await.expect("soon").expect("a visit");
        assert!(tells_address(&stranger), "{stranger:?}");
        assert!(!self.client(KEY, "other.example.com").await, "a visitor of another site");
        let visitor = timeout(PATIENCE, self.visits.recv()).await.expect("soon").expect("a visit");
        assert!(tells_address(&visitor), "{visitor:?}");
    }
}

/// Notes the first bytes of each visitor, and closes.
async fn site() -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let address = listener.local_addr().expect("address");
    let (sender, visits) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut first = vec![0; 256];
                let length = stream.read(&mut first).await.unwrap_or(0);
                first.truncate(length);
                // Questions of the proxy itself come without a visitor's address.
                if !is_local_header(&first) {
                    let _ = sender.send(first);
                }
            });
        }
    });
    (address, visits)
}

/// PROXY protocol, version 2, command LOCAL: nobody's connection is passed on.
fn is_local_header(first: &[u8]) -> bool {
    first.starts_with(SIGNATURE) && first.get(12) == Some(&0x20)
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn tells_address(first: &[u8]) -> bool {
    first.starts_with(b"PROXY TCP4 127.0.0.1 ")
        || (first.starts_with(SIGNATURE) && first.get(12) == Some(&0x21))
}

/// A port that the kernel chose, for a program that opens it with `SO_REUSEADDR`.
fn reserve() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.set_reuse_address(true).expect("option");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address = socket.local_addr().expect("address").as_socket().expect("ip");
    (socket, address)
}

/// The program, when this machine has it.
fn program(name: &str) -> Option<String> {
    let found =
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(|at| format!("{at}/{name}"));
    found.into_iter().find(|path| Path::new(path).exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_as_the_page_shows() {
    let Some(nginx) = program("nginx").filter(|_| Path::new(MODULE).exists()) else {
        eprintln!("skipped: nginx or its module for streams (libnginx-mod-stream) is not installed");
        return;
    };
    let mut stage = Stage::new(BEHIND, "proxy_protocol = \"required\"").await;
    let stream = shown(BEHIND, "nginx", "stream {").replace("        listen [::]:443;\n", "");
    let stream = stage.adapt(&stream).replace("listen 443;", &format!("listen {};", stage.front));
    let directory = stage.place.path("");
    let text = format!(
        "load_module {MODULE};\npid {0}pid;\nerror_log {0}nginx.log;\nevents {{}}\n{stream}",
        directory.display()
    );
    let file = stage.place.write("nginx.conf", &text);
    let mut command = Command::new(nginx);
    command.arg("-c").arg(file).arg("-p").arg(&directory).arg("-e").arg(stage.place.path("nginx.log"));
    let _front = Front::start(&directory, &mut command);
    stage.expect_all_served().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_haproxy_as_the_page_shows() {
    let Some(haproxy) = program("haproxy") else {
        eprintln!("skipped: HAProxy is not installed");
        return;
    };
    let mut stage = Stage::new(BEHIND, "proxy_protocol = \"required\"").await;
    let text = shown(BEHIND, "haproxy", "req.ssl_sni").replace("    bind :::443 v6only\n", "");
    let text = stage.adapt(&text).replace("bind :443", &format!("bind {}", stage.front));
    let file = stage.place.write("haproxy.cfg", &text);
    let mut command = Command::new(haproxy);
    command.arg("-D").arg("-f").arg(file).arg("-p").arg(stage.place.path("pid"));
    let _front = Front::start(&stage.place.path(""), &mut command);
    stage.expect_all_served().await;
}

/// A web server with a page and a certificate, behind the proxy of a page.
struct Garden {
    place: Place,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
    _reserved: [socket2::Socket; 2],
    https: SocketAddr,
    http: SocketAddr,
}

impl Garden {
    fn new() -> Self {
        let place = Place::new();
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).expect("set");
        place.write("index.html", "<h1>My garden</h1>\n");
        let certificate = rcgen::generate_simple_self_signed([DOMAIN.to_owned()]).expect("a certificate");
        place.write("fullchain.pem", &certificate.cert.pem());
        place.write("privkey.pem", &certificate.signing_key.serialize_pem());
        let ((one, https), (other, http)) = (reserve(), reserve());
        Self { place, certificate, _reserved: [one, other], https, http }
    }

    /// What a page shows, with the files and the address of this test.
    fn adapt(&self, text: &str) -> String {
        let here = self.place.path("").display().to_string();
        let here = here.trim_end_matches('/');
        text.replace(&format!("/etc/letsencrypt/live/{DOMAIN}"), here)
            .replace("/var/www/html", here)
            .replace(SITES, &self.https.to_string())
    }

    /// A server block of nginx.
    fn nginx(&self, nginx: &str, block: &str) -> Front {
        let directory = self.place.path("");
        let text = format!(
            "pid {0}pid;\nerror_log {0}nginx.log;\nevents {{}}\nhttp {{\naccess_log off;\n{1}}}\n",
            directory.display(),
            self.adapt(block)
        );
        let file = self.place.write("nginx.conf", &text);
        let mut command = Command::new(nginx);
        command.arg("-c").arg(file).arg("-p").arg(&directory).arg("-e").arg(self.place.path("nginx.log"));
        Front::start(&directory, &mut command)
    }

    /// A browser is shown the page, with its certificate; a client comes to Telegram.
    async fn expect_served(&self, page: &str, holds: &str) {
        let (_, nobody) = mpsc::unbounded_channel();
        let stage = Stage::before(page, holds, self.https, nobody);
        let shown = timeout(PATIENCE, self.browse(stage.proxy)).await.expect("soon");
        assert!(
            shown.starts_with("HTTP/1.1 200 OK\r\n") && shown.ends_with("<h1>My garden</h1>\n"),
            "{shown}"
        );
        assert!(stage.client_at(stage.proxy, KEY, DOMAIN).await, "a client gets through");
        assert!(!stage.client_at(stage.proxy, OTHER_KEY, DOMAIN).await, "a stranger does not");
    }

    async fn browse(&self, at: SocketAddr) -> String {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the library's own")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(at).await.expect("it listens");
        let name = rustls::pki_types::ServerName::try_from(DOMAIN).expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.expect("the site's own certificate");
        let question = format!("GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n");
        stream.write_all(question.as_bytes()).await.expect("sent");
        let mut shown = Vec::new();
        stream.read_to_end(&mut shown).await.expect("ends in order");
        String::from_utf8(shown).expect("text")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_as_a_cover_site_as_the_pages_show() {
    let Some(nginx) = program("nginx") else {
        eprintln!("skipped: nginx is not installed");
        return;
    };
    for (page, server, settings) in [
        (COVER, "listen 127.0.0.1:8443 ssl;", "domain = \"proxy.example.com\""),
        (BEHIND, "listen 127.0.0.1:8443 ssl proxy_protocol;", "address = \"[::]:443\""),
    ] {
        let garden = Garden::new();
        let _server = garden.nginx(&nginx, &shown(page, "nginx", server));
        garden.expect_served(page, settings).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caddy_as_a_cover_site_as_the_page_shows() {
    let Some(caddy) = program("caddy") else {
        eprintln!("skipped: Caddy is not installed");
        return;
    };
    let garden = Garden::new();
    let text = garden.adapt(&shown(COVER, "caddy", "https_port"));
    // No authority can be asked for a certificate here, and other ports are free.
    let options =
        format!("https_port {}\n\thttp_port {}\n\tadmin off", garden.https.port(), garden.http.port());
    let files = format!("{DOMAIN} {{\n\ttls {{0}}fullchain.pem {{0}}privkey.pem");
    let files = files.replace("{0}", &garden.place.path("").display().to_string());
    let text = text.replace("https_port 8443", &options).replace(&format!("{DOMAIN} {{"), &files);
    let file = garden.place.write("Caddyfile", &text);
    let mut command = Command::new(caddy);
    command.args(["start", "--adapter", "caddyfile", "--config"]).arg(file);
    command.arg("--pidfile").arg(garden.place.path("pid")).env("HOME", garden.place.path(""));
    let _server = Front::start(&garden.place.path(""), &mut command);
    garden.expect_served(COVER, "domain = \"proxy.example.com\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_with_an_old_and_a_new_domain_work() {
    let stage = Stage::new(COVER, "old.example.com").await;
    for domain in ["new.example.com", "old.example.com"] {
        assert!(stage.client_at(stage.proxy, KEY, domain).await, "{domain}");
    }
    assert!(!stage.client_at(stage.proxy, KEY, "other.example.com").await, "no other name is ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_proxy_comes_and_goes() {
    let stage = Stage::new(PERSONAL, "[sni_secrets]").await;
    let file = stage.place.path("teleferry.toml");
    // The page's host is another machine's.
    let text = fs::read_to_string(&file).expect("there").replace(DOMAIN, "localhost");
    let text = text.replacen("domain = \"localhost\"", &format!("domain = \"{DOMAIN}\""), 1);
    fs::write(&file, text).expect("written");
    let name = "bob.proxy.example.com";
    let told = stage.run(&["link", "--sni", name, "--config", "teleferry.toml"]).await;
    let link = told.stdout.lines().find(|line| line.starts_with("tg://")).expect("a link").to_owned();
    assert!(!stage.works(&link).await, "not yet a customer");
    for (order, works) in [("add", true), ("remove", false)] {
        let done = stage.run(&["ctl", "--config", "teleferry.toml", "table", order, "customers", name]).await;
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(stage.works(&link).await, works, "{order}");
        assert!(!stage.client_at(stage.proxy, KEY, name).await, "the base secret is nobody's");
    }
}
