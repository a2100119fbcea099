"""``ebt allow`` and ``ebt disallow``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ebt_trio.identity import Identity

if TYPE_CHECKING:
    from conftest import Runner


def test_allow_and_disallow(ebt: Runner) -> None:
    ebt.init()
    bob, carol = (str(Identity.generate()) for _ in range(2))
    assert ebt.ok("allow") == ""
    assert ebt.ok("allow", bob) == ""
    ebt.ok("allow", carol, bob, carol)
    assert ebt.ok("allow").split() == [bob, carol]
    assert json.loads(ebt.ok("allow", "--json")) == [bob, carol]
    ebt.ok("disallow", bob)
    assert ebt.ok("allow").split() == [carol]


def test_disallowing_who_is_not_allowed_says_so_and_changes_nothing(ebt: Runner) -> None:
    ebt.init()
    bob, carol = (str(Identity.generate()) for _ in range(2))
    ebt.ok("allow", bob)
    result = ebt("disallow", carol, bob)
    assert (result.status, result.err) == (1, f"ebt: not allowed anyway: {carol}\n")
    assert ebt.ok("allow").split() == [bob]


@pytest.mark.parametrize("bad", ["bob", "A" * 42, "A" * 44])
def test_only_keys_can_be_allowed(ebt: Runner, bad: str) -> None:
    ebt.init()
    result = ebt("allow", bad)
    assert result.status == 2
    assert "expected a public key, 43 characters of URL-safe base64" in result.err


def test_the_list_may_be_edited_by_hand(ebt: Runner) -> None:
    ebt.init()
    (ebt.path / "home" / "allowed").write_text("# friends\n\nsomebody # from work\nsomebody\n")
    assert ebt.ok("allow") == "somebody\n"
    (ebt.path / "home" / "allowed").write_bytes(b"\xff")
    result = ebt("allow")
    assert result.status == 1
    assert "cannot read who is allowed" in result.err


def test_there_has_to_be_a_home(ebt: Runner) -> None:
    assert ebt("allow").status == 1
    assert "no home at" in ebt("disallow", str(Identity.generate())).err
