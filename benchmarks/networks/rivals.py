"""The same networks with other protocols: pure flooding, Plumtree as published, the JavaScript reference's note rules.

Lean models on the same overlays, latencies, seeds and workloads as ours, told to the same watch, so that the same
measures apply. What each does is said in its own module; :mod:`.rivals_wire` has what they share.

``python -m benchmarks.networks.rivals_table --peers 1000 --seeds 5`` prints a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from ebt_trio.testing.networks import Edge
from ebt_trio.testing.networks.measures import Measures
from ebt_trio.testing.networks.workloads import WORKLOADS, Post, senders_of

from .rivals_flooding import Flooding
from .rivals_plumtree import SHIPPED, Plumtree
from .rivals_reference import Reference
from .rivals_wire import Wire

RULES: Final[Mapping[str, Callable[..., Wire]]] = {
    "flooding": Flooding,
    "plumtree": Plumtree,
    "plumtree-shipped": partial(Plumtree, timeout1=SHIPPED[0], timeout2=SHIPPED[1]),
    "reference": Reference,
}


def build(
    rules: str,
    edges: Sequence[Edge],
    latencies: Sequence[float],
    *,
    peers: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Wire:
    """A network of peers that keep to these rules, linked, with nothing sent.

    :param rules: one of :data:`RULES`
    :param peers: how many; None: as many as ``edges`` say
    :param options: those of :class:`Wire` and of the protocol
    :raises ValueError: there are no such rules
    """
    if rules not in RULES:
        raise ValueError(f"no rules are called {rules!r}: there are {', '.join(RULES)}")
    count = 1 + max(b for _, b in edges) if peers is None else peers
    return RULES[rules](edges, latencies, peers=count, seed=seed, **options)


def played(
    rules: str,
    edges: Sequence[Edge],
    latencies: Sequence[float],
    *,
    jitter: float = 0.0,
    seed: int = 0,
    messages: int = 100,
    workload: str | Sequence[Post] = "one",
    peers: int | None = None,
    kill: float = 0.0,
    kill_at: int = 0,
    notice: float = 0.0,
    rest: float = 10.0,
    **options: Any,
) -> Wire:
    """A network with these rules, after a workload.

    :param workload: one of ``WORKLOADS``, for all peers, drawn from ``seed``; or what to send
    :param kill: this share of the peers dies, drawn from ``seed``, in the instant at which a message is sent, its
        author not among them; what is sent from that one on is recorded, and nothing before
    :param kill_at: the number of that message, from 0
    :param notice: seconds after which their neighbours know
    :param rest: seconds after the last message
    """
    count = 1 + max(b for _, b in edges) if peers is None else peers
    rng = Random(f"{seed} rivals")
    posts = WORKLOADS[workload](range(count), messages, rng) if isinstance(workload, str) else list(workload)
    wire = build(rules, edges, latencies, peers=count, seed=seed, feeds=senders_of(posts), jitter=jitter, **options)
    dying = rng.sample([peer for peer in range(count) if peer != posts[kill_at][1]], round(kill * count))

    def each(number: int) -> None:
        if kill and number == kill_at:
            wire.recording.begin()
            wire.crash(dying, notice=notice)

    wire.play(posts, rest=rest, each=each)
    return wire


def run(rules: str, edges: Sequence[Edge], latencies: Sequence[float], **options: Any) -> Measures:
    """The measures of a network with these rules, through a workload.

    :param options: those of :func:`played`
    """
    return played(rules, edges, latencies, **options).measures()
