//! `[role]`: whether this process is a whole proxy or one half of one, and how the halves find and know each other.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Uri;
use hyper::http::uri::Scheme;
use toml::Spanned;
use toml::de::DeTable;

use super::problem::Problem;
use super::snapshot::CoverHost;
use super::table::{Given, Table, told};
use super::value::{self, Wrong};
use crate::identity::{self, Credentials, FileError, Flaw, Own, Side, Token};

/// What this process is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Role {
    /// A whole proxy.
    #[default]
    Both,
    /// The half that clients come to.
    Front(Front),
    /// The half that goes to Telegram.
    Back(Back),
}

/// `[role.front]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Where the backs are, at least one, each once.
    pub backs: Vec<BackUrl>,
    /// What is shown to backs; always there without a certificate of its own.
    pub token: Option<Token>,
    /// The file that the token was read from.
    pub token_file: Option<PathBuf>,
    /// Whether random bytes hide how long messages are.
    pub padding: bool,
    /// Certificates.
    pub tls: Tls,
}

/// `[role.back]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back {
    /// Where fronts come in, at least one; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// What fronts without a certificate have to show. Without one, they need a certificate.
    pub token: Option<Token>,
    /// The file that the token was read from.
    pub token_file: Option<PathBuf>,
    /// Certificates. There is an own one.
    pub tls: Tls,
}

/// `[role.tls]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Where the authorities' certificates are.
    pub ca: Option<PathBuf>,
    /// Where the own certificate is.
    pub cert: Option<PathBuf>,
    /// Where its key is.
    pub key: Option<PathBuf>,
    /// Where the revocation list is.
    pub revoked: Option<PathBuf>,
    /// What the files held when the settings were read; nothing is wrong with it in itself.
    pub credentials: Credentials,
}

/// Where a back is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackUrl(
    /// A name, or an address (IPv6 without brackets), and its TCP port.
    pub CoverHost,
);

/// The word in `role.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleKind {
    /// A whole proxy.
    Both,
    /// The half that clients come to.
    Front,
    /// The half that goes to Telegram.
    Back,
}

impl RoleKind {
    /// Each of them, the default one first.
    pub const ALL: [Self; 3] = [Self::Both, Self::Front, Self::Back];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Front => "front",
            Self::Back => "back",
        }
    }
}

impl Role {
    /// The word in `role.kind`.
    #[must_use]
    pub const fn kind(&self) -> RoleKind {
        match self {
            Self::Both => RoleKind::Both,
            Self::Front(_) => RoleKind::Front,
            Self::Back(_) => RoleKind::Back,
        }
    }

    /// The certificates of one half, and which half that is.
    #[must_use]
    pub const fn tls(&self) -> Option<(Side, &Tls)> {
        match self {
            Self::Both => None,
            Self::Front(front) => Some((Side::Front, &front.tls)),
            Self::Back(back) => Some((Side::Back, &back.tls)),
        }
    }

    /// What is worth saying at this time, in seconds since 1970: sentences without a full stop.
    #[must_use]
    pub fn warnings(&self, now: i64) -> Vec<String> {
        let Some((side, tls)) = self.tls() else { return Vec::new() };
        let mut warnings = tls.credentials.warnings(side, now);
        let token_file = match self {
            Self::Both => None,
            Self::Front(front) => front.token_file.as_ref(),
            Self::Back(back) => back.token_file.as_ref(),
        };
        let open = [tls.key.as_ref(), token_file].into_iter().flatten();
        warnings
            .extend(open.filter(|path| identity::may_be_read_by_others(path)).map(|path| {
                format!("others on this machine may read {}: chmod o= the file", path.display())
            }));
        warnings
    }
}

/// Reads `[role]` and what is below it. `directory` is where relative paths begin.
pub(super) fn read(root: &DeTable<'_>, directory: &Path, problems: &mut Vec<Problem>) -> Role {
    let role = Table::in_root(root, "role");
    let kind = match role.text("kind", problems, parse_kind) {
        Given::No => RoleKind::Both,
        Given::Yes(kind) => kind.into_inner(),
        Given::Wrong => return Role::Both,
    };
    tell_unused(root, kind, problems);
    let mut reader = Reader { root, directory, chosen: role.span_of("kind"), problems };
    match kind {
        RoleKind::Both => Role::Both,
        RoleKind::Front => Role::Front(reader.front()),
        RoleKind::Back => Role::Back(reader.back()),
    }
}

fn parse_kind(text: &str) -> Result<RoleKind, Wrong> {
    value::one_of(text, &RoleKind::ALL.map(|kind| (kind.name(), kind)))
}

/// Reads what belongs to one role.
struct Reader<'a> {
    root: &'a DeTable<'a>,
    directory: &'a Path,
    /// Where the role was chosen: what is missing is told there.
    chosen: Option<Range<usize>>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn front(&mut self) -> Front {
        let table = Table::in_root(self.root, "role.front");
        let backs = match table.texts("backs", self.problems, back_url) {
            Given::Yes(backs) => self.without_doubles(backs.into_inner()),
            Given::Wrong => Vec::new(),
            Given::No => {
                self.missing(
                    "a front needs `role.front.backs`",
                    "say where the backs are, such as backs = [\"https://back.example.net\"] below [role.front]",
                );
                Vec::new()
            }
        };
        let padding = table.flag("padding", self.problems).or(true);
        let token = self.token(&table);
        let tls = self.tls(Side::Front, !token.is_no());
        let (token_file, token) = token.value().unzip();
        Front { backs, token, token_file, padding, tls }
    }

    fn back(&mut self) -> Back {
        let table = Table::in_root(self.root, "role.back");
        let listen = table.texts("listen", self.problems, value::admin_address);
        if listen.is_no() {
            self.missing(
                "a back needs `role.back.listen`",
                "say where fronts come in, such as listen = \"[::]:443\" below [role.back]",
            );
        }
        let token = self.token(&table);
        let tls = self.tls(Side::Back, !token.is_no());
        let (token_file, token) = token.value().unzip();
        let listen = listen.value().unwrap_or_default().into_iter().map(Spanned::into_inner).collect();
        Back { listen, token, token_file, tls }
    }

    /// The backs in their order; one that is there twice is told.
    fn without_doubles(&mut self, backs: Vec<Spanned<BackUrl>>) -> Vec<BackUrl> {
        let mut known = HashSet::new();
        for back in &backs {
            if !known.insert(back.get_ref()) {
                let wrong = Wrong::new(format!("names {} twice", back.get_ref()));
                self.problems.push(told("role.front.backs", back.span(), wrong));
            }
        }
        backs.into_iter().map(Spanned::into_inner).collect()
    }

    fn token(&mut self, table: &Table<'_>) -> Given<(PathBuf, Token)> {
        table.text("token_file", self.problems, |path| {
            let path = self.directory.join(value::path(path)?);
            let token = Token::read(&path).map_err(|error| {
                Wrong::new(format!("names {}, which is of no use: {error}", path.display()))
            })?;
            Ok((path, token))
        })
    }

    /// Reads the files and looks whether they belong together.
    fn tls(&mut self, side: Side, has_token: bool) -> Tls {
        let table = Table::in_root(self.root, "role.tls");
        let ca = self.file(&table, "ca", identity::read_certificates);
        let cert = self.file(&table, "cert", identity::read_certificates);
        let key = self.file(&table, "key", identity::read_key);
        let revoked = self.file(&table, "revoked", identity::read_revoked);
        if cert.is_no() != key.is_no() {
            let (there, lacks) = if cert.is_no() { ("key", "cert") } else { ("cert", "key") };
            let title = format!("`role.tls.{there}` needs `role.tls.{lacks}`");
            self.problems.push(
                Problem::new(table.span_of(there), title).help("a certificate is proven with its own key"),
            );
        }
        if !revoked.is_no() && ca.is_no() {
            self.problems.push(
                Problem::new(table.span_of("revoked"), "`role.tls.revoked` needs `role.tls.ca`")
                    .help("the list counts for certificates of that authority"),
            );
        }
        match side {
            Side::Front if cert.is_no() && key.is_no() && !has_token => self.missing(
                "a front needs `role.tls.cert` and `role.tls.key`, or `role.front.token_file`",
                "make a certificate with `teleferry certs issue NAME` where the back's was made",
            ),
            Side::Back if cert.is_no() && key.is_no() => self.missing(
                "a back needs `role.tls.cert` and `role.tls.key`",
                "make them with `teleferry certs init --name HOST`, or have a public authority sign one",
            ),
            Side::Back if ca.is_no() && !has_token => self.missing(
                "a back needs `role.tls.ca` or `role.back.token_file`, to know its fronts",
                "name the authority that signs the fronts' certificates: ca.pem of `teleferry certs init`",
            ),
            Side::Front | Side::Back => {}
        }
        let is_whole = [ca.is_wrong(), cert.is_wrong(), key.is_wrong(), revoked.is_wrong()] == [false; 4];
        let (ca, authorities) = ca.value().unzip();
        let (cert, chain) = cert.value().unzip();
        let (key, private) = key.value().unzip();
        let (revoked, lists) = revoked.value().unzip();
        let own = chain.zip(private).map(|(chain, key)| Own { chain, key: Arc::new(key) });
        let credentials = Credentials {
            authorities: authorities.unwrap_or_default(),
            own,
            revoked: lists.unwrap_or_default(),
        };
        if let (true, Err(flaw)) = (is_whole, credentials.examine(side)) {
            self.problems.push(told_flaw(&table, side, &flaw));
        }
        Tls { ca, cert, key, revoked, credentials }
    }

    fn file<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        read: impl FnOnce(&Path) -> Result<T, FileError>,
    ) -> Given<(PathBuf, T)> {
        table.text(key, self.problems, |path| {
            let path = self.directory.join(value::path(path)?);
            let content = read(&path).map_err(|error| {
                let wrong = Wrong::new(format!("names {}, which {error}", path.display()));
                match &error {
                    FileError::Read(error) => wrong.not_allowed(error),
                    _ => wrong,
                }
            })?;
            Ok((path, content))
        })
    }

    fn missing(&mut self, title: &str, help: &str) {
        self.problems.push(Problem::new(self.chosen.clone(), title).help(help));
    }
}

/// What is wrong with files that could be read, at the key whose file should be another one.
fn told_flaw(table: &Table<'_>, side: Side, flaw: &Flaw) -> Problem {
    let (key, title, help) = match flaw {
        Flaw::KeyMismatch => (
            "key",
            "`role.tls.key` is not the key of the certificate in `role.tls.cert`",
            "name the two files that were made together",
        ),
        Flaw::KeyUnusable => {
            ("key", "`role.tls.key` is of a kind that cannot be used", "use ECDSA, Ed25519 or RSA")
        }
        Flaw::IsAuthority => (
            "cert",
            "`role.tls.cert` is the certificate of an authority, which proves nobody",
            "name the certificate that it signed",
        ),
        Flaw::Nameless => (
            "cert",
            match side {
                Side::Front => "`role.tls.cert` does not say whose certificate it is",
                Side::Back => {
                    "`role.tls.cert` is for no host name and no address, so that no front believes it"
                }
            },
            "have one made that has a name (`teleferry certs`)",
        ),
        Flaw::WrongUse => (
            "cert",
            match side {
                Side::Front => "`role.tls.cert` is a server's certificate, and this is a front",
                Side::Back => "`role.tls.cert` is a client's certificate, and this is a back",
            },
            "name this side's own certificate",
        ),
        Flaw::NotSigned => (
            "cert",
            "`role.tls.cert` is not signed by the authority in `role.tls.ca`",
            "name the files of one authority; a front whose back shows a certificate of a public authority leaves `ca` out",
        ),
        Flaw::Revoked => (
            "cert",
            "`role.tls.cert` is on the list of `role.tls.revoked`",
            "have a new one made: `teleferry certs issue NAME --force`",
        ),
        Flaw::NoAuthority => (
            "ca",
            "`role.tls.ca` holds a certificate that is none of an authority",
            "name the file ca.pem of the authority",
        ),
        Flaw::ListNotSigned => (
            "revoked",
            "`role.tls.revoked` is not signed by the authority in `role.tls.ca`",
            "name the list of that authority",
        ),
        Flaw::Tls(error) => {
            let title = format!("the files of [role.tls] cannot be used for TLS: {error}");
            return Problem::new(table.span(), title).help("have new ones made: `teleferry certs`");
        }
    };
    Problem::new(table.span_of(key), title).help(help)
}

/// Sections of which a role uses nothing, or these keys alone.
type Uses = (&'static str, &'static [&'static str]);

/// What a whole proxy uses, where it does not use everything.
const BOTH_USES: &[Uses] = &[("role.front", &[]), ("role.back", &[]), ("role.tls", &[])];

/// What a front uses: the way to Telegram is its backs'.
const FRONT_USES: &[Uses] = &[
    ("role.back", &[]),
    // Who calls our own address is told from a cover site.
    ("telegram", &["external_ip"]),
    ("relay", &["idle_timeout", "frame_timeout"]),
];

/// What a back uses: clients and strangers are its fronts'.
const BACK_USES: &[Uses] = &[
    ("role.front", &[]),
    ("server", &["workers", "state_dir", "max_connections", "drain"]),
    ("listen", &[]),
    ("cover", &[]),
    ("handshake", &[]),
    ("relay", &["filter_server_errors"]),
    ("limits", &["client_queue", "memory"]),
    ("replay", &[]),
    ("sni_secrets", &[]),
    ("policy", &[]),
    ("tables", &[]),
];

fn tell_unused(root: &DeTable<'_>, kind: RoleKind, problems: &mut Vec<Problem>) {
    let (uses, who, help) = match kind {
        RoleKind::Both => {
            (BOTH_USES, "a whole proxy", "set role.kind to \"front\" or \"back\", or leave it out")
        }
        RoleKind::Front => {
            (FRONT_USES, "a front", "leave it out: it belongs into the configuration of the backs")
        }
        RoleKind::Back => {
            (BACK_USES, "a back", "leave it out: it belongs into the configuration of the fronts")
        }
    };
    for (section, used) in uses {
        let table = Table::in_root(root, section);
        let mut unused = |path: &str, span| {
            problems.push(Problem::new(span, format!("`{path}` is not used by {who}")).help(help));
        };
        if used.is_empty() {
            table.span().into_iter().for_each(|span| unused(section, Some(span)));
        } else {
            for (key, span) in table.keys().filter(|(key, _)| !used.contains(key)) {
                unused(&format!("{section}.{key}"), Some(span));
            }
        }
    }
}

/// Where a back is: "https://HOST" or "https://HOST:PORT".
fn back_url(text: &str) -> Result<BackUrl, Wrong> {
    let forms = "the forms are \"https://HOST\" and \"https://HOST:PORT\"";
    let url: Uri = text.parse().map_err(|_| Wrong::new("is no URL").help(forms))?;
    if url.scheme() == Some(&Scheme::HTTP) {
        return Err(Wrong::new("begins with http://, and the way to a back is always encrypted").help(forms));
    }
    let rest = text
        .strip_prefix("https://")
        .ok_or_else(|| Wrong::new("does not begin with https://").help(forms))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err(Wrong::new("has more than a host and a port").help(forms));
    }
    let has_port = rest.rsplit_once(':').is_some_and(|(host, _)| !host.is_empty() && !rest.ends_with(']'));
    let with_port = if has_port { rest.to_owned() } else { format!("{rest}:443") };
    value::cover_host_and_port(&with_port, || Wrong::new("has no host or a wrong port").help(forms))
        .map(BackUrl)
}

impl fmt::Display for BackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            host if host.port == 443 => {
                let text = host.to_string();
                write!(f, "https://{}", text.strip_suffix(":443").unwrap_or(&text))
            }
            host => write!(f, "https://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    #[test]
    fn backs_are_read_and_shown() {
        for (text, shown) in [
            ("https://back.example.net", "https://back.example.net"),
            ("https://back.example.net/", "https://back.example.net"),
            ("https://back.example.net:443", "https://back.example.net"),
            ("https://back.example.net:8443", "https://back.example.net:8443"),
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            let read = back_url(text).expect(text);
            assert_eq!(read.to_string(), shown);
            assert_eq!(back_url(shown), Ok(read));
        }
        for text in [
            "",
            "back.example.net",
            "http://back.example.net",
            "https://",
            "https://:443",
            "https://back.example.net:0",
            "https://back.example.net:65536",
            "https://back.example.net:",
            "https://back.example.net/path",
            "https://back.example.net?q",
            "https://user@back.example.net",
            "https://2001:db8::1",
            "https://[::1",
            "https://a b",
        ] {
            back_url(text).expect_err(text);
        }
    }

    #[test]
    fn what_roles_use_is_there() {
        for (section, used) in [BOTH_USES, FRONT_USES, BACK_USES].into_iter().flatten() {
            let known = keys::SECTIONS.iter().find(|known| known.name == *section).expect(section);
            for key in *used {
                assert!(known.keys.iter().any(|known| known.name == *key), "{section}.{key}");
            }
        }
    }
}
