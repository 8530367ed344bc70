//! What Telegram publishes and how others see this machine, looked at once, without a server.

use std::net::IpAddr;

use hyper::Uri;

use super::address::{is_behind_nat, look_up};
use super::http::Http;
use super::item::{Item, Piece};
use super::known::Known;
use super::source::{Family, Source as _};
use crate::config::Telegram;

/// One of the things that Telegram publishes.
#[derive(Debug)]
pub(crate) struct Look {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Where it was asked for.
    pub(crate) url: Uri,
    /// What came of it.
    pub(crate) seen: Seen,
}

/// What came of asking for something.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It is as it should be; and how many seconds our clock is ahead, if the server told its time.
    Good(Option<i64>),
    /// Something else came.
    Strange(String),
    /// Nothing came.
    Nothing(String),
}

/// Asks for everything that Telegram publishes for proxies, at the same time. Gives what came of each, and what is known then.
pub(crate) async fn look(settings: &Telegram, known: &Known) -> ([Look; 3], Known) {
    let http = Http::new(settings);
    let [secret, config, config_v6] = Item::ALL.map(|item| look_at(&http, item, settings));
    let (secret, config, config_v6) = tokio::join!(secret, config, config_v6);
    let mut known = known.clone();
    let looks = [secret, config, config_v6].map(|(look, piece)| {
        if let Some(piece) = piece {
            known = known.clone().with(piece);
        }
        look
    });
    (looks, known)
}

async fn look_at(http: &Http, item: Item, settings: &Telegram) -> (Look, Option<Piece>) {
    let url = item.url(settings);
    let (seen, piece) = match http.get(url, item.limit(), None).await {
        Err(error) => (Seen::Nothing(error.to_string()), None),
        Ok(fetched) => match item.read(&fetched.body) {
            Ok(piece) => (Seen::Good(fetched.clock_offset), Some(piece)),
            Err(refusal) => (Seen::Strange(refusal.to_string()), None),
        },
    };
    (Look { name: item.name(), url: url.clone(), seen }, piece)
}

/// The way to Telegram over one family.
#[derive(Debug)]
pub(crate) struct Way {
    /// The address of this machine's sockets on it.
    pub(crate) own: IpAddr,
    /// Whether Telegram sees another one, because this one means nothing outside.
    pub(crate) behind_nat: bool,
    /// Under which address services see this machine, where it is behind NAT and they may be asked; or what they said.
    pub(crate) seen_as: Option<Result<IpAddr, String>>,
}

/// Looks for the way to Telegram over a family; `None` when the system knows none.
pub(crate) async fn way(settings: &Telegram, known: &Known, family: Family) -> Option<Way> {
    let http = Http::new(settings);
    let mut targets = known.middle_proxies().iter().flat_map(|(_, targets)| targets);
    let target = targets.find(|target| family.has(target.ip())).copied()?;
    let own = http.own_address(target)?;
    let behind_nat = is_behind_nat(own);
    let seen_as = if behind_nat && !settings.ip_lookup.is_empty() {
        let found = look_up(&http, &settings.ip_lookup, family).await;
        Some(found.map_err(|error| error.to_string()))
    } else {
        None
    };
    Some(Way { own, behind_nat, seen_as })
}
