"""Telethon: the whole way, from the key exchange to requests in an encrypted session, in every framing that exists."""

import asyncio
import hashlib

import pytest
from telethon import functions, types
from telethon.errors import AuthKeyNotFound, RPCError

from support.telethon import WAYS, client

ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@ways
@pytest.mark.parametrize("listener", ["own", "all"])
def test_session(proxy, way, listener):
    async def story():
        link = proxy.link(way.kind, None if listener == "own" else listener)
        async with client(way, link) as telethon:
            config = await telethon(functions.help.GetConfigRequest())
            assert isinstance(config, types.Config)
            assert config.this_dc == 2

    asyncio.run(story())


@ways
def test_other_data_centre(proxy, way):
    """The number in the connection's header chooses the data centre."""

    async def story(dc):
        async with client(way, proxy.link(way.kind), dc=dc) as telethon:
            return (await telethon(functions.help.GetConfigRequest())).this_dc

    # Not all at once: the fake-TLS extension keeps its greeting in one place for all its connections.
    assert [asyncio.run(story(dc)) for dc in (1, 5)] == [1, 5]


@ways
def test_large_requests(proxy, way):
    """Half a megabyte each, several under way at once: frames that span many reads and many records."""

    async def story():
        async with client(way, proxy.link(way.kind)) as telethon:
            parts = [hashlib.sha256(bytes([part])).digest() * (512 * 1024 // 32) for part in range(4)]
            requests = [functions.upload.SaveFilePartRequest(77, part, data) for part, data in enumerate(parts)]
            answers = await asyncio.gather(*(telethon(request) for request in requests), return_exceptions=True)
            # An error in reply is an answer as well: a request is only understood when each of its bytes is right.
            assert all(answer is True or isinstance(answer, RPCError) for answer in answers), answers
            assert (await telethon(functions.help.GetConfigRequest())).this_dc == 2

    asyncio.run(story())


@ways
def test_error_code_for_a_key_of_another_data_centre(proxy, way):
    """A payload of four bytes, which a client tells from a message by its size alone."""

    async def story():
        async with client(way, proxy.link(way.kind)) as telethon:
            key = telethon.session.auth_key
        with pytest.raises(AuthKeyNotFound):
            async with client(way, proxy.link(way.kind), dc=4, key=key):
                pass

    asyncio.run(story())
