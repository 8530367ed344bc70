//! Every key there is: changed, changed again and deleted, while clients talk.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use teleferry::config::{self, Overrides, Snapshot, keys};
use teleferry::server::Server;
use teleferry_sim::config_server::Item;
use tempfile::TempDir;

use super::crowd::{Crowd, addresses_of};
use crate::common::soon;
use crate::stage::Stage;

/// A key, two values for it, and what the report calls it.
struct Row {
    section: &'static str,
    key: &'static str,
    values: [&'static str; 2],
    told: &'static str,
}

const fn row(section: &'static str, key: &'static str, values: [&'static str; 2]) -> Row {
    Row { section, key, values, told: "" }
}

/// A key of the listener "edited", which the report tells in words.
const fn listener(key: &'static str, values: [&'static str; 2], told: &'static str) -> Row {
    Row { section: "listen", key, values, told }
}

const ROWS: &[Row] = &[
    row("server", "workers", ["2", "3"]),
    row("server", "state_dir", ["\"a\"", "\"b\""]),
    row("server", "public_host", ["\"a.example\"", "\"b.example\""]),
    row("server", "max_connections", ["500", "600"]),
    row("server", "drain", ["\"20m\"", "\"30m\""]),
    listener("name", ["\"other\"", "\"third\""], "added at"),
    listener(
        "address",
        ["[\"127.0.0.1:0\", \"127.0.0.2:0\"]", "[\"127.0.0.1:0\", \"127.0.0.3:0\"]"],
        "address 127.0.0.",
    ),
    listener(
        "secret",
        ["\"0b7c91d2e8f64a35bc1d7e90f2a3645c\"", "\"8f1d5b0c4e3a49719c2b7d60a5e4f312\""],
        "secret changed",
    ),
    listener("secret_file", ["\"a.txt\"", "\"b.txt\""], "secret changed"),
    listener(
        "secrets",
        [
            "{ alice = \"0b7c91d2e8f64a35bc1d7e90f2a3645c\" }",
            "{ alice = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\" }",
        ],
        "secret `alice`",
    ),
    listener(
        "ad_tag",
        ["\"5d0e2b7f9a1c4836be7d20c1f4a59e63\"", "\"11f0a7c35d2e4b68907a6c5d4e3f2b1a\""],
        "ad_tag",
    ),
    listener("protocols", ["[\"tls\"]", "[\"tls\", \"secure\"]"], "protocols"),
    listener("domain", ["\"a.example\"", "\"b.example\""], "domain"),
    listener("max_connections", ["50", "60"], "max_connections"),
    row("telegram", "mode", ["\"auto\"", "\"middle\""]),
    row("telegram", "fast_path", ["false", "true"]),
    row("telegram", "dc", ["{ \"2\" = [\"127.0.0.1:9\"] }", "{ \"2\" = [\"127.0.0.1:10\"] }"]),
    row("telegram", "default_dc", ["4", "\"none\""]),
    row("telegram", "prefer", ["\"ipv6\"", "\"only-ipv4\""]),
    row("telegram", "connect_timeout", ["\"3s\"", "\"4s\""]),
    row("telegram", "answer_timeout", ["\"3s\"", "\"4s\""]),
    row("telegram", "proxy_secret_url", ["\"http://127.0.0.1:9/a\"", "\"http://127.0.0.1:9/b\""]),
    row("telegram", "proxy_config_url", ["\"http://127.0.0.1:9/a\"", "\"http://127.0.0.1:9/b\""]),
    row("telegram", "proxy_config_v6_url", ["\"http://127.0.0.1:9/a\"", "\"http://127.0.0.1:9/b\""]),
    row("telegram", "refresh", ["\"2h\"", "\"3h\""]),
    row("telegram", "http_timeout", ["\"3s\"", "\"4s\""]),
    row("telegram", "external_ip", ["[\"192.0.2.1\"]", "[\"192.0.2.2\"]"]),
    row("telegram", "ip_lookup", ["[\"http://127.0.0.1:9/\"]", "[\"http://127.0.0.1:10/\"]"]),
    row("telegram", "links_per_dc", ["1", "3"]),
    row("telegram", "clients_per_link", ["10", "20"]),
    row("telegram", "crc32c", ["false", "true"]),
    row("cover", "target", ["\"127.0.0.1:9\"", "\"unix:/nowhere\""]),
    row("cover", "only_domains", ["[\"a.invalid\"]", "[\"a.invalid\", \"b.invalid:8443\"]"]),
    row("cover", "proxy_protocol", ["\"v1\"", "\"v2\""]),
    row("cover", "profile", ["\"off\"", "\"auto\""]),
    row("cover", "latency", ["\"off\"", "\"auto\""]),
    row("cover", "connect_timeout", ["\"3s\"", "\"4s\""]),
    row("handshake", "timeout", ["\"30s\"", "\"40s\""]),
    row("handshake", "clock_skew_past", ["\"3m\"", "\"4m\""]),
    row("handshake", "clock_skew_future", ["\"3m\"", "\"4m\""]),
    row("relay", "idle_timeout", ["\"30m\"", "\"40m\""]),
    row("relay", "filter_server_errors", ["\"off\"", "\"on\""]),
    row("log", "file", ["\"a.log\"", "\"b.log\""]),
    row("log", "level", ["\"warn\"", "\"debug\""]),
    row("log", "format", ["\"json\"", "\"text\""]),
    row("log", "mask_addresses", ["false", "true"]),
    row("admin", "socket", ["\"a.sock\"", "\"off\""]),
    row("admin", "http", ["\"127.0.0.1:9180\"", "\"127.0.0.1:9181\""]),
    row("admin", "token_file", ["\"a.txt\"", "\"b.txt\""]),
    row("admin", "seed_metric_names", ["true", "false"]),
    row("relay", "frame_timeout", ["\"50s\"", "\"70s\""]),
    row("limits", "client_queue", ["\"1MiB\"", "\"2MiB\""]),
    row("limits", "memory", ["\"64MiB\"", "\"65MiB\""]),
    row("limits", "handshakes", ["100", "200"]),
    row("limits", "new_per_second", ["100000", "200000"]),
    listener("proxy_protocol", ["\"optional\"", "\"required\""], "proxy_protocol"),
    listener("proxy_protocol_from", ["[\"192.0.2.1\"]", "[]"], "proxy_protocol_from"),
    row("replay", "enabled", ["false", "true"]),
    row("replay", "capacity", ["1000", "2000"]),
    row("replay", "max_age", ["\"3d\"", "\"4d\""]),
    row("replay", "persist", ["false", "true"]),
    row("sni_secrets", "enabled", ["true", "false"]),
    row("sni_secrets", "salt", ["\"one salt\"", "\"another salt\""]),
    policy("rule", ["\"not_in_table\"", "\"in_table\""]),
    policy("key", ["\"client_ipv4\"", "\"client_ipv4/24\""]),
    policy("table", ["\"second\"", "\"first\""]),
    policy("keys", ["\"secret\"", "[\"listener\", \"client_ip\"]"]),
    policy("limit", ["20", "30"]),
    policy("listeners", ["\"edited\"", "[\"edited\", \"stays\"]"]),
    table("kind", ["\"domain\"", "\"network\""], "kind"),
    table("entries", ["[\"10.0.0.0/8\"]", "[\"10.0.0.1\"]"], "entries"),
    table("source", ["\"a.txt\"", "\"b.txt\""], "source"),
    table("refresh", ["\"1h\"", "\"2h\""], "refresh"),
];

/// A key of the one rule.
const fn policy(key: &'static str, values: [&'static str; 2]) -> Row {
    Row { section: "policy", key, values, told: "policy: 1 rule" }
}

/// A key of a table that no rule asks.
const fn table(key: &'static str, values: [&'static str; 2], told: &'static str) -> Row {
    Row { section: "tables", key, values, told }
}

/// The listener that stays, and the tables of the rule.
const REST: &str = r#"
[[listen]]
name = "stays"
address = "127.0.0.1:0"
secret = "7369787465656e2062797465732e2e2e"
protocols = ["tls", "secure", "classic"]
domain = "www.example.com"
[tables.first]
kind = "network"
entries = "127.0.0.0/8"
[tables.second]
kind = "network"
entries = "127.0.0.1"
"#;

/// Every section that has rows, with its heading.
const HEADINGS: [(&str, &str); 13] = [
    ("server", "[server]"),
    ("telegram", "[telegram]"),
    ("cover", "[cover]"),
    ("handshake", "[handshake]"),
    ("relay", "[relay]"),
    ("limits", "[limits]"),
    ("log", "[log]"),
    ("admin", "[admin]"),
    ("replay", "[replay]"),
    ("sni_secrets", "[sni_secrets]"),
    ("policy", "[[policy]]"),
    ("tables", "[tables.third]"),
    ("listen", "[[listen]]"),
];

/// A file whose keys can be changed one by one.
#[derive(Clone)]
struct File(BTreeMap<String, String>);

impl File {
    /// Two listeners in front of a simulated Telegram.
    fn new(stage: &Stage) -> Self {
        let mut file = Self(BTreeMap::new());
        file.set("server", "workers", "1");
        file.set("server", "drain", "\"1h\"");
        for (key, value) in [
            ("name", "\"edited\""),
            ("address", "\"127.0.0.1:0\""),
            // "sixteen bytes..." in hexadecimal digits.
            ("secret", "\"7369787465656e2062797465732e2e2e\""),
            ("protocols", "[\"tls\", \"secure\", \"classic\"]"),
            ("domain", "\"www.example.com\""),
            ("proxy_protocol_from", "[\"192.0.2.0/24\"]"),
        ] {
            file.set("listen", key, value);
        }
        file.set("telegram", "mode", "\"direct\"");
        let mut addresses = String::new();
        for (dc, at) in stage.telegram.addresses() {
            let at: Vec<String> = at.iter().map(|address| format!("\"{address}\"")).collect();
            let _ = write!(addresses, "\"{dc}\" = [{}], ", at.join(", "));
        }
        file.set("telegram", "dc", &format!("{{ {} }}", addresses.trim_end_matches(", ")));
        file.set("telegram", "ip_lookup", "[]");
        file.set("sni_secrets", "salt", "\"a salt\"");
        file.set("policy", "rule", "\"in_table\"");
        file.set("policy", "key", "\"client_ip\"");
        file.set("policy", "table", "\"first\"");
        file.set("tables", "kind", "\"network\"");
        let server = stage.telegram.config_server().expect("it has one");
        for (key, item) in [
            ("proxy_secret_url", Item::Secret),
            ("proxy_config_url", Item::Config),
            ("proxy_config_v6_url", Item::ConfigV6),
        ] {
            file.set("telegram", key, &format!("\"{}\"", server.url(item)));
        }
        file
    }

    fn set(&mut self, section: &str, key: &str, value: &str) {
        self.0.insert(format!("{section}.{key}"), value.to_owned());
    }

    fn unset(&mut self, section: &str, key: &str) {
        self.0.remove(&format!("{section}.{key}"));
    }

    /// Takes out and adds what a row's key cannot be with or without.
    fn make_room_for(&mut self, row: &Row) {
        match (row.section, row.key) {
            ("listen", "secret_file") => self.unset("listen", "secret"),
            ("policy", "keys" | "limit") => {
                self.unset("policy", "key");
                self.unset("policy", "table");
                self.set("policy", "rule", "\"max_connections\"");
                self.set("policy", "keys", "\"listener\"");
                self.set("policy", "limit", "10");
            }
            ("tables", "refresh") => self.set("tables", "source", "\"a.txt\""),
            _ => {}
        }
    }

    fn load(&self, directory: &Path) -> Snapshot {
        let mut text = String::new();
        for (section, heading) in HEADINGS {
            let _ = writeln!(text, "{heading}");
            for (key, value) in self
                .0
                .iter()
                .filter_map(|(path, value)| Some((path.strip_prefix(section)?.strip_prefix('.')?, value)))
            {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text.push_str(REST);
        let path = directory.join("teleferry.toml");
        std::fs::write(&path, text).expect("written");
        config::load(&path, &Overrides::default(), &directory.join("state")).expect("a valid file")
    }
}

#[test]
fn the_table_has_every_key_there_is() {
    // What a process is cannot change; the keys of halves are in `roles`.
    let there: BTreeSet<(&str, &str)> = keys::SECTIONS
        .iter()
        .filter(|section| section.name.split('.').next() != Some("role"))
        .flat_map(|section| section.keys.iter().map(|key| (section.name, key.name)))
        .collect();
    let rows: BTreeSet<(&str, &str)> = ROWS.iter().map(|row| (row.section, row.key)).collect();
    assert_eq!(rows, there, "give every key a row with two values");
}

#[tokio::test]
async fn every_key_is_taken_up_or_told_to_need_a_restart_and_nobody_is_dropped() {
    let stage = Stage::new();
    let directory = tempfile::tempdir().expect("a directory");
    for (name, secret) in
        [("a.txt", "0b7c91d2e8f64a35bc1d7e90f2a3645c"), ("b.txt", "8f1d5b0c4e3a49719c2b7d60a5e4f312")]
    {
        std::fs::write(directory.path().join(name), secret).expect("written");
    }
    let base = File::new(&stage);
    let server = Server::start(Arc::new(base.load(directory.path()))).expect("loopback has room");
    let mut edited = Crowd::at(addresses_of(&server, "edited")[0]).await;
    let mut stays = Crowd::at(addresses_of(&server, "stays")[0]).await;
    for row in ROWS {
        try_row(row, &base, &directory, &server).await;
        edited.goes_on().await;
        stays.goes_on().await;
    }
    assert_eq!(edited.rest().await.len() + stays.rest().await.len(), 8);
    let all_gone = async {
        while server.counts("stays").expect("there").open > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(all_gone).await;
}

/// Gives a key two values, one after the other, takes it out of the file, and goes back to the beginning.
async fn try_row(row: &Row, base: &File, directory: &TempDir, server: &Server) {
    let mut file = base.clone();
    file.make_room_for(row);
    if row.key == "only_domains" {
        file.set("cover", "target", "\"sni\"");
    }
    for value in row.values {
        file.set(row.section, row.key, value);
        step(row, &file, directory, server).await;
    }
    file.unset(row.section, row.key);
    if row.key == "only_domains" {
        file.unset("cover", "target");
    }
    // A listener has to have an address and a secret, the cover domain comes with fake TLS, and a rule is a whole.
    let needed = match row.section {
        "listen" => matches!(row.key, "address" | "secret" | "secret_file" | "domain"),
        "policy" => row.key != "listeners",
        "tables" => row.key == "kind",
        _ => false,
    };
    if !needed {
        step(row, &file, directory, server).await;
    }
    soon(server.reload(base.load(directory.path()))).await.expect("back to the beginning");
}

async fn step(row: &Row, file: &File, directory: &TempDir, server: &Server) {
    let Row { section, key, told, .. } = row;
    let before = server.snapshot();
    let mut wanted = file.load(directory.path());
    let report = soon(server.reload(wanted.clone())).await.expect("a valid change");
    let fixed = keys::SECTIONS
        .iter()
        .filter(|known| known.name == *section)
        .flat_map(|known| known.keys.iter())
        .any(|known| known.name == *key && known.change == keys::Change::Restart);
    if *before == wanted {
        assert_eq!(report, teleferry::control::ReloadReport::default());
    } else {
        let (said, other) =
            if fixed { (&report.restart, &report.changes) } else { (&report.changes, &report.restart) };
        let name = if told.is_empty() { format!("{section}.{key}") } else { (*told).to_owned() };
        assert!(said.iter().any(|words| words.contains(&name)), "{section}.{key}: {report:?}");
        assert!(other.is_empty(), "{section}.{key}: {report:?}");
    }
    wanted.keep_what_needs_a_restart(&before);
    assert_eq!(*server.snapshot(), wanted, "{section}.{key}");
}
