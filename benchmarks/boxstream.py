"""What the box stream costs: MB/s of sealing, of opening, and of a whole encrypted TCP connection on this machine.

    python benchmarks/boxstream.py [--megabytes N]

Everything is in this process, in one thread: time is CPU time, and both ends pay from it. One MB is 1,000,000 bytes.
"""

from __future__ import annotations

import argparse
import time

import trio

from ebt_transports.shs import SecretStream
from ebt_transports.shs.boxstream import Opener, Sealer
from ebt_trio.identity import Identity

WRITE = 65536
KEY, NONCE = bytes(range(32)), bytes(24)


def show(what: str, size: int, seconds: float) -> None:
    print(f"{what:<34} {size / seconds / 1e6:>8.0f} MB/s", flush=True)


def without_io(count: int) -> None:
    data = bytes(WRITE)
    sealer, opener = Sealer(KEY, NONCE), Opener(KEY, NONCE)
    sealing = opening = 0.0
    for _ in range(count):
        began = time.process_time()
        sealed = sealer.seal(data)
        between = time.process_time()
        opened = opener.open(sealed)
        opening += time.process_time() - between
        sealing += between - began
        assert len(opened) == WRITE
    size = count * WRITE
    show("sealing", size, sealing)
    show("opening", size, opening)
    show("sealing and opening", size, sealing + opening)


async def over_tcp(count: int, secret: bool) -> None:
    """Two ends that are joined by TCP on 127.0.0.1."""
    alice, bob = Identity.generate(), Identity.generate()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        near: trio.abc.Stream = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        far: trio.abc.Stream = await listener.accept()
    began = time.process_time()
    if secret:
        shaken: list[SecretStream] = []

        async def serve() -> None:
            shaken.append(await SecretStream.server(far, bob))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            near = await SecretStream.client(near, alice, bob.public_key)
        far = shaken[0]
        print(f"{'handshake, both ends':<34} {(time.process_time() - began) * 1e3:>8.2f} ms")

    async def send() -> None:
        data = bytes(WRITE)
        for _ in range(count):
            await near.send_all(data)
        await near.aclose()

    began = time.process_time()
    size = 0
    async with far, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while some := await far.receive_some():
            size += len(some)
    assert size == count * WRITE
    show("TCP, with the box stream" if secret else "TCP, plain", size, time.process_time() - began)


async def main(megabytes: int) -> None:
    count = max(1, megabytes * 1_000_000 // WRITE)
    print(f"{count} writes of {WRITE} bytes")
    without_io(count)
    await over_tcp(count, secret=False)
    await over_tcp(count, secret=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    trio.run(main, parser.parse_args().megabytes)
