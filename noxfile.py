"""Everything that must hold before a change is merged; ``nox`` runs tests, types, lint and docs.

Each session but the long ones (``coverage``, ``fire``, ``fuzz``, ``mutation``, ``networks``, ``soak``) is a job of
``.github/workflows/ci.yml``, too, and uses the Python that runs nox. What follows ``--`` goes to the tool:
``nox -s tests -- tests/unit``.
"""

from __future__ import annotations

from glob import glob

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests", "types", "lint", "docs"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright, both strict."""
    session.install("-e", ".[dev]")
    session.run("mypy", *session.posargs)
    session.run("mypy", "examples/chat.py", "examples/sensors.py")
    session.run("mypy", "-p", "benchmarks")
    session.run("mypy", *glob("tests/fire/*.py"), env={"MYPYPATH": "tests/fire"})
    session.run("pyright")


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format."""
    session.install("ruff")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """What the documents say: their examples run, their links lead somewhere, their names exist."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Beside the JavaScript reference and the raw limit; ``-- --quick`` for a look; see ``benchmarks/README.md``."""
    session.install(".[identity]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def counts(session: nox.Session) -> None:
    """Whether something has become more expensive: counts, rather than times; ``-- --record`` keeps new ones."""
    session.install("-e", ".[identity]")
    session.run("python", "-m", "benchmarks.counts", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """With the JavaScript reference; unlike in ``tests``, Node.js has to be there (``docs/interop.md``)."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "tests/interop", *session.posargs, env={"EBT_INTEROP": "required"})


@nox.session
def fire(session: nox.Session) -> None:
    """Two hundred sessions at one node, most of them hostile, for ten minutes; ``-- --minutes 3`` for less."""
    session.install("-e", ".[identity]")
    session.run("python", "tests/fire/hundreds.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Nodes on links that break, for half an hour; ``-- --minutes 5`` for less. Nothing may grow, all ends equal."""
    session.install("-e", ".[identity]")
    session.run("python", "tests/fire/soak.py", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The picture of ``ebt simulate``; unlike in ``tests``, Chromium or Chrome has to be there."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "tests/browser", *session.posargs, env={"EBT_BROWSER": "required"})


@nox.session
def simulation(session: nox.Session) -> None:
    """Random networks under random faults on the core, in simulated time."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "ebt_trio.testing.churn", *(session.posargs or ["--seeds", "1000"]))
    session.run("python", "-m", "pytest", "tests/scenarios", env={"EBT_SEEDS": "100"})


@nox.session
def durability(session: nox.Session) -> None:
    """Kills and power cuts by the hundred, Linux: nothing acknowledged is lost; ``-- --seed 1000`` for others."""
    session.install("-e", ".[identity]")
    session.run("python", "tests/durability/kills.py", "--kills", "500", *session.posargs)
    session.run("python", "tests/durability/cuts.py", "--cuts", "500", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """All that takes bytes from outside; without arguments every target, the frames a million times: half an hour."""
    session.install(".[test]")
    if session.posargs:
        session.run("python", "tests/fuzz/campaign.py", *session.posargs)
        return
    session.run("python", "tests/fuzz/campaign.py", "--target", "frames", "--inputs", "1000000")
    session.run("python", "tests/fuzz/campaign.py", "--target", "session", "--inputs", "100000")
    session.run("python", "tests/fuzz/campaign.py")


@nox.session
def world(session: nox.Session) -> None:
    """Whole peers in virtual time, on links, hosts and stores that fail; ``-- --seed N --trace`` replays one."""
    session.install(".[identity]")
    session.run("python", "-m", "ebt_trio.testing.world", *(session.posargs or ["--seeds", "1000"]))


@nox.session
def coverage(session: nox.Session) -> None:
    """Every line and branch of the core, by its unit tests."""
    session.install("-e", ".[test]", "coverage>=7.4")
    session.run(
        *("python", "-m", "coverage", "run", "--source=ebt_trio/core"),
        *("-m", "pytest", "-n0", *(session.posargs or ["tests/unit/core"])),
    )
    session.run("python", "-m", "coverage", "report", "--show-missing", "--fail-under=100")


@nox.session
def mutation(session: nox.Session) -> None:
    """Whether tests notice when the core is changed: hours; ``-- ownership --part 1/4`` is a part of it. POSIX only."""
    session.install("-e", ".[test]", "cosmic-ray>=8.3")
    session.run("python", "tests/mutation/campaign.py", *session.posargs)


@nox.session
def networks(session: nox.Session) -> None:
    """The papers' tables, up to 10,000 peers: hours; ``-- --peers 100`` is a look (``docs/networks.md``)."""
    session.install("-e", ".[simulate]", "matplotlib>=3.11")
    session.run("python", "-m", "benchmarks.networks", *session.posargs)
