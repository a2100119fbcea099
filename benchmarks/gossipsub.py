"""Installs py-libp2p, in a virtual environment of its own: it wants versions of packages that others don't."""

from __future__ import annotations

import os
import sys
import venv
from pathlib import Path

from benchmarks.cache import Missing, installed, run

WANTED = "libp2p==0.8.1"


def gossipsub() -> tuple[list[str], dict[str, str]]:
    """The command that runs a peer of py-libp2p's gossipsub, and what its environment needs.

    :raises Missing: it cannot be installed here
    """

    def make(folder: Path) -> None:
        try:
            venv.create(folder / "venv", with_pip=True)
        except Exception as exc:  # without ensurepip, for one
            raise Missing(f"no virtual environment could be made for {WANTED}: {exc}") from None
        pip = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--prefer-binary"]
        run(WANTED, [*pip, WANTED], folder, 300)

    folder = installed(f"{WANTED} {sys.version}".encode(), "gossipsub", make)
    return [str(_python(folder)), "-m", "benchmarks.peers.gossipsub"], {}


def _python(folder: Path) -> Path:
    return folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
