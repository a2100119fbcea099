"""README.md keeps its promises: two commands first, examples that run, and CI that runs the very same command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
EXAMPLE, CHANGED_LINE, SIGNED = (code for language, code in BLOCKS if language == "python")
GREETING = "alice 1 {'text': 'hello bob!'}\n"


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_the_first_two_blocks_are_commands_of_one_line() -> None:
    (first_language, first), (second_language, second) = BLOCKS[:2]
    assert (first_language, second_language) == ("sh", "sh")
    assert first.count("\n") == second.count("\n") == 1
    assert first.endswith("ebt demo\n")
    assert second.endswith("pytest\n")
    for command in (first, second):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install "), (
            "must not touch the system's Python"
        )


def test_signed_feeds_in_the_same_example() -> None:
    """With keys, over an encrypted link: what the other two examples say together."""
    assert run(SIGNED) == ""
    program = (
        EXAMPLE.replace("EBT, connect", "EBT, Identity, connect")
        .replace(
            'URL = "memory://room"', 'URL = "shs+tcp://127.0.0.1:0"\nA, B = Identity.generate(), Identity.generate()'
        )
        .replace('EBT("alice")', "EBT(A)")
        .replace('EBT("bob")', "EBT(B)")
        .replace('follow("alice")', "follow(A.id)")
        .replace("listen(URL)", "listen(URL, identity=A)")
        .replace("connect(listener.urls[0])", "connect(listener.urls[0], identity=B)")
    )
    said = run(program).split(maxsplit=1)
    assert len(said[0]) == 43
    assert said[1] == GREETING.removeprefix("alice ")


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
@pytest.mark.parametrize(("arguments", "block"), [([], 1), (["demo"], 0)])
def test_ci_runs_what_the_readme_says(arguments: list[str], block: int) -> None:
    done = subprocess.run(
        ["/bin/bash", str(ROOT / ".ci/run"), *arguments, "--print"], capture_output=True, text=True, env={}, check=True
    )
    assert done.stdout == BLOCKS[block][1]


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
@pytest.mark.parametrize(("command", "code"), [("true", 0), ("false && true", 1), ("false | true", 1), ("exit 3", 3)])
def test_ci_fails_when_the_command_does(tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "README.md").write_text(f"```sh\nexit 9\n```\n\n```sh\n{command}\n```\n", encoding="utf-8")
    assert subprocess.run([tmp_path / ".ci/run"], capture_output=True, cwd="/").returncode == code


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
@pytest.mark.parametrize(("readme", "arguments", "code"), [("no blocks\n", [], 1), ("```sh\ntrue\n```\n", ["what"], 2)])
def test_ci_knows_misuse(tmp_path: Path, readme: str, arguments: list[str], code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    done = subprocess.run([tmp_path / ".ci/run", *arguments], capture_output=True)
    assert done.returncode == code
    assert done.stderr


def test_the_example_runs() -> None:
    assert run(EXAMPLE) == GREETING


def test_the_example_runs_over_tcp_with_one_line_changed() -> None:
    assert CHANGED_LINE.count("\n") == 1
    start = CHANGED_LINE.partition("=")[0]
    lines = EXAMPLE.splitlines(keepends=True)
    [place] = [number for number, line in enumerate(lines) if line.startswith(start)]
    assert "memory" in lines[place]
    assert "tcp" in CHANGED_LINE
    lines[place] = CHANGED_LINE
    assert run("".join(lines)) == GREETING


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 15
