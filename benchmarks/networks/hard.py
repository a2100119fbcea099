"""Tables of networks in which many peers die at once: what the others get, with and without new links."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from ebt_trio.testing.networks import Network
from ebt_trio.testing.networks.aftermath import Aftermath, aftermath
from ebt_trio.testing.networks.failures import kill
from ebt_trio.testing.networks.paths import component
from ebt_trio.testing.networks.redial import Redialler
from ebt_trio.testing.networks.workloads import one_sender

from .case import Case, Figures, Published, Run, Table, chosen, links
from .case import Target as T

WARM, LATER = 5, 10
"""Messages before the failure, so that there is a tree, and after it."""
ADDRESSES: Final = 60
"""That a peer remembers, besides its neighbours'. With 30, where nine in ten die, there is now and then a survivor who
remembers nobody that lives, and whom nobody remembers that does: one in 1,400."""
LONELY: Final = "who has fewer than 5 links"
"""Then it calls whom it remembers."""

FAILED: Final = {
    "at_once": "at once",
    "after_graft": "+ graft_delay",
    "after_stall": "in stall_timeout",
    "finally_": "finally",
    "later": "later messages",
    "of_connected": "of those connected",
    "bugs": "bugs",
    "last": "last one, stall_timeouts",
    "rmr": "RMR, then",
    "rmr_later": "from the 2nd on",
    "links": "new links",
}


def killed(
    peers: int, share: float, *, silently: bool = False, addresses: int = 0, least: int = 5, on_its_way: float = 0.0
) -> Run:
    """Run a network of which a share dies while a message is sent."""

    def run(seed: int) -> Figures:
        edges, late = links("regular", peers, seed)
        rng = Random(f"kill {peers} {share} {seed}")
        victims = set(rng.sample(range(peers), round(share * peers)))
        sender = author(peers, edges, victims)
        made = Network(edges, late, peers=peers, feeds=[sender], seed=seed)
        made.play(one_sender(WARM, sender=sender), rest=5.0)
        made.recording.begin()
        redial = Redialler(made, rng, addresses=addresses, least=least) if addresses else None
        made.peers[sender].append()
        made.sim.run(on_its_way)
        kill(made, victims, silently=silently, redial=redial)
        made.sim.run(1.0 - on_its_way)
        made.play(one_sender(LATER, sender=sender), rest=60.0)
        return _fared(made, aftermath(made), redial)

    return run


def author(peers: int, edges: Sequence[tuple[int, int]], victims: set[int]) -> int:
    """The first of the largest part of those who will survive: in another part there would be nobody to send to."""
    left, largest = set(range(peers)) - victims, set[int]()
    live = set(left)
    while left:
        found = component([min(left)], edges, live)
        left -= found
        if len(found) > len(largest):
            largest = found
    return min(largest)


def _fared(made: Network, found: Sequence[Aftermath], redial: Redialler | None) -> Figures:
    first, later = found[0], found[1:]
    figures = first.as_dict()
    return chosen(
        figures
        | {
            "later": sum(one.finally_ for one in later) / len(later),
            "of_connected": min(one.of_connected for one in found),
            "bugs": sum(one.bugs for one in found),
            "last": first.last / made.sim.config.stall_timeout,
            "rmr_later": max(one.rmr for one in later),
            "links": redial.made if redial is not None else 0,
        },
        FAILED,
    )


SHARES: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
CONNECTED: Final = {"of_connected": T(least=1), "bugs": T(most=0), "rmr_later": T(most=0.01)}
INSTANT: Final = {0.1: 1.0, 0.3: 0.9998, 0.5: 0.9983, 0.7: 0.967, 0.8: 0.476, 0.9: 0.0005, 0.95: 0.0}
PLATEAU: Final = {0.1: 1.0, 0.3: 1.0, 0.5: 1.0, 0.7: 1.0, 0.8: 0.9987, 0.9: 0.952, 0.95: 0.003}
HYPARVIEW: Final = [
    Published(
        f"iroh-gossip 0.101, 10,000 peers, {share:.0%} die; HyParView makes new links",
        {"finally_": INSTANT[share], "later": PLATEAU[share]},
    )
    for share in SHARES
]
IN_TIME: Final = {0.1: 1.0, 0.3: 1.0, 0.5: 1.0, 0.7: 2.0}


def failures() -> Table:
    """The sweep."""
    sizes = [(100, share) for share in (0.3, 0.5, 0.8)] + [(1000, share) for share in SHARES]
    cases = [
        Case(
            f"{peers:,} peers, {share:.0%} die",
            peers,
            killed(peers, share),
            CONNECTED | ({"last": T(most=IN_TIME[share])} if share in IN_TIME else {}),
        )
        for peers, share in [*sizes, (10_000, 0.5), (10_000, 0.8)]
    ]
    for share in (0.5, 0.7):
        cases += [
            Case(f"1,000 peers, {share:.0%} die silently", 1000, killed(1000, share, silently=True), CONNECTED),
            Case(f"1,000 peers, {share:.0%} die 0.1 s later", 1000, killed(1000, share, on_its_way=0.1), CONNECTED),
        ]
    return Table(
        "failures",
        "Peers die at once",
        """A share of the peers dies in the instant in which a message is sent; their links are lost with what is on
        them, and noticed a latency later (silently: after 60 s). Nobody makes new links. Shares are of the survivors:
        after twice the longest of the shortest ways, one graft_delay later, one stall_timeout after it was sent,
        finally; then those of the ten messages after it; those of the survivors that are connected with a holder of
        the message by a path of open links: who of them misses one is a bug.""",
        FAILED,
        cases,
        HYPARVIEW,
    )


def redialling() -> Table:
    """The same, and who has lost links makes new ones."""

    def case(peers: int, share: float, least: int) -> Case:
        who = LONELY if least == 5 else "who has none"
        targets = {"bugs": T(most=0)}
        if least == 5 and share <= 0.9:
            targets |= {"finally_": T(least=1), "later": T(least=1)}
        run = killed(peers, share, addresses=ADDRESSES, least=least)
        return Case(f"{peers:,} peers, {share:.0%} die, {who}", peers, run, targets)

    cases = [case(100, 0.5, 5), case(100, 0.8, 5)]
    cases += [case(1000, share, 5) for share in SHARES]
    cases += [case(1000, share, 1) for share in (0.5, 0.8, 0.9)]
    return Table(
        "redial",
        "Peers die, the others call whom they remember",
        """As before, and peers with fewer links than they began with (or none) call the addresses they remember:
        their neighbours' and 60 others, drawn at random, each with the backoff of `EBT.dial`. Shares
        are of all survivors.""",
        FAILED,
        cases,
        HYPARVIEW,
    )
