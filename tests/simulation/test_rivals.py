"""The models of other protocols: what is known of each, that each of their rules acts, and the reference as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.cache import Missing, installed  # noqa: E402
from benchmarks.networks import rivals_plumtree as plumtree  # noqa: E402
from benchmarks.networks.rivals import RULES, build, run  # noqa: E402
from benchmarks.networks.rivals_plumtree import GRAFT, IHAVE, ONLY_LINK, PRUNE, Plumtree  # noqa: E402
from benchmarks.networks.rivals_reference import NOTES, READ, TICK, Reference  # noqa: E402
from benchmarks.networks.rivals_wire import Wire  # noqa: E402
from benchmarks.node import REFERENCE  # noqa: E402
from ebt_trio.core.types import FeedId, PeerId, Run  # noqa: E402
from ebt_trio.testing.networks import Edge, latencies, overlay  # noqa: E402
from ebt_trio.testing.networks.measures import delivered  # noqa: E402
from ebt_trio.testing.networks.paths import component  # noqa: E402
from ebt_trio.testing.watch import Watch  # noqa: E402

PEERS, DEGREE = 60, 5
SQUARE = [(0, 1), (0, 2), (1, 3), (2, 3)]
"""From 0 to 3 there are two ways."""


def network(seed: int = 1, kind: str = "regular") -> tuple[list[Edge], list[float]]:
    rng = Random(seed)
    edges = overlay(kind, PEERS, DEGREE, rng)
    return edges, latencies("uniform", edges, rng, peers=PEERS)


@pytest.fixture(params=list(RULES))
def rules(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# -- all of them


def test_everybody_gets_everything(rules: str) -> None:
    found = run(rules, *network(), messages=10, workload="random", jitter=0.01)
    assert found.reliability_least == 1.0
    assert (found.peers, found.live, found.messages) == (PEERS, PEERS, 10)


def test_the_same_seed_gives_the_same_run(rules: str) -> None:
    options: dict[str, Any] = {"messages": 10, "workload": "random", "jitter": 0.02, "kill": 0.3, "kill_at": 4}
    assert run(rules, *network(), seed=7, **options) == run(rules, *network(), seed=7, **options)
    assert run(rules, *network(), seed=7, **options) != run(rules, *network(), seed=8, **options)


def test_the_dead_take_with_them_what_they_have_sent(rules: str) -> None:
    wire = build(rules, [(0, 1), (1, 2)], [0.02, 0.02])
    wire.append(0)
    wire.run(0.030)  # 1 has passed it on, or said that it could, and it is under way
    wire.crash([1])
    wire.run(10.0)
    (track,) = wire.recording.tracks
    assert track.stored[1] > 0
    assert delivered(track, wire.live) == 0.0
    assert wire.append(1) == -1


def test_the_dead_store_nothing(rules: str) -> None:
    wire = build(rules, [(0, 1)], [0.02], store_delay=0.1)
    wire.append(0)
    wire.run(0.090)  # it has come, after a note, too, and is not stored yet
    wire.crash([1])
    wire.run(10.0)
    (track,) = wire.recording.tracks
    assert track.received == 1
    assert track.stored[1] < 0


def test_frames_do_not_overtake(rules: str) -> None:
    wire = build(rules, [(0, 1)], [0.02], jitter=0.1, seed=3)
    wire.append(0)
    wire.run(5.0)
    for _ in range(20):
        wire.append(0)
    wire.run(5.0)
    times = [track.stored[1] for track in wire.recording.tracks]
    assert times == sorted(times)
    assert min(times) > 0


def test_a_broken_link_is_gone_after_the_notice_and_a_new_one_is_used(rules: str) -> None:
    wire = build(rules, SQUARE[:1], [0.02])
    wire.cut(wire.ends[0][0], notice=1.0)
    assert wire.ends[0]
    wire.append(0)
    wire.run(2.0)
    assert not wire.ends[0]
    assert not wire.ends[1]
    wire.link((0, 1), 0.02)
    wire.run(2.0)
    wire.append(0)
    wire.run(20.0)
    later = wire.recording.tracks[-1]
    assert delivered(later, [1]) == 1.0


def test_there_are_no_other_rules() -> None:
    with pytest.raises(ValueError, match="no rules are called 'gossip'"):
        build("gossip", SQUARE, [0.02] * 4)


# -- flooding


def test_flooding_sends_over_every_link_but_back() -> None:
    """Every peer sends to all but one of its neighbours, the author to all: 2 x links - (peers - 1) payloads."""
    edges, delays = network(kind="erdos-renyi")
    found = run("flooding", edges, delays, messages=5)
    assert found.rmr == pytest.approx((2 * len(edges) - (PEERS - 1)) / (PEERS - 1) - 1)
    assert found.rmr_first == found.rmr_most
    assert found.stretch == pytest.approx(1.0)
    assert found.notes == 0.0


# -- Plumtree


def test_plumtree_has_a_tree_after_the_first_message() -> None:
    edges, delays = network()
    found = run("plumtree", edges, delays, messages=10)
    assert found.rmr_first == pytest.approx(DEGREE - 2, abs=0.2)  # as flooding: all are eager
    assert found.rmr == pytest.approx(found.rmr_first / 10, rel=1e-9)
    wire = build("plumtree", edges, delays)
    assert isinstance(wire, Plumtree)
    for _ in range(2):
        wire.append(0)
        wire.run(10.0)
    for end in range(0, len(wire.to), 2):
        assert wire.eager[end] == wire.eager[end + 1]
    assert sum(wire.eager) == 2 * (PEERS - 1)
    assert wire.frames[IHAVE] >= len(edges) - (PEERS - 1)


def test_plumtree_many_senders_share_one_tree_and_pay_for_it() -> None:
    edges, delays = network()
    choices: list[dict[str, Any]] = [{"timeout1": 0.08, "timeout2": 0.04}, {"jitter": 0.03, "timeout1": 0.15}]
    for options in choices:
        one, many = (
            run("plumtree", edges, delays, messages=40, workload=name, **options) for name in ("one", "random")
        )
        assert many.rmr > one.rmr + 0.05
        assert many.ldh > one.ldh


def test_plumtree_grafts_mend_a_tree() -> None:
    edges, delays = network()
    options: dict[str, Any] = {"messages": 10, "kill": 0.3, "kill_at": 5}
    assert run("plumtree", edges, delays, **options).reliability_least == 1.0
    assert run("plumtree", edges, delays, timeout1=1e6, **options).reliability < 0.9


def test_plumtree_first_waits_long_then_short() -> None:
    """3 hears from 1 and 2 at once that there is a message, and both have nothing to give."""
    wire = plumtree_square(threshold=99, timeout1=0.5, timeout2=0.1, cache=-1.0)
    wire.eager[:] = bytes(len(wire.eager))
    for end in wire.ends[0]:
        wire.eager[end] = 1
    wire.append(0)
    start = wire.now
    wire.run(5.0)
    (first, one), (second, other) = wire.grafts()
    assert first - start == pytest.approx(0.041 + 0.5)
    assert second - first == pytest.approx(0.1)
    assert (one, other) == (1, 2)
    assert not wire.missing[3]


def test_plumtree_a_payload_is_kept_for_its_lifetime() -> None:
    for cache, got in ((1.0, 1.0), (0.3, 0.0)):
        wire = plumtree_square(timeout1=0.5, cache=cache)
        for end in wire.ends[1] + wire.ends[2]:
            wire.eager[end] = 0
        wire.append(0)
        wire.run(5.0)
        assert delivered(wire.recording.tracks[0], [3]) == got


def test_plumtree_a_duplicate_prunes_both_sides() -> None:
    wire = plumtree_square()
    wire.append(0)
    wire.run(5.0)
    assert wire.frames[PRUNE] == 1
    assert sorted(wire.eager) == [0, 0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("threshold", "changes"), [(3, 1), (4, 0)])
def test_plumtree_a_way_of_fewer_links_is_taken(threshold: int, changes: int) -> None:
    """The message comes to 4 by way of 1, 2 and 3, after 0 has announced it itself."""
    edges, delays = [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)], [0.01, 0.02, 0.01, 0.01, 0.01]
    wire = build("plumtree", edges, delays, threshold=threshold)
    assert isinstance(wire, Plumtree)
    wire.eager[2] = wire.eager[3] = 0  # between 0 and 4
    wire.append(0)
    wire.run(5.0)
    assert wire.frames[ONLY_LINK] == wire.frames[PRUNE] == changes
    assert wire.eager[2] == wire.eager[3] == changes
    assert wire.eager[8] == wire.eager[9] == 1 - changes  # between 3 and 4


def test_plumtree_who_is_gone_is_not_asked() -> None:
    wire = plumtree_square(threshold=99, timeout1=0.5, timeout2=0.1, cache=-1.0)
    for end in wire.ends[1] + wire.ends[2]:
        wire.eager[end] = 0
    wire.append(0)
    wire.run(0.2)
    wire.crash([1])
    wire.run(5.0)
    assert [peer for _, peer in wire.grafts()] == [2]


class Listened(Plumtree):
    """Writes down what is sent."""

    def start(self) -> None:
        super().start()
        self.said: list[tuple[float, int, int]] = []

    def send(self, end: int, kind: int, message: int, value: int) -> None:
        self.said.append((self.now, kind, end))
        super().send(end, kind, message, value)

    def grafts(self) -> list[tuple[float, int]]:
        """When, and whom."""
        return [(time, self.to[end]) for time, kind, end in self.said if kind == GRAFT]


def plumtree_square(**options: Any) -> Listened:
    return Listened(SQUARE, [0.02, 0.02, 0.02, 0.02], peers=4, **options)


def test_plumtree_waits_are_in_proportion_to_the_latencies() -> None:
    slow, jittery = (build("plumtree", SQUARE, [0.02] * 4, jitter=jitter) for jitter in (0.0, 0.02))
    assert isinstance(slow, Plumtree)
    assert isinstance(jittery, Plumtree)
    assert slow.timeout1 == pytest.approx(plumtree.PATIENCE * 0.02)
    assert jittery.timeout1 == pytest.approx(2 * slow.timeout1)
    assert jittery.timeout2 == pytest.approx(2 * slow.timeout2)


# -- the reference


def test_reference_steady_links_have_a_tree_by_and_by_and_jitter_none() -> None:
    edges, delays = network()
    steady, jittery = (run("reference", edges, delays, messages=30, jitter=jitter) for jitter in (0.0, 0.02))
    assert steady.rmr < 0.03
    assert jittery.rmr > 0.1
    assert 2.5 < steady.notes < 3.5


def test_reference_everything_comes_three_times_where_ids_are_no_feeds() -> None:
    edges, delays = network()
    options: dict[str, Any] = {"messages": 10, "workload": "random", "jitter": 0.02}
    good, bad = (run("reference", edges, delays, ids_are_feeds=ids, **options) for ids in (True, False))
    assert bad.rmr > 2 * good.rmr


class Said(Watch):
    """What is sent, as ``rivals_reference.js`` answers."""

    def __init__(self) -> None:
        self.frames: list[list[Any]] = []

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        runs: list[Run] = content if kind == "messages" else []
        frames: list[dict[Any, Any]] = [said_in(run) for run in runs]
        self.frames += [[now, sender, receiver, frame] for frame in frames or [dict(content)]]


class Scripted(Reference):
    """Writes down what happens to its peers, as ``rivals_reference.js`` wants it."""

    def start(self) -> None:
        super().start()
        self.script: list[list[Any]] = []

    def tell(self, what: str, peer: int, *more: Any) -> None:
        self.script.append([self.now, what, self.names[peer], *more])

    def up(self, end: int) -> None:
        self.tell("connect", self.to[end ^ 1], self.names[self.to[end]], not end & 1)
        super().up(end)

    def down(self, end: int) -> None:
        self.tell("end", self.to[end ^ 1], self.names[self.to[end]])
        super().down(end)

    def received(self, kind: int, end: int, message: Any, value: int) -> None:
        number: int = 0 if kind == NOTES else message
        frame = message if kind == NOTES else said_in(self.runs[number])
        self.tell("write", self.to[end], self.names[self.to[end ^ 1]], frame)
        super().received(kind, end, message, value)

    def alarm(self, peer: int, message: Any, value: int) -> None:
        if value == READ:
            number: int = message
            run = self.runs[number]
            self.tell("read", peer, run.feed, run.first)
        elif value == TICK:
            self.tell("timeout", peer)
        else:
            self.tell("begin", peer, self.names[self.to[message]])
        super().alarm(peer, message, value)

    def appended(self, peer: int, message: int) -> None:
        self.tell("append", peer, self.runs[message].feed, self.runs[message].first)
        super().appended(peer, message)


def said_in(run: Run) -> dict[str, Any]:
    return {"author": run.feed, "sequence": run.first, "content": 1}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ids_are_feeds", [True, False])
def test_reference_as_it_is(seed: int, ids_are_feeds: bool, real: Real) -> None:
    """The real module, given the same events in the same order, sends the same frames at the same times."""
    rng = Random(seed)
    edges = overlay("erdos-renyi", 12, 4, rng)
    said, feeds = Said(), [0, 1, 2]
    delays = latencies("uniform", edges, rng, peers=12)
    wire = Scripted(
        edges,
        delays,
        peers=12,
        feeds=feeds,
        seed=seed,
        jitter=0.03,
        watch=said,
        ids_are_feeds=ids_are_feeds,
    )
    wire.play(
        sorted((rng.uniform(0, 20), rng.choice(feeds)) for _ in range(60)), each=lambda at: disturb(wire, at, rng)
    )
    names = [wire.names[feed] for feed in feeds]
    answer = real({"feeds": names, "follows": wire.names if ids_are_feeds else names, "script": wire.script})
    assert len(said.frames) > 1000
    assert by_link(answer) == by_link(said.frames)
    assert {what for _, what, *_ in wire.script} == {"connect", "begin", "write", "append", "read", "timeout", "end"}


def disturb(wire: Wire, at: int, rng: Random) -> None:
    """Links become so slow that their peers time out; peers die, links break, and come back with remembered clocks."""
    if at in (5, 28):
        for end in rng.sample(range(len(wire.to)), 20):
            wire.delay[end] = 7.0 if at == 5 else 0.1
    elif at == 30:
        wire.crash(rng.sample(range(3, 12), 3))
        for end in (wire.ends[0][0], wire.ends[1][-1]):
            wire.cut(end)
        wire.run(0.0)
    elif at == 45:
        open_ = {(wire.to[end], peer) for peer in range(12) for end in wire.ends[peer]}
        for edge in wire.edges:
            if edge not in open_ and not wire.died & set(edge):
                wire.link(edge, 0.02)


def by_link(frames: list[list[Any]]) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for now, sender, receiver, frame in frames:
        found.setdefault((sender, receiver), []).append([now, frame])
    return found


class Real:
    """Runs a script through the real module.

    :raises Missing: there is no Node.js, or the benchmarks have not installed the module
    """

    def __init__(self) -> None:
        self.node = shutil.which("node") or ""
        if not self.node:
            raise Missing("needs Node.js")

        def make(folder: Path) -> None:
            raise Missing("needs the reference's packages: python -m benchmarks installs them")

        self.packages = installed((REFERENCE / "package.json").read_bytes(), "reference", make) / "node_modules"

    def __call__(self, task: dict[str, Any]) -> list[list[Any]]:
        done = subprocess.run(
            [self.node, str(ROOT / "benchmarks" / "networks" / "rivals_reference.js")],
            input=json.dumps(task),
            env={"NODE_PATH": str(self.packages)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        answer: list[list[Any]] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def real() -> Real:
    try:
        return Real()
    except Missing as missing:
        pytest.skip(str(missing))


# -- a share dies


def test_all_that_can_be_reached_are_reached_when_half_die() -> None:
    edges, delays = network()
    for rules in ("flooding", "plumtree"):
        wire = build(rules, edges, delays)
        wire.append(0)
        wire.run(5.0)
        wire.crash(range(1, PEERS, 2))
        wire.append(0)
        wire.run(10.0)
        joined = component([0], edges, set(wire.live))
        track = wire.recording.track(FeedId(wire.names[0]), 2)
        assert delivered(track, sorted(joined)) == 1.0
        assert not any(track.stored[peer] > 0 for peer in wire.live if peer not in joined)
