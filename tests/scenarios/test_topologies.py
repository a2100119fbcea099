"""Networks that hold: stars, chains, rings, meshes; who delivers to whom, and that nobody gets anything twice."""

from __future__ import annotations

from ebt_trio.testing.simulation import Simulation

EVERYBODY = {"alice", "bob", "carol"}


def follow_each_other(sim: Simulation, *names: str) -> None:
    for name in names:
        sim.peer(name, follow=names)


def everybody_has(sim: Simulation, clock: dict[str, int]) -> bool:
    return all(peer.clock == clock for peer in sim.peers.values())


def eager_sources(sim: Simulation, name: str, feed: str) -> list[str]:
    """Whom ``name`` has asked for ``feed``."""
    return [peer.peer for peer in sim.peers[name].core.status(feed).peers if peer.ours.name == "EAGER"]


def test_star_then_a_late_link(steady: Simulation) -> None:
    """Two leaves get all through the hub; a late link between them carries notes, and no message twice."""
    sim = steady
    names = ["hub", "left", "right"]
    follow_each_other(sim, *names)
    for name in names:
        sim.peers[name].append(3)
    sim.connect("hub", "left")
    sim.connect("hub", "right")
    sim.settle()
    assert everybody_has(sim, {"hub": 3, "left": 3, "right": 3})
    assert sim.frames["payloads"] == 3 * 2 * 3
    assert sim.duplicates() == 0

    sim.count_anew()
    sim.connect("left", "right")
    sim.settle()
    assert sim.frames["payloads"] == 0
    # each asks the author itself from now on: the shortest way there is
    sim.peers["left"].append()
    sim.settle()
    assert everybody_has(sim, {"hub": 3, "left": 4, "right": 3})
    assert sim.frames["payloads"] == 2
    assert sim.duplicates() == 0


def test_chain_of_three(steady: Simulation) -> None:
    """The middle peer passes on what it follows, both ways, each message once over each link."""
    sim = steady
    follow_each_other(sim, "alice", "bob", "carol")
    sim.peers["alice"].append(5)
    sim.peers["carol"].append(2)
    sim.connect("alice", "bob")
    sim.connect("bob", "carol")
    sim.settle()
    assert everybody_has(sim, {"alice": 5, "carol": 2})
    sim.peers["alice"].append()
    sim.settle()
    assert everybody_has(sim, {"alice": 6, "carol": 2})
    assert sim.frames["payloads"] == 2 * (6 + 2)
    assert sim.duplicates() == 0


def test_chain_of_three_from_the_first_word_on(sim: Simulation) -> None:
    """One message along a chain, as it is said: claimed, asked for, sent, announced, acknowledged."""
    sim.peer("alice")
    sim.peer("bob", follow=["alice"])
    sim.peer("carol", follow=["alice"])
    sim.peers["alice"].append()
    sim.connect("bob", "carol")
    sim.settle()
    sim.count_anew()
    sim.connect("alice", "bob")
    sim.settle()
    start = float(sim.trace[0].split()[0])
    story = [f"{float(line.split()[0]) - start:.3f} {line.partition(' ')[2]}" for line in sim.trace]
    assert story == [
        "0.000 alice=bob connect",
        "0.040 alice>bob notes alice=1,lazy",
        "0.040 alice>bob notes",
        "0.040 bob>alice notes bob=0,lazy alice=0,eager",
        "0.040 bob>alice notes",
        "0.060 alice>bob notes bob=declined",
        "0.060 alice>bob messages alice:1-1",
        "0.081 bob>carol notes alice=1,lazy",
        "0.101 carol>bob notes alice=0,eager",
        "0.121 bob>carol messages alice:1-1",
        "1.081 bob>alice acks alice=1",
        "1.142 carol>bob acks alice=1",
    ]


def test_triangle_brings_no_message_twice(steady: Simulation) -> None:
    """Three peers, three links: in steady state one link of the three carries no message of a feed."""
    sim = steady
    follow_each_other(sim, "alice", "bob", "carol")
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.settle()
    for _ in range(20):
        sim.peers["alice"].append()
        sim.run(0.7)
    sim.settle()
    assert everybody_has(sim, {"alice": 20})
    assert sim.frames["payloads"] == 2 * 20
    assert sim.duplicates() == 0
    for name in ("bob", "carol"):
        assert len(eager_sources(sim, name, "alice")) == 1


def test_live_triangle_ten_messages_in_order(seeded: Simulation) -> None:
    """Messages faster than the links: everybody stores each once, in order."""
    sim = seeded
    follow_each_other(sim, "alice", "bob", "carol")
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.settle()
    for _ in range(10):
        sim.peers["alice"].append()
        sim.run(0.01)
    sim.settle()
    for name in ("bob", "carol"):
        times = [sim.delivered_at[name, "alice", sequence] for sequence in range(1, 11)]
        assert times == sorted(times)
        assert sim.peers[name].store.feeds["alice"] == [b"alice:%d" % sequence for sequence in range(1, 11)]


def test_ring_of_four(steady: Simulation) -> None:
    """The far peer has two ways to the author, and takes one of them."""
    sim = steady
    names = ["alice", "bob", "carol", "dave"]
    follow_each_other(sim, *names)
    sim.peers["alice"].append(10)
    for a, b in zip(names, [*names[1:], names[0]], strict=True):
        sim.connect(a, b)
    sim.settle()
    assert everybody_has(sim, {"alice": 10})
    for _ in range(10):
        sim.peers["alice"].append()
        sim.run(1.0)
    sim.settle()
    assert everybody_has(sim, {"alice": 20})
    assert len(eager_sources(sim, "carol", "alice")) == 1
    assert sim.frames["payloads"] == 3 * 20
    assert sim.duplicates() == 0


def test_random_network_of_ten_peers_and_twenty_edges(seeded: Simulation) -> None:
    """Whatever the graph: all stores of a connected network end equal, and one source is eager per feed."""
    sim = seeded
    names = [f"p{number}" for number in range(10)]
    feeds = names[:3]
    for name in names:
        sim.peer(name, follow=feeds)
    for feed in feeds:
        sim.peers[feed].append(sim.rng.randint(1, 8))
    pairs = {(names[number], names[sim.rng.randrange(number)]) for number in range(1, 10)}
    while len(pairs) < 20:
        a, b = sim.rng.sample(names, 2)
        if (a, b) not in pairs and (b, a) not in pairs:
            pairs.add((a, b))
    for a, b in sorted(pairs):
        sim.connect(a, b)
    sim.run(2.0)
    sim.peers["p0"].append(2)
    sim.settle()
    assert everybody_has(sim, {feed: sim.peers[feed].clock[feed] for feed in feeds})
    assert sim.differences() == []
    for name in names:
        for feed in feeds:
            assert len(eager_sources(sim, name, feed)) == (name != feed)


def test_several_servers_at_most_one_eager_source_per_feed(seeded: Simulation) -> None:
    """A newcomer among four that hold the same feed asks one of them; when that one goes, another."""
    sim = seeded
    servers = ["s1", "s2", "s3", "s4"]
    for server in servers:
        sim.peer(server, follow=["author"]).append(30, feed="author")
    sim.peer("newcomer", follow=["author"])
    for server in servers:
        sim.connect(server, "newcomer")
    seen: set[str] = set()
    while sim.peers["newcomer"].clock != {"author": 30}:
        sim.run(0.001)
        sources = eager_sources(sim, "newcomer", "author")
        assert len(sources) <= 1
        seen.update(sources)
    sim.settle()
    assert len(seen) == 1
    assert sim.frames["payloads"] == 30

    sim.link("newcomer", seen.pop()).cut()
    for server in servers:
        sim.peers[server].append(1, feed="author")
    sim.run(1.0)
    assert len(eager_sources(sim, "newcomer", "author")) == 1
    assert sim.peers["newcomer"].clock == {"author": 31}


def test_a_thousand_messages_recovered_after_loss(seeded: Simulation) -> None:
    """The link breaks again and again in mid-transfer; what is in flight is lost, or what is not stored."""
    sim = seeded
    sim.batch = 16
    sim.peer("alice").append(1000)
    sim.peer("bob", follow=["alice"])
    breaks = 0
    while sim.peers["bob"].clock.get("alice", 0) < 1000:
        link = sim.connect("alice", "bob", rate=1000)
        sim.run(4 * link.latency + sim.rng.uniform(0.05, 0.3))
        link.cut(notice=sim.rng.choice([(0.0, 0.0), (0.2, 0.0), (0.0, 0.2)]))
        if sim.rng.random() < 0.3:
            sim.peers["bob"].crash()
            sim.peers["bob"].restart()
        sim.run(0.3)
        breaks += 1
    assert breaks >= 3
    assert sim.peers["bob"].store.feeds == sim.peers["alice"].store.feeds
