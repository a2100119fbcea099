"""The command ``ebt``. Needs the extra ``cli``; ``ebt_trio`` itself does without what this imports."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final, NoReturn

__all__ = ["main"]

_NEEDED: Final = {"click": "click", "rich": "rich", "platformdirs": "platformdirs", "nacl": "PyNaCl"}
"""module → distribution"""


def main() -> NoReturn:
    """Run the command with ``sys.argv``, and exit with its status."""
    missing = [name for module, name in _NEEDED.items() if not _is_there(module)]
    if missing:
        sys.stderr.write(f"ebt: not installed: {', '.join(missing)}; run: pip install 'ebt-trio[cli]'\n")
        sys.exit(1)
    from .app import run

    sys.exit(run())


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # in sys.modules, as None
        return False
