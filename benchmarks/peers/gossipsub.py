"""Peers of py-libp2p's gossipsub in a process of their own, to be measured; the commands are those of ``ours.py``.

As it comes: TCP, noise, yamux, signed messages, gossipsub 1.1 with the specification's degrees and its heartbeat. Its
limit of ten messages per second and topic is off. A message counts as delivered when its subscriber has it: nothing is
stored. Runs in the virtual environment that ``benchmarks/gossipsub.py`` makes.
"""

# pyright: basic, reportMissingImports=false

from __future__ import annotations

from functools import partial
from typing import Any

import trio
from libp2p import new_host  # type: ignore[import-not-found]
from libp2p.peer.peerinfo import info_from_p2p_addr  # type: ignore[import-not-found]
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub  # type: ignore[import-not-found]
from libp2p.pubsub.pubsub import Pubsub  # type: ignore[import-not-found]
from libp2p.tools.anyio_service import background_trio_service  # type: ignore[import-not-found]
from multiaddr import Multiaddr  # type: ignore[import-not-found]

from benchmarks.peers.commands import Commands, paced, windowed
from benchmarks.peers.names import age, stamped

TOPIC = "feed"
DEGREES = {"degree": 6, "degree_low": 4, "degree_high": 12}
PATIENCE = 20.0


class Gossipsub(Commands):
    """One peer, or several."""

    def __init__(self) -> None:
        super().__init__()
        self._peers: list[Any] = []
        self._received = 0

    def sent(self) -> int:
        return 0  # not known

    async def do_open(self, peers: int = 1, counted: bool = True, **_: Any) -> None:
        for _each in range(peers):
            self._peers.append(await self.nursery.start(self._run, counted))

    async def _run(self, counted: bool, task_status: trio.TaskStatus[Any]) -> None:
        host = new_host()
        router = GossipSub([PROTOCOL_ID_V11], **DEGREES, heartbeat_interval=1, spam_protection_enabled=False)
        pubsub = Pubsub(host, router)
        push = pubsub.push_msg

        async def counting(forwarder: Any, message: Any) -> None:
            self._received += forwarder != host.get_id()
            await push(forwarder, message)

        pubsub.push_msg = counting
        async with (
            host.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]),
            background_trio_service(pubsub),
            background_trio_service(router),
        ):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe(TOPIC)
            task_status.started(pubsub)
            while True:
                message = await subscription.get()
                if counted:
                    self.arrived.add(1)
                    if self.arrived.timed:
                        self.arrived.ages.append(age(message.data))

    async def do_listen(self, url: str, peer: int = 0) -> str:
        return str(self._peers[peer].host.get_addrs()[0])

    async def do_connect(self, url: str, peer: int | None = None) -> None:
        """Until the other one is in the mesh."""
        other = info_from_p2p_addr(Multiaddr(url))
        for pubsub in self._peers if peer is None else [self._peers[peer]]:
            await pubsub.host.connect(other)
            await pubsub.wait_for_mesh(other.peer_id, TOPIC, timeout=PATIENCE)

    async def do_produce(self, count: int, per_second: float, size: int, together: bool = False) -> None:
        await paced(count, per_second, partial(self._produce, size))

    async def do_windowed(self, count: int, in_flight: int, size: int, together: bool = False) -> None:
        await windowed(self.arrived, count, in_flight, len(self._peers) - 1, partial(self._produce, size))

    async def _produce(self, size: int, due: int) -> None:
        for _ in range(due):
            await self._peers[0].publish(TOPIC, stamped(size))

    async def do_received(self) -> int:
        return self._received


if __name__ == "__main__":
    trio.run(Gossipsub().run)
