"""Unix sockets: the file, who may use it, who removes it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from ebt_transports import unix
from ebt_trio.abc import Scheme, Transport
from ebt_trio.errors import LocalProtocolError, TransportError

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")


async def greet(transport: Transport) -> None:
    await transport.send(b"hello from " + transport.address.encode())


async def works(path: str | os.PathLike[str]) -> None:
    async with await unix.connect(path):
        pass


async def test_connect_listen_and_clean_up(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = await unix.listen(path)
    assert listener.urls == (f"unix://{path}",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, greet)
        async with await unix.connect(path) as transport:
            assert await transport.receive() == f"hello from unix://{path}".encode()
            assert transport.address == f"unix://{path}"
        await listener.aclose()
    assert not path.exists()
    await listener.aclose()


async def test_odd_names_survive_the_url(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/a b%41?#\xff\xc3\xa4"
    listener = await unix.listen(os.fsdecode(path))
    (url,) = listener.urls
    assert url.isascii()
    assert " " not in url
    async with await unix.scheme.connect(url):
        pass
    await listener.aclose()
    again = await unix.scheme.listen(url)
    os.lstat(path)
    await again.aclose()


async def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listener = await unix.listen("here")
    async with await unix.scheme.connect(listener.urls[0]):
        pass
    await listener.aclose()
    assert os.listdir(tmp_path) == []


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Listens at ``path``, and never cleans up."""
    program = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print(); input()"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b""
        yield process
        process.kill()


async def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with another_process(path), pytest.raises(TransportError, match="in use; stop what listens there"):
        await unix.listen(path)
    assert path.is_socket()
    with pytest.raises(TransportError, match="nobody listens there; start the other side"):
        await unix.connect(path)
    listener = await unix.listen(path)
    await works(path)
    await listener.aclose()
    assert not path.exists()


async def test_in_use(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = await unix.listen(path)
    with pytest.raises(TransportError, match=f"cannot listen on unix://{path}: in use"):
        await unix.listen(path)
    await works(path)
    await listener.aclose()


async def test_a_full_queue_is_still_in_use(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting: list[Transport] = []

        async def fill() -> None:
            for _ in range(10):
                waiting.append(await unix.connect(path))

        try:
            with pytest.raises(TransportError, match="too many connections wait there"):
                await fill()
            with pytest.raises(TransportError, match="in use"):
                await unix.listen(path)
        finally:
            for transport in waiting:
                await transport.aclose()
    assert waiting


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
async def test_what_is_no_socket_is_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "precious"
    (tmp_path / "diary").write_text("dear")
    if kind == "file":
        path.write_text("dear")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("diary")
    with pytest.raises(TransportError, match="a file that is not a socket is there"):
        await unix.listen(path)
    assert path.exists()
    assert (tmp_path / "diary").read_text() == "dear"


async def test_anothers_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = await unix.listen(path)
    path.unlink()
    second = await unix.listen(path)
    await first.aclose()
    await works(path)
    await second.aclose()
    assert not path.exists()


async def test_a_socket_that_is_gone_already(tmp_path: Path) -> None:
    listener = await unix.listen(tmp_path / "socket")
    (tmp_path / "socket").unlink()
    await listener.aclose()


async def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="no such file or directory; start the other side"):
        await unix.connect(tmp_path / "none")
    with pytest.raises(TransportError, match="no such file or directory"):
        await unix.listen(tmp_path / "none" / "socket")


async def test_too_long(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    for call in (unix.connect, unix.listen):
        with pytest.raises(TransportError, match=r"a socket's path may have \d+ bytes here, and this one has \d+"):
            await call(path)
    longest = str(tmp_path / "x").ljust(unix._LONGEST_PATH, "x")
    listener = await unix.listen(longest)  # the limit is the system's
    await works(longest)
    await listener.aclose()


async def test_without_unix_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    for call in (unix.connect, unix.listen):
        with pytest.raises(TransportError, match="Python has no Unix sockets on this system; take tcp://"):
            await call(tmp_path / "socket")


async def test_a_failed_listen_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(13, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", refuse)
        with pytest.raises(TransportError, match="not permitted; check who owns the file and its directory"):
            await unix.listen(tmp_path / "socket")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("url", ["unix://", "unix:///", "unix://relative", "unix:/path", "unix:///dir/", "tcp:///path"])
async def test_malformed_urls(url: str) -> None:
    for call in (unix.scheme.connect, unix.scheme.listen):
        with pytest.raises(LocalProtocolError, match=r"expected unix:///PATH, for example unix:///run/ebt.sock"):
            await call(url)


@pytest.mark.parametrize("path", ["", "a\0b"])
async def test_impossible_paths(path: str) -> None:
    with pytest.raises(LocalProtocolError, match="expected the path of a socket"):
        await unix.listen(path)
    with pytest.raises(LocalProtocolError):
        await unix.scheme.connect("unix:///a%00b")


def test_is_a_scheme() -> None:
    assert isinstance(unix.scheme, Scheme)


def test_a_path_that_is_no_utf8_may_stand_in_a_url_as_it_is() -> None:
    """As a command line hands it over: with lone surrogates for its bytes. Others stand for nothing."""
    assert os.fsencode(unix.parse("unix:///a\udcff%41")) == b"/a\xffA"
    with pytest.raises(LocalProtocolError, match="expected a path"):
        unix.parse("unix:///a\ud800")
