"""A server that is killed again and again; ``python -m tests.faults.kills`` does it 500 times."""

from __future__ import annotations

import pytest

from tests.faults import kills
from tests.support.shells import Shell, on_every_shell


@on_every_shell
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_f36_f37_f38_f42_killed_again_and_again(shell: Shell, tls: bool) -> None:
    """Each event comes once and in order, however the connections break off."""
    killer = kills.run(shell.name, 16, seed=7, tls=tls)

    assert 16 == killer.killed.total()
    assert 4 == len(killer.killed)
