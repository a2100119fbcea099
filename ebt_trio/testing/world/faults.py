"""The part of :class:`~.world.World` that makes things go wrong, and right again: :class:`Faults`."""

from __future__ import annotations

from .network import Network
from .peers import WorldPeer
from .trace import Trace

__all__ = ["Faults"]


class Faults:
    """What may happen to links and hosts. What may happen to a peer is a method of :class:`~.peers.WorldPeer`."""

    network: Network
    peers: dict[str, WorldPeer]
    trace: Trace

    def cut(self, a: str, b: str) -> None:
        """Reset what connections these two have; whoever dials does so again."""
        self.network.cut(a, b)

    def truncate(self, a: str, b: str, size: int) -> None:
        """Reset them after so many bytes more in each direction, wherever in a frame that is."""
        self.network.truncate(a, b, size)

    def down(self, a: str, b: str) -> None:
        """Reset their connections, and refuse new ones, until :meth:`up`."""
        self.network.down(a, b, True)

    def up(self, a: str, b: str) -> None:
        """End :meth:`down`."""
        self.network.down(a, b, False)

    def freeze(self, a: str, b: str) -> None:
        """From now on nothing comes through between them, and nobody is told, until :meth:`thaw`."""
        self.network.silence(a, b, True)

    def thaw(self, a: str, b: str) -> None:
        """End :meth:`freeze`: what was on its way arrives, as with TCP."""
        self.network.silence(a, b, False)

    def stop(self, name: str) -> None:
        """A host stands still: its links are there, and nothing comes of it, until :meth:`go`."""
        self.network.stop(name, True)

    def go(self, name: str) -> None:
        """End :meth:`stop`."""
        self.network.stop(name, False)

    def heal(self) -> None:
        """All that is wrong ends: links are up, stores work, who is down starts."""
        self.trace.add("-- all faults end")
        self.network.heal()
        for peer in self.peers.values():
            peer.break_store()
            peer.start()
