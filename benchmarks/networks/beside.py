"""The table of rivals: flooding, Plumtree as published and the reference's note rules, on the same networks as ours."""

from __future__ import annotations

from random import Random
from typing import Final

from ebt_trio.testing.networks import OVERLAYS, WORKLOADS, Network
from ebt_trio.testing.networks.workloads import senders_of

from .case import Case, Figures, Run, Table, chosen, links

RULES: Final = ("ours", "flooding", "plumtree", "plumtree-shipped", "reference")
COLUMNS: Final = {
    "reliability": "reliability",
    "rmr": "RMR",
    "rmr_first": "first",
    "ldh": "LDH",
    "stretch_first": "stretch, first",
    "stretch": "steady",
    "stretch_last": "last node",
    "notes": "control entries",
    "peer_load": "busiest peer",
}


def _run(rules: str, kind: str, peers: int, jitter: float, workload: str, messages: int) -> Run:
    def run(seed: int) -> Figures:
        edges, late = links(kind, peers, seed)
        senders = range(min(peers, 100))
        posts = WORKLOADS[workload](senders, messages, Random(f"beside {workload} {seed}"))
        if rules == "ours":
            made = Network(edges, late, peers=peers, feeds=senders_of(posts), seed=seed, jitter=jitter)
            made.play(posts)
            return chosen(made.measures().as_dict(), COLUMNS)
        from .rivals import run as run_rival

        found = run_rival(rules, edges, late, peers=peers, seed=seed, jitter=jitter, workload=posts)
        return chosen(found.as_dict(), COLUMNS)

    return run


def rivals(messages: int) -> Table:
    """Everybody on every overlay."""
    cases: list[Case] = []

    def add(kind: str, peers: int, jitter: float, workload: str) -> None:
        how = {"one": "one sender", "random": "a random sender of 100"}[workload]
        noise = f", jitter {jitter * 1000:g} ms" if jitter else ""
        for rules in RULES:
            run = _run(rules, kind, peers, jitter, workload, messages)
            cases.append(Case(f"{peers:,} peers, {kind}{noise}, {how}: {rules}", peers, run))

    for peers in (100, 1000):
        for kind in OVERLAYS:
            add(kind, peers, 0.0, "one")
        add("regular", peers, 0.03, "one")
        add("regular", peers, 0.0, "random")
    add("regular", 10_000, 0.0, "one")
    return Table(
        "rivals",
        "Side by side",
        f"""The same overlays, latencies of 10–50 ms, seeds and messages ({messages}, a second apart) for all: ours, on
        the real core; pure flooding; Plumtree as published in 2007, with timers in its favour, and with
        those that iroh-gossip ships; the note rules of the JavaScript reference.
        Control entries: entries of notes of ours, without ACKs, of which there are about as many again;
        IHAVE, GRAFT and PRUNE of Plumtree; notes of the reference.""",
        COLUMNS,
        cases,
    )
