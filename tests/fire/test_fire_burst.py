"""Nothing is lost, however fast it comes and however slow a link is: the sizes of every day; ``burst.py`` has more."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from burst import OVERLAYS, PEERS, by_memory, by_tcp, run

MEGABYTE = 1 << 20


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_a_burst_in_virtual_time(overlay: str, autojump_clock: trio.testing.MockClock) -> None:
    """1,000 back to back; one link takes half a second each way. Above the stores there is next to nothing."""
    burst = await run(overlay, 1000, by_memory(0.005, 0.5), patience=60)
    assert not burst.out_of_order
    assert burst.peak - burst.stored < 3 * MEGABYTE
    assert burst.duplicates < 1000  # a mesh that is not yet a tree


async def test_a_burst_by_a_slow_link_of_real_sockets() -> None:
    """300 messages of a hundred bytes, at 100 kB a second, with the clock of this world."""
    burst = await run("line", 300, by_tcp(100_000), patience=120)
    assert not burst.out_of_order
    assert burst.duplicates == 0
    assert burst.peak - burst.stored < PEERS * MEGABYTE
