"""The links that the program prints, read by Telegram's own library."""

import base64
import json

import pytest

from support.teleferry import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_tdlib_reads_our_links(tdlib, proxy, kind):
    printed = proxy.command("link", "--listener", kind, "--json")
    links = [text for text in _strings(json.loads(printed)) if text.startswith(("tg://proxy?", "https://t.me/proxy?"))]
    assert {link.partition(":")[0] for link in links} == {"tg", "https"}
    for link in links:
        server, _, secret = tdlib.read_link(link)
        assert (server, _hex(secret)) == ("127.0.0.1", proxy.link(kind).secret)


def _strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def _hex(secret):
    """TDLib shows plain and dd secrets in hex, ee secrets in base64url."""
    try:
        return bytes.fromhex(secret).hex()
    except ValueError:
        return base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)).hex()
