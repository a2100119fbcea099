"""``ebt simulate``: a network of any size in simulated time, the papers' measures, and a picture of it."""

from .command import simulate

__all__ = ["simulate"]
