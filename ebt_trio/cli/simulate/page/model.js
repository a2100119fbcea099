"use strict";
/* The recording, and what it says about any instant. Nothing is replayed: whatever changes is kept per peer or per link
   in order of time, and looked up by halving. */

const NONE = -1;

/** Values that change in time, each belonging to a key: "peer 7 has 3 messages from now on". */
class Steps {
  /** Rows in order of time: rows i says that `keys[i]` has the value `values[i]` from `times[i]` on. */
  constructor(size, keys, times, values) {
    this.start = new Int32Array(size + 1);
    for (const key of keys) this.start[key + 1]++;
    for (let key = 0; key < size; key++) this.start[key + 1] += this.start[key];
    const next = this.start.slice();
    this.times = new Int32Array(keys.length);
    this.values = new Int32Array(keys.length);
    for (let row = 0; row < keys.length; row++) {
      const place = next[keys[row]]++;
      this.times[place] = times[row];
      this.values[place] = values[row];
    }
  }

  /** The place of what holds for a key at an instant, or NONE. */
  place(key, time) {
    let low = this.start[key];
    let high = this.start[key + 1];
    const first = low;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low > first ? low - 1 : NONE;
  }
}

/** How much has come together until an instant. */
class Sum {
  constructor(rows) {
    const sorted = rows.slice().sort((one, other) => one[0] - other[0]);
    let total = 0;
    this.steps = new Steps(1, new Int32Array(rows.length), sorted.map((row) => row[0]), sorted.map((row) => (total += row[1])));
  }

  until(time) {
    const place = this.steps.place(0, time);
    return place === NONE ? 0 : this.steps.values[place];
  }
}

const fromDifferences = (list) => {
  let now = 0;
  return Int32Array.from(list, (difference) => (now += difference));
};

/** One feed: who asked whom for it, its messages on their way, who has how many. */
class Feed {
  constructor(data, peers, ends) {
    this.author = data.author;
    this.appended = Int32Array.from(data.appended);
    this.asked = new Steps(ends, data.asked.end, fromDifferences(data.asked.at), data.asked.eager);
    const storedAt = fromDifferences(data.stored.at);
    this.heads = new Steps(peers, data.stored.peer, storedAt, data.stored.head);
    this.deliveries = storedAt.filter((_, row) => data.stored.peer[row] !== data.author);
    const at = fromDifferences(data.sent.at);
    this.sent = { at, took: data.sent.took, end: data.sent.end, count: data.sent.count, fresh: data.sent.new };
    this.longest = 0;
    const came = [];
    const again = [];
    this.repeats = [];
    for (let row = 0; row < at.length; row++) {
      const took = data.sent.took[row];
      if (took < 0) continue;
      this.longest = Math.max(this.longest, took);
      came.push([at[row] + took, data.sent.count[row]]);
      const twice = data.sent.count[row] - data.sent.new[row];
      if (twice > 0) {
        again.push([at[row] + took, twice]);
        this.repeats.push(at[row] + took);
      }
    }
    this.came = new Sum(came);
    this.again = new Sum(again);
  }

  /** How many messages there are at an instant. */
  newest(time) {
    let low = 0;
    let high = this.appended.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.appended[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The rows of `sent` that are on their way: [first, behind the last) holds all of them, and few others. */
  underWay(time, patience) {
    const { at } = this.sent;
    const search = (limit) => {
      let low = 0;
      let high = at.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (at[middle] <= limit) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    return [search(time - Math.max(this.longest, patience) - 1), search(time)];
  }

  /** Messages that came twice, in shares of those that came for the first time. */
  redundancy(time) {
    const again = this.again.until(time);
    const fresh = this.came.until(time) - again;
    return fresh ? again / fresh : 0;
  }
}

const DEAD = 0;
const HAS = 1;
const BEHIND = 2;
const CUT_OFF = 3;
const IDLE = 4;

class Recording {
  constructor(data) {
    if (data.format !== 1) throw new Error(`a recording of an unknown format: ${data.format}`);
    this.tick = data.tick;
    this.end = data.end;
    this.peers = data.peers;
    this.links = data.links;
    this.marks = data.marks;
    this.links.count = data.links.a.length;
    this.feeds = data.feeds.map((feed) => new Feed(feed, data.peers, 2 * this.links.count));
    const turns = [];
    for (const [peer, from, until] of data.down) {
      turns.push([from, peer, 1]);
      if (until >= 0) turns.push([until, peer, 0]);
    }
    turns.sort((one, other) => one[0] - other[0]);
    const column = (index) => turns.map((row) => row[index]);
    this.down = new Steps(data.peers, column(1), column(0), column(2));
    this.longestLatency = Math.max(0, ...this.links.latency);
    this._now = new Instant(this);
  }

  from(end) {
    return end & 1 ? this.links.b[end >> 1] : this.links.a[end >> 1];
  }

  to(end) {
    return end & 1 ? this.links.a[end >> 1] : this.links.b[end >> 1];
  }

  isUp(peer, time) {
    const place = this.down.place(peer, time);
    return place === NONE || this.down.values[place] === 0;
  }

  isOpen(link, time) {
    const { opened, closed } = this.links;
    return opened[link] <= time && (closed[link] < 0 || time < closed[link]);
  }

  /** Everything about an instant; the same object each time. */
  at(time, feed) {
    this._now.look(time, this.feeds[feed]);
    return this._now;
  }
}

/** A network at an instant, seen from one feed. */
class Instant {
  constructor(recording) {
    const { peers, links } = recording;
    this.recording = recording;
    this.up = new Uint8Array(peers);
    this.state = new Uint8Array(peers);
    this.heads = new Int32Array(peers);
    this.storedAt = new Int32Array(peers);
    this.source = new Int32Array(peers);
    this.open = new Uint8Array(links.count);
    this.eager = new Int32Array(2 * links.count);
    this.eagerSince = new Int32Array(2 * links.count);
    this._group = new Int32Array(peers);
    this._holds = new Uint8Array(peers);
  }

  look(time, feed) {
    this.time = time;
    this.feed = feed;
    this.newest = feed.newest(time);
    this._lookAtPeers(time, feed);
    this._lookAtLinks(time, feed);
    this._count();
  }

  _lookAtPeers(time, feed) {
    const { recording } = this;
    for (let peer = 0; peer < recording.peers; peer++) {
      this.up[peer] = recording.isUp(peer, time) ? 1 : 0;
      const place = feed.heads.place(peer, time);
      this.heads[peer] = place === NONE ? 0 : feed.heads.values[place];
      this.storedAt[peer] = place === NONE ? NONE : feed.heads.times[place];
      this.source[peer] = NONE;
      this._group[peer] = peer;
      this._holds[peer] = 0;
    }
  }

  _lookAtLinks(time, feed) {
    const { recording } = this;
    const { a, b, count } = recording.links;
    this.eagerCount = 0;
    this.openCount = 0;
    for (let link = 0; link < count; link++) {
      this.open[link] = recording.isOpen(link, time) && this.up[a[link]] && this.up[b[link]] ? 1 : 0;
      if (!this.open[link]) continue;
      this.openCount++;
      this._group[this._root(a[link])] = this._root(b[link]);
      for (const end of [2 * link, 2 * link + 1]) {
        const place = feed.asked.place(end, time);
        if (place === NONE || !feed.asked.values[place]) continue;
        this.eager[this.eagerCount] = end;
        this.eagerSince[this.eagerCount++] = feed.asked.times[place];
        this.source[recording.to(end)] = end;
      }
    }
  }

  _count() {
    const { recording, newest } = this;
    this.live = this.has = this.cutOff = this.looking = 0;
    for (let peer = 0; peer < recording.peers; peer++) {
      if (this.up[peer] && this.heads[peer] >= newest) this._holds[this._root(peer)] = 1;
    }
    for (let peer = 0; peer < recording.peers; peer++) {
      if (!this.up[peer]) {
        this.state[peer] = DEAD;
        continue;
      }
      this.live++;
      const has = this.heads[peer] >= newest;
      const isCutOff = !this._holds[this._root(peer)];
      this.state[peer] = has ? (newest ? HAS : IDLE) : isCutOff ? CUT_OFF : BEHIND;
      this.has += has ? 1 : 0;
      this.cutOff += isCutOff ? 1 : 0;
      if (newest && this.source[peer] === NONE && peer !== this.feed.author) this.looking++;
    }
  }

  _root(peer) {
    const group = this._group;
    while (group[peer] !== peer) {
      group[peer] = group[group[peer]];
      peer = group[peer];
    }
    return peer;
  }

  /** The ends over which a peer gets the feed, from itself to the author or as far as it leads. */
  path(peer) {
    const found = [];
    while (this.source[peer] !== NONE && found.length < this.recording.peers) {
      found.push(this.source[peer]);
      peer = this.recording.from(this.source[peer]);
    }
    return found;
  }
}
