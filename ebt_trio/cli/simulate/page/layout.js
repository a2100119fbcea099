"use strict";
/* Where peers are drawn, on a disc of radius 1000. No chance: the same recording is the same picture. */

const RADIUS = 1000;
const DETOUR = 5000;
/** Ticks. */

/** Neighbours of each peer: [peer, link] pairs, of the links that count. */
function neighbours(recording, counts) {
  const found = Array.from({ length: recording.peers }, () => []);
  for (let link = 0; link < recording.links.count; link++) {
    if (!counts(link)) continue;
    found[recording.links.a[link]].push([recording.links.b[link], link]);
    found[recording.links.b[link]].push([recording.links.a[link], link]);
  }
  return found;
}

/** How far everybody is from one, along the fastest way, and over whom; links that are not `good` are a detour. */
function fastest(recording, near, from, good) {
  const far = new Float64Array(recording.peers).fill(Infinity);
  const over = new Int32Array(recording.peers).fill(NONE);
  const buckets = [[from]];
  far[from] = 0;
  for (let time = 0; time < buckets.length; time++) {
    for (const peer of buckets[time] ?? []) {
      if (far[peer] < time) continue;
      for (const [other, link] of near[peer]) {
        const there = time + Math.max(1, recording.links.latency[link]) + (good.has(link) ? 0 : DETOUR);
        if (there >= far[other]) continue;
        far[other] = there;
        over[other] = peer;
        (buckets[there] ??= []).push(other);
      }
    }
  }
  return { far, over };
}

/** The author in the middle; who gets its messages sooner is nearer. They spread like a ring on water.
    Whoever hangs together in the tree, as it was then, lies together. */
function rings(recording, index, time) {
  const { author } = recording.feeds[index];
  const instant = recording.at(time, index);
  const tree = new Set(Array.from(instant.eager.subarray(0, instant.eagerCount), (end) => end >> 1));
  const near = neighbours(recording, (link) => recording.links.opened[link] <= time);
  const { far, over } = fastest(recording, near, author, tree);
  const order = Array.from(far.keys()).sort((one, other) => far[one] - far[other] || one - other);
  const children = Array.from(far, () => []);
  for (const peer of order) if (over[peer] !== NONE) children[over[peer]].push(peer);
  const weight = new Float64Array(recording.peers).fill(1);
  for (const peer of order.slice().reverse()) if (over[peer] !== NONE) weight[over[peer]] += weight[peer];
  const angle = new Float64Array(recording.peers);
  const divide = [[author, -Math.PI / 2, 1.5 * Math.PI]];
  while (divide.length) {
    const [peer, from, until] = divide.pop();
    angle[peer] = (from + until) / 2;
    let at = from;
    for (const child of children[peer]) {
      const share = ((until - from) * weight[child]) / (weight[peer] - 1);
      divide.push([child, at, at + share]);
      at += share;
    }
  }
  const nodes = Array.from(far, () => ({}));
  order.forEach((peer, rank) => {
    const radius = RADIUS * Math.sqrt(rank / Math.max(1, order.length - 1));
    Object.assign(nodes[peer], { ring: radius, x: radius * Math.cos(angle[peer]), y: radius * Math.sin(angle[peer]) });
  });
  nodes[author].fx = nodes[author].fy = 0;
  const branches = order.filter((peer) => over[peer] !== NONE).map((peer) => ({ source: over[peer], target: peer }));
  return relax(nodes, 120, {
    ring: d3.forceRadial((node) => node.ring).strength(0.6),
    apart: d3.forceCollide(0.47 * spacing(recording.peers)).strength(0.7),
    branches: d3.forceLink(branches).distance(0.6 * spacing(recording.peers)).strength(0.04),
  });
}

/** A tree that has formed: before anything fails. */
const calm = (recording) => Math.min(recording.end, ...recording.marks.map(([at]) => at - 1));

/** Who is linked is near: the shape of the network. Pivots (Brandes and Pich) give the whole, springs the detail. */
function map(recording) {
  const near = neighbours(recording, (link) => recording.links.opened[link] <= calm(recording));
  const nodes = pivots(recording, near).map(([x, y]) => ({ x, y }));
  const links = [];
  near.forEach((list, peer) => list.forEach(([other]) => peer < other && links.push({ source: peer, target: other })));
  const space = spacing(recording.peers);
  return fit(
    relax(nodes, recording.peers > 600 ? 120 : 250, {
      links: d3.forceLink(links).distance(0.5 * space),
      apart: d3.forceManyBody().strength(-0.9 * space).theta(1.1).distanceMax(12 * space),
      middle: d3.forceCollide(0.3 * space),
    }),
  );
}

/** The two directions in which a network is widest. */
function pivots(recording, near) {
  const count = Math.min(40, recording.peers);
  const nearest = new Float64Array(recording.peers).fill(Infinity);
  const columns = [];
  for (let pivot = 0; columns.length < count; ) {
    const hops = new Float64Array(recording.peers).fill(NONE);
    const queue = [pivot];
    hops[pivot] = 0;
    for (const peer of queue) {
      for (const [other] of near[peer]) if (hops[other] === NONE) queue.push(other), (hops[other] = hops[peer] + 1);
    }
    const most = hops[queue[queue.length - 1]] + 1;
    columns.push(hops.map((value) => (value === NONE ? most : value) ** 2));
    hops.forEach((value, peer) => (nearest[peer] = Math.min(nearest[peer], value === NONE ? most : value)));
    pivot = nearest.indexOf(Math.max(...nearest));
  }
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const overall = mean(columns.map(mean));
  const rowMeans = Float64Array.from(nearest, (_, peer) => mean(columns.map((column) => column[peer])));
  const centred = columns.map((column) => {
    const own = mean(column);
    return column.map((value, peer) => (own + rowMeans[peer] - overall - value) / 2);
  });
  const axes = [];
  for (const axis of [0, 1]) {
    let along = Float64Array.from(centred, (_, index) => Math.cos(1 + index * (axis + 1)));
    let reached;
    for (let turn = 0; turn < 60; turn++) {
      reached = Float64Array.from(nearest, (_, peer) => centred.reduce((sum, column, i) => sum + column[peer] * along[i], 0));
      for (const other of axes) {
        const common = reached.reduce((sum, value, peer) => sum + value * other[peer], 0);
        reached = reached.map((value, peer) => value - common * other[peer]);
      }
      const size = Math.hypot(...reached) || 1;
      reached = reached.map((value) => value / size);
      along = Float64Array.from(centred, (column) => column.reduce((sum, value, peer) => sum + value * reached[peer], 0));
    }
    axes.push(reached);
  }
  const scale = RADIUS * Math.sqrt(recording.peers / 4);
  return Array.from(nearest, (_, peer) => [axes[0][peer] * scale, axes[1][peer] * scale]);
}

/** How far apart so many are on the disc. */
function spacing(peers) {
  return RADIUS * Math.sqrt(Math.PI / Math.max(peers, 4));
}

function relax(nodes, turns, forces) {
  const simulation = d3.forceSimulation(nodes).stop().velocityDecay(0.45).alphaDecay(1 - 0.01 ** (1 / turns));
  for (const [name, force] of Object.entries(forces)) simulation.force(name, force);
  simulation.tick(turns);
  return nodes.map(({ x, y }) => ({ x, y }));
}

/** Moved and scaled so that it fills the disc. */
function fit(places) {
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const x = middle(places.map((place) => place.x));
  const y = middle(places.map((place) => place.y));
  const most = Math.max(1, ...places.map((place) => Math.max(Math.abs(place.x - x), Math.abs(place.y - y))));
  return places.map((place) => ({ x: ((place.x - x) * RADIUS) / most, y: ((place.y - y) * RADIUS) / most }));
}
