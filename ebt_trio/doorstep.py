"""How many may stand at the door, not let in yet: :class:`Doorstep`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

__all__ = ["Doorstep", "source_of"]

_ADDRESS: Final = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?:\[([^\[\]]+)\]|([^\[\]:/]+)):[0-9]+")
_SITE: Final = 64
"""One subscriber has all IPv6 addresses that begin with the same so many bits."""


class Doorstep:
    """Those who have connected and not finished their handshake. They cost memory, and anybody can be one of them.

    When there is one more than ``capacity``, the source with the most of them loses its oldest: whoever fills the
    doorstep pushes out itself, and honest callers from elsewhere get in.

    :param capacity: how many there may be at once
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._sources: dict[str, dict[Place, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, source: str, evict: Callable[[], None]) -> Place:
        """One more is there. Call the place's ``leave`` when it is in, or gone.

        :param source: who shares the blame, from :func:`source_of`
        :param evict: called if this one has to make room; must not wait. The place is left then.
        """
        place = Place(self, source, evict)
        self._sources.setdefault(source, {})[place] = None
        self._count += 1
        if self._count > self._capacity:
            greediest = max(self._sources.values(), key=len)
            oldest = next(iter(greediest))
            oldest.leave()
            oldest.evict()
        return place

    def remove(self, place: Place) -> None:
        """For :meth:`Place.leave`."""
        places = self._sources.get(place.source, {})
        if place in places:
            del places[place]
            self._count -= 1
            if not places:
                del self._sources[place.source]


class Place:
    """Where one of them stands."""

    __slots__ = ("_doorstep", "evict", "source")

    def __init__(self, doorstep: Doorstep, source: str, evict: Callable[[], None]) -> None:
        self._doorstep = doorstep
        self.source = source
        self.evict = evict

    def leave(self) -> None:
        """It stands there no longer. Twice is fine."""
        self._doorstep.remove(self)


def source_of(address: str) -> str:
    """Who shares the blame for what comes from a transport's ``address``: one IPv4 host, one /64 of IPv6, else all."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return ""
    host = match[1] or match[2]
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(found, ipaddress.IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _SITE), strict=False))
