"""The programs that every test shares: one simulated Telegram, and a proxy for each way of carrying bytes."""

import pytest

from support import kurigram, telethon
from support.tdlib import TdLib
from support.teleferry import Proxy, Simulator

_RUNNING = []


@pytest.fixture(scope="session")
def simulator():
    """Telegram in miniature."""
    simulated = Simulator()
    _RUNNING.append(simulated.child)
    telethon.trust(simulated.public_key_pem)
    kurigram.trust(simulated.public_key_pem)
    yield simulated
    status = simulated.child.end_by_stdin()
    assert status == 0, simulated.child.tail()


WAYS = {
    "fast": {"fast_path": True},
    "careful": {"fast_path": False},
    "middle": {"mode": "middle"},
    "split-direct": {"split": True},
    "split-middle": {"split": True, "mode": "middle"},
}


@pytest.fixture(scope="session", params=WAYS.values(), ids=WAYS)
def proxy(request, simulator, tmp_path_factory):
    """The proxy: direct with bytes passed as they are, direct with every byte deciphered, over middle proxies, and in two
    halves either way."""
    started = Proxy(simulator, tmp_path_factory.mktemp("proxy"), **request.param)
    yield from _until_stopped(started)


@pytest.fixture(scope="session")
def start_proxy(simulator, tmp_path_factory):
    """Starts a proxy with other settings, for the rest of the session."""
    started = []

    def start(**settings):
        started.append(_until_stopped(Proxy(simulator, tmp_path_factory.mktemp("proxy"), **settings)))
        return next(started[-1])

    yield start
    for proxy in started:
        next(proxy, None)


@pytest.fixture(scope="session")
def tdlib(tmp_path_factory):
    """Telegram's own library."""
    library = TdLib(tmp_path_factory.mktemp("tdlib"))
    yield library
    library.close()


def _until_stopped(proxy):
    """Yields the proxy; afterwards all of it must still run, and stop cleanly when told."""
    _RUNNING.extend(proxy.children)
    try:
        yield proxy
        for child in proxy.children:
            assert child.alive(), child.tail()
            status = child.end_by_signal()
            assert status == 0, (status, child.tail())
    finally:
        for child in proxy.children:
            child.kill()
            _RUNNING.remove(child)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what our programs said when a test fails."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for child in _RUNNING:
            report.sections.append((f"{' '.join(child.command)}: standard error", child.tail()))
