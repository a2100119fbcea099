"""Which URLs ``ebt run`` takes: encrypted by default, plain ones only on this machine."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ..errors import LocalProtocolError
from ..transport import proves
from .errors import Failure

__all__ = ["DEFAULT_SCHEME", "check_plain", "dialled", "with_scheme"]

DEFAULT_SCHEME: Final = "shs+tcp"
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def with_scheme(text: str) -> str:
    """``HOST:PORT`` and ``ID@HOST:PORT`` are URLs of the encrypted scheme."""
    return text if _SCHEME.match(text) else f"{DEFAULT_SCHEME}://{text}"


def check_plain(url: str) -> None:
    """
    :raises Failure: a link that proves nothing, beyond this machine
    :raises LocalProtocolError: malformed, or an unknown scheme
    """
    if proves(url):
        return
    host = _split(url).hostname
    if host is None or _is_here(host):
        return
    raise Failure(
        f"{url} is plain: anybody on the way could read and change what goes over it, and anybody could call and be "
        f"let in; use {DEFAULT_SCHEME}://, or say --insecure if you mean it",
        2,
    )


def dialled(url: str) -> str | None:
    """Whom a URL names as the one who has to be there.

    :raises LocalProtocolError: malformed, or an unknown scheme
    """
    return _split(url).username if proves(url) else None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as exc:
        raise LocalProtocolError(
            f"expected a URL like {DEFAULT_SCHEME}://ID@192.0.2.7:8008, got {url!r} ({exc})"
        ) from None


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False
