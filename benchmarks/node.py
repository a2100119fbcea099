"""Finds Node.js, and installs the reference's packages."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.cache import Missing, installed, run

REFERENCE = Path(__file__).parent / "peers" / "reference"
FLAGS = ("--ignore-scripts", "--omit=optional", "--no-package-lock", "--no-audit", "--no-fund", "--prefer-offline")


def reference() -> tuple[list[str], dict[str, str]]:
    """The command that runs a peer of the reference, and what its environment needs.

    :raises Missing: there is no Node.js, no npm, or its packages cannot be had
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Missing("needs Node.js with npm: not on the PATH")
    wanted = (REFERENCE / "package.json").read_bytes()

    def make(folder: Path) -> None:
        (folder / "package.json").write_bytes(wanted)
        run("its packages", [npm, "install", *FLAGS], folder, 90)

    packages = installed(wanted, "reference", make) / "node_modules"
    # NODE_PATH, because the packages do not lie beside the script
    heap = ["--max-old-space-size=4096", "--expose-gc"]
    return [node, *heap, str(REFERENCE / "peer.js")], {"NODE_PATH": str(packages)}
