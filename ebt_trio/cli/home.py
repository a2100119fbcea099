"""A home: the directory with the key, the store, and what a running node leaves there; see :class:`Home`."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import platformdirs

from .._durable import make_directory, sync, sync_directory
from ..abc import Store
from ..ebt import EBT
from ..feeds.signed import SignedFormat
from ..identity import Identity
from ..stores.sqlite import SQLiteStore
from .errors import Failure
from .locks import is_locked, locked

__all__ = ["FORMAT", "Home", "default_path"]

FORMAT: Final = SignedFormat.name
"""The format of the feeds, as the store records it."""
_PATIENCE: Final = 0.5
"""Seconds to try for the lock: ``ebt status`` holds it for a moment, to see whether it is free."""


def default_path() -> Path:
    """The platform's directory for our data."""
    return platformdirs.user_data_path("ebt", appauthor=False)


@dataclass(frozen=True, slots=True)
class Home:
    """What is where: ``key`` (the secret key), ``store.db`` (the feeds), ``allowed`` (who may come in, one id a line),
    ``lock`` (held while a node runs), and ``node.json`` (what the node last said about itself)."""

    path: Path

    @property
    def key(self) -> Path:
        return self.path / "key"

    @property
    def store(self) -> Path:
        return self.path / "store.db"

    def identity(self) -> Identity:
        """
        :raises Failure: there is no such home
        :raises StoreError: its key cannot be read
        """
        if not self.key.exists():
            raise Failure(f"no home at {self.path}: make one with 'ebt init', or name another with --home")
        return Identity.load(self.key)

    def open_store(self) -> Store:
        """The store, not opened yet."""
        self.identity()
        return SQLiteStore(self.store, create=False)

    def ebt(self, **options: Any) -> EBT:
        """The home's peer, not entered yet; ``options`` are those of :class:`EBT`."""
        return EBT(self.identity(), SQLiteStore(self.store, create=False), **options)

    async def create(self) -> tuple[Identity, bool]:
        """Make the home; returns who it is, and whether its key is new. A key without a store keeps the key.

        When this returns, it survives a power cut.

        :raises Failure: it exists already
        """
        is_new = not self.key.exists()
        if not is_new and self.store.exists():
            raise Failure(f"there is a home at {self.path} already, of {self.identity()}; it was left as it is")
        try:
            make_directory(self.path, 0o700)
        except FileExistsError:
            raise Failure(f"cannot make a home at {self.path}: a file is there") from None
        store = SQLiteStore(self.store)  # first: where the key is, there is a home
        await store.open(FORMAT)
        await store.close()
        if is_new:
            Identity.generate().save(self.key)
        return self.identity(), is_new

    def check_not_behind(self, head: int) -> None:
        """Before appending beside a node: it knows what its peers claim.

        :raises Failure: one of them has more messages of our feed than we hold: the store was restored from a backup
        """
        claimed = (self.node_status() or {}).get("claimed", 0) if self.is_running() else 0
        if isinstance(claimed, int) and claimed > head:
            raise Failure(
                f"a peer has {claimed:,} messages of your feed, {head:,} are stored here: appending now would fork it; "
                "wait until 'ebt run' has fetched them, or 'ebt block' who claims what is not so"
            )

    # -- who may come in --------------------------------------------------------------------------------------------

    def allowed(self) -> list[str]:
        """The peers that the user lets in, besides those that are followed; in the order they were allowed in."""
        try:
            text = (self.path / "allowed").read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as exc:
            raise Failure(f"cannot read who is allowed, in {self.path / 'allowed'}: {exc}") from None
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return list(dict.fromkeys(line for line in lines if line))

    def write_allowed(self, peers: Iterable[str]) -> None:
        """Replace the list, whole or not at all, durably."""
        self._replace("allowed", "".join(f"{peer}\n" for peer in peers), durable=True)

    # -- the running node -------------------------------------------------------------------------------------------

    @contextmanager
    def running(self) -> Generator[None]:
        """Be the home's only node. The system gives the lock back however the process ends.

        :raises Failure: another process is
        """
        with ExitStack() as stack:
            deadline = time.monotonic() + _PATIENCE
            while True:
                try:
                    stack.enter_context(locked(self.path / "lock"))
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        said = self.node_status() or {}
                        who = f" (process {said['pid']})" if "pid" in said else ""
                        raise Failure(f"a node runs at {self.path} already{who}: one 'ebt run' per home") from None
                time.sleep(0.02)
            yield

    def is_running(self) -> bool:
        """Whether ``ebt run`` runs here."""
        return is_locked(self.path / "lock")

    def node_status(self) -> dict[str, Any] | None:
        """What the node last said about itself; it may have ended since."""
        try:
            said: object = json.loads((self.path / "node.json").read_bytes())
        except (OSError, ValueError):
            return None
        return cast("dict[str, Any]", said) if isinstance(said, dict) else None

    def write_node_status(self, said: dict[str, Any]) -> None:
        """A full disk costs only the news."""
        with suppress(OSError):
            self._replace("node.json", json.dumps(said) + "\n", durable=False)

    def _replace(self, name: str, text: str, *, durable: bool) -> None:
        """Write a file so that readers see the old or the new one, whole; if ``durable``, after a power cut, too."""
        temporary = self.path / f".{name}.{secrets.token_hex(4)}"
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write(text)
                if durable:
                    file.flush()
                    sync(file.fileno())
            os.replace(temporary, self.path / name)
            if durable:
                sync_directory(self.path)
        finally:
            temporary.unlink(missing_ok=True)
