"""Simulated networks for scenarios: ``sim`` is always the same, ``steady`` and ``seeded`` come in many seeds.

A scenario that fails shows its trace and the command that replays it.
``EBT_SEEDS=1000 pytest tests/scenarios`` tries more; ``nox -s simulation`` a hundred.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from random import Random
from typing import Any

import pytest

from ebt_trio.testing.simulation import Simulation

SEEDS = int(os.environ.get("EBT_SEEDS", "50"))
TRACE_LINES = 200


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in ("steady", "seeded"):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(SEEDS), indirect=True, ids=lambda seed: f"seed{seed}")


@pytest.fixture
def sim() -> Simulation:
    """Links of 20 ms, a store of 1 ms: times can be foretold."""
    return Simulation(latency=0.02)


@pytest.fixture
def steady(request: pytest.FixtureRequest) -> Simulation:
    """Every link has a latency of its own, and keeps it: what is sent can be counted."""
    return Simulation(request.param, latency=(0.002, 0.08))


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> Simulation:
    """Latencies, jitter, store delays and sizes of frames differ from seed to seed: any order of events."""
    rng = Random(request.param)
    return Simulation(
        request.param,
        latency=(0.002, 0.08),
        jitter=rng.choice([0.0, 0.005, 0.03]),
        store_delay=rng.choice([0.0, 0.001, (0.0, 0.03)]),
        batch=rng.choice([1, 4, 64]),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        for name in ("sim", "steady", "seeded"):
            network = arguments.get(name)
            if isinstance(network, Simulation):
                report.sections.append((f"trace of {name}", "\n".join(network.trace[-TRACE_LINES:])))
                report.sections.append(("replay", f"python -m pytest '{item.nodeid}'"))
    return report
