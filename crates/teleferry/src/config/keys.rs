//! Every key there is: its type, default and meaning. What the file may say, `check --explain` and the reference page all
//! come from this one table.

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Whether it may be there many times: `[[name]]`.
    pub repeated: bool,
    /// What it is about.
    pub meaning: &'static str,
    /// Its keys, in the order to tell them.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: &'static str,
    /// Its default or an example of a value, as TOML.
    pub value: Value,
    /// What it does.
    pub meaning: &'static str,
    /// When a change takes effect.
    pub change: Change,
}

/// When a changed key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// With a reload.
    Live,
    /// With the next start.
    Restart,
}

/// What a key has when the file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// This.
    Default(&'static str),
    /// Nothing; a value would look like this.
    Example(&'static str),
    /// It depends on the machine; told in words.
    Varies(&'static str),
}

impl Section {
    /// The table's heading in the file.
    #[must_use]
    pub fn heading(&self) -> String {
        match self.name {
            name if self.repeated => format!("[[{name}]]"),
            name if self.is_named() => format!("[{name}.NAME]"),
            name => format!("[{name}]"),
        }
    }

    /// Whether there may be many, each with a name of the operator's choosing: `[name.NAME]`.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name == TABLES
    }
}

/// Whether a change of `section.key` needs a restart.
pub(super) fn needs_restart(path: &str) -> bool {
    // Some sections have a dot in their name.
    path.rsplit_once('.').is_some_and(|(section, name)| {
        let section = SECTIONS.iter().find(|known| known.name == section);
        section.is_some_and(|section| {
            section.keys.iter().any(|key| key.name == name && key.change == Change::Restart)
        })
    })
}

const fn key(name: &'static str, kind: &'static str, value: Value, meaning: &'static str) -> Key {
    Key { name, kind, value, meaning, change: Change::Live }
}

/// A key whose change needs a restart.
const fn fixed(name: &'static str, kind: &'static str, value: Value, meaning: &'static str) -> Key {
    Key { change: Change::Restart, ..key(name, kind, value, meaning) }
}

/// The section of tables.
const TABLES: &str = "tables";

/// The whole table, in the order of the reference.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        repeated: false,
        meaning: "The process as a whole.",
        keys: &[
            fixed("workers", "number", Value::Default("0"), "Data-plane threads; 0 means one a core."),
            fixed(
                "state_dir",
                "path",
                Value::Varies(
                    "/var/lib/teleferry for root and for services, else $XDG_STATE_HOME/teleferry or ~/.local/state/teleferry",
                ),
                "Where state is kept from one start to the next. A relative path begins at the file's directory.",
            ),
            key(
                "public_host",
                "host name or address",
                Value::Example("\"proxy.example.com\""),
                "The host in links. Without it, links carry the first address of an interface.",
            ),
            key("max_connections", "number", Value::Default("65536"), "Connections over all listeners."),
            key(
                "drain",
                "duration",
                Value::Default("\"10s\""),
                "How long connections may go on after a stop is asked for.",
            ),
        ],
    },
    Section {
        name: "listen",
        repeated: true,
        meaning: "Where clients come in. At least one; every listener has its own secrets and kinds of client.",
        keys: &[
            key(
                "name",
                "string",
                Value::Default("\"main\""),
                "The listener's name in logs and metrics. Every listener needs its own.",
            ),
            key(
                "address",
                "address or list of addresses",
                Value::Example("\"0.0.0.0:443\""),
                "\"IP:PORT\", \"[IPv6]:PORT\" (\"[::]:443\" takes IPv4 too), \"unix:PATH\" or \"systemd:NAME\". Port 0 lets the system choose.",
            ),
            key(
                "secret",
                "secret",
                Value::Example("\"<32 hex digits>\""),
                "The base secret. `teleferry secret` makes one.",
            ),
            key(
                "secret_file",
                "path",
                Value::Example("\"secret.txt\""),
                "A file that holds the base secret, instead of `secret`. A relative path begins at the file's directory.",
            ),
            key(
                "secrets",
                "table of secrets",
                Value::Example("{ alice = \"<32 hex digits>\" }"),
                "Named secrets, beside the base secret or instead of it.",
            ),
            key(
                "ad_tag",
                "ad tag",
                Value::Example("\"<32 hex digits>\""),
                "The tag that Telegram's @MTProxybot gives out: clients of this listener see the channel it promotes. It needs middle proxies.",
            ),
            key(
                "protocols",
                "list of tls, secure, classic",
                Value::Default("[\"tls\"]"),
                "The kinds of client that are served: tls (ee secrets, fake TLS), secure (dd secrets), classic (plain secrets).",
            ),
            key(
                "domain",
                "host name",
                Value::Example("\"www.example.com\""),
                "The cover domain: what fake-TLS clients name as the site they visit. Needed with tls.",
            ),
            key("max_connections", "number", Value::Default("65536"), "Connections to this listener."),
            key(
                "proxy_protocol",
                "off, optional or required",
                Value::Default("\"off\""),
                "Whether a load balancer in front tells whose connection it passes on, in a PROXY protocol header of version 1 or 2. With required, a connection from there without one is a stranger.",
            ),
            key(
                "proxy_protocol_from",
                "list of networks",
                Value::Default("[]"),
                "The load balancers: only their headers count, and what others send is taken as it is. Whoever comes through a unix socket is one too.",
            ),
        ],
    },
    TELEGRAM,
    Section {
        name: "cover",
        repeated: false,
        meaning: "The site that everybody sees who is not a client.",
        keys: &[
            key(
                "target",
                "\"off\", \"HOST:PORT\", \"unix:PATH\" or \"sni\"",
                Value::Default("\"off\""),
                "Where strangers are taken, from their first byte; \"sni\" takes them to the host that their TLS hello names, if it is listed in only_domains. Without a target they are told nothing and closed after a while, which a probe can tell from a site.",
            ),
            key(
                "connect_timeout",
                "duration",
                Value::Default("\"10s\""),
                "For each of the site's addresses.",
            ),
            key(
                "only_domains",
                "host or list of hosts, each with a port or on 443",
                Value::Example("[\"www.example.com\", \"shop.example.com\"]"),
                "With target = \"sni\", which needs it: the hosts that may be connected to. Who names none of them, or nothing, is taken to the first.",
            ),
            key(
                "proxy_protocol",
                "off, v1 or v2",
                Value::Default("\"off\""),
                "Tells the site whose connection it is, with a PROXY protocol header in front of the visitor's bytes. The site has to expect one.",
            ),
            key(
                "profile",
                "auto or off",
                Value::Default("\"auto\""),
                "auto: the site is asked now and then how it answers clients, and the answers that they get from here are like its own as far as they can be. off: they are those of an ordinary server.",
            ),
            key(
                "latency",
                "auto or off",
                Value::Default("\"auto\""),
                "auto: a client's handshake is answered as late as the site answers a visitor's (a second at most), so that its time tells nobody which of them it was. off: at once, which is sooner by two round trips to the site.",
            ),
        ],
    },
    Section {
        name: "handshake",
        repeated: false,
        meaning: "The first bytes of a connection.",
        keys: &[
            key(
                "timeout",
                "duration",
                Value::Default("\"60s\""),
                "From the connection to its first relayed byte. Visitors of the cover site are not subject to it.",
            ),
            key(
                "clock_skew_past",
                "duration",
                Value::Default("\"10m\""),
                "How far a fake-TLS client's clock may be behind.",
            ),
            key(
                "clock_skew_future",
                "duration",
                Value::Default("\"20m\""),
                "How far a fake-TLS client's clock may be ahead.",
            ),
        ],
    },
    Section {
        name: "relay",
        repeated: false,
        meaning: "Connections of proven clients.",
        keys: &[
            key(
                "idle_timeout",
                "duration",
                Value::Default("\"20m\""),
                "How long a connection may carry nothing before it is closed.",
            ),
            key(
                "frame_timeout",
                "duration",
                Value::Default("\"1m\""),
                "How long a client may take for one packet on its way to a middle proxy, which waits in memory until all of it is here; a second more for every KiB of it that came.",
            ),
            key(
                "filter_server_errors",
                "off, first or on",
                Value::Default("\"first\""),
                "Which answers −404 of Telegram, that a key is unknown, are kept from clients of middle proxies: none, those before any other answer, or all. Whoever replays what a client once sent gets −404 from Telegram, and learns from an answer of that length that this is a proxy; with `\"first\"` there is none. The price: a client whose key Telegram has forgotten is not told either, and some, as Telethon, then wait for ever; `\"off\"` is for those.",
            ),
        ],
    },
    Section {
        name: "log",
        repeated: false,
        meaning: "What is told, and where.",
        keys: &[
            key(
                "level",
                "off, error, warn, info, debug or trace, and PART=LEVEL",
                Value::Default("\"info\""),
                "The least severe level that is told; parts of the program can have their own: \"info,backend=debug\".",
            ),
            fixed("format", "text or json", Value::Default("\"text\""), "How a line looks."),
            key(
                "file",
                "path",
                Value::Example("\"/var/log/teleferry/teleferry.log\""),
                "Where log lines go instead of standard error. USR1 opens it anew, for those who rotate it.",
            ),
            key(
                "mask_addresses",
                "true or false",
                Value::Default("true"),
                "Whether clients' addresses are shortened to their network.",
            ),
        ],
    },
    Section {
        name: "limits",
        repeated: false,
        meaning: "Ceilings for what waits, and for how much comes.",
        keys: &[
            key(
                "client_queue",
                "size",
                Value::Default("\"8MiB\""),
                "Bytes that may wait for one slow client; over it that client alone is closed.",
            ),
            key(
                "memory",
                "size",
                Value::Default("\"512MiB\""),
                "Bytes that may wait for all clients; over it reading from Telegram pauses.",
            ),
            key(
                "handshakes",
                "number",
                Value::Default("4096"),
                "Connections that may be proving themselves at the same time; further ones are strangers at once.",
            ),
            key(
                "new_per_second",
                "number",
                Value::Default("0"),
                "New connections a second from one network (IPv4 /24, IPv6 /56); further ones are strangers. 0 sets no limit.",
            ),
        ],
    },
    Section {
        name: "replay",
        repeated: false,
        meaning: "The memory of first flights: a recording that is sent again is a stranger.",
        keys: &[
            key("enabled", "true or false", Value::Default("true"), "Whether there is such a memory."),
            key(
                "capacity",
                "number",
                Value::Default("1000000"),
                "First flights that are remembered at most. Memory grows with use, to some 40 MB for a million.",
            ),
            key(
                "max_age",
                "duration",
                Value::Default("\"7d\""),
                "How long each is remembered at least. Never less than handshake.clock_skew_past and clock_skew_future together.",
            ),
            key(
                "persist",
                "true or false",
                Value::Default("true"),
                "Whether they are remembered from one start to the next, in the state directory. Without it, hellos that claim a time before the start are refused.",
            ),
        ],
    },
    SNI_SECRETS,
    POLICY,
    TABLE,
    ADMIN,
    ROLE,
    ROLE_FRONT,
    ROLE_BACK,
    ROLE_TLS,
];

const ROLE: Section = Section {
    name: "role",
    repeated: false,
    meaning: "Whether this process is a whole proxy or half of one. What the other half does is refused in the file of this one: a front has no [telegram] but external_ip, and a back no listeners, cover site, rules and memory of first flights.",
    keys: &[fixed(
        "kind",
        "both, front or back",
        Value::Default("\"both\""),
        "both: a whole proxy. front: the half that clients come to; it takes them to a back. back: the half that goes to Telegram, for any number of fronts.",
    )],
};

const ROLE_FRONT: Section = Section {
    name: "role.front",
    repeated: false,
    meaning: "What a front knows of its backs.",
    keys: &[
        key(
            "backs",
            "URL or list of URLs",
            Value::Example("[\"https://back.example.net\"]"),
            "Where the backs are: \"https://HOST\" or \"https://HOST:PORT\". At least one; with several, clients are spread over those that work.",
        ),
        key(
            "token_file",
            "path",
            Value::Example("\"link.token\""),
            "A file with the token of the back's `token_file`: instead of a certificate where a relay on the way, such as a content delivery network, takes none along; or beside it. A relative path begins at the file's directory.",
        ),
        key(
            "padding",
            "true or false",
            Value::Default("true"),
            "Whether random bytes are added on the way between front and back, so that the lengths of messages do not tell those of clients.",
        ),
    ],
};

const ROLE_BACK: Section = Section {
    name: "role.back",
    repeated: false,
    meaning: "Where a back waits for its fronts.",
    keys: &[
        fixed(
            "listen",
            "address or list of addresses",
            Value::Example("\"0.0.0.0:8443\""),
            "\"IP:PORT\" or \"[IPv6]:PORT\" (\"[::]:8443\" takes IPv4 too). Port 0 lets the system choose.",
        ),
        key(
            "token_file",
            "path",
            Value::Example("\"link.token\""),
            "A file with a token of 16 characters or more, with which a front without a certificate proves itself. A relative path begins at the file's directory.",
        ),
    ],
};

const ROLE_TLS: Section = Section {
    name: "role.tls",
    repeated: false,
    meaning: "The certificates of front and back, in PEM. `teleferry certs` makes them. Relative paths begin at the file's directory; a reload reads the files again.",
    keys: &[
        key(
            "ca",
            "path",
            Value::Example("\"ca.pem\""),
            "The authority that signs the other half's certificates. Without it a front believes the authorities that its system believes, and a back asks for no certificates (then it needs `role.back.token_file`).",
        ),
        key(
            "cert",
            "path",
            Value::Example("\"node.pem\""),
            "This half's own certificate, and those between it and its authority. A back needs one, and a front without a token.",
        ),
        key("key", "path", Value::Example("\"node.key\""), "The key of `cert`."),
        key(
            "revoked",
            "path",
            Value::Example("\"revoked.pem\""),
            "The revocation list of the authority in `ca`, as `teleferry certs revoke` writes it: certificates on it are refused.",
        ),
    ],
};

const ADMIN: Section = Section {
    name: "admin",
    repeated: false,
    meaning: "How the running process is watched and told what to do.",
    keys: &[
        fixed(
            "socket",
            "path or \"off\"",
            Value::Default("\"ctl.sock\""),
            "The socket of `teleferry ctl`: whoever may open it may do everything. A relative path begins at the state directory.",
        ),
        fixed(
            "http",
            "address",
            Value::Example("\"127.0.0.1:9180\""),
            "\"IP:PORT\" for metrics, health, the status page and the API. Other addresses than loopback need `token_file`.",
        ),
        key(
            "token_file",
            "path",
            Value::Example("\"admin.token\""),
            "A file with a token of 16 characters or more: over `http`, nothing is changed and no link is shown without it. A relative path begins at the file's directory.",
        ),
        key(
            "seed_metric_names",
            "true or false",
            Value::Default("false"),
            "Whether metrics also have the names of the Erlang proxy, for dashboards made for that.",
        ),
    ],
};

const TELEGRAM: Section = Section {
    name: "telegram",
    repeated: false,
    meaning: "The way to Telegram.",
    keys: &[
        key(
            "mode",
            "auto, middle or direct",
            Value::Default("\"auto\""),
            "How clients are taken to Telegram: middle shares a few links to Telegram's middle proxies, direct opens one connection to a data centre for each client, and auto goes direct where middle proxies cannot be used and no ad tag needs them.",
        ),
        key(
            "fast_path",
            "true or false",
            Value::Default("true"),
            "Whether bytes from a data centre may pass without cryptography.",
        ),
        key(
            "dc",
            "table of addresses by data-centre id",
            Value::Example("{ \"2\" = [\"149.154.167.51:443\"] }"),
            "Addresses in place of the built-in ones.",
        ),
        key(
            "default_dc",
            "data-centre id or \"none\"",
            Value::Default("2"),
            "The data centre for clients that ask for an unknown one; \"none\" refuses them.",
        ),
        key(
            "prefer",
            "ipv4, ipv6, only-ipv4 or only-ipv6",
            Value::Default("\"ipv4\""),
            "Which of a data centre's addresses are used, and in which order.",
        ),
        key("connect_timeout", "duration", Value::Default("\"5s\""), "For each address that is tried."),
        key(
            "answer_timeout",
            "duration",
            Value::Default("\"20s\""),
            "How long a data centre may leave a client's first request unanswered before it is given up.",
        ),
        key(
            "proxy_secret_url",
            "URL",
            Value::Default("\"https://core.telegram.org/getProxySecret\""),
            "Where the secret shared with middle proxies is published.",
        ),
        key(
            "proxy_config_url",
            "URL",
            Value::Default("\"https://core.telegram.org/getProxyConfig\""),
            "Where the IPv4 addresses of middle proxies are published.",
        ),
        key(
            "proxy_config_v6_url",
            "URL",
            Value::Default("\"https://core.telegram.org/getProxyConfigV6\""),
            "Where their IPv6 addresses are published.",
        ),
        key(
            "refresh",
            "duration",
            Value::Default("\"1h\""),
            "How often what Telegram publishes is fetched anew, give or take a tenth.",
        ),
        key("http_timeout", "duration", Value::Default("\"10s\""), "For each of these requests as a whole."),
        key(
            "external_ip",
            "address or list of addresses",
            Value::Example("[\"203.0.113.7\"]"),
            "The address under which Telegram sees this machine, one IPv4 and one IPv6 at most; for machines behind NAT.",
        ),
        key(
            "ip_lookup",
            "URL or list of URLs",
            Value::Default("[\"https://api.ipify.org\", \"https://ipv4.icanhazip.com\"]"),
            "Services that answer with the caller's address. They are asked in turn, and only when this machine's own address is private and `external_ip` does not say; [] asks nobody.",
        ),
        key(
            "links_per_dc",
            "number",
            Value::Default("2"),
            "Links to the middle proxies of a data centre that are kept ready, in the whole process.",
        ),
        key(
            "clients_per_link",
            "number",
            Value::Default("300"),
            "Clients on a link before another one is opened.",
        ),
        key(
            "crc32c",
            "true or false",
            Value::Default("true"),
            "Whether middle proxies are offered the checksum that processors compute fastest.",
        ),
    ],
};

const SNI_SECRETS: Section = Section {
    name: "sni_secrets",
    repeated: false,
    meaning: "A secret of its own for each host name that fake-TLS clients name, derived from the listener's secrets.",
    keys: &[
        key(
            "enabled",
            "true or false",
            Value::Default("false"),
            "Whether fake-TLS clients need such a secret; the listener's own does not prove them any more. `teleferry link --sni NAME` prints a link.",
        ),
        key(
            "salt",
            "string",
            Value::Example("\"<a long random text>\""),
            "What the secrets are derived with; needed, and better not known to others.",
        ),
    ],
};

const POLICY: Section = Section {
    name: "policy",
    repeated: true,
    meaning: "A rule that a proven client has to pass; whoever fails one is a stranger. They are asked in order, those with tables first. A rule whose key says nothing of a client (the domain of one without fake TLS, the IPv4 network of an IPv6 address) passes.",
    keys: &[
        key(
            "rule",
            "in_table, not_in_table or max_connections",
            Value::Example("\"max_connections\""),
            "What is asked: that a table has the value of `key`, or has it not; or that connections with the same values of `keys` are not more than `limit`.",
        ),
        key(
            "key",
            "key",
            Value::Example("\"tls_domain\""),
            "What is looked up: tls_domain, client_ip, client_ipv4, client_ipv6, or the network of an address: client_ipv4/24, client_ipv6/56.",
        ),
        key("table", "name", Value::Example("\"customers\""), "The table that it is looked up in."),
        key(
            "keys",
            "key or list of keys",
            Value::Example("[\"listener\", \"client_ipv4/24\"]"),
            "What is counted by, together: the keys above, listener, and secret.",
        ),
        key("limit", "number", Value::Example("15"), "The most connections, at the same time."),
        key(
            "listeners",
            "name or list of names",
            Value::Example("[\"main\"]"),
            "The listeners that the rule is for. Without it, for all.",
        ),
    ],
};

const TABLE: Section = Section {
    name: TABLES,
    repeated: false,
    meaning: "A table for rules, under a name of your choosing. What is added and removed while the server runs is kept in the state directory.",
    keys: &[
        key("kind", "domain or network", Value::Example("\"network\""), "What it holds. Needed."),
        key(
            "entries",
            "entry or list of entries",
            Value::Default("[]"),
            "Host names in lower case, or addresses and networks.",
        ),
        key(
            "source",
            "path or URL",
            Value::Example("\"https://lists.example.com/blocked.netset\""),
            "A list of more, one a line, with comments behind # (the format of FireHOL's lists). A relative path begins at the file's directory. The last good copy is kept in the state directory.",
        ),
        key("refresh", "duration", Value::Default("\"1d\""), "How often the source is read anew."),
    ],
};
