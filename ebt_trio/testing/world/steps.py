"""What may be done to a world, as plain data that :meth:`World.play` takes: :data:`Step`, :func:`do`.

=========================================  ==========================================================================
``("wait", seconds)``                      virtual time goes by
``("append", peer, count)``                messages, while other things go on; ``("append", peer, count, bytes)``
``("dial", a, b)``                         a dials b, from now on
``("weather", a, b, {…})``                 how good the link is from now on: fields of :class:`Conditions`
``("cut", a, b)``                          reset; who dials does so again
``("truncate", a, b, bytes)``              reset after so many bytes more, in mid-frame
``("down", a, b)``, ``("up", a, b)``       reset and refused, until up
``("freeze", a, b)``, ``("thaw", a, b)``   nothing comes through, nobody is told
``("stop", peer)``, ``("go", peer)``       its host stands still
``("kill", peer)``, ``("power", peer)``    its process ends, or its machine
``("leave", peer)``, ``("start", peer)``   it ends in order; it starts, after any end
``("store", peer, what)``                  "fine", "full" (writes fail), "unreadable" (reads fail), "broken" (both)
``("follow", peer, name)``, ``unfollow``   for peers that follow only whom they name
=========================================  ==========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from ...errors import EBTError
from .pipes import Conditions

if TYPE_CHECKING:
    from .peers import WorldPeer
    from .world import World

__all__ = ["Step", "do"]

Step: TypeAlias = "tuple[Any, ...]"


async def do(world: World, step: Step) -> None:
    """One step."""
    kind, *args = step
    match kind:
        case "wait":
            await trio.sleep(args[0])
        case "append":
            peer = world.peers[args[0]]
            if peer.is_wanted:
                world.spawn(_append, world, peer, *args[1:])
        case "dial":
            world.peers[args[0]].dial(args[1])
        case "weather":
            world.network.set(args[0], args[1], Conditions(**args[2]))
        case "cut" | "truncate" | "down" | "up" | "freeze" | "thaw" | "stop" | "go":
            getattr(world, kind)(*args)
        case "kill" | "power":
            world.peers[args[0]].crash(power=kind == "power")
        case "leave" | "start":
            getattr(world.peers[args[0]], kind)()
        case "store":
            what = args[1]
            world.peers[args[0]].break_store(writes=what in ("full", "broken"), reads=what in ("unreadable", "broken"))
        case "follow" | "unfollow":
            peer = world.peers[args[0]]
            if peer.follow is not None and args[1] != args[0]:
                peer.want(args[1], kind == "follow")
        case _:
            raise ValueError(f"unknown step: {step!r}")


async def _append(world: World, peer: WorldPeer, count: int, size: int = 0) -> None:
    """Appending fails when the store does, or the peer ends: then nothing was acknowledged."""
    contents = [{"n": peer.tried + i + 1, "fill": "x" * size} for i in range(count)]
    try:
        await peer.append(*contents)
    except EBTError as exc:
        world.trace.add(f"{peer.name} cannot append: {exc}")
