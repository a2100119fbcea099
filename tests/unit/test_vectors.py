"""The test vectors that other implementations can use, tests/vectors/frames.json, hold here."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.errors import RemoteProtocolError
from ebt_trio.frames import (
    Ack,
    Bye,
    Frame,
    FrameSplitter,
    Hello,
    Messages,
    Notes,
    Ping,
    Pong,
    Resume,
    Start,
    Unknown,
    decode,
    encode,
    wrap,
)
from ebt_trio.limits import Limits

VECTORS: dict[str, list[Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "frames.json").read_text("ascii"))
LIMITS = Limits()


def named(section: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in VECTORS[section]])


def integers(pairs: list[tuple[str, int | str]]) -> dict[FeedId, int]:
    return {FeedId(feed): int(value) for feed, value in pairs}


def from_json(frame: dict[str, Any]) -> Frame:
    def optional_bytes(key: str) -> bytes | None:
        return None if frame[key] is None else bytes.fromhex(frame[key])

    match frame["kind"]:
        case "HELLO":
            return Hello(
                PeerId(frame["id"]),
                frame["network"],
                optional_bytes("store"),
                optional_bytes("instance"),
                frame["max_frame"],
                frame["acks"],
                frame["version"],
            )
        case "RESUME":
            return Resume(bytes.fromhex(frame["heard"]))
        case "NOTES":
            return Notes(integers(frame["notes"]))
        case "MESSAGES":
            return Messages(
                [
                    Run(FeedId(r["feed"]), int(r["first"]), [bytes.fromhex(p) for p in r["payloads"]])
                    for r in frame["runs"]
                ]
            )
        case "BYE":
            return Bye(frame["code"], frame["text"])
        case "PING":
            return Ping(int(frame["n"]))
        case "PONG":
            return Pong(int(frame["n"]))
        case "START":
            return Start(integers(frame["firsts"]))
        case "ACK":
            return Ack(integers(frame["acks"]))
        case "UNKNOWN":
            return Unknown(frame["number"])
        case other:
            raise AssertionError(other)


@named("frames")
def test_frame(vector: dict[str, Any]) -> None:
    data, frame = bytes.fromhex(vector["hex"]), from_json(vector["frame"])
    assert decode(data, LIMITS) == frame
    if vector["shortest"]:
        assert encode(frame).hex() == vector["hex"]
    elif not isinstance(frame, Unknown):
        assert encode(frame) != data


@named("refused")
def test_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match=r"expected .*, got ") as caught:
        decode(bytes.fromhex(vector["hex"]), LIMITS)
    assert caught.value.code == vector["code"]


def test_every_cut_of_a_frame_is_refused() -> None:
    for vector in VECTORS["frames"]:
        data = bytes.fromhex(vector["hex"])
        if vector["frame"]["kind"] != "UNKNOWN":
            for end in range(len(data)):
                with pytest.raises(RemoteProtocolError):
                    decode(data[:end], LIMITS)


@named("streams")
def test_stream(vector: dict[str, Any]) -> None:
    frames = [bytes.fromhex(frame) for frame in vector["frames"]]
    splitter = FrameSplitter()
    splitter.feed(bytes.fromhex(vector["hex"]))
    for frame in frames:
        assert splitter.next_frame(LIMITS.frame) == frame
    assert splitter.next_frame(LIMITS.frame) is None
    assert splitter.at_boundary == (b"".join(map(wrap, frames)).hex() == vector["hex"])


@named("refused_streams")
def test_refused_stream(vector: dict[str, Any]) -> None:
    splitter = FrameSplitter()
    splitter.feed(bytes.fromhex(vector["hex"]))
    with pytest.raises(RemoteProtocolError, match=r"expected .*, got ") as caught:
        splitter.next_frame(LIMITS.frame)
    assert caught.value.code == vector["code"]


@pytest.mark.parametrize("vector", VECTORS["notes"], ids=lambda vector: str(vector["note"]))
def test_note(vector: dict[str, Any]) -> None:
    note = int(vector["note"])
    if vector["mode"] == "declined":
        assert (note, vector["sequence"]) == (-1, None)
    else:
        assert (note >> 1, note & 1) == (int(vector["sequence"]), ["eager", "lazy"].index(vector["mode"]))


@pytest.mark.parametrize("vector", VECTORS["digests"], ids=lambda vector: vector["digest"])
def test_digest(vector: dict[str, Any]) -> None:
    total = 0
    for feed, sequence in vector["entries"]:
        data = feed.encode() + b"\0" + int(sequence).to_bytes(8, "big", signed=True)
        total += int.from_bytes(hashlib.blake2b(data, digest_size=16).digest(), "big")
    assert (total % (1 << 128)).to_bytes(16, "big").hex() == vector["digest"]
