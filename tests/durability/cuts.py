"""Power cuts: what is acknowledged is there, at whatever moment the power goes, and whatever the disk makes of it.

::

    python tests/durability/cuts.py --cuts 500                # as many cuts, in work of several seeds
    python tests/durability/cuts.py --seed 7 --cut 31         # one of them again
    python tests/durability/cuts.py --synchronous OFF         # has to find losses

A peer works for a moment with ``disk_shim.c`` before it, which writes down all that it does to its files. Then, for
random moments of that, its store is put together as a disk could hold it if the power had gone there
(``power_disk.py``), opened, and compared with what the peer had promised until then (``evidence.py``).
What a seed decides is the same each time; when threads write is not.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import trio

sys.path.insert(0, str(Path(__file__).parent))

from disk_log import build_shim, note, why_not
from evidence import Evidence, lost_in
from power_disk import Disk, Fate, record
from workload import Plan, Synchronous, make_partner, partner_at, work

CUTS_EACH: Final = 25
"""Per recording."""
AGAIN: Final = "python tests/durability/cuts.py"


@dataclass(frozen=True)
class Loss:
    seed: int
    cut: int
    said: str


def recorded(seed: int, synchronous: Synchronous, shim: Path, folder: Path) -> Disk:
    """Have a peer work in a process of its own."""
    where = str(folder / "disk")
    command = [sys.executable, __file__, "--record", where, "--seed", str(seed), "--synchronous", synchronous]
    return record(command, shim, folder, sync_us=Random(seed).choice((0, 300, 3000)))


async def be_recorded(seed: int, root: Path, synchronous: Synchronous) -> None:
    """Two lives of a peer, and the one it talks to, in this process."""
    plan, rng = Plan.of(seed), Random(seed)
    store = await make_partner(plan)
    with tempfile.TemporaryDirectory() as folder:
        async with partner_at(plan, store, Path(folder)) as (_, url):
            for _ in range(2):
                seconds = rng.uniform(0.05, 0.4)
                await work(plan, root / "db", url, note, rng, synchronous=synchronous, seconds=seconds)


def try_cuts(seed: int, cuts: Sequence[int], disk: Disk, folder: Path) -> Iterator[tuple[int, str]]:
    """The number of a cut, and what it has lost, or ''."""
    plan = Plan.of(seed)
    notes = disk.notes()
    for cut in cuts:
        rng = Random(f"{seed} {cut}")
        fate = rng.choice(list(Fate))
        # Half of them where something is on its way: within a few steps behind a note.
        moment = rng.randint(1, disk.end)
        if notes and rng.random() < 0.5:
            moment = min(disk.end, rng.choice(notes)[0] + rng.randint(1, 8))
        evidence = Evidence()
        for when, line in notes:
            if when < moment:
                evidence.note(line)
        target = folder / f"cut{cut}"
        disk.cut(moment, fate, rng, target)
        lost = lost_in(target / "db", evidence, plan.me, plan.format)
        for path in target.iterdir():
            path.unlink()
        target.rmdir()
        yield cut, "; ".join(f"{fate.value} at {moment} of {disk.end}: {one}" for one in lost)


def campaign(seeds: Sequence[int], cuts: Sequence[int], synchronous: Synchronous) -> tuple[list[Loss], int, int]:
    """Returns the losses, how many cuts there were, and how many messages were promised in all."""
    losses: list[Loss] = []
    tried = promised = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shim = build_shim(folder)
        for seed in seeds:
            disk = recorded(seed, synchronous, shim, folder / str(seed))
            everything = Evidence()
            for _, line in disk.notes():
                everything.note(line)
            promised += everything.count
            for cut, said in try_cuts(seed, cuts, disk, folder):
                tried += 1
                if said:
                    losses.append(Loss(seed, cut, said))
    return losses, tried, promised


def main() -> int:
    logging.disable()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=500, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first")
    parser.add_argument("--cut", type=int, help="only this one, of this seed")
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL", "OFF", "EARLY"), default="FULL")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record is not None:
        trio.run(be_recorded, options.seed, options.record, options.synchronous)
        return 0
    if reason := why_not():
        print(f"cannot cut the power here: {reason}")
        return 2
    began = time.monotonic()
    if options.cut is not None:
        seeds, cuts = [options.seed], [options.cut]
    else:
        seeds = list(range(options.seed, options.seed + -(-options.cuts // CUTS_EACH)))
        cuts = list(range(min(CUTS_EACH, options.cuts)))
    losses, tried, promised = campaign(seeds, cuts, options.synchronous)
    for loss in losses:
        print(f"seed {loss.seed}, cut {loss.cut}: {loss.said}")
        print(f"  again: {AGAIN} --seed {loss.seed} --cut {loss.cut} --synchronous {options.synchronous}")
    print(
        f"{tried} power cuts in {len(seeds)} runs, {promised:,} messages promised, synchronous={options.synchronous}: "
        f"{len(losses)} with losses, {time.monotonic() - began:.0f} s"
    )
    return 1 if losses else 0


if __name__ == "__main__":
    sys.exit(main())
