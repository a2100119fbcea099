"""The transports that come with ebt-trio: in memory, TCP, Unix sockets, and frames on any byte stream.

``ebt_trio.connect(url)`` finds them through entry points. To be used directly::

    from ebt_transports import FramedTransport, memory_pair, tcp, unix
"""

from __future__ import annotations

from . import tcp, unix
from .framed import FramedTransport
from .memory import memory_pair

__all__ = ["FramedTransport", "memory_pair", "tcp", "unix"]
