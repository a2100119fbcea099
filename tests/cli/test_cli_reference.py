"""``docs/cli.md`` says what ``--help`` says."""

from __future__ import annotations

from pathlib import Path

from ebt_trio.cli.app import COMMANDS
from ebt_trio.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_reference_is_up_to_date() -> None:
    assert PAGE.read_text() == reference(), "python -m ebt_trio.cli.reference > docs/cli.md"


def test_every_command_and_option_is_in_it() -> None:
    said = reference()
    for name in COMMANDS:
        assert f"\n## ebt {name}\n" in said
    for word in ("--after N", "--origin FEED", "--listen, -l URL", "[FILE]...", "EBT_HOME", "[TEXT]"):
        assert word in said
    assert "\b" not in said
