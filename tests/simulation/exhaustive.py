"""Every order of events: the real core of two to four peers, explored state by state.

What can happen next in a state is one of: a frame arrives, an append is done, an end of a link comes up or notices
that it is down, a link is connected, time advances to the next deadline; and, each as often as the bounds allow: an
author appends, a link is cut and loses what is on it, an append fails, a peer changes its mind about a feed, time
advances although something else could happen (*early*). States are told to be the same by all that matters for their
future (``canonical.py``); times count relative to now. In every state the invariants of the core are checked, in every
``evaluate`` the ownership table (``rows.py``); wherever nothing can happen any more, all connected peers hold the same,
know it, and have no timer. Where an exploration is complete, such a rest is also reachable from every state.

::

    python tests/simulation/exhaustive.py                        # the tour: all bounds below, a minute each at most
    python tests/simulation/exhaustive.py --topology triangle --messages 2 --early 2 --seconds 1200
"""

from __future__ import annotations

import argparse
import sys
import time
from array import array
from collections import deque
from dataclasses import fields, replace
from random import Random

from exhaustive_peers import Op
from exhaustive_rows import Rows, watched
from exhaustive_world import TOPOLOGIES, Bounds, Network, World, patched


class Broken(Exception):
    """Something does not hold; with the way there."""


class Exploration:
    """Breadth first, from peers that have just started; or at random."""

    def __init__(self, bounds: Bounds, rows: Rows) -> None:
        self.bounds = bounds
        self.rows = rows
        self.network = Network(bounds)
        self.seen: dict[bytes, int] = {}
        self.rests: list[int] = []
        self.depth = 0
        self.steps = 0
        self.complete = False
        self._parents = array("Q")
        self._ops: list[Op] = []
        self._sources, self._targets = array("Q"), array("Q")

    def run(self, seconds: float = float("inf"), states: float = float("inf")) -> None:
        """All orders.

        :raises Broken: with the way to what does not hold
        """
        end = time.monotonic() + seconds
        with patched(self.bounds), watched(self.rows):
            world = self.network.start()
            frontier = deque([(world, self._visit(world, 0, ("start",)), 0)])
            while frontier:
                world, index, self.depth = frontier.popleft()
                if time.monotonic() > end or len(self.seen) >= states:
                    return
                try:
                    frontier.extend((after, found, self.depth + 1) for after, found in self._expand(world, index))
                except Exception as error:
                    raise Broken(_story(f"{type(error).__name__}: {error}", self.way(index))) from error
            self.complete = True
            self._check_rest_in_reach()

    def _expand(self, world: World, index: int) -> list[tuple[World, int]]:
        """What comes after, as far as it is new."""
        new: list[tuple[World, int]] = []
        ops = self.network.ops(world)
        if not any(progress for _, progress in ops):
            self.network.check_rest(world)
            self.rests.append(index)
        for op, progress in ops:
            for after in self.network.apply(world, op):
                self.steps += 1
                known = len(self.seen)
                found = self._visit(after, index, op)
                if progress:
                    self._sources.append(index)
                    self._targets.append(found)
                if found == known:
                    new.append((after, found))
        return new

    def _visit(self, world: World, parent: int, op: Op) -> int:
        key = self.network.key(world)
        index = self.seen.get(key)
        if index is None:
            index = self.seen[key] = len(self.seen)
            self._parents.append(parent)
            self._ops.append(op)
        return index

    def way(self, index: int) -> list[Op]:
        ops: list[Op] = []
        while index:
            ops.append(self._ops[index])
            index = self._parents[index]
        return ops[::-1]

    def _check_rest_in_reach(self) -> None:
        """Without faults, every state leads to a rest."""
        reach = bytearray(len(self.seen))
        for index in self.rests:
            reach[index] = 1
        changed = True
        while changed:
            changed = False
            for source, target in zip(reversed(self._sources), reversed(self._targets), strict=True):
                if reach[target] and not reach[source]:
                    reach[source] = 1
                    changed = True
        index = reach.find(0)
        if index >= 0:
            raise Broken(_story("never at rest any more", self.way(index)))

    def walk(self, walks: int, seed: int = 0, seconds: float = float("inf")) -> int:
        """Instead of all orders some, drawn by lot, each to its end; returns how many.

        :raises Broken: with the way to what does not hold
        """
        end = time.monotonic() + seconds
        with patched(self.bounds), watched(self.rows):
            for number in range(walks):
                if time.monotonic() > end:
                    return number
                self._walk(Random(seed + number), seed + number)
        return walks

    def _walk(self, rng: Random, seed: int) -> None:
        network = self.network
        world, way = network.start(), list[Op]()
        try:
            while ops := network.ops(world):
                if not any(progress for _, progress in ops):
                    network.check_rest(world)
                op, _ = rng.choice(ops)
                way.append(op)
                world = rng.choice(list(network.apply(world, op)))
            network.check_rest(world)
        except Exception as error:
            raise Broken(_story(f"{type(error).__name__}: {error} (--walks 1 --seed {seed})", way)) from error
        self.depth = max(self.depth, len(way))
        self.steps += len(way)


def _story(what: str, way: list[Op]) -> str:
    return "\n".join([what, "the way there:", *(f"  {' '.join(str(part) for part in op)}" for op in way)])


CLEAN = Bounds(cuts=1)
TOUR: dict[str, Bounds] = {
    "two peers, two messages, a cut and a reconnection": CLEAN,
    "the same, and time that runs ahead": replace(CLEAN, early=2),
    "the same, and writers of their own": replace(CLEAN, early=1, writers=True),
    "two peers, two feeds, a failing store, changes of mind": Bounds(authors=2, failures=1, flips=2),
    "a triangle at rest, two messages": Bounds("triangle", settled=True),
    "a triangle at rest, two messages, time that runs ahead": Bounds("triangle", settled=True, early=3),
    "a triangle at rest, two messages, a cut": Bounds("triangle", settled=True, cuts=1),
    "a triangle that connects, one message": Bounds("triangle", messages=1),
}
WALKS: dict[str, Bounds] = {
    "a triangle, all faults": Bounds("triangle", 2, 1, 3, cuts=1, failures=1, flips=1, early=9, writers=True),
    "a triangle, small windows": Bounds("triangle", 2, 1, 2, cuts=1, early=6, window=1, settled=True),
    "four peers, small windows": Bounds("kite", 2, 1, 3, cuts=1, early=8, window=1, settled=True),
    "four peers, rivals, failing stores": Bounds("kite", 1, 0, 4, 1, 2, early=10, eager_rivals=True, settled=True),
    "four peers, many messages, small windows": Bounds("kite", 2, 1, 8, early=12, window=1, settled=True),
    "a line, two feeds to fetch": Bounds("line", 2, 3, 1, early=12),
    "four peers, much at once": Bounds("square", 3, 1, 4, cuts=2, failures=1, flips=2, early=9, window=1),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="stop after so long, each")
    parser.add_argument("--states", type=float, default=float("inf"), help="stop after so many states, each")
    parser.add_argument("--walks", type=int, default=0, help="instead of all orders so many, drawn by lot")
    parser.add_argument("--seed", type=int, default=0, help="of the first walk")
    for field in fields(Bounds):
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "topology":
            parser.add_argument(option, choices=TOPOLOGIES)
        elif field.type == "bool":
            parser.add_argument(option, action="store_true", default=None)
        else:
            parser.add_argument(option, type=int)
    options = vars(parser.parse_args())
    seconds, states, walks, seed = (options.pop(name) for name in ("seconds", "states", "walks", "seed"))
    given = {name: value for name, value in options.items() if value is not None}
    rows = Rows()
    if given:
        tour = [(str(given), Bounds(**given), walks)]
    else:
        tour = [(name, bounds, 0) for name, bounds in TOUR.items()]
        tour += [(name, bounds, walks or 1_000_000) for name, bounds in WALKS.items()]
    for name, bounds, number in tour:
        exploration = Exploration(bounds, rows)
        began = time.monotonic()
        done = 0
        try:
            if number:
                done = exploration.walk(number, seed, seconds)
            else:
                exploration.run(seconds, states)
        except Broken as broken:
            print(f"{name}: {broken}")
            return 1
        finally:
            result = f"{done} walks" if number else f"{len(exploration.seen)} states, {len(exploration.rests)} at rest"
            print(
                f"{name}: {result}, {exploration.steps} steps, depth {exploration.depth}, "
                f"{len(exploration.network.locals.all)} states of single peers, "
                f"{'complete, ' if exploration.complete else ''}{time.monotonic() - began:.0f} s",
                flush=True,
            )
    for row, count in rows.most_common():
        print(f"{count:10} {row}")
    if missing := rows.missing():
        print("not reached:", "; ".join(missing))
    return bool(missing and not given)


if __name__ == "__main__":
    sys.exit(main())
