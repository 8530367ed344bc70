//! What is measured: ways to the data centre, each with the process that relays on it.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use teleferry_proto::secret::SecretKey;

use super::split::{Pair, SPLIT_DD, SPLIT_EE};
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
    /// What does the work: the relay, or both halves of it.
    pub(crate) processes: Vec<Process>,
}

/// All of them, running.
#[derive(Debug)]
pub(crate) struct Subjects {
    all: Vec<Subject>,
    _helpers: Vec<Helper>,
    _proxies: Vec<Proxy>,
    _over_middle: OverMiddle,
    /// Where split operation is measured.
    pub(super) pair: Option<Pair>,
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
            processes: vec![helper.process()],
        };
        let through = |name, proxy: &Proxy, listener, protocol| -> Result<Subject> {
            let route = route(proxy.address(listener)?, protocol);
            Ok(Subject { name, route, processes: vec![proxy.process()] })
        };
        let over_middle = |name, listener, protocol| -> Result<Subject> {
            let route = middle.route(listener, protocol)?;
            Ok(Subject { name, route, processes: vec![middle.proxy.process()] })
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
        let (helpers, proxies) = (vec![dc, copy, splice], vec![fast, careful]);
        Ok(Self { all, _helpers: helpers, _proxies: proxies, _over_middle: middle, pair: None })
    }

    /// A proxy in two halves, and the same in one process.
    pub(crate) fn start_split(program: &Path, division: &Division) -> Result<Self> {
        let dc = data_centre()?;
        let target = dc.address.to_string();
        let copy =
            division.on_relay_side(|| Helper::start(["reference", "--mode", "copy", "--target", &target]))?;
        let middle = OverMiddle::start(program, division)?;
        let pair = Pair::start(program, division)?;
        let subject = |name, route, processes| Subject { name, route, processes };
        let whole = || vec![middle.proxy.process()];
        let all = vec![
            subject(REFERENCE, route(copy.address, Protocol::Direct), vec![copy.process()]),
            subject(MIDDLE_DD, middle.route("dd", Protocol::Padded)?, whole()),
            subject(SPLIT_DD, pair.route("dd", Protocol::Padded)?, pair.processes()),
            subject(MIDDLE_EE, middle.route("ee", Protocol::FakeTls)?, whole()),
            subject(SPLIT_EE, pair.route("ee", Protocol::FakeTls)?, pair.processes()),
        ];
        let helpers = vec![dc, copy];
        Ok(Self { all, _helpers: helpers, _proxies: Vec::new(), _over_middle: middle, pair: Some(pair) })
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
        Self::start_with(program, division, &listeners())
    }

    /// The same with a proxy whose configuration begins like this.
    pub(super) fn start_with(program: &Path, division: &Division, configuration: &str) -> Result<Self> {
        let helper = Helper::start(["middle"])?;
        let (SocketAddr::V4(middle), Some(web)) = (helper.address, helper.second) else {
            return Err(Failure::new("the middle proxy does not say where it is"));
        };
        let proxy = division.on_relay_side(|| Proxy::start(program, &over_middle(configuration, web)))?;
        wait_for_connection(&proxy, "middle proxy", middle)?;
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

/// Waits until a proxy has a connection to what is at this address.
pub(super) fn wait_for_connection(proxy: &Proxy, to: &str, address: SocketAddrV4) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(15);
    const LOOK: Duration = Duration::from_millis(10);
    let started = clock::now();
    while connections_to(address)? == 0 {
        if started.elapsed() > PATIENCE {
            let log = proxy.log()?;
            return Err(Failure::new(format!("the proxy has no connection to the {to}; it said:\n{log}")));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
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
    format!("{}[telegram]\nmode = \"direct\"\nfast_path = {fast_path}\ndc = {{ {dc} }}\n", listeners())
}

/// A configuration that goes over the middle proxies that are published here.
fn over_middle(configuration: &str, web: SocketAddr) -> String {
    format!(
        "{configuration}[telegram]\nmode = \"middle\"\nprefer = \"only-ipv4\"\nip_lookup = []\n\
         proxy_secret_url = \"http://{web}{SECRET}\"\nproxy_config_url = \"http://{web}{CONFIG}\"\n"
    )
}

/// What does not depend on how Telegram is reached.
pub(super) fn listeners() -> String {
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
