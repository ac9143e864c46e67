"""Contract cases 1 to 93: what streams mean, without I/O and over sockets."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import pytest

from sse_core import Comment, EventStreamParser, Opened, ServerSentEvent
from tests.contract.contract_cases import CASES, Case, bytewise
from tests.contract.contract_server import CHUNKED, Client, ContractServer, next_of, source_of, take
from tests.support.scripted_server import WAIT, Script, chunks
from tests.support.shells import Shell, on_every_shell

by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def brief(items: list[Any]) -> list[Any]:
    """Return the items with a digest for what is too long to be shown."""
    return [
        ServerSentEvent(hashlib.sha256(item.data.encode()).hexdigest(), item.event, item.id)
        if isinstance(item, ServerSentEvent) and len(item.data) > 1000
        else item
        for item in items
    ]


def test_numbers() -> None:
    """Every case is there once, in order."""
    assert list(range(1, 94)) == [case.number for case in CASES]


@pytest.mark.sweep(quick=30)
@by_case
def test_parser(case: Case) -> None:
    """Without I/O: as it was written, and no item more than what was expected."""
    parser: EventStreamParser[Any] = EventStreamParser(comments=case.comments)

    found = [item for write in case.writes for item in parser.receive_data(write)]

    assert brief(case.expected) == brief(found)


@pytest.mark.sweep(quick=70)
@on_every_shell
@by_case
def test_case(case: Case, shell: Shell) -> None:
    """Over a socket that stays open behind the last write; nothing stands between the items."""
    client = Client()
    script = client.stream(case.writes)
    if case.reported_first:
        script = reported_first(client, case.writes)

    async def scenario(source: Any) -> list[Any]:
        items = source.items()
        assert isinstance(await next_of(items), Opened)
        found = []
        for _ in case.expected:
            found.append(await next_of(items))
            client.reports()
        await source.aclose()
        return found

    with ContractServer(script) as server, client:
        found = shell.run(scenario, source_of(shell, server.url, comments=case.comments))
        assert script.closed.wait(WAIT)

    assert brief(case.expected) == brief(found)


def reported_first(client: Client, writes: list[bytes]) -> Script:
    pieces: list[bytes | threading.Event] = [CHUNKED]
    for number, chunk in enumerate(chunks(writes)):
        pieces += [client.has_reported(number), chunk]
    return Script(pieces, "hold")


@on_every_shell
def test_writes_are_reads(shell: Shell) -> None:
    """What the cases above rely on: no two writes arrive in one read."""
    client = Client()
    writes = bytewise(b"data: Hello\n\n" * 50)

    async def scenario(source: Any) -> list[Any]:
        found = await take(source.items(), 51)
        await source.aclose()
        return found[1:]

    with ContractServer(client.stream(writes)) as server, client:
        found = shell.run(scenario, source_of(shell, server.url))

    assert [ServerSentEvent("Hello")] * 50 == found
    assert [len(CHUNKED), *map(len, chunks(writes))] == client.reads


def test_comments_are_in_order() -> None:
    """Case 38 in one read: the event comes before the comment that follows it."""
    parser = EventStreamParser(comments=True)

    assert [ServerSentEvent("Hello"), Comment("Hello")] == parser.receive_data(
        b"data: Hello\n\n:Hello\n"
    )
