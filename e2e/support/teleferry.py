"""The programs under test: the proxy, and Telegram in miniature behind it."""

import hashlib
import json
import os
import re
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.process import Child

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = "www.example.com"
KINDS = ("plain", "dd", "ee")
TOKEN = "token-of-the-tests"
PROTOCOLS = {"plain": "classic", "dd": "secure", "ee": "tls"}


PUBLISHED = {
    "secret": "telegram-proxy-secret",
    "config": "telegram-proxy-config",
    "config_v6": "telegram-proxy-config-v6",
}


def binary(variable, name):
    """The path of a built program: as the environment says, else the newest way it is usually built."""
    if named := os.environ.get(variable):
        return Path(named)
    for profile in ("release", "debug"):
        built = ROOT / "target" / profile / name
        if built.exists():
            return built
    raise AssertionError(f"no {name} in target/release or target/debug, and {variable} is not set: build it first")


def key(label):
    """A 16-byte key as hex, the same in every run."""
    return hashlib.sha256(f"end to end: {label}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Link:
    """What a user gets: where the proxy is, and a secret of one of the three kinds."""

    kind: str
    host: str
    port: int
    key: str
    domain: str = DOMAIN

    @property
    def secret(self):
        """The secret in hex, as in a link."""
        return {"plain": "", "dd": "dd", "ee": "ee"}[self.kind] + self.key + self._tail()

    def _tail(self):
        return self.domain.encode().hex() if self.kind == "ee" else ""

    @property
    def url(self):
        """The link itself."""
        return f"tg://proxy?server={self.host}&port={self.port}&secret={self.secret}"


class Simulator:
    """Every data centre of a small Telegram, on loopback."""

    def __init__(self):
        self.child = Child([binary("TELEFERRY_SIM_BIN", "teleferry-sim"), "serve", "--middle", "--json"])
        told = json.loads(self.child.wait_stdout())
        self.dc = told["dc"]
        self.middle = told["middle"]
        self.public_key_pem = told["rsa_public_key_pem"]

    def address(self, dc="2"):
        """Host and port of the first address of a data centre."""
        host, _, port = self.dc[dc][0].rpartition(":")
        return host.strip("[]"), int(port)


class Proxy:
    """`teleferry run` with one listener for each kind of link, and one that takes all of them with one secret. With
    `split` it is a front, with a back of its own between it and Telegram."""

    def __init__(self, simulator, directory, fast_path=True, cover=None, mode="direct", admin=False, split=False):
        self.program = binary("TELEFERRY_BIN", "teleferry")
        self.config = directory / "teleferry.toml"
        self.back = Back(self.program, simulator, directory / "back", fast_path, mode) if split else None
        if mode != "direct" and not split:
            _keep(simulator, directory / "state")
        lines = self.back.front_half() if split else [*_telegram(simulator, fast_path, mode), *_RELAY]
        self.config.write_text(_config(directory, lines, cover, admin))
        if admin:
            (directory / "token").write_text(TOKEN)
            (directory / "token").chmod(0o600)
        self.child = Child([self.program, "run", "--config", self.config], cwd=directory)
        self.http = self.child.wait_stderr(_http) if admin else None
        self.listeners = self.child.wait_stderr(_listeners)

    @property
    def children(self):
        """Its processes, in the order in which they are stopped."""
        return [self.child, *([self.back.child] if self.back else [])]

    def link(self, kind, listener=None):
        """A link of a kind, to the listener for it or to the one named."""
        host, port = self.listeners[listener or kind]
        return Link(kind, host, port, key(listener or kind))

    def command(self, *arguments):
        """Runs another command of the program with this configuration; gives its standard output."""
        done = subprocess.run(
            [self.program, *arguments, "--config", self.config], capture_output=True, encoding="utf-8", timeout=20
        )
        assert done.returncode == 0, (arguments, done.returncode, done.stderr)
        return done.stdout


class Back:
    """The half of a split proxy that goes to Telegram, and the certificates of both."""

    def __init__(self, program, simulator, directory, fast_path, mode):
        directory.mkdir()
        self.certificates = directory / "certs"
        for order in (["init", "--name", "127.0.0.1"], ["issue", "front-1"]):
            command = [program, "certs", *order, "--dir", self.certificates]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20)
            assert done.returncode == 0, (order, done.stderr)
        if mode != "direct":
            _keep(simulator, directory / "state")
        lines = ["[role]", 'kind = "back"', "[role.back]", 'listen = "127.0.0.1:0"', *self._tls("127.0.0.1")]
        lines += [*_server(directory), *_telegram(simulator, fast_path, mode), *_RELAY, *_LOG]
        config = directory / "teleferry.toml"
        config.write_text("\n".join(lines) + "\n")
        self.child = Child([program, "run", "--config", config], cwd=directory)
        self.port = self.child.wait_stderr(_fronts)

    def front_half(self):
        """What makes a configuration that of its front."""
        backs = f'backs = ["https://127.0.0.1:{self.port}"]'
        return ["[role]", 'kind = "front"', "[role.front]", backs, *self._tls("front-1")]

    def _tls(self, name):
        files = {"ca": "ca.pem", "revoked": "revoked.pem", "cert": f"{name}.pem", "key": f"{name}.key"}
        return ["[role.tls]", *(f"{key} = {json.dumps(str(self.certificates / file))}" for key, file in files.items())]


def _fronts(line):
    """Where fronts come in, when the line is the ready line of a back."""
    match = re.search(r"ready: fronts 127\.0\.0\.1:(\d+)", line)
    return match and int(match[1])


def _http(line):
    """Where the API is, when the line says so."""
    match = re.search(r"http://127\.0\.0\.1:\d+", line)
    return match and match[0]


def _listeners(line):
    """The listeners' names and addresses, when the line is the ready line."""
    if not re.search(r"\bready\b", line):
        return None
    found = {}
    for name in (*KINDS, "all"):
        match = re.search(rf"\b{name}\b[^0-9\[]{{1,24}}(127\.0\.0\.1|\[::1\]):(\d+)", line)
        if match is None:
            return None
        found[name] = (match[1].strip("[]"), int(match[2]))
    return found


def _keep(simulator, state):
    """Puts what the simulator publishes where an earlier run would have kept it: nobody else is asked, or called."""
    state.mkdir()
    for item, name in PUBLISHED.items():
        with urllib.request.urlopen(simulator.middle[f"{item}_url"], timeout=20) as answer:
            (state / name).write_bytes(answer.read())


_RELAY = ["[relay]", 'filter_server_errors = "off"']  # Clients are tested with the errors of their data centre, too.
_LOG = ["[log]", "mask_addresses = false"]


def _server(directory):
    return ["[server]", "workers = 2", f"state_dir = {json.dumps(str(directory / 'state'))}"]


def _telegram(simulator, fast_path, mode):
    quoted = json.dumps  # A JSON string, list of strings or boolean is a TOML one too.
    return [
        "[telegram]",
        f"mode = {quoted(mode)}",
        f"fast_path = {quoted(fast_path)}",
        *(f"proxy_{item}_url = {quoted(simulator.middle[f'{item}_url'])}" for item in PUBLISHED),
        "ip_lookup = []",
        'prefer = "only-ipv4"',
        "[telegram.dc]",
        *(f"{quoted(dc)} = {quoted(addresses)}" for dc, addresses in simulator.dc.items()),
    ]


def _config(directory, ways, cover, admin):
    quoted = json.dumps
    listeners = [(kind, [PROTOCOLS[kind]]) for kind in KINDS] + [("all", [PROTOCOLS[kind] for kind in KINDS])]
    lines = [*_server(directory), 'public_host = "127.0.0.1"', *ways]
    lines += ["[cover]", f"target = {quoted(cover or 'off')}", *_LOG]
    if admin:
        lines += ["[admin]", 'http = "127.0.0.1:0"', 'token_file = "token"']
    for name, protocols in listeners:
        lines += ["[[listen]]", f"name = {quoted(name)}", 'address = "127.0.0.1:0"', f"secret = {quoted(key(name))}"]
        lines += [f"protocols = {quoted(protocols)}"]
        if "tls" in protocols:
            lines += [f"domain = {quoted(DOMAIN)}"]
    return "\n".join(lines) + "\n"
