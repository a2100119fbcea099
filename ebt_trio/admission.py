"""Who may come in: what :meth:`EBT.serve` asks before a caller learns anything; see :func:`allow`."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TypeAlias

from .core.types import PeerId

__all__ = ["Admit", "Caller", "allow"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks for a session."""

    id: PeerId
    """Who it is, or says it is."""
    proved: bool
    """The transport has proved the id. If not, it is worth nothing: anybody can say it."""
    address: str
    """Where it is, for people."""


Admit: TypeAlias = Callable[[Caller], bool]
"""True: have a session with the caller. Must not block; if it raises, the caller is not let in."""


def allow(ids: Container[str]) -> Admit:
    """For ``EBT.serve(listener, admit=…)``: let in who has proved to be one of ``ids``, and nobody else.

    ``ids`` is asked for each caller, so it may change meanwhile; who is in stays in (:meth:`EBT.block` ends sessions).
    """
    return lambda caller: caller.proved and caller.id in ids
