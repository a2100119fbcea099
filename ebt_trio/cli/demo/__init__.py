"""``ebt demo``: real peers in processes of their own, a cut link, a killed peer, and equal stores at the end."""

from .command import demo

__all__ = ["demo"]
