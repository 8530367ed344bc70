"""Kurigram, a client library in Python with a fake-TLS greeting of today."""

import contextlib
import logging

from pyrogram import Client
from pyrogram.crypto import rsa
from rsa import PublicKey

from support.telethon import fingerprint

# What it says of attempts that failed, at the level that it says it at.
FAILED_ATTEMPT = ("Retrying due to", "Unable to connect", "Connection failed", "Restarting session", "transport error")


def trust(pem):
    """Makes Kurigram accept the simulated Telegram's key."""
    key = PublicKey.load_pkcs1(pem.encode())
    rsa.server_public_keys[fingerprint(pem)] = rsa.PublicKey(key.n, key.e)


class _Complaints(logging.Handler):
    def __init__(self):
        super().__init__(logging.INFO)
        self.messages = []

    def emit(self, record):
        message = record.getMessage()
        if message.startswith(FAILED_ATTEMPT) or "transport error" in message:
            self.messages.append(message)


@contextlib.asynccontextmanager
async def client(link, loop):
    """A Kurigram client that has made its key with data centre 2 and a session in it."""
    logger = logging.getLogger("pyrogram")
    logger.setLevel(logging.INFO)
    complaints = _Complaints()
    logger.addHandler(complaints)
    kurigram = Client("end to end", api_id=1, api_hash="0" * 32, in_memory=True, no_updates=True, proxy=link.url, loop=loop)
    try:
        await kurigram.connect()
        yield kurigram
        assert complaints.messages == []
    finally:
        if kurigram.is_connected:
            await kurigram.disconnect()
        logger.removeHandler(complaints)
