"""connect and listen by URL; schemes of other distributions; who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import ebt_transports
import ebt_trio
from ebt_trio import transport as urls
from ebt_trio.abc import Transport
from ebt_trio.errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError
from ebt_trio.testing.transports import check_transport

THIRD_PARTY = Path(__file__).parent / "thirdparty"
DOCS = Path(ebt_trio.__file__).parent.parent / "docs" / "transports.md"


@pytest.fixture(autouse=True)
def forget_schemes() -> Iterator[None]:
    urls._load.cache_clear()
    yield
    urls._load.cache_clear()


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the distribution in ``thirdparty`` were installed."""
    monkeypatch.syspath_prepend(THIRD_PARTY)
    yield
    sys.modules.pop("ebt_zlib", None)


def distribution(folder: Path, entry_points: str, name: str = "pretend") -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ebt_trio.transports]\n{entry_points}\n")


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[tuple[Transport, Transport]]:
    """A connected pair, the second end from a listener."""
    listener = await urls.listen(url)
    send, receive = trio.open_memory_channel[Transport](1)
    done = trio.Event()

    async def handler(transport: Transport) -> None:
        await send.send(transport)
        await done.wait()

    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, handler)
        try:
            async with await urls.connect(listener.urls[0]) as near:
                far = await receive.receive()
                yield near, far
        finally:
            done.set()
            with trio.CancelScope(shield=True):
                await listener.aclose()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "TCP://127.0.0.1:0", "memory://hub", "Memory://hub"])
async def test_schemes_of_our_own(url: str) -> None:
    async with pair(url) as (near, far):
        await near.send(b"frame")
        assert await far.receive() == b"frame"


async def test_a_third_partys_scheme(third_party: None) -> None:
    async with pair("zlib://127.0.0.1:0") as (near, far):
        assert type(near).__module__ == "ebt_zlib"
        await near.send(b"frame" * 1000)
        assert await far.receive() == b"frame" * 1000
        await near._inner.send(b"not zlib")  # type: ignore[attr-defined]
        with pytest.raises(RemoteProtocolError, match="expected a zlib stream"):
            await far.receive()
        far.max_frame = 1000
        await near.send(bytes(1_000_000))  # a thousand bytes on the wire
        with pytest.raises(FrameTooLarge):
            await far.receive()


async def test_a_third_partys_transport_conforms(third_party: None) -> None:
    await check_transport(lambda: pair("zlib://127.0.0.1:0"))


def test_it_takes_no_more_than_being_installed() -> None:
    """In a fresh process that imports nothing but ebt_trio."""
    program = """
import trio
from ebt_trio.transport import connect, listen

async def main():
    listener = await listen("zlib://127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, lambda transport: transport.send(b"hello"))
        async with await connect(listener.urls[0]) as transport:
            print(await transport.receive())
        await listener.aclose()

trio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": str(THIRD_PARTY)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("b'hello'\n", "")


async def test_not_installed() -> None:
    with pytest.raises(
        LocalProtocolError, match=r"unknown URL scheme 'zlib'; installed: memory, shs\+tcp, shs\+unix, tcp, unix"
    ):
        await urls.connect("zlib://127.0.0.1:0")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8008", "://x", "tcp:/host:1", "1tcp://host:1", "a b://c", " tcp://h:1"])
async def test_malformed(url: str) -> None:
    for call in (urls.connect, urls.listen):
        with pytest.raises(
            LocalProtocolError, match=re.escape(f"expected a URL like tcp://127.0.0.1:8008, got {url!r}")
        ):
            await call(url)


@pytest.mark.parametrize(
    ("entry_points", "complaint"),
    [
        (
            "x = no_such_module:scheme",
            "the URL scheme 'x' cannot be loaded from no_such_module:scheme: No module named",
        ),
        ("x = ebt_transports.tcp:nothing", "'x' cannot be loaded from ebt_transports.tcp:nothing"),
        ("x = ebt_transports.tcp:connect", "ebt_transports.tcp:connect, for the URL scheme 'x', has no connect"),
        ("x = ebt_transports.tcp:_TcpScheme", "_TcpScheme, for the URL scheme 'x', has no connect"),
        (
            "tcp = ebt_transports.memory:scheme",
            "several distributions offer the URL scheme 'tcp': ebt_transports.memory:sch",
        ),
    ],
)
async def test_bad_distributions(
    entry_points: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path, entry_points)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LocalProtocolError, match=complaint):
        await urls.connect(entry_points.partition(" ")[0] + "://host:1")


async def test_the_same_entry_point_twice_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Editable installs may show up twice."""
    distribution(tmp_path, "memory = ebt_transports.memory:scheme")
    monkeypatch.syspath_prepend(tmp_path)
    async with pair("memory://hub"):
        pass


async def test_a_module_may_be_a_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(tmp_path, "mod = scheme_in_a_module")
    (tmp_path / "scheme_in_a_module.py").write_text(
        "from ebt_transports import memory_pair\n"
        "async def connect(url): return memory_pair()[0]\n"
        "async def listen(url): raise NotImplementedError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(await urls.connect("mod://anything"), Transport)
    sys.modules.pop("scheme_in_a_module", None)


# Layers


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def test_the_library_reaches_its_transports_through_entry_points_only() -> None:
    package = Path(ebt_trio.__file__).parent
    files = [file for file in package.rglob("*.py") if "cli" not in file.relative_to(package).parts]
    assert len(files) > 5
    assert not [file for file in files if any(name.startswith("ebt_transports") for name in imports(file))]


def test_the_transports_know_only_the_seams() -> None:
    allowed = {f"ebt_trio.{name}" for name in ("abc", "doorstep", "errors", "frames", "identity")}
    files = list(Path(ebt_transports.__file__).parent.rglob("*.py"))
    assert len(files) > 4
    used = {name for file in files for name in imports(file) if name.startswith("ebt_trio")}
    assert used <= allowed


# docs/transports.md


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_documented_transport_is_the_tested_one() -> None:
    assert (THIRD_PARTY / "ebt_zlib.py").read_text() in blocks("python")
    name, value = re.findall(r'^(\w+) = "(.*)"$', "".join(blocks("toml")), re.MULTILINE)[0]
    entry_points = (THIRD_PARTY / "ebt_zlib-1.0.dist-info" / "entry_points.txt").read_text()
    assert f"{name} = {value}" in entry_points


@pytest.mark.parametrize(
    ("number", "printed"),
    list(
        enumerate(["b'hello'\n", "b'hello, whose id I know'\n", "b'there and back'\n", "b'there and back'\n", "", ""])
    ),
)
def test_documented_examples_run(number: int, printed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks("python")[number]], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (printed, "")


def test_every_documented_example_is_run() -> None:
    assert len(blocks("python")) == 6
