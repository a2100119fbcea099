"""Targets that come from our own disk, or from users: files of stores, of keys, URLs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from random import Random
from types import NoneType
from typing import Final

import trio
from mutate import Mutator
from table import Broken, Target, refused
from trio.testing import MockClock

from ebt_trio import EBT, EBTError, FeedId, Identity, PeerId, PlainFormat, SignedFormat, SQLiteStore
from ebt_trio.abc import BlockEntry, Change, Format
from ebt_trio.core.types import MAX_SEQUENCE, PeerKey, Range, Remembered, Run
from ebt_trio.errors import ForkDetected, InvalidMessage, LocalProtocolError, StoreError
from ebt_trio.fork import Fork
from ebt_trio.transport import proves

__all__ = ["TARGETS"]

ALICE, BOB = Identity(bytes([1]) * 32), Identity(bytes([2]) * 32)
KEY: Final = PeerKey(PeerId("bob"), b"s" * 16, True)

Feeds = dict[FeedId, list[bytes]]


@contextmanager
def folder() -> Generator[Path, None, None]:
    """In memory, where there is such a place."""
    shared = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="ebt-fuzz-", dir=shared if shared.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


# -- stores


@cache
def stored(signed: bool) -> tuple[bytes, Feeds]:
    """A file with a little of everything, and what messages are in it."""
    formats: dict[FeedId, Format] = {}
    if signed:
        formats = {FeedId(key.id): SignedFormat(key, clock=lambda: 1.7e9) for key in (ALICE, BOB)}
    else:
        formats = {FeedId(name): PlainFormat() for name in ("alice", "bob", "carol")}
    feeds: Feeds = {}
    for feed, format in formats.items():
        payloads = feeds[feed] = list[bytes]()
        for sequence in range(1, 13):
            previous = payloads[-1] if payloads else None
            payloads.append(format.encode(feed, sequence, "x" * sequence * 30, previous))

    async def make(path: Path) -> None:
        store = SQLiteStore(path, threads=False)
        await store.open("signed" if signed else "plain")
        await store.append([Run(feed, 1, payloads) for feed, payloads in feeds.items()])
        names = list(feeds)
        change = Change(
            follow=dict.fromkeys(names, None),
            block=[BlockEntry(PeerId("mallory"), None)],
            forks=[Fork(names[0], 1, (b"one",), 1, (b"two",), "ours")],
            remember={KEY: [Remembered(feed, 3, -1) for feed in names]},
        )
        await store.update(change, keep_peers=10)
        await store.close()

    with folder() as place:
        trio.run(make, place / "store.db", clock=MockClock(autojump_threshold=0))
        return (place / "store.db").read_bytes(), feeds


def damages(data: bytes) -> list[tuple[int, bytes]]:
    """An input of this target: any number of damages, of 6 bytes each: where, how long, with what."""
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(data) - 5, 6):
        where, length = int.from_bytes(data[at : at + 3]), data[at + 3]
        found.append((where, bytes((data[at + 4], data[at + 5]))[: 1 + (length & 1)] * (1 << (length >> 1) % 8)))
    return found


def damaged(good: bytes, data: bytes) -> bytes:
    """With bytes set, and cut short where the first byte is odd."""
    file = bytearray(good)
    for where, instead in damages(data[1:]):
        at = where % len(file)
        file[at : at + len(instead)] = instead[: len(file) - at]
    if data[:1] and data[0] & 1:
        del file[data[0] * len(file) // 256 :]
    return bytes(file)


def store_seeds(signed: bool) -> list[bytes]:
    """A damage at each of many places, densest where the file says how it is built."""
    size = len(stored(signed)[0])
    places = [*range(0, 200, 3), *range(200, size, 37)]
    return [b"\x00" + at.to_bytes(3) + bytes((kind, value, 255 - value)) for at in places for kind, value in KINDS]


KINDS: Final = ((0, 0), (0, 255), (1, 7), (8, 65), (14, 0))


def check_store(signed: bool, data: bytes) -> None:
    """Opening, reading and writing a damaged file give what was stored, or a StoreError."""
    good, feeds = stored(signed)
    file = damaged(good, data)
    with folder() as place:
        path = place / "store.db"
        path.write_bytes(file)
        trio.run(_use, path, signed, feeds, file, clock=MockClock(autojump_threshold=0))


async def _use(path: Path, signed: bool, feeds: Feeds, file: bytes) -> None:
    store = SQLiteStore(path, threads=False)
    try:
        await store.open("signed" if signed else "plain")
    except StoreError as error:
        refused(error)
        if path.read_bytes()[:100] != file[:100]:  # noqa: ASYNC240 - nobody waits
            raise Broken("a file that could not be opened was written") from error
        return
    try:
        await _read(store, signed, feeds)
        await _write(store, feeds)
    finally:
        await store.close()


async def _read(store: SQLiteStore, signed: bool, feeds: Feeds) -> None:
    with answered():
        for held in await store.heads(None, 100):
            if not (type(held.feed) is str and type(held.first) is type(held.head) is int):
                raise Broken(f"not a head: {held}")
            if not 1 <= held.first <= held.head <= MAX_SEQUENCE:
                raise Broken(f"nobody's head: {held}")
    for feed, payloads in feeds.items():
        with answered():
            found = (await store.read([Range(feed, 1, 100)], 1 << 20))[0]
            held = await store.head(feed)
            if held.first == 1 and len(found) != held.head:
                raise Broken(f"{len(found)} messages where {held.head} are said to be")
            if not all(type(payload) is bytes for payload in found):
                raise Broken("payloads that are none")
            if signed and list(found) != payloads[: len(found)]:
                _look_through(feed, found)
        with answered():
            await store.size(feed)
    with answered():
        if not all(type(feed) is str and type(last) in (int, NoneType) for feed, last in await store.follows(None, 9)):
            raise Broken("follows that are none")
    with answered():
        if not all(type(entry.target) is str for entry in await store.blocks()):
            raise Broken("blocks that are none")
    with answered():
        await store.forks()
    with answered():
        for row in await store.recall(KEY, None, 10):
            if not (type(row.feed) is str and {type(row.told), type(row.heard)} <= {int, NoneType}):
                raise Broken(f"remembered: {row}")


def _look_through(feed: FeedId, found: Sequence[bytes]) -> None:
    """SQLite has no checksums; what is signed has: nobody takes changed messages for their author's."""
    try:
        SignedFormat().validate(Run(feed, 1, list(found)), None)
    except (InvalidMessage, ForkDetected):
        return
    raise Broken("changed, and still signed")


async def _write(store: SQLiteStore, feeds: Feeds) -> None:
    """What append has returned for, is there; the rest has an error."""
    for feed in feeds:
        with answered():
            held = await store.head(feed)
            (outcome,) = await store.append([Run(feed, held.head + 1, [b"next"])])
            if isinstance(outcome, StoreError):
                continue
            if outcome.head != held.head + 1:
                raise Broken(f"appended behind {held}, and the head is {outcome}")
            if list((await store.read([Range(feed, outcome.head, 1)], 100))[0]) != [b"next"]:
                raise Broken("what was appended is not there")
    with answered():
        await store.update(Change(follow={FeedId("dave"): None}), keep_peers=5)


@contextmanager
def answered() -> Generator[None, None, None]:
    try:
        yield
    except StoreError as error:
        refused(error)


def check_peer(data: bytes) -> None:
    """A peer on a damaged file starts or says why not; it ends in order, and appends what it can."""
    good, _ = stored(True)
    with folder() as place:
        path = place / "store.db"
        path.write_bytes(damaged(good, data))
        trio.run(_be_a_peer, path, clock=MockClock(autojump_threshold=0))


async def _be_a_peer(path: Path) -> None:
    try:
        async with EBT(ALICE, SQLiteStore(path, threads=False)) as peer:
            try:
                await peer.append("still here")
                await peer.read(peer.feed)
                await peer.flush()
            except EBTError as error:
                refused(error)
            await trio.sleep(5)
    except EBTError as error:
        refused(error)


# -- keys


def key_files() -> list[bytes]:
    with folder() as place:
        ALICE.save(place / "key")
        text = (place / "key").read_bytes()
    return [text, text.splitlines(keepends=True)[-1], text.replace(b"\n", b"\r\n")]


def check_key_file(data: bytes) -> None:
    """A key, the one that is in the file, or a StoreError."""
    with folder() as place:
        path = place / "key"
        path.write_bytes(data)
        path.chmod(0o600)
        try:
            key = Identity.load(path)
        except StoreError as error:
            refused(error)
            return
        path.unlink()
        key.save(path)
        if Identity.load(path) != key:
            raise Broken("another key when saved again")


# -- URLs


def url_seeds() -> list[bytes]:
    key = ALICE.id
    urls = ("tcp://127.0.0.1:8008", "tcp://[::1]:1", "unix:///run/ebt.sock", "unix:///a%20b/%FF", "memory://name")
    secret = (
        f"shs+tcp://{key}@192.0.2.7:8008",
        f"shs+unix://{key}@/run/x",
        "shs+tcp://[::]:0",
        "ws://x/y?z#",
        "HTTP://",
    )
    return [url.encode() for url in (*urls, *secret)]


def check_url(data: bytes) -> None:
    """Whether it proves who is there, how it parses, and what the command line makes of it; or a LocalProtocolError."""
    from ebt_transports import tcp, unix
    from ebt_trio.cli.errors import Failure
    from ebt_trio.cli.urls import check_plain, dialled, with_scheme

    url = data.decode("utf-8", "surrogateescape")
    parse: Callable[[str], object]
    for parse in (proves, tcp.parse, unix.parse, dialled, lambda text: check_plain(with_scheme(text))):
        try:
            parse(url)
        except LocalProtocolError as error:
            refused(error)
        except Failure as error:
            if error.status != 2:
                raise Broken("not a misuse") from error


def _bytes(seeds: Sequence[bytes], rng: Random) -> Mutator:
    return Mutator(seeds, rng, parts=lambda seed: ())


TARGETS: Final = (
    Target("store", partial(check_store, False), lambda: store_seeds(False), _bytes, bytes_each=None, few=60),
    Target("store-signed", partial(check_store, True), lambda: store_seeds(True), _bytes, bytes_each=None, few=40),
    Target("store-peer", check_peer, lambda: store_seeds(True), _bytes, bytes_each=None, few=20),
    Target("key-file", check_key_file, key_files, _bytes, few=300),
    Target("url", check_url, url_seeds, _bytes, few=200),
)
