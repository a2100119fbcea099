"""Many sessions at one node, most of them hostile: honest peers stay in sync, and nothing grows.

::

    python tests/fire/hundreds.py --minutes 10 --json hundreds.json

One process is the node, one all honest peers, one all hostile ones. The node's memory, objects, descriptors and tasks
are looked at every second; over the second half none of them may have a trend (``trend.py``). Every message has to be
at each honest peer that wants it within a bound, all the time; in the end all is quiet, and everything is everywhere.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import trio
from children import Child, child
from gauge import Sample
from node import key
from trend import concluded, usage

__all__ = ["run"]

SETTLED: Final = 60.0
"""Seconds that the end may take."""
FIGURES: Final = [field.name for field in fields(Sample)]


class Watch:
    """What the processes say of themselves."""

    def __init__(self) -> None:
        self.node: list[dict[str, Any]] = []
        self.crowd: list[dict[str, Any]] = []

    def heard(self, kind: str, said: dict[str, Any]) -> None:
        if kind == "sample":
            self.node.append(said)
        elif kind == "crowd":
            self.crowd.append(said)

    def line(self, seconds: float) -> str:
        """How it goes, for people."""
        if not self.node or not self.crowd:
            return f"{seconds:5.0f} s: nothing yet"
        node, crowd = self.node[-1], self.crowd[-1]
        recent = self.crowd[-10:]
        return (
            f"{seconds:5.0f} s: {node['ready']} of {node['sessions']} sessions ready, {crowd['ready']} honest; "
            f"traced {node['traced'] / 1e6:.1f} MB, resident {node['resident'] / 1e6:.0f} MB, "
            f"{node['objects']} objects, {node['files']} files, {node['tasks']} tasks, CPU {self.cpu(10):.0%}; "
            f"latency p50 {max(said['p50'] for said in recent):.2f} s, "
            f"most {max(said['latest'] for said in recent):.2f} s, "
            f"loop late by {max(said['lag'] for said in self.node[-10:]):.2f} s, {crowd['failures']} failures"
        )

    def cpu(self, samples: int) -> float:
        """The node's share of a core over the last so many samples."""
        first, last = self.node[-samples:][0], self.node[-1]
        return float((last["cpu"] - first["cpu"]) / max(last["at"] - first["at"], 1e-9))


async def run(seconds: float, honest: int, each: int, *, bound: float, progress: bool = False) -> dict[str, Any]:
    """The whole of it. ``failed`` in what is returned says what was not as it has to be.

    :param each: hostile peers of each kind
    :param bound: seconds within which a message has to be everywhere
    """
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        async with child("node.py", folder, str(honest), heard=watch.heard) as node:
            urls = (await node.answer("listening", 60))["urls"]
            async with child("honest.py", str(honest), *urls, heard=watch.heard) as crowd:
                await all_there(watch, honest)
                host, _, port = urls[0].removeprefix("tcp://").rpartition(":")
                async with child("hostile.py", host, port, key("node").id, str(each)) as hostile:
                    await hostile.answer("all came", 60)  # a busy machine takes seconds to start a process
                    began, calm = time.monotonic(), len(watch.crowd)
                    while (passed := time.monotonic() - began) < seconds and not node.has_ended:
                        await trio.sleep(min(10, seconds - passed))
                        if progress:
                            print(watch.line(time.monotonic() - began), flush=True)
                    await hostile.tell("count")
                    came = await hostile.answer("came", 30)
                    behind = await in_sync(node, crowd)
    return verdict(watch, watch.crowd[calm:], came, behind, bound, honest, seconds)


async def all_there(watch: Watch, honest: int) -> None:
    with trio.fail_after(60):
        while not watch.crowd or watch.crowd[-1]["ready"] < honest:  # noqa: ASYNC110 - it says so once a second
            await trio.sleep(0.1)


async def in_sync(node: Child, crowd: Child) -> str:
    """Nobody writes any more, the hostile ones go on: everything arrives everywhere. What was not there in the end."""
    try:
        await crowd.tell("quiet")
        clock = (await crowd.answer("quiet", SETTLED))["clock"]
        await node.tell("quiet")
        clock[key("node").id] = (await node.answer("quiet", SETTLED))["head"]
        for one in (node, crowd):
            await one.tell("wait", clock=clock)
        for one in (node, crowd):
            await one.answer("has all", SETTLED)
    except RuntimeError as exc:
        return str(exc)
    return ""


def verdict(
    watch: Watch,
    crowd: list[dict[str, Any]],
    came: dict[str, int],
    behind: str,
    bound: float,
    honest: int,
    seconds: float,
) -> dict[str, Any]:
    samples = [Sample(**{name: said[name] for name in FIGURES}) for said in watch.node]
    failed, used = usage(samples, seconds)
    failed += [behind] if behind else []
    worst = max(max(said["latest"], said["oldest"]) for said in crowd)
    if worst > bound:
        failed.append(f"a message took {worst:.1f} s, of {bound:g}")
    return {
        "failed": failed,
        "seconds": seconds,
        "honest": honest,
        "honest ready at least": min(said["ready"] for said in crowd),
        "failures of honest sessions": crowd[-1]["failures"] - crowd[0]["failures"],
        "last of them": crowd[-1]["failure"],
        "sessions at once": max(said["sessions"] for said in watch.node),
        "connections of hostile peers": came,
        "messages delivered": sum(said["count"] for said in crowd),
        "latency p50": sorted(said["p50"] for said in crowd)[len(crowd) // 2],
        "latency p99": sorted(said["p99"] for said in crowd)[len(crowd) // 2],
        "latency at most": max(said["latest"] for said in crowd),
        "longest without news": max(said["oldest"] for said in crowd),
        "loop late at most": max(said["lag"] for said in watch.node),
        **used,
    }


async def main(options: argparse.Namespace) -> int:
    result = await run(60 * options.minutes, options.honest, options.each, bound=options.bound, progress=True)
    return concluded(result, options.json)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--honest", type=int, default=40, help="honest peers")
    parser.add_argument("--each", type=int, default=20, help="hostile peers of each kind")
    parser.add_argument("--bound", type=float, default=10.0, help="seconds that a message may take")
    parser.add_argument("--json", type=Path, help="a file for the result")
    sys.exit(trio.run(main, parser.parse_args()))
