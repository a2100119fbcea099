"""What ``import ebt_trio`` gives: these names, each on purpose, and no other."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import ebt_trio
from ebt_trio import errors

NAMES = {
    "EBT", "Session", "Message", "Limits", "Progress", "FeedStatus", "PeerStatus", "Mode", "Statistics",
    "Event", "What", "CloseReason", "ByeCode", "PeerId", "FeedId", "MemoryStore", "SQLiteStore", "PlainFormat",
    "connect", "listen", "follow_all", "allow", "Caller", "Identity", "SignedFormat", "Fork",
}  # fmt: skip


def test_the_public_names() -> None:
    public = {
        name for name, thing in vars(ebt_trio).items() if not name.startswith("_") and not isinstance(thing, ModuleType)
    }
    assert public == NAMES | set(errors.__all__)
    assert set(ebt_trio.__all__) == public


def test_every_name_has_a_docstring_and_says_where_it_is() -> None:
    for name in ebt_trio.__all__:
        thing = getattr(ebt_trio, name)
        if name not in ("PeerId", "FeedId"):
            assert thing.__doc__, name


def test_all_errors_are_exported() -> None:
    for name in errors.__all__:
        assert getattr(ebt_trio, name) is getattr(errors, name)


def test_importing_costs_no_transport_and_no_tool() -> None:
    """Transports come in through their entry points, testing tools when asked for."""
    code = "import sys, ebt_trio; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for name in ("ebt_transports", "ebt_trio.testing", "pytest", "click", "rich", "nacl"):
        assert name not in loaded
