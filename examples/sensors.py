"""Sensors that write down what they measure, whether anybody listens or not, and a collector that gets it all.

    python examples/sensors.py

Each sensor appends to a log of its own; the link to the collector breaks again and again. Nobody keeps lists of what
has been sent: when a link is back, both sides say how far they are, and it goes on from there.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from ebt_trio import EBT, SQLiteStore, connect, listen
from ebt_trio.abc import Transport


async def measure(ebt: EBT, readings: int) -> None:
    """What an embedded program does all day; ``append`` returns when the reading is on disk."""
    for _ in range(readings):
        await ebt.append({"at": time.time(), "celsius": round(random.gauss(21, 2), 1)})
        await trio.sleep(random.uniform(0, 0.01))


async def sensor(name: str, path: Path, collector: str, readings: int) -> None:
    async def connect_for_a_while() -> Transport:
        """The link to the collector, and it breaks."""
        transport = await connect(collector)
        nursery.start_soon(break_later, transport)
        return transport

    async with EBT(name, SQLiteStore(path)) as ebt, trio.open_nursery() as nursery:
        nursery.start_soon(measure, ebt, readings)
        await nursery.start(ebt.dial, connect_for_a_while)


async def break_later(transport: Transport) -> None:
    await trio.sleep(random.uniform(0.1, 1.0))
    await transport.aclose()


def is_sensor(feed: str, peer: str) -> bool:
    """The collector follows whatever calls itself a sensor, from the first time it hears of it."""
    return feed.startswith("sensor-")


async def main(sensors: int, readings: int) -> None:
    names = [f"sensor-{number}" for number in range(1, sensors + 1)]
    with TemporaryDirectory() as folder:
        async with (
            EBT("collector", SQLiteStore(Path(folder, "collector.db")), should_replicate=is_sensor) as ebt,
            await listen("tcp://127.0.0.1:0") as listener,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(ebt.serve, listener)
            for name in names:
                nursery.start_soon(sensor, name, Path(folder, f"{name}.db"), listener.urls[0], readings)
            await ebt.wait_for(dict.fromkeys(names, readings))
            for name in names:
                messages = await ebt.read(name, limit=readings)
                mean = sum(message.content["celsius"] for message in messages) / len(messages)
                print(f"{name}: {len(messages)} readings, mean {mean:.1f} °C")
            duplicates = ebt.statistics().duplicates
            print(f"{sensors * readings} readings collected over links that break, {duplicates} sent twice")
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sensors", type=int, default=3)
    parser.add_argument("--readings", type=int, default=100, help="per sensor")
    options = parser.parse_args()
    logging.getLogger("ebt_trio").setLevel(logging.ERROR)  # that links break is no news here
    trio.run(main, options.sensors, options.readings)
