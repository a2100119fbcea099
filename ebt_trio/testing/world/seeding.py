"""One seed for everything that is random in a run, Trio's own scheduling included: :func:`seeded`."""

from __future__ import annotations

import importlib
import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int) -> Generator[None, None, None]:
    """Inside, the same seed gives the same order of tasks, run by run; afterwards all is as it was.

    In each turn of its loop Trio shuffles the tasks that can run, with a generator of its own. Under Hypothesis it
    sorts them before, so that the shuffle is all that decides; that is switched on here, and the generator seeded.
    The generator of the module :mod:`random` is seeded, too.
    """
    run: Any = importlib.import_module("trio._core._run")
    shuffler, was_sorting = run._r, run._ALLOW_DETERMINISTIC_SCHEDULING
    state, shuffling = random.getstate(), shuffler.getstate()
    run._ALLOW_DETERMINISTIC_SCHEDULING = True
    shuffler.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        run._ALLOW_DETERMINISTIC_SCHEDULING = was_sorting
        shuffler.setstate(shuffling)
        random.setstate(state)
