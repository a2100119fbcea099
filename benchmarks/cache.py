"""What others need to run, installed once, into a folder of the user's cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


class Missing(Exception):
    """Why somebody else cannot be run here."""


def installed(wanted: bytes, name: str, make: Callable[[Path], None]) -> Path:
    """The folder for exactly what is ``wanted``; made by ``make``, in a folder beside it, if it is not there yet.

    :raises Missing: by ``make``
    """
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ebt-trio-bench"
    home.mkdir(parents=True, exist_ok=True)
    folder = home / hashlib.sha256(wanted).hexdigest()[:16]
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=home) as temporary:
            making = Path(temporary, name)
            making.mkdir()
            make(making)
            making.rename(folder)
    return folder


def run(what: str, command: Sequence[str], cwd: Path, seconds: float) -> None:
    """Run an installer.

    :raises Missing: it failed, or took longer
    """
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Missing(f"{what} could not be installed within {seconds:.0f} seconds") from None
    if done.returncode:
        raise Missing(f"{what} could not be installed: {done.stderr.strip()[-300:]}")
