"""Our secret handshake and box stream with those of JavaScript, ``secret-handshake`` 1.1.21, and its conformance suite.

Real sockets and real time, as everywhere here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
import trio

from ebt_transports import shs
from ebt_transports.shs import SecretStream, network_key
from ebt_trio import connect, listen
from ebt_trio.abc import Transport
from ebt_trio.errors import AuthenticationError
from ebt_trio.identity import Identity

SECRET = Path(__file__).parent / "secret"
PATIENCE = 60.0
NETWORK = "interop"
OURS, THEIRS, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 5))
THEIR_SEED = bytes([2]) * 32
MEGABYTE = 1_000_000
ROLES = ["client", "server"]


class End:
    """What their end of the link has to say."""

    def __init__(self) -> None:
        self._send, self._events = trio.open_memory_channel[dict[str, Any]](100)

    async def read_events(self, output: trio.abc.ReceiveStream) -> None:
        rest = b""
        async for chunk in output:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._send.send_nowait(json.loads(line))
        self._send.close()

    async def next(self, event: str) -> dict[str, Any]:
        """The next thing that happens there has to be this."""
        found = await self._events.receive()
        assert found.pop("event") == event, found
        return found


Their = Callable[..., AbstractAsyncContextManager[End]]


@pytest.fixture
def their(secret_modules: Path) -> Their:
    """``async with their("server", …) as end``: see ``secret/end.js`` for the options."""

    @asynccontextmanager
    async def run(role: str, network: str = NETWORK, **options: Any) -> AsyncGenerator[End]:
        given = {"role": role, "network": network_key(network).hex(), "seed": THEIR_SEED.hex(), **options}
        command = ["node", str(SECRET / "end.js"), json.dumps(given)]
        environment = {**os.environ, "NODE_PATH": str(secret_modules)}
        start = partial(
            trio.run_process, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=False
        )
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                process: trio.Process = await nursery.start(start)
                assert process.stdout is not None
                end = End()
                nursery.start_soon(end.read_events, process.stdout)
                yield end
                nursery.cancel_scope.cancel()

    return run


@asynccontextmanager
async def linked(their: Their, role: str, **options: Any) -> AsyncGenerator[tuple[SecretStream, End]]:
    """We are in that role."""
    network = network_key(NETWORK)
    if role == "client":
        async with their("server", **options) as end:
            port = (await end.next("listening"))["port"]
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with await SecretStream.client(stream, OURS, THEIRS.public_key, network=network) as secret:
                yield secret, end
    else:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        async with (
            listener,
            their("client", port=port, remote=OURS.public_key.hex(), **options) as end,
            await SecretStream.server(await listener.accept(), OURS, network=network) as secret,
        ):
            assert secret.remote_key == THEIRS.public_key
            yield secret, end


async def read_all(secret: SecretStream) -> bytes:
    """Up to the goodbye; anything else that ends it raises."""
    data = bytearray()
    while some := await secret.receive_some():
        data += some
    return bytes(data)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- both ways


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_a_megabyte_each_way_at_once_and_goodbye(their: Their, role: str, first: str) -> None:
    """Whoever says goodbye second does not end with that of the other: its last bytes come after it."""
    data = Random(role + first).randbytes(MEGABYTE)
    async with linked(their, role, send=MEGABYTE, last=first == "ours") as (secret, end):
        assert (await end.next("open"))["remote"] == OURS.public_key.hex()
        got = b""

        async def write(part: bytes) -> None:
            await secret.send_all(part)
            if first == "ours":
                await secret.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, data if first == "ours" else data[:-70_000])
            got = await read_all(secret)
        if first == "theirs":
            await secret.send_all(data[-70_000:])
            await secret.aclose()  # which says it, too
        events = [await end.next(event) for event in (("ended", "sent") if first == "ours" else ("sent", "ended"))]
        told = {key: value for event in events for key, value in event.items()}
        assert told["error"] is None
        assert told["size"] == len(got) == MEGABYTE
        assert told["sent"] == sha256(got)
        assert told["received"] == sha256(data)


@pytest.mark.parametrize("role", ROLES)
async def test_frames_through_the_urls(their: Their, role: str) -> None:
    """``connect`` and ``listen``, with a remote that sends back what it gets."""
    frames = [Random(size).randbytes(size) for size in (1, 4096, 4097, 100_000, 0, 300_000)]

    async def exchange(transport: Transport) -> None:
        assert transport.peer_id == THEIRS.id
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for frame in frames:
                    await transport.send(frame)
                await transport.send_eof()

            nursery.start_soon(send)
            assert [await transport.receive() for _ in frames] == frames
        with pytest.raises(anyio.EndOfStream):
            await transport.receive()

    if role == "client":
        async with their("server", echo=True) as end:
            port = (await end.next("listening"))["port"]
            url = f"shs+tcp://{THEIRS.id}@127.0.0.1:{port}"
            async with await connect(url, identity=OURS, network=NETWORK) as transport:
                await exchange(transport)
            await end.next("open")
            assert (await end.next("ended"))["error"] is None
    else:
        done = trio.Event()

        async def handle(transport: Transport) -> None:
            await exchange(transport)
            done.set()

        listener = await listen("shs+tcp://127.0.0.1:0", identity=OURS, network=NETWORK)
        async with listener, trio.open_nursery() as nursery:
            await nursery.start(listener.serve, handle)
            port = port_of(listener.urls[0])
            async with their("client", port=port, remote=OURS.public_key.hex(), echo=True) as end:
                await done.wait()
                await end.next("open")
                assert (await end.next("ended"))["error"] is None
            nursery.cancel_scope.cancel()


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.parametrize("role", ROLES)
async def test_an_end_without_goodbye_is_seen_by_them(their: Their, role: str) -> None:
    async with linked(their, role, send=0, last=True) as (secret, end):
        await end.next("open")
        await secret.send_all(bytes(10_000))
        await trio.aclose_forcefully(secret)
        ended = await end.next("ended")
        assert (ended["size"], ended["error"]) == (10_000, "unexpected hangup")


@pytest.mark.parametrize("role", ROLES)
async def test_an_end_without_goodbye_is_seen_by_us(their: Their, role: str) -> None:
    async with linked(their, role, send=200_000, last=True, cut=True) as (secret, end):
        await end.next("open")
        await secret.send_eof()
        with pytest.raises(trio.BrokenResourceError, match="without a goodbye"):
            await read_all(secret)


# -- who is refused, by both


@pytest.mark.parametrize(
    ("network", "key", "admit", "theirs"),
    [
        ("other", THEIRS, True, "client sent invalid challenge"),
        (NETWORK, EVE, True, "they didn't have our public key"),
        (NETWORK, THEIRS, False, "we did not authorize the client"),
    ],
    ids=["network", "key", "policy"],
)
async def test_their_listener_refuses(their: Their, network: str, key: Identity, admit: bool, theirs: str) -> None:
    async with their("server", admit=admit, send=0) as end:
        port = (await end.next("listening"))["port"]
        with pytest.raises(AuthenticationError, match="ended the secret handshake without a word"):
            await shs.connect("127.0.0.1", port, key.id, OURS, network=network)
        assert theirs in (await end.next("refused"))["error"]


@pytest.mark.parametrize(
    ("network", "key", "ours", "theirs"),
    [
        ("other", OURS, "under our network key", "error when expecting server to accept challenge"),
        (NETWORK, EVE, "expected the secret handshake's proof of a key", "server hung up when we sent hello"),
    ],
    ids=["network", "key"],
)
async def test_our_listener_refuses(
    their: Their, network: str, key: Identity, ours: str, theirs: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def nobody(transport: Transport) -> None:
        raise AssertionError("let in")

    listener = await listen("shs+tcp://127.0.0.1:0", identity=OURS, network=NETWORK)
    async with listener, trio.open_nursery() as nursery:
        await nursery.start(listener.serve, nobody)
        port = port_of(listener.urls[0])
        async with their("client", network, port=port, remote=key.public_key.hex(), send=0) as end:
            assert theirs in (await end.next("refused"))["error"]
        nursery.cancel_scope.cancel()
    assert re.search(rf"refused tcp://127\.0\.0\.1:\d+: .*{ours}", caplog.text)


# -- the conformance suite


async def conformance(secret_modules: Path, tmp_path: Path, role: str, *, wrong: bool = False) -> tuple[int, str]:
    """How many of its tests fail, and what it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "EBT_SHS_WRONG"}
    if wrong:
        environment["EBT_SHS_WRONG"] = "1"
    place, program, output = tmp_path / role[0], tmp_path / role, tmp_path / f"{role}.txt"
    call = shlex.join([sys.executable, "-I", "-S", str(SECRET / "call.py"), str(place), role])
    program.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
    program.chmod(0o700)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            conform = partial(
                trio.run_process, [sys.executable, str(SECRET / "conform.py"), str(place)],
                stdout=subprocess.PIPE, env=environment, check=False,
            )  # fmt: skip
            ours: trio.Process = await nursery.start(conform)
            assert ours.stdout is not None
            assert await ours.stdout.receive_some()  # it listens
            suite = str(secret_modules / "shs1-test" / f"test-{role}.js")
            with output.open("wb") as file:  # a pipe may lose the end of what Node prints before it exits
                done = await trio.run_process(
                    ["node", suite, str(program), "ebt-trio"], stdout=file, stderr=file, check=False
                )
            nursery.cancel_scope.cancel()
    return done.returncode, output.read_text()


async def both_halves(secret_modules: Path, tmp_path: Path, *, wrong: bool = False) -> dict[str, tuple[int, str]]:
    """At once, for they take seconds."""
    results: dict[str, tuple[int, str]] = {}

    async def run(role: str) -> None:
        results[role] = await conformance(secret_modules, tmp_path, role, wrong=wrong)

    async with trio.open_nursery() as nursery:
        for role in ROLES:
            nursery.start_soon(run, role)
    return results


async def test_the_conformance_suite_passes(secret_modules: Path, tmp_path: Path) -> None:
    for role, (failed, text) in (await both_halves(secret_modules, tmp_path)).items():
        assert failed == 0, text
        assert f"Passed the {role} test suite" in text


async def test_the_conformance_suite_would_notice(secret_modules: Path, tmp_path: Path) -> None:
    """With keys for the box stream that are wrong, each of its tests with a peer who behaves fails, and no other."""
    for role, (failed, text) in (await both_halves(secret_modules, tmp_path, wrong=True)).items():
        assert failed == 20, text
        assert text.count(f"Failed: {role.capitalize()} wrote incorrect outcome") == 20
        assert f"Total {role} test failures: 20" in text
