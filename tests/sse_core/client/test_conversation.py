"""The seam between conversations and shells: links, blocking steps, arguments not given."""

from __future__ import annotations

from collections.abc import Generator

import pytest

import sse_core
from sse_core import NOT_GIVEN, TransportError
from sse_core._client import connector, sync_connector
from sse_core._client.conversation import at_once
from sse_core._client.route import Route
from sse_core._http.limits import NO_LIMIT


@pytest.mark.anyio
async def test_closed_link() -> None:
    """A link that another task has closed sends nothing, and its bytes have ended."""
    link = connector.Link(connector.Connector(Route()))

    assert not link.is_open
    assert b"" == await link.receive()
    with pytest.raises(TransportError, match="was closed while"):
        await link.send(b"GET", NO_LIMIT)


def test_closed_blocking_link() -> None:
    """The same, where another thread has closed it."""
    link = sync_connector.Link(sync_connector.Connector(Route()))

    assert not link.is_open
    assert b"" == at_once(link.receive(NO_LIMIT))
    with pytest.raises(TransportError, match="was closed while"):
        at_once(link.send(b"GET", NO_LIMIT))


def test_at_once() -> None:
    """Steps that never suspend run to their result; a step that does is a mistake."""

    async def result() -> int:
        return 7

    class Suspends:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def waits() -> None:
        await Suspends()

    assert 7 == at_once(result())
    with pytest.raises(AssertionError, match="suspended"):
        at_once(waits())


def test_not_given() -> None:
    """A client's own limits count where a call gives none; None means no limits at all."""
    client = sse_core.Client(timeout=5)

    assert "NOT_GIVEN" == repr(NOT_GIVEN)
    assert 5 == client.timeout_for(NOT_GIVEN).idle
    assert client.timeout_for(None).idle is None
    assert 3 == client.timeout_for(3).idle
