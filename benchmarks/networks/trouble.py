"""Tables of trouble that goes on: churn, halves that part, slow or lost links; and bulk."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from ebt_trio.testing.networks import Network
from ebt_trio.testing.networks.aftermath import aftermath
from ebt_trio.testing.networks.bulk import join
from ebt_trio.testing.networks.failures import busiest, churn, freeze, lossy, part, slow
from ebt_trio.testing.networks.redial import Redialler
from ebt_trio.testing.networks.workloads import one_sender

from .case import Case, Figures, Table, links
from .case import Target as T

WARM: Final = 5
"""Messages before it begins, so that there is a tree."""
TROUBLE: Final = {
    "at_once": "at once",
    "after_stall": "in stall_timeout",
    "finally_": "finally",
    "bugs": "bugs",
    "last": "last one, s",
    "rmr": "RMR",
    "notes": "notes",
    "links": "new links",
}
Trouble = Callable[[Network, Random, Redialler], None]


def _trouble(
    name: str, peers: int, cause: Trouble, *, kind: str = "regular", rest: float = 60.0, rate: int = 1
) -> Case:
    """One sender for half a minute, so many messages per second; the cause is let loose after some."""

    def run(seed: int) -> Figures:
        edges, late = links(kind, peers, seed)
        rng = Random(f"{name} {peers} {seed}")
        made = Network(edges, late, peers=peers, seed=seed)
        made.play(one_sender(WARM), rest=5.0)
        made.recording.begin()
        redial = Redialler(made, rng)
        cause(made, rng, redial)
        made.play(one_sender(30 * rate, gap=1 / rate), rest=rest)
        found = aftermath(made)
        measures = made.measures()
        return {
            "at_once": sum(one.at_once for one in found) / len(found),
            "after_stall": sum(one.after_stall for one in found) / len(found),
            "finally_": min(one.finally_ for one in found),
            "bugs": sum(one.bugs for one in found),
            "last": max(one.last for one in found),
            "rmr": measures.rmr,
            "notes": measures.notes,
            "links": redial.made,
        }

    stream = f", {rate} messages per second" if rate > 1 else ""
    return Case(f"{peers:,} peers, {name}{stream}", peers, run, {"finally_": T(least=1), "bugs": T(most=0)})


def _parting(made: Network, rng: Random, redial: Redialler) -> None:
    made.sim.after(20.0, part(made, range(len(made.peers) // 2), redial))


def _churning(made: Network, rng: Random, redial: Redialler) -> None:
    each = 100.0 / len(made.peers)  # 1 % per second
    churn(made, rng, redial, each=each, down=10.0, until=made.sim.now + 30.0, spare=[0])


def _freezing(made: Network, rng: Random, redial: Redialler) -> None:
    made.sim.after(20.0, freeze(made, busiest(made, 0, spare=[0])))


def _slowing(made: Network, rng: Random, redial: Redialler) -> None:
    slow(made, 0.1, rng, factor=10.0)


def _losing(made: Network, rng: Random, redial: Redialler) -> None:
    lossy(made, rng, redial, each=100.0 / len(made.edges), until=made.sim.now + 30.0)


def _losing_silently(made: Network, rng: Random, redial: Redialler) -> None:
    lossy(made, rng, redial, each=100.0 / len(made.edges), until=made.sim.now + 30.0, silently=True)


def trouble() -> Table:
    """What goes on for a while."""
    cases: list[Case] = []
    for peers in (100, 1000):
        cases += [
            _trouble("two halves part for 20 s", peers, _parting, kind="two-clusters"),
            _trouble("1 % of the peers per second crash for 10 s", peers, _churning),
            _trouble("the busiest source freezes for 20 s", peers, _freezing),
            _trouble("a tenth of the links becomes 10 times slower", peers, _slowing),
            _trouble("1 % of the links per second is lost", peers, _losing),
            _trouble("1 % of the links per second is lost silently", peers, _losing_silently, rest=120.0),
        ]
    cases += [
        _trouble("1 % of the peers per second crash for 10 s", 100, _churning, rate=20),
        _trouble("the busiest source freezes for 20 s", 100, _freezing, rate=20),
        _trouble("1 % of the links per second is lost", 100, _losing, rate=20),
    ]
    return Table(
        "trouble",
        "Trouble that goes on",
        """One sender, for 30 s a message each second, or as many as it says, while something is wrong; then it ends.
        Links that are lost are made again, by who made them, with the backoff of `EBT.dial`. Shares are of all peers,
        mean over messages; finally: of the message that reached the fewest.""",
        TROUBLE,
        cases,
    )


BULK: Final = {
    "ratio": "time / ideal",
    "extra": "s over it",
    "least": "least share",
    "most": "most",
    "duplicates": "duplicates",
    "complete": "complete",
}


def bulk() -> Table:
    """A joiner."""

    def case(name: str, targets: dict[str, T], **options: float) -> Case:
        def run(seed: int) -> Figures:
            found = join(seed=seed, **options)  # type: ignore[arg-type]
            others = found.shares[1:] if "slower" in options or "freezing" in options else found.shares
            return {
                "ratio": found.ratio,
                "extra": found.seconds - found.ideal,
                "least": min(others),
                "most": max(others),
                "duplicates": found.duplicates,
                "complete": float(found.complete),
            }

        return Case(name, 6, run, {"complete": T(least=1)} | targets)

    even = {"least": T(least=0.15), "most": T(most=0.25)}
    return Table(
        "bulk",
        "Bulk",
        """A joiner with 5 neighbours, 10–50 ms away over links of 1,000 messages per second, who all hold 1,000 feeds
        of 50 messages. Ideal: all links, or the downlink, in full use all the time. Shares: of the messages, by
        neighbour (not counting the one that is slower or freezes). Duplicates: messages that came again / messages.""",
        BULK,
        [
            case("all alike", {"ratio": T(most=1.5), "duplicates": T(most=0), **even}),
            case("one ten times slower", {"ratio": T(most=1.6)}, slower=10.0),
            case("one freezes at half", {"extra": T(most=3.0)}, freezing=True),
            case("a downlink of 100 messages per second", {"duplicates": T(most=0.03)}, downlink=100.0),
            case(
                "links of 200 messages per second", {"ratio": T(most=1.5), "duplicates": T(most=0), **even}, rate=200.0
            ),
            case(
                "links of 5,000 messages per second",
                {"ratio": T(most=1.5), "duplicates": T(most=0), **even},
                rate=5000.0,
            ),
            case("one freezes at half, 200 feeds", {"extra": T(most=3.0)}, freezing=True, feeds=200),
        ],
    )
