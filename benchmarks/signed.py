"""What signing costs: CPU time per message of bulk replication, plain and signed, side by side in one run.

    python -m benchmarks.signed [--messages N] [--size BYTES] [--rounds N]

Both peers run in this process, over TCP, from one store to another, in memory and in SQLite files. CPU time is that of
the process, from the first connection until everything is durable at the other end; plain and signed take turns.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import trio

from benchmarks.throughput import Ids, replicate
from ebt_trio import Identity, MemoryStore, SQLiteStore
from ebt_trio.abc import Store

URL = "tcp://127.0.0.1:0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of content")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kinds: dict[str, Ids] = {"plain": ("alice", "bob"), "signed": (Identity.generate(), Identity.generate())}
    print(f"{options.messages} messages of {options.size} bytes, median of {options.rounds}, µs of CPU per message")
    print(f"{'stores':<8} {'feeds':<8} {'append':>8} {'replicate':>10} {'spread':>14}")
    for place in ("memory", "sqlite"):
        taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, ids in kinds.items():
                with TemporaryDirectory() as folder:
                    stores = _stores(place, Path(folder))
                    seconds = trio.run(replicate, ids, stores, URL, options.messages, options.size, time.process_time)
                    writing, replicating = (1e6 * part / options.messages for part in seconds[:2])
                    taken[kind].append((writing, replicating))
        middle: dict[str, float] = {}
        for kind, rounds in taken.items():
            costs = sorted(cost for _, cost in rounds)
            middle[kind] = median(costs)
            appending = median(cost for cost, _ in rounds)
            spread = f"{costs[0]:.2f}-{costs[-1]:.2f}"
            print(f"{place:<8} {kind:<8} {appending:>8.2f} {middle[kind]:>10.2f} {spread:>14}")
        print(f"signed : plain, replicating, {place}: {middle['signed'] / middle['plain']:.2f}", flush=True)


def _stores(place: str, folder: Path) -> tuple[Store, Store]:
    if place == "memory":
        return MemoryStore(), MemoryStore()
    return SQLiteStore(folder / "alice.db"), SQLiteStore(folder / "bob.db")


if __name__ == "__main__":
    main()
