"""``kill -9`` at random moments: what is acknowledged is there, in order, and nothing needs repair.

::

    python tests/durability/kills.py --kills 500            # as many, in lives of several stores
    python tests/durability/kills.py --seed 7               # all lives of that one store again

A peer (``workload.py``) runs in a process of its own and notes what it promises into a pipe; the one it talks to, over
real sockets, is here, and outlives it. It is killed after a random time, or right behind a random note. A copy of its
files is opened then and compared with what it has promised (``evidence.py``) and with what the other one has of it; the
next life goes on with the files as they were left. Processes are forked from this one, which has everything imported.
POSIX only. What a seed decides is the same each time; what the system does meanwhile is not.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import trio

sys.path.insert(0, str(Path(__file__).parent))

from evidence import Evidence, digest, lost_in
from workload import Plan, Synchronous, make_partner, partner_at, work

from ebt_trio import MemoryStore

LIVES: Final = 10
"""On one store, one after the other."""
LONGEST: Final = 0.4
"""Seconds that a life takes at most."""
_PATIENCE: Final = 30.0
NEVER: Final = 1 << 60


class Stopped(Exception):
    """The peer has ended by itself, which it must not."""


def begin(plan: Plan, path: Path, synchronous: Synchronous, rng: Random) -> tuple[int, int, int]:
    """Fork a peer that works until it is killed; returns its process id, where its notes come, where it reads a URL."""
    notes, noted = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(noted)
        os.close(told)
        return pid, notes, tell
    os.close(notes)
    os.close(tell)

    def note(line: str) -> None:
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(noted, data) :]

    try:
        url = os.read(told, 4096).decode()
        trio.run(lambda: work(plan, path, url, note, rng, synchronous=synchronous, seconds=_PATIENCE))
    except BrokenPipeError:  # whoever wanted to know is gone
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


async def watch(
    plan: Plan, store: MemoryStore, folder: Path, child: tuple[int, int, int], evidence: Evidence, rng: Random
) -> None:
    """Talk to a peer for a while, kill it, and take note of what it had promised, and of what it had sent.

    :raises Stopped: it had ended before
    """
    pid, notes, tell = child
    after = math.exp(rng.uniform(math.log(0.002), math.log(LONGEST)))
    count = rng.randint(1, 300) if rng.random() < 0.4 else NEVER
    enough = trio.Event()

    async def read() -> None:
        seen, rest = 0, b""
        async with trio.lowlevel.FdStream(notes) as stream:
            while chunk := await stream.receive_some(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    evidence.note(line.decode())
                seen += len(lines)
                if seen >= count:
                    enough.set()
        enough.set()

    async with partner_at(plan, store, folder) as (them, url):
        os.write(tell, url.encode())
        os.close(tell)
        async with trio.open_nursery() as reading:
            reading.start_soon(read)
            with trio.move_on_after(after if count == NEVER else LONGEST):
                await enough.wait()
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it is dead
        if not os.WIFSIGNALED(status):
            raise Stopped
        for feed, head in them.clock.items():
            if feed == str(plan.me) or feed.startswith("mine"):
                messages = await them.read(feed, limit=head)
                evidence.note(json.dumps(["has", feed, 1, [digest(message.payload) for message in messages]]))


def try_lives(seed: int, lives: int, synchronous: Synchronous) -> Iterator[tuple[int, Sequence[str], int]]:
    """Of each life: its number, what was lost, and how many messages were promised in it."""
    plan, rng = Plan.of(seed), Random(seed)
    store = trio.run(make_partner, plan)
    evidence = Evidence()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "peer" / "db"
        path.parent.mkdir()
        before = 0
        for life in range(1, lives + 1):
            folder = Path(name) / str(life)
            folder.mkdir()
            child = begin(plan, path, synchronous, Random(f"{seed} {life}"))
            wrong: list[str] = []
            try:
                trio.run(watch, plan, store, folder, child, evidence, rng)
            except* (Stopped, AssertionError) as caught:
                wrong = [repr(error) for error in caught.exceptions]
            copy = folder / "copy"
            shutil.copytree(path.parent, copy)
            wrong += lost_in(copy / "db", evidence, plan.me, plan.format)
            yield life, wrong, evidence.count - before
            before = evidence.count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first; without --kills the only one")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "EARLY"), default="FULL")
    options = parser.parse_args()
    logging.disable()  # links to who was killed break
    kills = LIVES if options.kills is None else options.kills
    began = time.monotonic()
    losses = killed = promised = stores = 0
    seed = options.seed
    while killed < kills:
        for life, lost, count in try_lives(seed, min(LIVES, kills - killed), options.synchronous):
            killed += 1
            promised += count
            if lost:
                losses += 1
                print(f"seed {seed}, life {life}: {'; '.join(lost)}")
                print(f"  again: python tests/durability/kills.py --seed {seed} --synchronous {options.synchronous}")
                break
        stores += 1
        seed += 1
    print(
        f"{killed} kills of peers on {stores} stores, {promised:,} messages promised: "
        f"{losses} with losses, {time.monotonic() - began:.0f} s"
    )
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
