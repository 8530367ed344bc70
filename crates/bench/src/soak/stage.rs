//! The proxy, and Telegram and a cover site around it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use teleferry_proto::secret::SecretKey;
use teleferry_sim::config_server::Item;
use teleferry_sim::cover::{Act, CoverSite};
use teleferry_sim::dc::Behaviour;
use teleferry_sim::middle::{DC_IDS, LinkInfo, LinkState, MiddleProxies};
use teleferry_sim::telegram::{Options, Telegram};

use super::roles::Role;
use super::rotation::Rotations;
use crate::children::Proxy;
use crate::failure::{Failure, Result};
use crate::procfs::Process;

/// What a stranger asks for, and what the cover site answers.
pub(super) const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.com\r\nConnection: close\r\n\r\n";
pub(super) const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\nAn ordinary site.\n";

/// Data centres that always serve, and the one that does not.
pub(super) const SOUND: [i16; 4] = [1, 2, 3, 5];
pub(super) const TROUBLED: i16 = 4;

const KEY_HEX: &str = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
const KEY: [u8; 16] = 0x8f1d_5b0c_4e3a_4971_9c2b_7d60_a5e4_f312_u128.to_be_bytes();

/// How clients are taken to Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Middle,
}

/// Middle proxies for each data-centre id.
const MIDDLE_PROXIES: usize = 2;
/// Links to them that the proxy keeps warm: its own default.
const WARM: usize = 2;

/// How long the proxy lets Telegram leave a first request unanswered, in seconds.
const ANSWER_TIMEOUT: u64 = 3;
/// The proxy's deadlines are looked at so often, and counted from the last time: one may come that much early.
const TICK: Duration = Duration::from_millis(100);

/// Everything, running.
pub(super) struct Stage {
    telegram: Telegram,
    way: Way,
    /// When the middle proxies ended links.
    rotations: Arc<Rotations>,
    _cover: CoverSite,
    proxy: Proxy,
    process: Process,
    address: SocketAddr,
}

/// What one who comes needs to know.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) key: SecretKey,
    /// When links ended, where requests may be lost with the link that they were written to.
    pub(super) rotations: Option<Arc<Rotations>>,
}

impl Door {
    /// Whether something that was asked for since then may have gone with its link, and the proxy given up on the answer.
    pub(super) fn may_have_taken(&self, begun: Instant) -> bool {
        let taken = self.rotations.as_ref().is_some_and(|rotations| rotations.may_have_taken(begun));
        taken && begun.elapsed() >= Duration::from_secs(ANSWER_TIMEOUT) - TICK
    }
}

/// First flights that the proxy remembers at most, in two generations: so few that their memory is full after the warm-up. (By
/// default it grows to 40 MB, 14 of them in an hour of this.)
const FIRST_FLIGHTS: usize = 4000;

impl Stage {
    pub(super) async fn build(program: &Path, way: Way) -> Result<Self> {
        let mut telegram = Telegram::start(&Options::default())?;
        if way == Way::Middle {
            telegram = telegram.with_middle_proxies(MIDDLE_PROXIES)?;
        }
        let script = vec![Act::Await(QUESTION.len() as u64), Act::Send(PAGE.to_vec()), Act::HalfClose];
        let cover = CoverSite::start(script).await?;
        let proxy = Proxy::start(program, &configuration(&telegram, &cover))?;
        let (process, address) = (proxy.process(), proxy.address("all")?);
        if way == Way::Middle {
            links_are_warm(&telegram, &proxy).await?;
        }
        // It listens before its last thread has opened all that it needs.
        process.settled().await?;
        Ok(Self { telegram, way, rotations: Arc::default(), _cover: cover, proxy, process, address })
    }

    pub(super) fn door(&self) -> Door {
        let rotations = (self.way == Way::Middle).then(|| Arc::clone(&self.rotations));
        Door { address: self.address, key: SecretKey::new(KEY), rotations }
    }

    /// When the middle proxies ended links.
    pub(super) const fn rotations(&self) -> &Arc<Rotations> {
        &self.rotations
    }

    /// The middle proxies, where there are any.
    pub(super) fn middle(&self) -> &Arc<MiddleProxies> {
        self.telegram.middle()
    }

    /// What those do who come and go.
    pub(super) const fn roles(&self) -> &'static [Role] {
        match self.way {
            Way::Direct => &Role::ALL,
            Way::Middle => &Role::OVER_MIDDLE,
        }
    }

    /// The proxy's memory in bytes; an error when it is no more.
    pub(super) fn memory(&self) -> Result<u64> {
        self.process.memory().map_err(|error| self.gone(&error))
    }

    /// The proxy's open descriptors; an error when it is no more.
    pub(super) fn descriptors(&self) -> Result<usize> {
        self.process.descriptors().map_err(|error| self.gone(&error))
    }

    pub(super) fn log(&self) -> Result<String> {
        self.proxy.log()
    }

    /// One data centre dies and comes back in every way, over and over.
    pub(super) async fn trouble(&self) {
        const SPELL: Duration = Duration::from_millis(700);
        if self.way == Way::Middle {
            // There the links are the trouble.
            return std::future::pending().await;
        }
        loop {
            for behaviour in [Behaviour::Refuse, Behaviour::Close, Behaviour::Silent] {
                self.telegram.set_behaviour(TROUBLED, behaviour).await;
                tokio::time::sleep(SPELL).await;
                self.telegram.set_behaviour(TROUBLED, Behaviour::Serve).await;
                tokio::time::sleep(SPELL).await;
                self.telegram.drop_connections(TROUBLED).await;
                tokio::time::sleep(SPELL).await;
            }
        }
    }

    /// Every data centre serves again.
    pub(super) async fn peace(&self) {
        self.telegram.set_behaviour(TROUBLED, Behaviour::Serve).await;
    }

    fn gone(&self, error: &std::io::Error) -> Failure {
        let log = self.proxy.log().unwrap_or_default();
        Failure::new(format!("the proxy is gone ({error}); it said:\n{log}"))
    }
}

/// Waits until the proxy has learned where the middle proxies are, and has all the links that it keeps.
async fn links_are_warm(telegram: &Telegram, proxy: &Proxy) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let all = WARM * DC_IDS.len();
    let ready =
        |links: &[LinkInfo]| links.iter().filter(|link| link.state == LinkState::Ready).count() >= all;
    match tokio::time::timeout(PATIENCE, telegram.middle().wait_for_links(ready)).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(format!("the proxy does not open its links; it said:\n{}", proxy.log()?))),
    }
}

/// Every kind of client on one listener, time limits that a minute can show, and a log that tells why each connection ended.
fn configuration(telegram: &Telegram, cover: &CoverSite) -> String {
    let mode = match telegram.config_server() {
        None => "mode = \"direct\"".to_owned(),
        Some(server) => format!(
            "mode = \"middle\"\nlinks_per_dc = {WARM}\nprefer = \"only-ipv4\"\nip_lookup = []\n\
             proxy_secret_url = \"{}\"\nproxy_config_url = \"{}\"",
            server.url(Item::Secret),
            server.url(Item::Config)
        ),
    };
    let mut dc = String::new();
    for (id, addresses) in telegram.addresses() {
        let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        // Writing to a string never fails.
        let _ = write!(dc, "\"{id}\" = {addresses:?}, ");
    }
    format!(
        "[server]\nworkers = 2\nstate_dir = \"state\"\n\n\
         [[listen]]\nname = \"all\"\naddress = \"127.0.0.1:0\"\nsecret = \"{KEY_HEX}\"\n\
         protocols = [\"tls\", \"secure\", \"classic\"]\ndomain = \"www.example.com\"\n\n\
         [telegram]\n{mode}\nanswer_timeout = \"{ANSWER_TIMEOUT}s\"\ndc = {{ {} }}\n\n\
         [cover]\ntarget = \"{}\"\n\n[handshake]\ntimeout = \"20s\"\n\n[relay]\nidle_timeout = \"20s\"\n\n\
         [replay]\ncapacity = {FIRST_FLIGHTS}\n\n[log]\nlevel = \"debug\"\n",
        dc.trim_end_matches(", "),
        cover.target(),
    )
}
