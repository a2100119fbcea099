"""Identities: keys, their text form, their files."""

from __future__ import annotations

import base64
import os
import pickle
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey, VerifyKey

from ebt_trio.errors import LocalProtocolError, StoreError
from ebt_trio.identity import Identity, public_key_bytes, public_key_text

# RFC 8032, section 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def seed_with_dash() -> bytes:
    """A seed whose public key's text would begin with '-'."""
    for number in range(10_000):
        seed = number.to_bytes(32, "big")
        if bytes(SigningKey(seed).verify_key)[0] >> 2 == 62:
            return seed
    raise AssertionError


def test_rfc_8032_vector() -> None:
    identity = Identity(SEED)
    assert identity.public_key == PUBLIC
    assert identity.sign(b"\x72") == SIGNATURE
    assert identity.id == base64.urlsafe_b64encode(PUBLIC).decode().rstrip("=")
    VerifyKey(public_key_bytes(str(identity))).verify(b"\x72", SIGNATURE)


def test_generated_ones_differ_and_never_begin_with_a_dash() -> None:
    texts = {str(Identity.generate()) for _ in range(1000)}
    assert len(texts) == 1000
    assert not [text for text in texts if text.startswith("-") or len(text) != 43]


def test_keys_whose_text_begins_with_a_dash_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="begin with '-'"):
        Identity(seed_with_dash())
    with pytest.raises(LocalProtocolError, match="begin with '-'"):
        public_key_text(b"\xfb" * 32)
    text = base64.urlsafe_b64encode(b"\xfb" * 32).decode().rstrip("=")
    with pytest.raises(LocalProtocolError, match="expected a public key"):
        public_key_bytes(text)


@given(st.binary(min_size=32, max_size=32).filter(lambda key: key[0] >> 2 != 62))
def test_text_form_round_trip(key: bytes) -> None:
    assert public_key_bytes(public_key_text(key)) == key


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "A" * 42 + "B", "ä" * 43])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        public_key_bytes(text)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_wrong_sizes_are_refused(size: int) -> None:
    with pytest.raises(LocalProtocolError):
        Identity(b"\0" * size)
    with pytest.raises(LocalProtocolError):
        public_key_text(b"\0" * size)


def test_nothing_shows_the_secret() -> None:
    identity = Identity(SEED)
    secret = base64.urlsafe_b64encode(SEED).decode().rstrip("=")
    shown = f"{identity} {identity!r} {[identity]}"
    assert secret not in shown
    assert SEED.hex() not in shown
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(identity)


def test_save_and_load(tmp_path: Path) -> None:
    path = tmp_path / "key"
    identity = Identity.generate()
    identity.save(path)
    assert Identity.load(path) == identity
    assert Identity.load(path).sign(b"x") == identity.sign(b"x")
    assert os.listdir(tmp_path) == ["key"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        Identity.generate().save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(StoreError, match="chmod 600"):
        Identity.load(path)


def test_save_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"precious")
    with pytest.raises(StoreError, match="already"):
        Identity.generate().save(path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["key"]


def test_save_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "key"
    identity = Identity.generate()
    identity.save(path)
    assert Identity.load(path) == identity
    with pytest.raises(StoreError, match="already"):
        Identity.generate().save(path)
    assert Identity.load(path) == identity


def test_a_failed_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="No space left"):
        Identity.generate().save(tmp_path / "key")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("text", [b"", b"ed25519 abc\n", b"\xff" * 60, b"SQLite format 3\0", b"rsa " + b"A" * 43])
def test_files_that_are_no_keys_are_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(StoreError, match="is not a key"):
        Identity.load(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        Identity.load(tmp_path / "key")


def test_importing_needs_no_pynacl() -> None:
    code = """
import sys
sys.modules["nacl"] = None
from ebt_trio.identity import Identity
try:
    Identity.generate()
except ImportError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "identities need PyNaCl: pip install 'ebt-trio[identity]'\n"
