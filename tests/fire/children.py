"""Processes that tell each other what to do, and how it goes, by lines of JSON: :class:`Child` and :class:`Parent`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

__all__ = ["Child", "Parent", "child"]

ROOT = Path(__file__).parents[2]


class Child:
    """A process of ours, as we see it. What it says of itself (``{"say": kind, …}``) goes to ``heard``, by kind."""

    def __init__(self, name: str, process: trio.Process, heard: Callable[[str, dict[str, Any]], None]) -> None:
        self.name = name
        self._process = process
        self._heard = heard
        self._answers: dict[str, dict[str, Any]] = {}
        self._changed = trio.Event()
        self.has_ended = False

    async def tell(self, do: str, **options: Any) -> None:
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError):
            await self._process.stdin.send_all(json.dumps({"do": do, **options}).encode() + b"\n")

    async def answer(self, kind: str, seconds: float) -> dict[str, Any]:
        """What it says under ``kind``, once it has said it.

        :raises RuntimeError: it has ended, or has not said it in time
        """
        with trio.move_on_after(seconds):
            while kind not in self._answers and not self.has_ended:
                await self._changed.wait()
        if kind not in self._answers:
            raise RuntimeError(f"{self.name} {'ended' if self.has_ended else 'did not answer'}: no {kind}")
        return self._answers.pop(kind)

    async def listen(self) -> None:
        """Take in what it says, until it ends."""
        assert self._process.stdout is not None
        async for line in lines(self._process.stdout):
            said = json.loads(line)
            kind = said.pop("say")
            self._answers[kind] = said
            self._heard(kind, said)
            self._fire()
        self.has_ended = True
        self._fire()

    def _fire(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def child(
    name: str, *arguments: str, heard: Callable[[str, dict[str, Any]], None] = lambda kind, said: None
) -> AsyncGenerator[Child, None]:
    """``name`` is a program in this folder. It ends with the block; its errors go where ours go."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    run = partial(
        trio.run_process,
        [sys.executable, str(Path(__file__).with_name(name)), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(run)
        it = Child(name, process, heard)
        nursery.start_soon(it.listen)
        yield it
        nursery.cancel_scope.cancel()


class Parent:
    """Who has started this process, as seen by it."""

    def __init__(self) -> None:
        self._stdin = trio.lowlevel.FdStream(os.dup(0))

    def say(self, kind: str, **what: Any) -> None:
        sys.stdout.write(json.dumps({"say": kind, **what}) + "\n")
        sys.stdout.flush()

    async def orders(self) -> AsyncIterator[dict[str, Any]]:
        """What is to be done, until there is no parent any more."""
        async for line in lines(self._stdin):
            yield json.loads(line)


async def lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    rest = b""
    async for data in stream:
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line
