//! What is measured: ways to the data centre, each with the process that relays on it.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use teleferry_proto::secret::SecretKey;

use crate::children::{Helper, Proxy};
use crate::clock;
use crate::cpus::Division;
use crate::failure::{Failure, Result};
use crate::load::client::{DC, DOMAIN, Protocol, Route};
use crate::load::published::{CONFIG, SECRET};
use crate::procfs::{Process, connections_to};

/// The name of what all others are compared with.
pub(crate) const REFERENCE: &str = "reference, copy";
/// Those that go over a middle proxy.
pub(crate) const MIDDLE_DD: &str = "middle dd";
pub(crate) const MIDDLE_EE: &str = "middle ee";

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
    _over_middle: OverMiddle,
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
        let middle = OverMiddle::start(program, division)?;
        let direct = |name, helper: &Helper| Subject {
            name,
            route: route(helper.address, Protocol::Direct),
            process: helper.process(),
        };
        let through = |name, proxy: &Proxy, listener, protocol| -> Result<Subject> {
            let route = route(proxy.address(listener)?, protocol);
            Ok(Subject { name, route, process: proxy.process() })
        };
        let over_middle = |name, listener, protocol| -> Result<Subject> {
            let route = middle.route(listener, protocol)?;
            Ok(Subject { name, route, process: middle.proxy.process() })
        };
        let all = vec![
            direct(REFERENCE, &copy),
            through("dd", &fast, "dd", Protocol::Padded)?,
            through("ee", &fast, "ee", Protocol::FakeTls)?,
            through("plain", &fast, "plain", Protocol::Plain)?,
            through("ee, no fast path", &careful, "ee", Protocol::FakeTls)?,
            over_middle(MIDDLE_DD, "dd", Protocol::Padded)?,
            over_middle(MIDDLE_EE, "ee", Protocol::FakeTls)?,
            direct("reference, splice", &splice),
        ];
        Ok(Self { all, _helpers: [dc, copy, splice], _proxies: [fast, careful], _over_middle: middle })
    }

    pub(crate) fn all(&self) -> &[Subject] {
        &self.all
    }
}

/// A proxy that goes over a middle proxy, which runs on the load's side.
#[derive(Debug)]
pub(crate) struct OverMiddle {
    middle: SocketAddrV4,
    _helper: Helper,
    pub(crate) proxy: Proxy,
}

impl OverMiddle {
    /// Starts both, and waits until the proxy has learned where the middle proxy is and connects.
    pub(crate) fn start(program: &Path, division: &Division) -> Result<Self> {
        const PATIENCE: Duration = Duration::from_secs(15);
        const LOOK: Duration = Duration::from_millis(10);
        let helper = Helper::start(["middle"])?;
        let (SocketAddr::V4(middle), Some(web)) = (helper.address, helper.second) else {
            return Err(Failure::new("the middle proxy does not say where it is"));
        };
        let proxy = division.on_relay_side(|| Proxy::start(program, &middle_configuration(web)))?;
        let started = clock::now();
        while connections_to(middle)? == 0 {
            if started.elapsed() > PATIENCE {
                let log = proxy.log()?;
                return Err(Failure::new(format!(
                    "the proxy has no link to the middle proxy; it said:\n{log}"
                )));
            }
            std::thread::sleep(LOOK);
        }
        Ok(Self { middle, _helper: helper, proxy })
    }

    /// How many links the proxy has.
    pub(crate) fn links(&self) -> Result<usize> {
        Ok(connections_to(self.middle)?)
    }

    pub(crate) fn route(&self, listener: &str, protocol: Protocol) -> Result<Route> {
        Ok(Route { middle: true, ..route(self.proxy.address(listener)?, protocol) })
    }
}

/// A data centre in a process of its own, on the load's side.
pub(crate) fn data_centre() -> Result<Helper> {
    Helper::start(["dc"])
}

/// A way through a relay.
pub(crate) fn route(address: SocketAddr, protocol: Protocol) -> Route {
    Route { address, protocol, key: SecretKey::new(KEY), dc: DC, middle: false }
}

/// A proxy with one worker and a listener for each kind of client, in direct mode.
pub(crate) fn configuration(data_centres: &[(i16, SocketAddr)], fast_path: bool) -> String {
    let dc: Vec<_> = data_centres.iter().map(|(dc, at)| format!("\"{dc}\" = [\"{at}\"]")).collect();
    let dc = dc.join(", ");
    format!("{}[telegram]\nmode = \"direct\"\nfast_path = {fast_path}\ndc = {{ {dc} }}\n", front())
}

/// The same over the middle proxies that are published here.
fn middle_configuration(web: SocketAddr) -> String {
    format!(
        "{}[telegram]\nmode = \"middle\"\nprefer = \"only-ipv4\"\nip_lookup = []\n\
         proxy_secret_url = \"http://{web}{SECRET}\"\nproxy_config_url = \"http://{web}{CONFIG}\"\n",
        front()
    )
}

/// What does not depend on how Telegram is reached.
fn front() -> String {
    let listener = |name: &str, protocol: &str, more: &str| {
        format!(
            "[[listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\nsecret = \"{KEY_HEX}\"\nprotocols = [\"{protocol}\"]\n{more}\n"
        )
    };
    format!(
        "[server]\nworkers = 1\nstate_dir = \"state\"\n\n{}{}{}",
        listener("plain", "classic", ""),
        listener("dd", "secure", ""),
        listener("ee", "tls", &format!("domain = \"{DOMAIN}\"\n")),
    )
}
