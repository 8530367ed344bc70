"""Kurigram: the whole way in Python, with TDLib's greeting of today."""

import asyncio

import pytest
from pyrogram import raw

from support.kurigram import client
from support.teleferry import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_session(proxy, kind):
    async def story():
        async with client(proxy.link(kind), asyncio.get_running_loop()) as kurigram:
            config = await kurigram.invoke(raw.functions.help.GetConfig())
            assert isinstance(config, raw.types.Config)
            assert config.this_dc == 2

    asyncio.run(story())
