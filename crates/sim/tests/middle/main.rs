//! The middle proxies as a proxy sees them that keeps the rules, and as one sees them that does not.

mod control;
mod link;
mod published;
mod relay;
mod rogue;
mod violations;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use teleferry_sim::telegram::{Options, Telegram};

fn telegram() -> Telegram {
    Telegram::start(&Options::default()).unwrap().with_middle_proxies(1).unwrap()
}

/// IPv4 and IPv6; `None` on a machine that has no IPv6.
fn telegram_on_both() -> Option<Telegram> {
    let listen: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Telegram::start(&Options { listen }).ok()?.with_middle_proxies(1).ok()
}

/// The first middle proxy of an id.
fn endpoint(telegram: &Telegram, dc: i16) -> SocketAddr {
    telegram.middle().endpoints().iter().find(|endpoint| endpoint.dc == dc).unwrap().address
}
