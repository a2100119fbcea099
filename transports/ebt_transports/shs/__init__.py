"""Encrypted links whose both ends prove who they are: the secret handshake and its box stream, over any byte stream.

``shs+tcp://ID@HOST:PORT`` and ``shs+unix://ID@/path``, where ID is the id of who listens there; to listen, leave
``ID@`` out. Needs PyNaCl: ``pip install 'ebt-trio[identity]'``.
"""

from .handshake import network_key as network_key
from .links import connect as connect
from .links import connect_unix as connect_unix
from .links import listen as listen
from .links import listen_unix as listen_unix
from .links import tcp_scheme as tcp_scheme
from .links import unix_scheme as unix_scheme
from .stream import SecretStream as SecretStream

__all__ = [
    "SecretStream",
    "connect",
    "connect_unix",
    "listen",
    "listen_unix",
    "network_key",
    "tcp_scheme",
    "unix_scheme",
]
