"""The protocol, sans-IO: no trio, no anyio, no clock and no randomness of its own.

:class:`~ebt_trio.core.replicator.Replicator` is the way in: events go into ``handle(event, now)``,
actions come out, and what there is to send is pulled with ``next_outgoing``.
"""
