"""Kinds of arguments that several commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from ..errors import LocalProtocolError
from ..feeds.signed import SignedFormat
from ..identity import public_key_bytes
from .urls import with_scheme

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
            return SignedFormat().check_feed(value)
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
    """A URL; without a scheme an encrypted one. Its transport looks at the rest."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return with_scheme(value)


ID: Final = _Id()
KEY: Final = _Key()
URL: Final = _Url()
