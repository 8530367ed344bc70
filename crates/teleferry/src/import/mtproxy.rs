//! Telegram's own proxy, TelegramMessenger/MTProxy: everything is on its command line.

use std::ops::Range;

use super::draft::{Draft, Listener, OldLink, list};
use super::links;
use super::value::{Kind, Value};

/// An option: its letter, its long name, whether it has a value, and what becomes of it.
struct Known {
    letter: Option<char>,
    name: &'static str,
    value: Takes,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq)]
enum Takes {
    Nothing,
    /// Only in the same word.
    Maybe,
    Value,
}

#[derive(Clone, Copy)]
enum Fate {
    /// It is carried over.
    Read,
    /// It is not needed here, and why.
    Unneeded(&'static str),
}

const fn known(letter: Option<char>, name: &'static str, value: Takes, fate: Fate) -> Known {
    Known { letter, name, value, fate }
}

const ENGINE: Fate = Fate::Unneeded("it is about that program's own threads and buffers");

const OPTIONS: &[Known] = &[
    known(Some('S'), "mtproto-secret", Takes::Value, Fate::Read),
    known(Some('P'), "proxy-tag", Takes::Value, Fate::Read),
    known(Some('D'), "domain", Takes::Value, Fate::Read),
    known(Some('H'), "http-ports", Takes::Value, Fate::Read),
    known(Some('M'), "slaves", Takes::Value, Fate::Read),
    known(Some('C'), "max-special-connections", Takes::Value, Fate::Read),
    known(Some('c'), "connections", Takes::Value, Fate::Read),
    known(Some('p'), "port", Takes::Value, Fate::Read),
    known(None, "http-stats", Takes::Nothing, Fate::Read),
    known(None, "address", Takes::Value, Fate::Read),
    known(Some('6'), "ipv6", Takes::Nothing, Fate::Read),
    known(None, "nat-info", Takes::Value, Fate::Read),
    known(
        None,
        "aes-pwd",
        Takes::Value,
        Fate::Unneeded("Telegram's secret is fetched and kept by the proxy itself"),
    ),
    known(
        Some('W'),
        "window-clamp",
        Takes::Value,
        Fate::Unneeded("windows are the kernel's, as a web server's are"),
    ),
    known(
        Some('T'),
        "ping-interval",
        Takes::Value,
        Fate::Unneeded("links to middle proxies are watched in any case"),
    ),
    known(Some('u'), "user", Takes::Value, Fate::Unneeded("systemd starts the service as a user of its own")),
    known(
        Some('l'),
        "log",
        Takes::Value,
        Fate::Unneeded("log lines go to the journal; log.file can name a file"),
    ),
    known(Some('v'), "verbosity", Takes::Maybe, Fate::Unneeded("log.level says how much is told")),
    known(Some('d'), "daemonize", Takes::Maybe, Fate::Unneeded("systemd keeps it in the background")),
    known(
        Some('b'),
        "backlog",
        Takes::Value,
        Fate::Unneeded("the backlog is as long as the kernel lets it be"),
    ),
    known(None, "nice", Takes::Value, Fate::Unneeded("the unit's Nice= does that")),
    known(None, "cpu-threads", Takes::Value, ENGINE),
    known(None, "io-threads", Takes::Value, ENGINE),
    known(None, "tcp-cpu-threads", Takes::Value, ENGINE),
    known(None, "tcp-iothreads", Takes::Value, ENGINE),
    known(None, "multithread", Takes::Maybe, ENGINE),
    known(None, "msg-buffers-size", Takes::Value, ENGINE),
    known(None, "allow-skip-dh", Takes::Nothing, ENGINE),
    known(None, "force-dh", Takes::Nothing, ENGINE),
    known(None, "crc32c", Takes::Nothing, ENGINE),
    known(None, "disable-tcp", Takes::Nothing, ENGINE),
    known(
        None,
        "max-accept-rate",
        Takes::Value,
        Fate::Unneeded("limits.new_per_second is the like, for each network"),
    ),
    known(None, "max-dh-accept-rate", Takes::Value, ENGINE),
];

/// An option that was given.
struct Given<'v> {
    known: &'static Known,
    value: &'v str,
    span: Range<usize>,
}

/// `words`: the command line.
pub(super) fn understand(words: &[Value]) -> Draft {
    let mut draft = Draft::default();
    let Some((program, arguments)) = words.split_first() else {
        draft.refuse(
            &(0..0),
            "there is no command in this file",
            "put the proxy's command line into it, or the unit that has it",
        );
        return draft;
    };
    let name = program.as_word().unwrap_or_default().trim_start_matches(['-', '@', '+', '!', ':']);
    if !matches!(name.rsplit('/').next(), Some("mtproto-proxy" | "mtproxy")) {
        draft.refuse(
            &program.span,
            "the command is not mtproto-proxy",
            "put its command line alone into the file, without what starts it",
        );
        return draft;
    }
    let (options, files) = options(arguments, &mut draft);
    if let Some(file) = files.first() {
        draft.leave(&file.span, "the configuration file", "Telegram's list of middle proxies is fetched and kept by the proxy itself: the timer that fetched it is not needed any more");
    }
    if draft.problems.is_empty() {
        mean(&options, &mut draft);
    }
    draft
}

/// Options and other words, as the C library tells them apart.
fn options<'v>(arguments: &'v [Value], draft: &mut Draft) -> (Vec<Given<'v>>, Vec<&'v Value>) {
    let (mut given, mut files) = (Vec::new(), Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.as_word().unwrap_or_default();
        if text == "--" {
            files.extend(words.by_ref());
        } else if let Some(long) = text.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some(known) = OPTIONS.iter().find(|known| known.name == name) else {
                unknown(word, draft);
                continue;
            };
            let value = match (known.value, value) {
                (Takes::Nothing, Some(_)) => {
                    draft.refuse(&word.span, format!("--{name} takes no value"), "remove it");
                    continue;
                }
                (Takes::Nothing | Takes::Maybe, value) => value.unwrap_or_default(),
                (Takes::Value, Some(value)) => value,
                (Takes::Value, None) => match next_value(&mut words, word, draft) {
                    Some(value) => value,
                    None => continue,
                },
            };
            given.push(Given { known, value, span: word.span.clone() });
        } else if let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            short(letters, word, &mut words, &mut given, draft);
        } else {
            files.push(word);
        }
    }
    (given, files)
}

/// Letters behind one hyphen: the first that takes a value has what is left of the word, or the next word.
fn short<'v>(
    letters: &'v str,
    word: &'v Value,
    words: &mut std::slice::Iter<'v, Value>,
    given: &mut Vec<Given<'v>>,
    draft: &mut Draft,
) {
    for (at, letter) in letters.char_indices() {
        let Some(known) = OPTIONS.iter().find(|known| known.letter == Some(letter)) else {
            return unknown(word, draft);
        };
        let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        let value = match known.value {
            Takes::Nothing => "",
            Takes::Maybe => rest,
            Takes::Value if rest.is_empty() => match next_value(words, word, draft) {
                Some(value) => value,
                None => return,
            },
            Takes::Value => rest,
        };
        given.push(Given { known, value, span: word.span.clone() });
        if known.value != Takes::Nothing {
            return;
        }
    }
}

fn next_value<'v>(
    words: &mut std::slice::Iter<'v, Value>,
    word: &Value,
    draft: &mut Draft,
) -> Option<&'v str> {
    let value = words.next().and_then(Value::as_word);
    if value.is_none() {
        draft.refuse(&word.span, "a value is missing behind this option", "add it");
    }
    value
}

fn unknown(word: &Value, draft: &mut Draft) {
    draft.refuse(
        &word.span,
        "this option is not known",
        "nothing is guessed: remove it from the file that is imported if it may go",
    );
}

fn mean(options: &[Given<'_>], draft: &mut Draft) {
    for option in options {
        if let Fate::Unneeded(why) = option.known.fate {
            draft.leave(&option.span, format!("--{}", option.known.name), why);
        }
    }
    let all = |name: &'static str| options.iter().filter(move |option| option.known.name == name);
    let secrets: Vec<_> = all("mtproto-secret")
        .filter_map(|one| draft.secret("--mtproto-secret", one.value, &one.span))
        .collect();
    let domains: Vec<_> =
        all("domain").filter_map(|one| draft.domain("--domain", one.value, &one.span)).collect();
    let ad_tag = all("proxy-tag").next_back().and_then(|one| draft.tag("--proxy-tag", one.value, &one.span));
    let ports = ports(all("http-ports"), draft);
    if secrets.is_empty() || ports.is_empty() {
        draft.refuse(
            &(0..0),
            "a proxy needs --mtproto-secret (-S) and --http-ports (-H)",
            "add what is missing to the command line",
        );
        return;
    }
    let workers = last_number(all("slaves"), draft).unwrap_or(0);
    let each = last_number(all("max-special-connections"), draft);
    let ip = match all("address").next_back() {
        Some(one) => (one.value, one.span.clone()),
        None if all("ipv6").next().is_some() => ("::", 0..0),
        None => ("0.0.0.0", 0..0),
    };
    let addresses = ports.iter().filter_map(|port| draft.address("--address", ip.0, *port, &ip.1)).collect();
    let protocols = if domains.is_empty() { vec!["secure", "classic"] } else { vec!["tls"] };
    draft.listeners.push(Listener {
        name: "main".to_owned(),
        addresses,
        secrets: named(&secrets),
        ad_tag,
        protocols,
        domain: domains.first().cloned(),
        max_connections: each.map(|each| each.saturating_mul(workers.max(1)).clamp(1, 16_000_000)),
        headers_from: None,
    });
    old_links(&secrets, &domains, &ports, draft);
    process(options, workers, draft);
    cover(&domains, draft);
    draft.remark("server.public_host", "links need a host, and the old command line has none: set it, so that `teleferry link` prints whole links", false);
}

/// One secret is the base secret; several get names, to be told apart in rules and metrics.
fn named(secrets: &[String]) -> Vec<(Option<String>, String)> {
    let several = secrets.len() > 1;
    let name = |at: usize| several.then(|| format!("user{}", at + 1));
    secrets.iter().enumerate().map(|(at, secret)| (name(at), secret.clone())).collect()
}

/// Comma-separated ports.
fn ports<'a>(given: impl Iterator<Item = &'a Given<'a>>, draft: &mut Draft) -> Vec<u16> {
    let mut ports = Vec::new();
    for option in given {
        for port in option.value.split(',') {
            match port.trim().parse() {
                Ok(port) if port != 0 && !ports.contains(&port) => ports.push(port),
                Ok(port) if port != 0 => {}
                _ => draft.refuse(
                    &option.span,
                    "--http-ports is no list of ports",
                    "ports are numbers from 1 to 65535, with commas between them",
                ),
            }
        }
    }
    ports
}

fn last_number<'a>(given: impl Iterator<Item = &'a Given<'a>>, draft: &mut Draft) -> Option<i64> {
    let option = given.last()?;
    let number = Value::new(option.value.parse().map_or(Kind::Computed, Kind::Number), option.span.clone());
    draft.number(&format!("--{}", option.known.name), &number, 0..=16_000_000)
}

/// What is about the process as a whole.
fn process(options: &[Given<'_>], workers: i64, draft: &mut Draft) {
    let last = |name: &str| options.iter().rev().find(|option| option.known.name == name);
    match last("slaves") {
        Some(_) if workers > 1 => draft.set("server", "workers", workers),
        Some(option) => draft.leave(
            &option.span,
            "--slaves",
            "one process uses every core; server.workers can set fewer threads",
        ),
        None => {}
    }
    let connections = options.iter().filter(|option| option.known.name == "connections");
    if let Some(limit) = last_number(connections, draft).filter(|limit| *limit > 0) {
        draft.set("server", "max_connections", limit);
    }
    let mut outside: Vec<&str> = Vec::new();
    for option in options.iter().filter(|option| option.known.name == "nat-info") {
        match option.value.split_once(':').filter(|(_, ip)| ip.parse::<std::net::Ipv4Addr>().is_ok()) {
            Some((_, ip)) if !outside.contains(&ip) => outside.push(ip),
            Some(_) => {}
            None => draft.refuse(
                &option.span,
                "--nat-info is not LOCAL:GLOBAL",
                "put it right as the old proxy expects it",
            ),
        }
        if outside.len() > 1 {
            draft.refuse(
                &option.span,
                "there are several addresses behind NAT",
                "one IPv4 address is known here: leave the one that Telegram sees",
            );
        }
    }
    if !outside.is_empty() {
        draft.set("telegram", "external_ip", list(&outside));
    }
    let port = last("port");
    match (last("http-stats"), port) {
        (Some(stats), Some(port)) => {
            match port.value.parse::<u16>() {
                Ok(number) if number != 0 => draft.set_text("admin", "http", format!("127.0.0.1:{number}")),
                _ => {
                    draft.refuse(&port.span, "--port is no port", "ranges are not taken over: name one port")
                }
            }
            draft.miss(&stats.span, "--http-stats", "its page /stats is not there: /metrics has the numbers for Prometheus, / is a page for people");
        }
        (None, Some(port)) => draft.leave(&port.span, "--port", "without --http-stats it serves nobody"),
        (Some(stats), None) => draft.leave(&stats.span, "--http-stats", "without --port it serves nobody"),
        (None, None) => {}
    }
}

fn cover(domains: &[String], draft: &mut Draft) {
    match domains {
        [] => {
            draft.remark("strangers", "see no site, as before: with fake TLS (protocols, domain) and cover.target the proxy would look like one", false);
        }
        [one] => draft.set_text("cover", "target", format!("{one}:443")),
        several => {
            draft.set_text("cover", "target", "sni");
            draft.set("cover", "only_domains", list(several));
            draft.accept_names(several);
        }
    }
}

/// It prints none: these are the ones that its manual has people put together.
fn old_links(secrets: &[String], domains: &[String], ports: &[u16], draft: &mut Draft) {
    for (name, secret) in named(secrets) {
        let written: Vec<_> = if domains.is_empty() {
            vec![secret.clone(), links::secure(&secret)]
        } else {
            domains.iter().map(|domain| links::tls(&secret, domain)).collect()
        };
        for port in ports {
            draft.links.extend(written.iter().map(|secret| OldLink {
                user: name.clone(),
                host: None,
                port: *port,
                secret: secret.clone(),
            }));
        }
    }
}
