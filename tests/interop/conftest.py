"""The JavaScript reference, ``epidemic-broadcast-trees`` 9.0.4, in Node processes: see ``docs/interop.md``.

For the secret handshake there are only the packages here.

Real sockets and real time here: whatever waits does so for an event, under a deadline.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio

from ebt_trio import EBT, connect, listen

BRIDGE = Path(__file__).parent / "bridge"
SECRET = Path(__file__).parent / "secret"
PATIENCE = 120.0
"""Seconds that a test may take, in real time, from its first Node process on."""
NPM_FLAGS = [
    "--ignore-scripts",
    "--omit=optional",
    "--no-package-lock",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
    "--fetch-timeout=20000",
]
REFERENCE_TIMEOUT = 300
"""The reference's option ``timeout``, in milliseconds."""
STALL_TIMEOUT = 0.6


# -- the reference ----------------------------------------------------------------------------------------------------


@dataclass
class Reference:
    """A peer of the reference in a process of its own."""

    id: str
    _process: trio.Process
    _answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    _arrived: dict[int, trio.Event] = field(default_factory=dict)
    _asked: int = 0
    _ended: bool = False

    async def _ask(self, what: str, **options: Any) -> Any:
        self._asked += 1
        number = self._asked
        arrived = self._arrived[number] = trio.Event()
        line = json.dumps({"id": number, "do": what, **options}) + "\n"
        assert self._process.stdin is not None
        assert not self._ended, f"the Node process of {self.id} has ended"
        await self._process.stdin.send_all(line.encode())
        await arrived.wait()
        answer = self._answers.pop(number, None)
        assert answer is not None, f"the Node process of {self.id} has ended"
        assert "error" not in answer, f"{self.id}: {answer['error']}"
        return answer["result"]

    async def read_answers(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        async for chunk in self._process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                answer = json.loads(line)
                self._answers[answer["id"]] = answer
                self._arrived.pop(answer["id"]).set()
        self._ended = True
        for arrived in self._arrived.values():
            arrived.set()

    async def listen(self) -> int:
        """Returns the port."""
        return await self._ask("listen")

    async def connect(self, port: int) -> None:
        await self._ask("connect", port=port)

    async def close(self, remote: str | None = None) -> int:
        """End the links with that peer, or all, with BYE; returns how many."""
        return await self._ask("close", remote=remote)

    async def cut(self, remote: str | None = None) -> int:
        """Break them: the remote gets a reset, and what is in flight is lost."""
        return await self._ask("cut", remote=remote)

    async def follow(self, *feeds: str) -> None:
        await self._ask("follow", feeds=feeds, value=True)

    async def unfollow(self, *feeds: str) -> None:
        await self._ask("follow", feeds=feeds, value=False)

    async def block(self, target: str, *, origin: str | None = None) -> None:
        await self._ask("block", target=target, origin=origin or self.id, value=True)

    async def unblock(self, target: str) -> None:
        await self._ask("block", target=target, value=False)

    async def append(self, *contents: Any, feed: str | None = None) -> int:
        """Contents as JSON can carry them; the bridge makes CBOR of them. Returns the feed's head."""
        return await self._ask("append", contents=contents, feed=feed or self.id)

    async def append_payloads(self, payloads: Iterable[bytes], feed: str | None = None) -> int:
        coded = [base64.b64encode(payload).decode() for payload in payloads]
        return await self._ask("append", payloads=coded, feed=feed or self.id)

    async def wait_for(self, **clock: int) -> None:
        """Wait until it holds at least that."""
        await self._ask("until", clock=clock)

    async def wait_peers(self, *peers: str) -> None:
        """Wait until it has streams with exactly these peers."""
        await self._ask("until", peers=peers)

    async def wait_links(self, count: int) -> None:
        """Wait until it has so many connections, in whatever state."""
        await self._ask("until", links=count)

    async def clock(self) -> dict[str, int]:
        return await self._ask("clock")

    async def payload(self, feed: str, sequence: int) -> bytes:
        return base64.b64decode(await self._ask("payload", feed=feed, sequence=sequence))

    async def content(self, feed: str, sequence: int) -> Any:
        """As the JavaScript side decodes it, by way of JSON."""
        return await self._ask("content", feed=feed, sequence=sequence)

    async def digest(self, feed: str) -> str:
        return await self._ask("digest", feed=feed)

    async def count(self) -> dict[str, int]:
        """messagesIn, messagesOut, notesIn, notesOut (single ones, over all links), duplicates, gaps, starts, acks."""
        return await self._ask("count")

    async def byes(self) -> list[dict[str, Any]]:
        return await self._ask("byes")

    def freeze(self) -> None:
        """It does nothing more, but its connections stay."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def _missing(why: str) -> NoReturn:
    if os.environ.get("EBT_INTEROP") == "required":
        pytest.fail(why)
    pytest.skip(why)


def _command(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        _missing(f"needs Node.js with npm: {name} is not on the PATH")
    return path


def _installed(manifest: Path, home: Path) -> Path:
    """The packages named there, installed once for each set of versions."""
    _command("node")
    npm = _command("npm")
    wanted = manifest.read_bytes()
    name = f"ebt-interop-{hashlib.sha256(wanted).hexdigest()[:16]}"
    installed = home / name
    if not installed.exists():
        with tempfile.TemporaryDirectory(dir=home) as temporary:
            making = Path(temporary) / name
            making.mkdir()
            (making / "package.json").write_bytes(wanted)
            try:
                done = subprocess.run(
                    [npm, "install", *NPM_FLAGS], cwd=making, capture_output=True, text=True, timeout=90
                )
            except subprocess.TimeoutExpired:
                _missing("npm could not install the reference within 90 seconds")
            if done.returncode != 0:
                _missing(f"npm could not install the reference: {done.stderr.strip()[-400:]}")
            try:
                making.rename(installed)  # at once, also for another run that has been as far as this
            except OSError:
                assert installed.exists()
    return installed / "node_modules"


@pytest.fixture(scope="session")
def npm_home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where packages are kept from one run to the next."""
    cache = getattr(request.config, "cache", None)
    return tmp_path_factory.mktemp("ebt-interop") if cache is None else cache.mkdir("ebt-interop")


@pytest.fixture(scope="session")
def node_modules(npm_home: Path) -> Path:
    """The packages that the bridge needs."""
    return _installed(BRIDGE / "package.json", npm_home)


@pytest.fixture(scope="session")
def secret_modules(npm_home: Path) -> Path:
    """The JavaScript secret handshake and its conformance suite."""
    return _installed(SECRET / "package.json", npm_home)


@asynccontextmanager
async def _nursery(patience: float = float("inf")) -> AsyncGenerator[trio.Nursery, None]:
    """A nursery for helpers of a test: what the test raises leaves as it is."""
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(patience):
                yield nursery
            nursery.cancel_scope.cancel()  # not earlier: that would swallow what fail_after has to say
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None


@pytest.fixture
def theirs(node_modules: Path) -> Callable[..., AbstractAsyncContextManager[Reference]]:
    """``async with theirs("zed", "alice", …) as zed``: a peer of the reference that follows these feeds, too."""

    @asynccontextmanager
    async def run(name: str, *follows: str, timeout: int = REFERENCE_TIMEOUT) -> AsyncGenerator[Reference, None]:
        command = [_command("node"), str(BRIDGE / "peer.js"), name, str(timeout)]
        environment = {**os.environ, "NODE_PATH": str(node_modules)}
        async with _nursery(PATIENCE) as nursery:
            start = partial(
                trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, check=False
            )
            process: trio.Process = await nursery.start(start)
            peer = Reference(name, process)
            nursery.start_soon(peer.read_answers)
            if follows:
                await peer.follow(*follows)
            yield peer
            assert process.returncode is None, f"the Node process of {name} has ended"

    return run


# -- our side ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _ours(name: str, *follows: str, **options: Any) -> AsyncGenerator[EBT, None]:
    async with EBT(name, stall_timeout=STALL_TIMEOUT, **options) as ebt:
        for feed in follows:
            ebt.follow(feed)
        yield ebt


@pytest.fixture
def ours() -> Callable[..., AbstractAsyncContextManager[EBT]]:
    """``async with ours("alice", "zed", …) as alice``: a peer of ours that follows the feeds named."""
    return _ours


async def serve(nursery: trio.Nursery, ebt: EBT) -> int:
    """Serve on a free port, which is returned."""
    listener = await listen("tcp://127.0.0.1:0")
    await nursery.start(ebt.serve, listener)
    nursery.start_soon(_close_late, listener)
    return int(listener.urls[0].rpartition(":")[2])


async def _close_late(listener: Any) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await listener.aclose()


@asynccontextmanager
async def _joined(server: Any, client: Any) -> AsyncGenerator[None, None]:
    async with _nursery() as nursery:
        port = await (serve(nursery, server) if isinstance(server, EBT) else server.listen())
        if isinstance(client, EBT):
            async with client.session(await connect(f"tcp://127.0.0.1:{port}")) as session:
                await session.wait_ready()
                yield
        else:
            await client.connect(port)
            yield
            await client.close(server.id)


@pytest.fixture
def joined() -> Callable[[Any, Any], AbstractAsyncContextManager[None]]:
    """``async with joined(server, client)``: two peers of either kind, linked over TCP while the block lasts."""
    return _joined


@pytest.fixture
def ends() -> Callable[[str, EBT, Reference], tuple[Any, Any]]:
    """``joined(*ends(role, ours, theirs))``: ours in that role, ``server`` or ``client``."""
    return lambda role, ours, theirs: (ours, theirs) if role == "server" else (theirs, ours)


@pytest.fixture
def serving() -> Callable[[trio.Nursery, EBT], Any]:
    return serve


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """``await until(condition)``: what no event tells, such as what a bridge has counted."""

    async def wait(condition: Callable[[], Any]) -> None:
        while True:
            answer = condition()
            if (await answer) if inspect.isawaitable(answer) else answer:
                return
            await trio.sleep(0.01)

    return wait


@pytest.fixture
def digest() -> Callable[[EBT, str], Any]:
    """The same digest over all payloads of a feed that the bridge makes."""

    async def of(ebt: EBT, feed: str) -> str:
        whole = hashlib.sha256()
        first = 1
        while messages := await ebt.read(feed, first):
            for message in messages:
                whole.update(len(message.payload).to_bytes(4, "big") + message.payload)
            first = messages[-1].sequence + 1
        return whole.hexdigest()

    return of
