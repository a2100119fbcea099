"""Who is measured, and at what: kinds of peers, cases, and running them in turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import gossipsub, node
from benchmarks.cache import Missing
from benchmarks.processes import Failed, Worker

OURS, REFERENCE, GOSSIPSUB, RAW = "ours", "reference", "gossipsub", "raw"
INSTALLED = {REFERENCE: node.reference, GOSSIPSUB: gossipsub.gossipsub}
"""What has to be there first; each returns a command and its environment."""


class Lab:
    """Starts the processes of one kind; knows which kinds there are on this machine."""

    def __init__(self, *, without: Sequence[str] = ()) -> None:
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {
            OURS: ([sys.executable, "-m", "benchmarks.peers.ours"], {}),
            RAW: ([sys.executable, "-m", "benchmarks.peers.raw"], {}),
        }
        self.missing: dict[str, str] = {}
        """Why a kind is not there."""
        for kind, command in INSTALLED.items():
            try:
                if kind in without:
                    raise Missing("left out")
                self._commands[kind] = command()
            except Missing as exc:
                self.missing[kind] = str(exc)

    def has(self, kind: str) -> bool:
        return kind in self._commands

    @contextmanager
    def several(self, kind: str, count: int) -> Generator[list[Worker], None, None]:
        """So many processes of a kind."""
        command, env = self._commands[kind]
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(command, env)) for _ in range(count)]
            yield workers
            for worker in workers:  # before any can complain that another has gone
                worker.end()

    @contextmanager
    def pair(self, kind: str) -> Generator[tuple[Worker, Worker], None, None]:
        """Two processes of a kind."""
        with self.several(kind, 2) as [one, other]:
            yield one, other

    @contextmanager
    def folder(self) -> Generator[Path, None, None]:
        """For stores and sockets."""
        with TemporaryDirectory() as name:
            yield Path(name)


@dataclass(frozen=True)
class Target:
    """How much of ``versus`` ours may be; of nobody: how much at all, as ``most`` says in any case."""

    versus: str
    ratio: float
    most: float = float("inf")


@dataclass(frozen=True)
class Case:
    """One piece of work; ``run`` does it once with peers of one kind, and returns figures, each under its name."""

    name: str
    what: str
    run: Callable[[Lab, str], Mapping[str, float]]
    kinds: Sequence[str] = (OURS, REFERENCE, RAW)
    targets: Mapping[str, Target] = field(default_factory=dict[str, Target])
    beside: str = ""
    """The case whose figures of the reference stand beside ours where the reference cannot do this."""
    rounds: int = 0
    """0: as many as usual."""


@dataclass
class Outcome:
    """What came of a case: kind → figure → one number per round."""

    case: Case
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict[str, "dict[str, list[float]]"])
    failures: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


def measure(lab: Lab, case: Case, rounds: int) -> Outcome:
    """All kinds in turns, so many times; a kind that fails is told of, and left out from then on."""
    outcome = Outcome(case)
    kinds = [kind for kind in case.kinds if lab.has(kind)]
    began = time.perf_counter()
    for _ in range(case.rounds or rounds):
        for kind in tuple(kinds):
            try:
                found = case.run(lab, kind)
            except Failed as exc:
                outcome.failures.append(f"{kind}: {exc}")
                kinds.remove(kind)
                continue
            for name, value in found.items():
                outcome.figures.setdefault(kind, {}).setdefault(name, []).append(value)
    outcome.seconds = time.perf_counter() - began
    return outcome
