"""TDLib: Telegram's own library. It checks the whole fake-TLS answer, and that the first answer of the data centre is
for the question it asked."""

import dataclasses

import pytest

from support.teleferry import DOMAIN, KINDS, key

WRONG = key("nobody's")


def seconds(answers):
    """Asserts that every ping came back; the slowest."""
    assert all(isinstance(answer, float) for answer in answers), answers
    return max(answers)


@pytest.mark.parametrize("kind", KINDS)
def test_ping(tdlib, proxy, kind):
    assert seconds(tdlib.ping(proxy.link(kind))) < 5


def test_one_listener_takes_every_kind(tdlib, proxy):
    assert seconds(tdlib.ping(*(proxy.link(kind, "all") for kind in KINDS))) < 5


def test_many_at_once(tdlib, proxy):
    """Each hello is another one: sizes, order of extensions and padding are drawn by chance."""
    seconds(tdlib.ping(*(proxy.link(kind) for kind in KINDS for _ in range(30))))


def test_other_name_with_the_right_key(tdlib, proxy):
    """A hello for another name than the links' is the cover site's, whoever proves it; without a site it is not answered."""
    link = dataclasses.replace(proxy.link("ee"), domain="another." + DOMAIN)
    assert tdlib.ping(link) == ["Connection timeout expired"]


def test_wrong_secrets_and_closed_kinds_get_silence(tdlib, proxy):
    """A stranger is told nothing when there is no cover site: TDLib gives up by its own clock."""
    wrong = [dataclasses.replace(proxy.link(kind), key=WRONG) for kind in KINDS]
    # The right key at a listener that does not allow that kind of link.
    closed = [dataclasses.replace(proxy.link("dd"), kind="plain"), dataclasses.replace(proxy.link("plain"), kind="dd")]
    answers = tdlib.ping(*wrong, *closed)
    assert answers == [
        "Pong timeout expired",
        "Pong timeout expired",
        "Connection timeout expired",
        "Pong timeout expired",
        "Pong timeout expired",
    ]
