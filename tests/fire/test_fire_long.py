"""The programs that run for long, for some seconds: that they run, that everything is everywhere, not what grows."""

from __future__ import annotations

import sys

import hundreds
import pytest
import soak

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes share a clock there")


@LINUX
async def test_honest_peers_among_hostile_ones() -> None:
    """A process for the node, one for honest peers, one for hostile ones of each kind."""
    result = await hundreds.run(4, honest=4, each=1, bound=60)
    assert not result["failed"]
    assert result["messages delivered"] > 0
    assert result["sessions at once"] > 8
    assert result["failures of honest sessions"] == 0


async def test_nodes_on_links_that_break() -> None:
    result = await soak.run(6, quick=True)
    assert not result["failed"]
    assert result["messages"] > 10
    assert result["restarts"] > 0
    assert result["faults"] > 0
