"""The same seed gives the same run in every process, however it hashes strings."""

from __future__ import annotations

import os
import subprocess
import sys

RUN = """
from hashlib import sha256
from ebt_trio.core.types import FeedId, PeerId
from ebt_trio.testing.churn import Churn
from ebt_trio.testing.simulation import Simulation

sim = Simulation(5, latency=(0.01, 0.05), jitter=0.01, check=False)
names = [f"p{number}" for number in range(20)]
for name in names:
    sim.peer(name, follow=names[:6])
edges = set()
while len(edges) < 50:
    edge = tuple(sorted(sim.rng.sample(names, 2)))
    if edge not in edges:
        edges.add(edge)
        sim.connect(*edge)
for name in names:
    sim.peers[PeerId(name)].dial(*names, links=2)
    sim.peers[PeerId(name)].append(2)
sim.run(3.0)
for name in names[::3]:
    sim.peers[PeerId(name)].crash(silent=name.endswith("3"))
for name in names[1::3]:
    sim.peers[PeerId(name)].append()
sim.run(100.0)
lines = sim.trace + [repr(sorted(sim.delivered_at.items()))]
for seed in range(2):
    churn = Churn(seed, check=False)
    churn.run()
    lines += churn.sim.trace
print(sha256("\\n".join(lines).encode()).hexdigest(), len(lines))
"""


def test_the_same_in_every_process() -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", RUN],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len(set(outputs)) == 1, outputs
    assert int(outputs[0].split()[1]) > 2000
