"""mtcute, a client library in TypeScript; each client is a process of its own that prints one JSON object."""

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[1] / "mtcute_client.mjs"


def run(link, pem, dc=2, timeout=30, **request):
    """Makes a key with a data centre through the proxy and a session in it; gives what the client saw."""
    told = {"host": link.host, "port": link.port, "secret": link.secret, "pem": pem, "dc": dc, **request}
    done = subprocess.run(
        ["node", SCRIPT], input=json.dumps(told), capture_output=True, encoding="utf-8", timeout=timeout
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)
