"""One peer of the demo: a home, and the processes that work on it; see :class:`Peer`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import trio

from ..errors import Failure
from ..home import Home

__all__ = ["Peer"]

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 10.0


class Peer:
    """``ebt run`` and ``ebt append`` as anybody would start them, as processes of their own.

    What they say on standard error goes to ``log``. :meth:`kill` leaves no process behind.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.home = Home(directory / name)
        self.log: Final = directory / f"{name}.log"
        self.feed = ""
        self.state = ""
        self.lost: list[dict[str, Any]] = []
        """The last words of nodes that were killed."""
        self._node: trio.Process | None = None
        self._others: list[trio.Process] = []

    async def append_file(self, path: Path) -> None:
        """``ebt append < path``."""
        with path.open("rb") as file:
            process = await self._start(["append"], stdin=file)
        await self._wait(process, "append")

    async def append_slowly(self, path: Path, seconds: float, steps: int = 40) -> None:
        """``ebt append``, fed with the file's lines a few at a time."""
        lines = (await trio.Path(path).read_bytes()).split(b"\n")
        lines = [line + b"\n" for line in lines[:-1]] + lines[-1:]
        process = await self._start(["append"], stdin=subprocess.PIPE)
        assert process.stdin is not None
        try:
            async with process.stdin as stdin:
                for step in range(steps):
                    first, last = len(lines) * step // steps, len(lines) * (step + 1) // steps
                    await stdin.send_all(b"".join(lines[first:last]))
                    await trio.sleep(seconds / steps)
        except trio.BrokenResourceError:
            pass  # its exit status says more
        await self._wait(process, "append")

    async def run(self, listen: Sequence[str], connect: Sequence[str]) -> list[str]:
        """``ebt run``; returns where it listens, when it does."""
        options = [option for url in listen for option in ("--listen", url)]
        options += [option for url in connect for option in ("--connect", url)]
        self._node = process = await self._start(["run", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = b""
        with trio.move_on_after(START_TIMEOUT):
            while said.count(b"\n") < len(listen):
                chunk = await process.stdout.receive_some()
                if not chunk:
                    break
                said += chunk
        urls = [line.removeprefix("listening ") for line in said.decode().splitlines()]
        if len(urls) < len(listen):
            raise Failure(f"peer {self.name} does not start: {self._last_words()}")
        self.state = "running"
        return urls

    async def kill_node(self) -> None:
        """SIGKILL: no last word, no tidying up."""
        assert self._node is not None
        self.lost.append(self.home.node_status() or {})
        self.state = "killed"
        self._node.kill()
        await self._node.wait()

    async def stop_node(self) -> None:
        """SIGTERM, as an init system would.

        :raises Failure: it does not end in order
        """
        assert self._node is not None
        self._node.send_signal(signal.SIGTERM)
        with trio.move_on_after(STOP_TIMEOUT):
            await self._node.wait()
        if self._node.returncode != 0:
            raise Failure(f"peer {self.name} did not end in order ({self._node.returncode}): {self._last_words()}")
        self.state = "stopped"

    def check_alive(self) -> None:
        """:raises Failure: the node has ended by itself"""
        if self.state == "running" and self._node is not None and self._node.returncode is not None:
            raise Failure(f"peer {self.name} ended by itself: {self._last_words()}")

    async def kill(self) -> None:
        """End all processes, whatever they do; not cancellable."""
        with trio.CancelScope(shield=True):
            for process in [*self._others, *([self._node] if self._node else [])]:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                for stream in process.stdin, process.stdout:
                    if stream is not None:
                        await stream.aclose()

    def total(self, counter: str) -> int:
        """One of the node's statistics, over all its runs; of killed ones what they had said last."""
        said = [*self.lost, self.home.node_status() or {}]
        return sum(one.get("statistics", {}).get(counter, 0) for one in said)

    async def _start(
        self, command: Sequence[str], *, stdin: int | IO[bytes], stdout: int = subprocess.DEVNULL
    ) -> trio.Process:
        environment = {name: value for name, value in os.environ.items() if name != "EBT_HOME"}
        with self.log.open("ab") as log:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", "ebt_trio.cli", "--home", str(self.home.path), *command],
                stdin=stdin,
                stdout=stdout,
                stderr=log,
                env=environment,
            )
        self._others.append(process)
        return process

    async def _wait(self, process: trio.Process, what: str) -> None:
        if await process.wait():
            raise Failure(f"'ebt {what}' at peer {self.name} failed: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it said nothing"
