"""``python -m ebt_trio.testing.world --seeds 1000``: worlds drawn from seeds; ``--seed N --trace`` replays one."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
from collections import Counter
from typing import Final

from .scenarios import Scenario, Settings, draw, run
from .world import LINES

LONGEST: Final = 120
"""Seconds of real time after which a run is taken to hang: then its stack is printed, and all ends."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ebt_trio.testing.world", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one only")
    parser.add_argument("--peers", type=int, nargs=2, default=(2, 6), metavar=("MIN", "MAX"))
    parser.add_argument("--steps", type=int, default=24, help="how many things happen in a run")
    parser.add_argument("--flips", action="store_true", help="peers stop following each other, and begin again")
    parser.add_argument("--trace", action="store_true", help="print the scenario, and all that happened")
    options = parser.parse_args()
    settings = Settings(peers=tuple(options.peers), steps=options.steps, flips=options.flips)
    seeds = [options.seed] if options.seed is not None else range(options.start, options.start + options.seeds)
    failed: list[int] = []
    counts: Counter[str] = Counter()
    frames, longest, began, last = 0, 0.0, time.monotonic(), time.monotonic()
    for done, seed in enumerate(seeds, 1):
        scenario, started = draw(seed, settings), time.monotonic()
        print(f"seed {seed}", end="\r", file=sys.stderr, flush=True)  # which one it was, if it hangs
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        try:
            world = run(scenario, seed, lines=10**6 if options.trace else LINES)
        except Exception as error:
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}\n  replay: {replay(seed, settings)}", flush=True)
            if options.seed is not None:
                raise
            continue
        if options.trace:
            print(scenario, *world.trace.lines(), sep="\n")
        counts.update(_kinds(scenario))
        frames += world.trace.frames
        now = time.monotonic()
        longest = max(longest, now - started)
        if now - last > 10:
            last = now
            print(f"{done} seeds, {len(failed)} failed, {frames} frames", file=sys.stderr)
    faulthandler.cancel_dump_traceback_later()
    took = time.monotonic() - began
    print(
        f"{len(seeds)} seeds, {len(failed)} failed{f': {failed}' if failed else ''}, {frames} frames, "
        f"{took:.0f} s ({longest:.1f} s at most); {dict(counts)}"
    )
    return bool(failed)


def replay(seed: int, settings: Settings) -> str:
    """The command that runs one seed again."""
    low, high = settings.peers
    flips = " --flips" if settings.flips else ""
    return (
        f"python -m ebt_trio.testing.world --seed {seed} --peers {low} {high} --steps {settings.steps}{flips} --trace"
    )


def _kinds(scenario: Scenario) -> list[str]:
    return [step[0] for step in scenario.steps if step[0] != "wait"]


if __name__ == "__main__":
    sys.exit(main())
