"""Defects of the reference around who is asked for a feed: stalls, lost sources, liars, joiners.

The numbers are those of the list in ``docs/scenarios.md``. "Seen to fail" says what was broken to see the test bite.
"""

from __future__ import annotations

import re

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.simlink import End, SimLink
from ebt_trio.testing.simpeer import SimPeer
from ebt_trio.testing.simulation import Simulation

FEED = FeedId("feed")


def client_of(sim: Simulation, *servers: str, messages: int, rate: float = 0.0) -> SimPeer:
    for server in servers:
        sim.peer(server, follow=["feed"]).append(messages, feed="feed")
    client = sim.peer("client", follow=["feed"])
    for server in servers:
        sim.connect("client", server, rate=rate)
    return client


def end_of(link: SimLink, name: str) -> End:
    return link.a if link.a.peer.id == name else link.b


def source(peer: SimPeer, feed: str = "feed") -> PeerId | None:
    return peer.core.status(FeedId(feed)).owner


def asked(sim: Simulation, feed: str = "feed") -> list[str]:
    """Whom the client asked for the feed, in order."""
    found = (re.match(rf"\S+ client>(\S+) notes (.* )?{feed}=\d+,eager", line) for line in sim.trace)
    return [match[1] for match in found if match]


# -- 1: a feed whose active source disconnects, or whose message arrives over a lazy link, can end with no source


def test_1_active_source_disconnects(seeded: Simulation) -> None:
    """In mid-transfer: the other server is asked at once, and progress does not say complete before all is there.

    Seen to fail: a session that ends keeps what it owns (Ownership.left without leave).
    """
    sim = seeded
    sim.batch = 4
    client = client_of(sim, "one", "two", messages=100, rate=100)
    while client.clock.get(FEED, 0) < 20 or len(client.core.status(FEED).peers) < 2:
        sim.run(0.01)
    first = source(client)
    assert first is not None
    sim.link("client", first).cut()
    while client.clock[FEED] < 100:
        assert client.core.progress().fraction < 1.0
        sim.run(0.02)
        assert sim.now < 6.0
    sim.settle()
    assert client.core.progress().fraction == 1.0
    assert client.reports[What.STALLED] == 0
    assert source(client) != first


def test_1_message_arrives_over_a_lazy_link(seeded: Simulation) -> None:
    """Whoever delivers, the feed keeps its source, and the messages after that come, too.

    Seen to fail: Ownership.delivered releases the owner when another session delivers.
    """
    sim = seeded
    client = client_of(sim, "one", "two", messages=3)
    sim.settle()
    before = source(client)
    lazy = "one" if before == "two" else "two"
    end = end_of(sim.link("client", lazy), lazy)
    for server in ("one", "two"):
        sim.peers[server].append(1, feed="feed")
    payload = sim.peers[lazy].store.feeds[FEED][3]
    end.send_raw("messages", [Run(FEED, 4, [payload])])
    sim.settle()
    assert client.clock == {"feed": 4}
    assert source(client) == before
    sim.count_anew()
    for server in ("one", "two"):
        sim.peers[server].append(1, feed="feed")
    sim.settle()
    assert client.clock == {"feed": 5}
    assert sim.duplicates() == 0


# -- 2: the ownership check takes peers for feeds


def test_2_three_sources_that_are_nobodys_feed(steady: Simulation) -> None:
    """Three servers of which none is the author, and of which one bears the name of another feed: each message once.

    Seen to fail: Link.authors always true, so that every session is asked at once.
    """
    sim = steady
    sim.peer("other", follow=["feed"]).append(50, feed="feed")
    for server in ("one", "two"):
        sim.peer(server, follow=["feed", "other"]).append(50, feed="feed")
    client = sim.peer("client", follow=["feed", "other"])
    for server in ("other", "one", "two"):
        sim.connect("client", server)
    sim.settle()
    for _ in range(5):
        for server in ("other", "one", "two"):
            sim.peers[server].append(1, feed="feed")
        sim.run(0.5)
    sim.settle()
    assert client.clock == {"feed": 55}
    assert sum(count for (peer, _, _), count in sim.payloads.items() if peer == "client") == 55


# -- 6: timeouts per peer


def test_6_one_feed_stalls_on_a_busy_peer(sim: Simulation) -> None:
    """The peer delivers another feed all the time, but not this one: this one is fetched from elsewhere.

    Seen to fail: the allowance is not limited (Ownership._stalled looks at last_payload alone).
    """
    busy = sim.peer("busy", follow=["feed", "chatter"])
    busy.append(20, feed="feed")
    busy.unreadable.add(FEED)
    client = sim.peer("client", follow=["feed", "chatter"])
    sim.connect("client", "busy")
    sim.run(0.2)
    sim.peer("other", follow=["feed"]).append(20, feed="feed")
    sim.connect("client", "other")
    assert asked(sim) == ["busy"]
    for _ in range(40):
        busy.append(1, feed="chatter")
        sim.run(0.1)
    assert client.clock == {"feed": 20, "chatter": 40}
    assert source(client) == "other"
    assert source(client, "chatter") == "busy"


# -- 7: rotation asks blocked and declined peers


def test_7_rotation_leaves_out_who_declined_or_is_blocked(seeded: Simulation) -> None:
    """One source stalls; the others would be next, had they not declined the feed, or were they not blocked for it.

    Seen to fail: Link.claims without the condition on refused.
    """
    sim = seeded
    client = client_of(sim, "stalls", "declines", "blocked", messages=10)
    sim.peers["declines"].unfollow("feed")
    client.block("blocked", origin="feed")
    sim.peers["stalls"].reads_broken = True
    sim.run(0.5)
    sim.count_anew()
    sim.run(30.0)
    assert set(asked(sim)) <= {"stalls"}
    assert client.clock == {}
    sim.peers["stalls"].reads_broken = False
    sim.settle()
    assert client.clock == {"feed": 10}


# -- 8: a fresh peer can time out at the first tick


@pytest.mark.parametrize("idle", [0.0, 2.9, 1000.0])
def test_8_a_fresh_peer_has_its_whole_timeout(sim: Simulation, idle: float) -> None:
    """However long we ran before: who is asked now has a stall_timeout from now on.

    Seen to fail: neither Ownership._graft nor _claimed sets since.
    """
    client = sim.peer("client", follow=["feed"])
    sim.run(idle)
    for server in ("one", "two"):
        sim.peer(server, follow=["feed"]).append(3, feed="feed")
        sim.connect("client", server, latency=0.9)
    sim.run(10.0)
    assert client.clock == {"feed": 3}
    assert client.reports[What.STALLED] == 0
    assert len(asked(sim)) == 1


# -- 27: a peer that claims a high sequence and sends nothing censors a feed


def test_27_a_liar_cannot_censor(seeded: Simulation) -> None:
    """The liar claims a million, delivers nothing of the feed, and chats on another; an honest peer is connected.

    Every message arrives within two stall_timeouts of its announcement, whoever is believed first; then promptly.
    Seen to fail: Ownership._graft counts the lie itself towards the allowance; _stalled has no allowance at all.
    """
    sim = seeded
    liar = sim.peer("liar", follow=["feed", "chatter"])
    honest = sim.peer("honest", follow=["feed"])
    client = sim.peer("client", follow=["feed", "chatter"])
    lies = sim.connect("client", "liar")
    sim.connect("client", "honest")
    liar.append(1, feed="chatter")
    sim.settle()
    end_of(lies, "liar").send_raw("notes", {FEED: 1_000_000 << 1 | 1})
    for _ in range(40):
        honest.append(1, feed="feed")
        liar.append(1, feed="chatter")
        sim.run(0.5)
    sim.run(7.0)
    assert client.clock == {"feed": 40, "chatter": 41}
    late = [sim.delivered_at[client.id, FEED, sequence] - sim.sent_at[FEED, sequence] for sequence in range(1, 41)]
    assert max(late) < 6.5
    assert max(late[20:]) < 1.5
    assert client.core.progress().recv == 0  # the lie is penalised: it is not waited for


def test_27_nor_can_one_that_lies_about_two_feeds(sim: Simulation) -> None:
    """What is claimed of another feed, and trickles, buys patience for this one; but not for ever.

    Seen to fail: Ownership._stalled without BUSY.
    """
    liar = sim.peer("liar", follow=["feed", "chatter"])
    honest = sim.peer("honest", follow=["feed"])
    client = sim.peer("client", follow=["feed", "chatter"])
    lies = sim.connect("client", "liar")
    sim.connect("client", "honest")
    sim.settle()
    end = end_of(lies, "liar")
    end.send_raw("notes", {FeedId("chatter"): 60 << 1 | 1})
    end.send_raw("notes", {FEED: 1_000_000 << 1 | 1})
    for _ in range(20):
        honest.append(1, feed="feed")
        liar.append(1, feed="chatter")
        sim.run(2.0)
    assert source(client, "chatter") == "liar"
    assert client.clock[FEED] >= 19


# -- 28: a joiner asks every neighbour for everything


@pytest.mark.parametrize("neighbours", [5, 10])
def test_28_a_joiner_is_sent_everything_once(sim: Simulation, neighbours: int) -> None:
    """1,000 messages of 20 feeds from 5 or 10 neighbours that all have them: 1,000 sends, spread over all of them.

    Seen to fail: Meeting._introduce says eager instead of lazy.
    """
    feeds = [f"f{number}" for number in range(20)]
    names = [f"n{number}" for number in range(neighbours)]
    for name in names:
        neighbour = sim.peer(name, follow=feeds)
        for feed in feeds:
            neighbour.append(50, feed=feed)
    joiner = sim.peer("joiner", follow=feeds)
    for name in names:
        sim.connect("joiner", name, rate=2000)
    sim.settle()
    assert joiner.clock == dict.fromkeys(feeds, 50)
    assert sim.frames["payloads"] == 1000
    shares = {name: len(sim.said(f"{name}>joiner", "messages")) for name in names}
    assert all(shares.values())
