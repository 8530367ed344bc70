"""The cover site: what a stranger sees is the site itself, and a client with a wrong secret can tell."""

import dataclasses
import socket
import ssl

import pytest

from support.cover import CoverSite
from support.teleferry import DOMAIN, key


@pytest.fixture(scope="module")
def covered(start_proxy, tmp_path_factory):
    """A site and a proxy in front of it."""
    with CoverSite(DOMAIN, tmp_path_factory.mktemp("cover")) as site:
        yield site, start_proxy(cover=f"127.0.0.1:{site.port}")


def test_tls_visitor_meets_the_site(covered):
    site, proxy = covered
    link = proxy.link("ee")
    context = ssl.create_default_context(cafile=site.certificate)
    with socket.create_connection((link.host, link.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=DOMAIN) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: " + DOMAIN.encode() + b"\r\n\r\n")
            assert tls.recv(1000).startswith(b"HTTP/1.1 200")


def test_tdlib_sees_a_real_server_when_its_secret_is_wrong(covered, tdlib):
    _, proxy = covered
    link = dataclasses.replace(proxy.link("ee"), key=key("nobody's"))
    assert tdlib.ping(link) == ["Response hash mismatch"]


def test_tdlib_still_gets_through(covered, tdlib):
    _, proxy = covered
    [answer] = tdlib.ping(proxy.link("ee"))
    assert isinstance(answer, float), answer
