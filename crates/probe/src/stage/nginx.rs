//! A real nginx with a certificate of its own and static content.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use teleferry_sim::pattern;
use tempfile::TempDir;

use super::{Guard, PATIENCE};
use crate::clock;
use crate::failure::{Failure, Result};

/// The name in the certificate, and in the proxy's links.
pub(crate) const DOMAIN: &str = "probe.example.com";
/// Bytes of the file of known content.
const LARGE: usize = 6 << 20;
/// Bytes of the file of zeros.
const SPARSE: u64 = 100 << 20;

/// The timers of the site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    /// From the connection to its request.
    pub(crate) header: Duration,
    /// Between requests.
    pub(crate) keep_alive: Duration,
}

impl Timers {
    /// Short enough to be waited for in CI, and so far apart that one cannot be taken for the other.
    pub(crate) const SHORT: Self =
        Self { header: Duration::from_secs(2), keep_alive: Duration::from_secs(4) };
    /// nginx's defaults.
    pub(crate) const LONG: Self =
        Self { header: Duration::from_secs(60), keep_alive: Duration::from_secs(75) };

    /// How long a prober waits for an end until the connection counts as left open.
    pub(crate) fn window(self) -> Duration {
        self.keep_alive + self.header * 3 / 4
    }
}

/// A running nginx, with a directory of its own.
#[derive(Debug)]
pub(crate) struct Nginx {
    _child: Guard,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Nginx {
    /// Starts it and waits until it takes connections.
    pub(crate) fn start(program: &Path, timers: Timers) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let certificate = write_site(directory.path())?;
        let mut last = Failure::new("nginx was not started");
        // The port is free when we look; somebody else may take it before nginx does.
        for _ in 0..3 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let file = directory.path().join("nginx.conf");
            fs::write(&file, configuration(directory.path(), address, timers))?;
            match run(program, directory.path(), &file, address) {
                Ok(child) => {
                    return Ok(Self { _child: child, _directory: directory, address, certificate });
                }
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

/// What is said where there is no nginx to compare with.
pub(crate) const NO_NGINX: &str =
    "skipped: there is no nginx on this machine (Debian's package: nginx-light)";

/// Where nginx is: the given path, or where Debian puts it. `None`: there is none.
pub(crate) fn find(given: Option<&Path>) -> Result<Option<PathBuf>> {
    if let Some(path) = given {
        return match path.exists() {
            true => Ok(Some(path.to_owned())),
            false => Err(Failure::new(format!("there is no nginx at {}", path.display()))),
        };
    }
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    Ok(places.into_iter().map(PathBuf::from).find(|path| path.exists()))
}

fn run(program: &Path, directory: &Path, file: &Path, address: SocketAddr) -> Result<Guard> {
    let errors = directory.join("nginx.log");
    let mut command = Command::new(program);
    command.arg("-p").arg(directory).arg("-c").arg(file).arg("-e").arg(directory.join("error.log"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors)?);
    let child = command
        .spawn()
        .map_err(|error| Failure::from(error).during(format!("{} cannot be started", program.display())))?;
    let mut child = Guard(child);
    let started = clock::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.0.try_wait()? {
            let said = fs::read_to_string(&errors)?;
            return Err(Failure::new(format!("nginx ended at once ({status}):\n{said}")));
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(Failure::new("nginx does not take connections"))
}

/// Writes the certificate, its key and the content; gives the certificate.
fn write_site(directory: &Path) -> Result<CertificateDer<'static>> {
    let signed = rcgen::generate_simple_self_signed([DOMAIN.to_owned()])
        .map_err(|error| Failure::new(format!("no certificate could be made: {error}")))?;
    fs::write(directory.join("cert.pem"), signed.cert.pem())?;
    fs::write(directory.join("key.pem"), signed.signing_key.serialize_pem())?;
    let site = directory.join("site");
    fs::create_dir(&site)?;
    fs::write(
        site.join("index.html"),
        "<!doctype html><title>Home</title><p>Nothing to see here.\n".repeat(16),
    )?;
    let mut large = vec![0; LARGE];
    pattern::fill(1, 0, &mut large);
    fs::write(site.join("large"), large)?;
    File::create(site.join("sparse"))?.set_len(SPARSE)?;
    Ok(signed.cert.der().clone())
}

fn configuration(directory: &Path, address: SocketAddr, timers: Timers) -> String {
    // The workers of a master that is root would be nobody, who cannot read our directory.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let (header, keep_alive) = (timers.header.as_secs(), timers.keep_alive.as_secs());
    let directory = directory.display();
    format!(
        "daemon off; {user} pid {directory}/pid; worker_processes 1; worker_rlimit_nofile 16384;
        events {{ worker_connections 8192; }}
        http {{
            access_log off;
            client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
            fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
            scgi_temp_path {directory}/scgi;
            client_header_timeout {header}s; client_body_timeout {header}s; keepalive_timeout {keep_alive}s;
            server {{
                listen {address} ssl http2 backlog=4096; server_name {DOMAIN}; root {directory}/site;
                ssl_protocols TLSv1.2 TLSv1.3;
                ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
            }}
        }}"
    )
}
