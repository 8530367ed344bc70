//! Settings of the kernel that matter to a proxy. All of them are advice: it runs with any.

use std::fs;

use super::Finding;
use crate::config::Snapshot;

const KERNEL: &str = "kernel";
/// Connections that may wait to be accepted, as the listener asks.
const BACKLOG: u64 = 4096;

/// What the kernel is set to; `None` where it does not tell.
#[derive(Debug, Clone, Default)]
struct Kernel {
    somaxconn: Option<u64>,
    /// Connections that the firewall follows now, and those that it can.
    tracked: Option<(u64, u64)>,
    congestion: Option<String>,
    congestion_available: Option<String>,
    /// Connections to one address that can be open or have just closed.
    tw_buckets: Option<u64>,
    ports: Option<(u64, u64)>,
}

/// What could be better, or that nothing could.
pub(super) fn examine(snapshot: &Snapshot) -> Vec<Finding> {
    Kernel::now().judge(snapshot)
}

impl Kernel {
    fn now() -> Self {
        let tracked =
            number("net/netfilter/nf_conntrack_count").zip(number("net/netfilter/nf_conntrack_max"));
        let ports = text("net/ipv4/ip_local_port_range").and_then(|range| {
            let (first, last) = range.split_once(char::is_whitespace)?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        });
        Self {
            somaxconn: number("net/core/somaxconn"),
            tracked,
            congestion: text("net/ipv4/tcp_congestion_control"),
            congestion_available: text("net/ipv4/tcp_available_congestion_control"),
            tw_buckets: number("net/ipv4/tcp_max_tw_buckets"),
            ports,
        }
    }

    fn judge(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let connections = snapshot.server.max_connections as u64;
        let found = [
            self.backlog(),
            self.tracking(connections),
            self.congestion(),
            self.time_wait(connections),
            self.port_range(),
        ];
        let found: Vec<Finding> = found.into_iter().flatten().collect();
        if found.is_empty() {
            return vec![Finding::fine(KERNEL, "its settings carry the proxy")];
        }
        found
    }

    fn backlog(&self) -> Option<Finding> {
        let somaxconn = self.somaxconn.filter(|&somaxconn| somaxconn < BACKLOG)?;
        Some(Finding::advice(
            KERNEL,
            format!("net.core.somaxconn is {somaxconn}"),
            "when many clients come back at once, after an outage for example, some are turned away",
            "sysctl -w net.core.somaxconn=4096 (and in /etc/sysctl.d, so that it stays)",
        ))
    }

    /// A full table drops packets of new connections, which looks like a proxy that does not answer.
    fn tracking(&self, connections: u64) -> Option<Finding> {
        let (count, max) = self.tracked?;
        let advice = format!("sysctl -w net.netfilter.nf_conntrack_max={}", (connections * 4).max(max * 2));
        if count >= max / 10 * 9 {
            return Some(Finding::wrong(
                KERNEL,
                format!("the firewall's connection table is nearly full ({count} of {max})"),
                "new connections are dropped without a word",
                &advice,
            ));
        }
        (max < connections * 2).then(|| {
            Finding::advice(
                KERNEL,
                format!(
                    "the firewall follows {max} connections at most, server.max_connections is {connections}"
                ),
                "long before the proxy is full, the firewall drops new connections without a word",
                &advice,
            )
        })
    }

    fn congestion(&self) -> Option<Finding> {
        let (used, available) = (self.congestion.as_ref()?, self.congestion_available.as_ref()?);
        let has_bbr = available.split_whitespace().any(|one| one == "bbr");
        (used != "bbr" && has_bbr).then(|| {
            Finding::advice(
                KERNEL,
                format!("TCP sends with {used}, and bbr is there"),
                "on ways that lose packets, mobile networks for example, bbr is often faster",
                "try it: sysctl -w net.core.default_qdisc=fq net.ipv4.tcp_congestion_control=bbr",
            )
        })
    }

    fn time_wait(&self, connections: u64) -> Option<Finding> {
        let buckets = self.tw_buckets.filter(|&buckets| buckets < connections / 8)?;
        Some(Finding::advice(
            KERNEL,
            format!("net.ipv4.tcp_max_tw_buckets is {buckets}"),
            "connections that have just ended are forgotten early, and a late packet may disturb a new one",
            "sysctl -w net.ipv4.tcp_max_tw_buckets=65536",
        ))
    }

    fn port_range(&self) -> Option<Finding> {
        let (first, last) = self.ports?;
        let ports = last.saturating_sub(first);
        (ports < 16_384).then(|| {
            Finding::advice(
                KERNEL,
                format!("{ports} ports are there for outgoing connections to one address"),
                "in direct mode each client needs one",
                "sysctl -w net.ipv4.ip_local_port_range='15000 65000'",
            )
        })
    }
}

fn text(name: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{name}")).ok().map(|text| text.trim().to_owned())
}

fn number(name: &str) -> Option<u64> {
    text(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::doctor::Level;

    fn judged(kernel: &Kernel) -> Vec<(Level, String)> {
        let snapshot = config::for_tests(
            "[server]\nmax_connections = 100000\n[[listen]]\naddress = \"127.0.0.1:443\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"a.example\"\n",
        );
        kernel.judge(&snapshot).into_iter().map(|finding| (finding.level, finding.found)).collect()
    }

    #[test]
    fn a_kernel_that_tells_nothing_or_is_well_is_fine() {
        let well = Kernel {
            somaxconn: Some(4096),
            tracked: Some((10, 400_000)),
            congestion: Some("bbr".into()),
            congestion_available: Some("reno cubic bbr".into()),
            tw_buckets: Some(65_536),
            ports: Some((32_768, 60_999)),
        };
        for kernel in [Kernel::default(), well] {
            assert_eq!(judged(&kernel).iter().map(|(level, _)| *level).collect::<Vec<_>>(), [Level::Ok]);
        }
    }

    #[test]
    fn each_setting_is_advice_and_a_full_table_is_to_be_mended() {
        let poor = Kernel {
            somaxconn: Some(128),
            tracked: Some((10, 65_536)),
            congestion: Some("cubic".into()),
            congestion_available: Some("reno cubic bbr".into()),
            tw_buckets: Some(4096),
            ports: Some((50_000, 60_000)),
        };
        let told = judged(&poor);
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told.iter().all(|(level, _)| *level == Level::Advice), "{told:?}");
        let full = Kernel { tracked: Some((65_000, 65_536)), ..Kernel::default() };
        assert_eq!(judged(&full)[0].0, Level::Mend);
        let no_bbr = Kernel { congestion_available: Some("reno cubic".into()), ..poor };
        assert_eq!(judged(&no_bbr).len(), 4);
    }
}
