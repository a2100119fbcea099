"""Steps that Hypothesis makes up, and shrinks to a short list when they fail: plain data, for ``World.play``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from ebt_trio.testing.world import World, WorldBroken, run_world
from ebt_trio.testing.world.judge import check_contents

NAMES = ["a", "b", "c"]
PAIRS = [("a", "b"), ("b", "c")]

peers = st.sampled_from(NAMES)
pairs = st.sampled_from(PAIRS)
Step = tuple[Any, ...]


def of_peer(*kinds: str) -> st.SearchStrategy[Step]:
    return st.tuples(st.sampled_from(kinds), peers)


def of_pair(*kinds: str) -> st.SearchStrategy[Step]:
    return st.builds(lambda kind, pair: (kind, *pair), st.sampled_from(kinds), pairs)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), peers, st.sampled_from([1, 3])),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.03, 0.3, 5.0])),
        of_pair("cut", "down", "up", "freeze", "thaw"),
        st.builds(lambda pair, size: ("truncate", *pair, size), pairs, st.integers(1, 60)),
        of_peer("kill", "power", "leave", "start", "stop", "go"),
        st.tuples(st.just("store"), peers, st.sampled_from(["fine", "full", "unreadable", "broken"])),
    ),
    max_size=12,
)


async def chain(world: World) -> None:
    for name in NAMES:
        world.peer(name)
    for a, b in PAIRS:
        world.link(a, b)


def replay(steps: list[Step]) -> None:
    async def body(world: World) -> None:
        await chain(world)
        await world.play(steps)
        world.heal()
        await world.settle()
        await check_contents(world.peers)

    run_world(body)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_happens_all_have_all_in_the_end(steps: list[Step]) -> None:
    replay(steps)


def test_a_failure_shrinks_to_the_steps_that_matter() -> None:
    """With a rule that is wrong: that a message is everywhere at once, whatever is down."""

    def breaks(steps: list[Step]) -> bool:
        try:
            replay_without_healing(steps)
        except WorldBroken:
            return True
        return False

    found = find(steps, breaks, settings=settings(max_examples=200, deadline=None, derandomize=True, database=None))
    assert len(found) <= 2
    with pytest.raises(WorldBroken):
        replay_without_healing(found)


def replay_without_healing(steps: list[Step]) -> None:
    async def body(world: World) -> None:
        await chain(world)
        await world.settle()
        await world.play(steps)
        await world.settle(patience=20)

    run_world(body)
