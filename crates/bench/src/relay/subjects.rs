//! What is measured: ways to the data centre, each with the process that relays on it.

use std::net::SocketAddr;
use std::path::Path;

use teleferry_proto::secret::SecretKey;

use crate::children::{Helper, Proxy};
use crate::cpus::Division;
use crate::failure::Result;
use crate::load::client::{DC, DOMAIN, Protocol, Route};
use crate::procfs::Process;

/// The name of what all others are compared with.
pub(crate) const REFERENCE: &str = "reference, copy";

const KEY_HEX: &str = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
const KEY: [u8; 16] = 0x8f1d_5b0c_4e3a_4971_9c2b_7d60_a5e4_f312_u128.to_be_bytes();

/// One of them.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) route: Route,
    pub(crate) process: Process,
}

/// All of them, running.
#[derive(Debug)]
pub(crate) struct Subjects {
    all: Vec<Subject>,
    _helpers: [Helper; 3],
    _proxies: [Proxy; 2],
}

impl Subjects {
    pub(crate) fn start(program: &Path, division: &Division) -> Result<Self> {
        let dc = data_centre()?;
        let target = dc.address.to_string();
        let reference = |mode| {
            division.on_relay_side(|| Helper::start(["reference", "--mode", mode, "--target", &target]))
        };
        let (copy, splice) = (reference("copy")?, reference("splice")?);
        let proxy = |fast| {
            division.on_relay_side(|| Proxy::start(program, &configuration(&[(DC, dc.address)], fast)))
        };
        let (fast, careful) = (proxy(true)?, proxy(false)?);
        let direct = |name, helper: &Helper| Subject {
            name,
            route: route(helper.address, Protocol::Direct),
            process: helper.process(),
        };
        let through = |name, proxy: &Proxy, listener, protocol| -> Result<Subject> {
            let route = route(proxy.address(listener)?, protocol);
            Ok(Subject { name, route, process: proxy.process() })
        };
        let all = vec![
            direct(REFERENCE, &copy),
            through("dd", &fast, "dd", Protocol::Padded)?,
            through("ee", &fast, "ee", Protocol::FakeTls)?,
            through("plain", &fast, "plain", Protocol::Plain)?,
            through("ee, no fast path", &careful, "ee", Protocol::FakeTls)?,
            direct("reference, splice", &splice),
        ];
        Ok(Self { all, _helpers: [dc, copy, splice], _proxies: [fast, careful] })
    }

    pub(crate) fn all(&self) -> &[Subject] {
        &self.all
    }
}

/// A data centre in a process of its own, on the load's side.
pub(crate) fn data_centre() -> Result<Helper> {
    Helper::start(["dc"])
}

/// A way through a relay.
pub(crate) fn route(address: SocketAddr, protocol: Protocol) -> Route {
    Route { address, protocol, key: SecretKey::new(KEY), dc: DC }
}

/// A proxy with one worker and a listener for each kind of client.
pub(crate) fn configuration(data_centres: &[(i16, SocketAddr)], fast_path: bool) -> String {
    let listener = |name: &str, protocol: &str, more: &str| {
        format!(
            "[[listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nsecret = \"{KEY_HEX}\"\nprotocols = [\"{protocol}\"]\n{more}\n"
        )
    };
    let dc: Vec<_> = data_centres.iter().map(|(dc, at)| format!("\"{dc}\" = [\"{at}\"]")).collect();
    format!(
        "[server]\nworkers = 1\nstate_dir = \"state\"\n\n{}{}{}[telegram]\nfast_path = {fast_path}\ndc = {{ {} }}\n",
        listener("plain", "classic", ""),
        listener("dd", "secure", ""),
        listener("ee", "tls", &format!("domain = \"{DOMAIN}\"\n")),
        dc.join(", "),
    )
}
