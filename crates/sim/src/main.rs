//! `teleferry-sim`: Telegram on loopback as a program.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use teleferry_sim::config_server::{ConfigServer, Item};
use teleferry_sim::limits;
use teleferry_sim::telegram::{Options, Telegram};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// Telegram on loopback, for tests and demonstrations.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every data centre until standard input ends, or SIGINT or SIGTERM comes.
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Say where the data centres are in one line of JSON.
    #[arg(long)]
    json: bool,
    /// Listen on [::1] too.
    #[arg(long)]
    ipv6: bool,
    /// Run middle proxies too, and the server that publishes their secret and addresses.
    #[arg(long)]
    middle: bool,
    /// Middle proxies close every link this long after its handshake.
    #[arg(long, value_name = "SECONDS", requires = "middle")]
    rotate: Option<u64>,
    /// The address to listen on; the ports are the system's choice.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen_ip: IpAddr,
}

fn main() -> ExitCode {
    let Cli { command: Command::Serve(options) } = Cli::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be gone; then nobody can be told.
            let _ = writeln!(io::stderr(), "teleferry-sim: cannot serve on {}: {error}", options.listen_ip);
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Serve) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))?;
    // A read of standard input cannot be cancelled, so its thread is not waited for.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(options: &Serve) -> io::Result<()> {
    limits::raise_open_files();
    let mut listen = vec![options.listen_ip];
    if options.ipv6 {
        listen.push(Ipv6Addr::LOCALHOST.into());
    }
    // Signals first: whoever has read the line may send one.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut telegram = Telegram::start(&Options { listen })?;
    if options.middle {
        telegram = telegram.with_middle_proxies(1)?;
        let rotate = options.rotate.map(Duration::from_secs);
        telegram.middle().configure(|settings| settings.rotate = rotate).await;
    }
    announce(&telegram, options.json)?;
    tokio::select! {
        ended = input_end() => ended?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    telegram.stop().await;
    Ok(())
}

/// What a program that started this one wants to know.
#[derive(Debug, Serialize)]
struct Announcement<'a> {
    dc: BTreeMap<i16, Vec<SocketAddr>>,
    rsa_public_key_pem: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    middle: Option<Published>,
}

/// Where the configuration of middle proxies is.
#[derive(Debug, Serialize)]
struct Published {
    secret_url: String,
    config_url: String,
    config_v6_url: String,
    ip_url: String,
}

impl From<&ConfigServer> for Published {
    fn from(server: &ConfigServer) -> Self {
        Self {
            secret_url: server.url(Item::Secret),
            config_url: server.url(Item::Config),
            config_v6_url: server.url(Item::ConfigV6),
            ip_url: server.url(Item::Ip),
        }
    }
}

fn announce(telegram: &Telegram, json: bool) -> io::Result<()> {
    let announcement = Announcement {
        dc: telegram.addresses(),
        rsa_public_key_pem: telegram.public_key_pem(),
        middle: telegram.config_server().map(Published::from),
    };
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &announcement)?;
        writeln!(out)?;
    } else {
        for (dc, addresses) in announcement.dc {
            let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            writeln!(out, "DC {dc}: {}", addresses.join(" "))?;
        }
        if let Some(middle) = announcement.middle {
            writeln!(
                out,
                "Middle proxies: {} {} {}",
                middle.secret_url, middle.config_url, middle.config_v6_url
            )?;
        }
        write!(out, "{}", announcement.rsa_public_key_pem)?;
    }
    out.flush()
}

/// Waits for the end of standard input.
async fn input_end() -> io::Result<()> {
    let mut input = tokio::io::stdin();
    let mut scratch = [0; 256];
    while input.read(&mut scratch).await? > 0 {}
    Ok(())
}
