"""Finds Node.js, and installs the reference's packages once, into a folder of the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

REFERENCE = Path(__file__).parent / "peers" / "reference"
FLAGS = ("--ignore-scripts", "--omit=optional", "--no-package-lock", "--no-audit", "--no-fund", "--prefer-offline")


class Missing(Exception):
    """Why the reference cannot be run here."""


def reference() -> tuple[list[str], dict[str, str]]:
    """The command that runs a peer of the reference, and what its environment needs.

    :raises Missing: there is no Node.js, no npm, or its packages cannot be had
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("needs Node.js with npm: not on the PATH")
    wanted = (REFERENCE / "package.json").read_bytes()
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ebt-trio-bench"
    home.mkdir(parents=True, exist_ok=True)
    installed = home / hashlib.sha256(wanted).hexdigest()[:16]
    if not installed.exists():
        with tempfile.TemporaryDirectory(dir=home) as temporary:
            making = Path(temporary, "reference")
            making.mkdir()
            (making / "package.json").write_bytes(wanted)
            try:
                done = subprocess.run([npm, "install", *FLAGS], cwd=making, capture_output=True, text=True, timeout=90)
            except subprocess.TimeoutExpired:
                raise Missing("npm could not install the reference within 90 seconds") from None
            if done.returncode:
                raise Missing(f"npm could not install the reference: {done.stderr.strip()[-300:]}")
            making.rename(installed)
    script = str(REFERENCE / "peer.js")
    # NODE_PATH, because the packages do not lie beside the script
    heap = ["--max-old-space-size=4096", "--expose-gc"]
    return [node, *heap, script], {"NODE_PATH": str(installed / "node_modules")}
