"""Some hundreds of random networks under random faults; ``nox -s simulation`` runs as many as asked.

Invariants are checked after every event; in the end all are equal, progress says so, and nothing more is sent.
"""

from __future__ import annotations

import os

import pytest

from ebt_trio.testing.churn import Churn, ChurnSettings, replay

SHARE = int(os.environ.get("EBT_SEEDS", "100"))

CAMPAIGNS = {
    "small": (ChurnSettings(peers=(3, 7), feeds=(1, 3), steps=40), 2 * SHARE),
    "eight peers": (ChurnSettings(peers=(8, 8), feeds=(1, 2), steps=40), SHARE),
    "any": (ChurnSettings(), SHARE // 2),
}


@pytest.mark.parametrize(
    ("settings", "seed"),
    [
        pytest.param(settings, seed, id=f"{name}-seed{seed}")
        for name, (settings, seeds) in CAMPAIGNS.items()
        for seed in range(seeds)
    ],
)
def test_churn(settings: ChurnSettings, seed: int) -> None:
    churn = Churn(seed, settings)
    try:
        churn.run()
    except BaseException as error:
        error.add_note(f"replay: {replay(seed, settings)}")
        error.add_note("\n".join(churn.sim.trace[-100:]))
        raise
    sent, now = churn.sim.frames.copy(), churn.sim.now
    churn.sim.run(24 * 3600.0)
    assert churn.sim.frames == sent, f"something was said after {now:.0f} s, when all was in sync"


def test_a_replay_is_the_same_run() -> None:
    """The same seed gives the same trace, line by line; the command names all that the run depends on."""
    settings = ChurnSettings(peers=(4, 5), feeds=(2, 3), steps=15)
    first, second, other = Churn(7, settings), Churn(7, settings), Churn(8, settings)
    for churn in (first, second, other):
        churn.run()
    assert first.sim.trace == second.sim.trace != other.sim.trace
    assert replay(7, settings).endswith("--seed 7 --peers 4 5 --feeds 2 3 --steps 15 --trace")
