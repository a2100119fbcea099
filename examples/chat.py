"""A chat room without a server: everybody has a log of what they said, and everybody gets everybody's.

    python examples/chat.py alice --listen tcp://127.0.0.1:0
    python examples/chat.py bob --connect tcp://127.0.0.1:PORT

Type lines. Any shape of network will do, as long as it is connected: carol may connect to bob alone and reads what
alice says, too; links may break and come back. With --store FILE the room is remembered. Ctrl-D or Ctrl-C leaves.
"""

from __future__ import annotations

import argparse
import sys

import trio

from ebt_trio import EBT, EBTError, MemoryStore, SQLiteStore, What, listen


def follow_all(feed: str, peer: str) -> bool:
    """Everybody's feed is welcome: asked for each feed that a peer names and we don't follow yet."""
    return True


async def print_messages(ebt: EBT) -> None:
    """What others say, as it arrives; of each feed in order. Also what the store remembers from last time."""
    async with ebt.subscribe() as messages:
        async for message in messages:
            if message.feed != ebt.feed:
                print(f"{message.feed}: {message.content['text']}", flush=True)


async def print_events(ebt: EBT) -> None:
    """Who comes and goes. What goes wrong is in the log, on standard error unless told otherwise."""
    async with ebt.events() as events:
        async for event in events:
            if event.what in (What.CONNECTED, What.DISCONNECTED):
                print(f"* {event.peer} {event.what.value}", file=sys.stderr, flush=True)


async def read_lines(ebt: EBT) -> None:
    """Append what is typed to our own feed; returns at the end of the input, when all have what we said."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        if text := line.strip():
            await ebt.append({"text": text})
    with trio.move_on_after(2):
        await ebt.wait_synced()


async def serve_at(ebt: EBT, url: str, *, task_status: trio.TaskStatus[None]) -> None:
    async with await listen(url) as listener:
        print("* listening at", *listener.urls, file=sys.stderr, flush=True)
        await ebt.serve(listener, task_status=task_status)


async def chat(name: str, listen_urls: list[str], connect_urls: list[str], store: str | None) -> None:
    async with (
        EBT(name, SQLiteStore(store) if store else MemoryStore(), should_replicate=follow_all) as ebt,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(print_messages, ebt)
        nursery.start_soon(print_events, ebt)
        for url in listen_urls:
            await nursery.start(serve_at, ebt, url)
        for url in connect_urls:
            await nursery.start(ebt.dial, url)
        await read_lines(ebt)
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="who you are: the id of your feed, different for everybody in the room")
    parser.add_argument("--listen", metavar="URL", action="append", default=[], help="let others connect here")
    parser.add_argument("--connect", metavar="URL", action="append", default=[], help="somebody who is in the room")
    parser.add_argument("--store", metavar="FILE", help="keep the room in this file")
    options = parser.parse_args()
    problems: list[str] = []
    try:
        trio.run(chat, options.name, options.listen, options.connect, options.store)
    except* KeyboardInterrupt:
        pass
    except* EBTError as errors:  # a nursery wraps what its tasks raise in a group
        problems = [str(error) for error in errors.exceptions]
    sys.exit("\n".join(problems) or 0)


if __name__ == "__main__":
    main()
