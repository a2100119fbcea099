"""A network, work and faults, drawn from a seed and written down as plain data: :class:`Scenario`; running one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import trio

from ...abc import Store
from ...stores.sqlite import SQLiteStore
from .judge import WorldBroken, check_closed, check_contents
from .pipes import Conditions
from .steps import Step
from .world import LINES, World, run_world

__all__ = ["Scenario", "Settings", "draw", "run", "run_in"]

SETTLE: Final = 900.0
IDLE: Final = 25.0
"""Seconds of silence that are looked for at the end; less than the time between PINGs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How large, how long."""

    peers: tuple[int, int] = (2, 6)
    steps: int = 24
    step: float = 0.6
    """mean time between steps, in seconds"""
    signed: float = 0.15
    """share of worlds whose peers have keys"""
    files: float = 0.15
    """share of peers whose store is a file"""
    flips: bool = False
    """whether peers stop following each other, and begin again"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a run depends on besides its seed."""

    signed: bool
    peers: Sequence[tuple[str, str, float, Sequence[str] | None]]
    """name; "memory" or "file"; how long writing takes; whom it follows (None: everybody)"""
    links: Sequence[tuple[str, str, bool, Mapping[str, Any]]]
    """who dials whom; both ways; the conditions"""
    steps: Sequence[Step]


def draw(seed: int, settings: Settings | None = None) -> Scenario:
    """The scenario of a seed."""
    settings = settings or Settings()
    rng = Random(f"scenario {seed}")
    names = [f"p{i}" for i in range(rng.randint(*settings.peers))]
    pairs = {(rng.choice(names[:i]), names[i]) for i in range(1, len(names))}
    for _ in range(rng.choice([0, 1, len(names)])):
        a, b = rng.sample(names, 2)
        if (b, a) not in pairs:
            pairs.add((a, b))
    links = [((a, b) if rng.random() < 0.5 else (b, a)) + (rng.random() < 0.2, _weather(rng)) for a, b in sorted(pairs)]
    peers = [
        (
            name,
            "file" if rng.random() < settings.files else "memory",
            rng.choice([0.0, 0.0, 0.0, 0.004, 0.05]),
            names if settings.flips else None,
        )
        for name in names
    ]
    steps: list[Step] = []
    for _ in range(settings.steps):
        steps.append(_step(rng, names, sorted(pairs), settings.flips))
        if rng.random() < 0.8:
            steps.append(("wait", round(rng.expovariate(1 / settings.step), 3)))
    return Scenario(rng.random() < settings.signed, peers, links, steps)


def _weather(rng: Random) -> dict[str, Any]:
    return asdict(
        Conditions(
            delay=rng.choice([0.001, 0.01, 0.05, 0.2]),
            jitter=rng.choice([0.0, 0.0, 0.01, 0.1]),
            rate=rng.choice([0.0, 0.0, 0.0, 20_000.0, 4_000.0]),
            split=rng.choice([0, 0, 5, 200, 1500]),
            window=rng.choice([65536, 65536, 4096, 1000]),
        )
    )


def _step(rng: Random, names: Sequence[str], pairs: Sequence[tuple[str, str]], flips: bool) -> Step:
    kinds = _KINDS | _FLIPS if flips else _KINDS
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    peer, pair = rng.choice(names), rng.choice(pairs)
    match kind:
        case "append":
            return (kind, peer, *rng.choice([(1, 0), (1, 20), (1, 3000), (2, 0), (5, 500), (60, 0), (60, 50)]))
        case "weather":
            return (kind, *pair, _weather(rng))
        case "truncate":
            return (kind, *pair, rng.choice([1, 2, 10, 50, 500]))
        case "cut" | "down" | "up" | "freeze" | "thaw" | "dial":
            return (kind, *pair)
        case "follow" | "unfollow":
            return (kind, peer, rng.choice(names))
        case "store":
            return (kind, peer, rng.choice(["fine", "fine", "full", "unreadable", "broken"]))
        case _:
            return (kind, peer)


_KINDS: Final = {
    "append": 36,
    "weather": 4,
    "cut": 6,
    "truncate": 8,
    "down": 3,
    "up": 3,
    "freeze": 4,
    "thaw": 4,
    "dial": 3,
    "stop": 2,
    "go": 2,
    "kill": 4,
    "power": 3,
    "leave": 3,
    "start": 12,
    "store": 6,
}
"""How often each kind of step is drawn."""
_FLIPS: Final = {"follow": 12, "unfollow": 12}


def run(scenario: Scenario, seed: int, *, lines: int = LINES) -> World:
    """Run it in a world of its own; returns that world, for its trace and its figures.

    :raises Exception: what went wrong, with the end of the trace
    """

    async def body(world: World) -> World:
        with tempfile.TemporaryDirectory() as folder:
            try:
                await run_in(world, scenario, Path(folder))
            finally:
                for peer in world.peers.values():
                    peer.leave()
                with trio.CancelScope(shield=True):
                    for peer in world.peers.values():
                        await peer.wait_gone()
        return world

    return run_world(body, seed=seed, signed=scenario.signed, lines=lines)


async def run_in(world: World, scenario: Scenario, folder: Path) -> None:
    """The network, the steps, quiet; then everything has to be everywhere, and everybody has to be idle.

    :raises WorldBroken: it is not so
    """
    for name, kind, delay, follow in scenario.peers:
        store: Store | None = None
        if kind == "file":
            store = SQLiteStore(folder / f"{name}.db", threads=False, synchronous="NORMAL")
        world.peer(name, store=store, store_delay=delay, follow=follow)
    for a, b, both, conditions in scenario.links:
        world.link(a, b, both=both, **conditions)
    await world.play(scenario.steps)
    world.heal()
    for peer in world.peers.values():
        if peer.follow is not None:
            for name in world.peers:
                peer.want(name, True)
    await world.settle(SETTLE)
    await check_contents(world.peers)
    pairs = [(a, b) for a, b, *_ in scenario.links]
    await _wait_for_sessions(world, pairs)
    await world.settle(SETTLE)
    await _live(world)
    await _idle(world)
    check_closed(world.peers, pairs)
    await check_contents(world.peers)


async def _wait_for_sessions(world: World, pairs: Sequence[tuple[str, str]]) -> None:
    """Dead links are found by silence after a minute, and dialled again after half of one."""
    give_up = trio.current_time() + 200
    while True:
        try:
            check_closed(world.peers, pairs)
        except WorldBroken:
            if trio.current_time() > give_up:
                raise
            await trio.sleep(1)
        else:
            return


async def _live(world: World) -> None:
    """On a network that stands still a live message reaches each peer once."""
    for peer in world.peers.values():
        for other in world.peers.values():
            world.network.set(peer.name, other.name, Conditions())
    await trio.sleep(5)
    for peer in world.peers.values():
        before = {name: other.ebt.statistics().duplicates for name, other in world.peers.items()}
        await peer.append({"n": peer.tried + 1, "live": True})
        await world.settle(SETTLE)
        for name, other in world.peers.items():
            if twice := other.ebt.statistics().duplicates - before[name]:
                raise WorldBroken(f"{name} got {twice} messages twice, of {peer.name}'s one, on a network in peace")


async def _idle(world: World) -> None:
    last = world.trace.last_frame
    await trio.sleep(IDLE)
    if world.trace.last_frame != last:
        raise WorldBroken("frames are sent though there is nothing to say")
