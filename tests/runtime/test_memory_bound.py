"""A peer that never reads costs a bounded amount of memory, and nobody else anything. Real sockets, real memory."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ebt_trio import EBT, Limits, SQLiteStore, connect, listen
from ebt_trio.core.types import FeedId
from ebt_trio.frames import Hello, Notes, Resume, encode
from ebt_trio.framing import wrap

MESSAGES = 100_000
MEGABYTE = 1 << 20


def resident() -> int:
    """Bytes of memory that this process has, now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def scenario(folder: Path) -> int:
    """How much memory it took, in bytes."""
    limits = Limits(keepalive=3600)
    async with (
        EBT("alice", SQLiteStore(folder / "alice.db", synchronous="NORMAL"), limits=limits) as alice,
        EBT("bob", SQLiteStore(folder / "bob.db", synchronous="NORMAL"), limits=limits) as bob,
        await listen("tcp://127.0.0.1:0") as listener,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(alice.serve, listener)
        bob.follow("alice")
        deaf = await trio.open_tcp_stream("127.0.0.1", int(listener.urls[0].rsplit(":", 1)[1]))
        frames = [Hello("deaf", acks=True, instance=b"deafdeaf"), Resume(), Notes({FeedId("alice"): 0}), Notes()]
        await deaf.send_all(b"".join(wrap(encode(frame)) for frame in frames))
        async with bob.session(await connect(listener.urls[0])):
            await alice.append_many(["x" * 300] * 2000)
            await bob.wait_for({"alice": 2000})
            before = resident()
            for done in range(2000, MESSAGES, 1000):
                await alice.append_many([f"{done} " + "x" * 300] * 1000)
            await bob.wait_for({"alice": MESSAGES})
            grown = resident() - before
            sent = next(session for session in alice.sessions if session.peer_id == "deaf").statistics().messages_sent
            assert 0 < sent < MESSAGES // 2, f"the peer that does not read was sent {sent}"
        await deaf.aclose()
        nursery.cancel_scope.cancel()
    return grown


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_a_peer_that_never_reads(tmp_path: Path) -> None:
    """In a process of its own, so that nothing else moves the figure."""
    done = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    assert grown < 20 * MEGABYTE, f"{MESSAGES} messages took {grown / MEGABYTE:.1f} MB"


if __name__ == "__main__":
    print(trio.run(scenario, Path(sys.argv[1])))
