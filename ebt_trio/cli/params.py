"""Kinds of arguments that several commands take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from ..errors import LocalProtocolError
from ..feeds.plain import PlainFormat
from ..identity import public_key_bytes

__all__ = ["ID", "KEY", "URL"]

if TYPE_CHECKING:
    _Text = click.ParamType[str]
else:
    _Text = click.ParamType


class _Id(_Text):
    """A feed's or peer's id, checked as the format does."""

    name = "id"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return PlainFormat().check_feed(value)
        except LocalProtocolError as exc:
            self.fail(str(exc), param, ctx)


class _Key(_Text):
    """A peer's id that it can prove: a public key."""

    name = "key"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            public_key_bytes(value)
        except LocalProtocolError as exc:
            self.fail(str(exc), param, ctx)
        return value


class _Url(_Text):
    """A URL with a scheme that is installed; its transport looks at the rest."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", value):
            self.fail(f"expected a URL like tcp://127.0.0.1:8008, got {value!r}", param, ctx)
        return value


ID: Final = _Id()
KEY: Final = _Key()
URL: Final = _Url()
