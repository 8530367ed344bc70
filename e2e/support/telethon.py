"""Telethon, a client library in Python, and its fake-TLS extension that greets as the apps of 2019 to 2024 did."""

import contextlib
import logging
from dataclasses import dataclass

from rsa import PublicKey
from telethon import TelegramClient
from telethon.crypto import rsa
from telethon.network.connection import (
    ConnectionTcpMTProxyAbridged,
    ConnectionTcpMTProxyIntermediate,
    ConnectionTcpMTProxyRandomizedIntermediate,
)
from telethon.sessions import MemorySession
from TelethonFakeTLS import ConnectionTcpMTProxyFakeTLS


@dataclass(frozen=True)
class Way:
    """A connection class of Telethon with the kind of link it is for."""

    name: str
    kind: str
    connection: type


WAYS = (
    Way("abridged", "plain", ConnectionTcpMTProxyAbridged),
    Way("intermediate", "plain", ConnectionTcpMTProxyIntermediate),
    Way("padded", "dd", ConnectionTcpMTProxyRandomizedIntermediate),
    Way("fake-tls", "ee", ConnectionTcpMTProxyFakeTLS),
)
# Telethon drops a leading zero byte of the shared key, which one key in 256 has; it then asks for another key itself.
OWN_FAULT = "Step 3 invalid new nonce hash"


def trust(pem):
    """Makes Telethon accept the simulated Telegram's key."""
    rsa.add_key(pem, old=False)


def fingerprint(pem):
    """The signed number by which MTProto names a key, as Telethon reckons it."""
    return rsa._compute_fingerprint(PublicKey.load_pkcs1(pem.encode()))


class _Complaints(logging.Handler):
    """Keeps what Telethon warns of, so that a connection that only worked at the second attempt does not pass."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.messages = []

    def emit(self, record):
        message = record.getMessage()
        if OWN_FAULT not in message:
            self.messages.append(message)


@contextlib.asynccontextmanager
async def client(way, link, dc=2, key=None):
    """A Telethon client that has a session with a data centre, in a key of its own making or in one that is given."""
    # The extension adds the `ee` by itself.
    secret = link.secret[2:] if way.kind == "ee" else link.secret
    logger = logging.getLogger(f"telethon.{way.name}.{link.port}")
    complaints = _Complaints()
    logger.addHandler(complaints)
    session = MemorySession()
    session.set_dc(dc, "192.0.2.1", 443)
    session.auth_key = key
    telethon = TelegramClient(
        session,
        1,
        "0" * 32,
        connection=way.connection,
        proxy=(link.host, link.port, secret),
        base_logger=logger,
        connection_retries=3,
        request_retries=1,
        retry_delay=0.1,
        timeout=10,
        auto_reconnect=False,
        flood_sleep_threshold=0,
    )
    try:
        await telethon.connect()
        yield telethon
        assert complaints.messages == []
    finally:
        await telethon.disconnect()
        logger.removeHandler(complaints)
