"""To be recorded: a store is written, message by message, or opened after that, and what it holds told to somebody."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import trio
from disk_log import note
from evidence import digest

from ebt_trio import SQLiteStore
from ebt_trio.core.types import FeedId, Run

FEED = FeedId("alice")


async def main(path: Path, write: bool) -> None:
    store = SQLiteStore(path, threads=False)
    await store.open("plain")
    held = (await store.head(FEED)).head
    if held:
        note(json.dumps(["said", FEED, held]))
    while write:
        held += 1
        await store.append([Run(FEED, held, [b"\x01"])])
        note(json.dumps(["has", FEED, held, [digest(b"\x01")]]))
    os._exit(0)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]) / "db", "write" in sys.argv)
