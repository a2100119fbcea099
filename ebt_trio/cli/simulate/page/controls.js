"use strict";
/* The page: what is shown, and what the reader does. */

const SPEEDS = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];
const HURRY = 12;
/** So many times faster through stretches in which nothing moves. */
const STEP = 0.01;
/** Seconds for an arrow key. */
const TOLD = 2;
/** Seconds for which a mark is told above the network. */
const REACH = 18;
/** CSS pixels within which a peer is meant. */
const THUMB = 8;

const LAYOUTS = {
  rings: (recording, feed) => rings(recording, feed, calm(recording)),
  end: (recording, feed) => rings(recording, feed, recording.end),
  map,
};

const $ = (id) => document.getElementById(id);
const PLAY = '<svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path d="M4 2l12 7-12 7z"/></svg>';
const PAUSE = '<svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><path d="M3 2h4v14H3zM11 2h4v14h-4z"/></svg>';
const next = (list, one) => list[(list.indexOf(one) + 1) % list.length];
const count = (number) => number.toLocaleString("en");

class Page {
  constructor(recording) {
    this.recording = recording;
    this.drawing = new Drawing($("network"), recording);
    this.timeline = new Timeline($("timeline"), recording);
    this.time = 0;
    this.speed = 0.1;
    this.playing = false;
    this.layouts = new Map();
    this.zoom = d3.zoom().scaleExtent([0.5, 24]).on("zoom", ({ transform }) => {
      this.drawing.view = transform;
      this.show();
    });
    d3.select($("network")).call(this.zoom).on("dblclick.zoom", null);
    this._fillIn();
    this._listen();
    this._follow(new URLSearchParams(location.hash.slice(1)));
    this.resize();
  }

  get seconds() {
    return this.time * this.recording.tick;
  }

  // -- what is shown

  choose(feed, layout) {
    this.feed = feed;
    this.layout = layout;
    $("feed").value = feed;
    $("layout").value = layout;
    const name = layout === "map" ? layout : `${layout} ${feed}`;
    if (!this.layouts.has(name)) this.layouts.set(name, LAYOUTS[layout](this.recording, feed));
    this.places = this.layouts.get(name);
    this.quiet = quiet(this.recording, this.recording.feeds[feed]);
    this.near = d3.quadtree(this.places.map(({ x, y }, peer) => [x, y, peer]));
    this.show();
  }

  seek(seconds) {
    this.time = Math.min(this.recording.end, Math.max(0, Math.round(seconds / this.recording.tick)));
    this.show();
  }

  play(on) {
    if (on && this.time >= this.recording.end) this.time = 0;
    this.playing = on;
    this.before = undefined;
    $("play").innerHTML = on ? PAUSE : PLAY;
    $("play").setAttribute("aria-label", on ? "pause" : "play");
    this.show();
  }

  resize() {
    const legend = $("legend").open && innerWidth > 900 ? $("legend").offsetWidth + 12 : 0;
    this.drawing.measure(legend);
    this.show();
  }

  /** Draw at the next opportunity, once. */
  show() {
    this.asked ??= requestAnimationFrame((now) => {
      this.asked = undefined;
      if (this.playing) this._advance(now);
      this._draw();
      if (this.playing) this.show();
    });
  }

  _advance(now) {
    const passed = Math.min(100, now - (this.before ?? now)) / 1000;
    this.before = now;
    const resting = this.quiet.find(([from, until]) => from <= this.time && this.time < until);
    const step = (passed * this.speed * (resting ? HURRY : 1)) / this.recording.tick;
    this.time = Math.min(resting ? Math.max(resting[1], this.time) : Infinity, this.time + step, this.recording.end);
    if (this.time >= this.recording.end) this.play(false);
  }

  _draw() {
    const instant = this.recording.at(this.time, this.feed);
    this.drawing.draw(instant, this.places);
    this.timeline.draw(instant.feed, this.time, THUMB);
    $("slider").value = Math.round(this.time);
    $("slider").setAttribute("aria-valuetext", `${this.seconds.toFixed(2)} seconds`);
    this._tell(instant);
    this._tellAbout(instant);
    this.instant = instant;
  }

  _tell(instant) {
    const { feed, live, has, cutOff, looking } = instant;
    const peers = this.recording.peers;
    const share = live ? Math.floor((1000 * has) / live) / 10 : 0;
    const waiting = looking ? `${count(looking)} peers ask nobody` : `of ${count(instant.openCount)} links`;
    const failed = live < peers ? `${count(peers - live)} failed` : "live";
    this._figure("time", this.seconds.toFixed(3), "s");
    this._figure("message", count(instant.newest), `of ${count(feed.appended.length)}`);
    this._figure("delivered", `${instant.newest ? share : 0} %`, `of ${count(live)}`);
    this._figure("rmr", feed.redundancy(this.time).toFixed(3), "so far");
    this._figure("eager", count(instant.eagerCount), waiting);
    this._figure("peers", count(live), cutOff ? `${failed}, ${count(cutOff)} cut off` : failed);
    const patience = TOLD / this.recording.tick;
    const told = this.recording.marks.findLast(([at]) => at <= this.time && this.time < at + patience);
    $("caption").hidden = !told;
    $("caption").textContent = told ? told[1] : "";
  }

  _figure(name, value, unit) {
    const place = $(`figure-${name}`);
    place.firstChild.data = value;
    place.lastChild.textContent = ` ${unit}`;
  }

  _tellAbout(instant) {
    const peer = this.drawing.selected;
    $("about").hidden = peer === NONE;
    if (peer === NONE) return;
    const { feed } = instant;
    const lines = [`peer ${peer}${peer === feed.author ? ", the author" : ""}`];
    if (!instant.up[peer]) lines.push("has failed");
    else {
      lines.push(`has ${count(instant.heads[peer])} of ${count(instant.newest)}`);
      const head = instant.heads[peer];
      const took = head && peer !== feed.author ? (instant.storedAt[peer] - feed.appended[head - 1]) * this.recording.tick : 0;
      if (took > 0) lines.push(`the newest came after ${(1000 * took).toFixed(0)} ms`);
      const path = instant.path(peer);
      if (path.length) lines.push(`from peer ${this.recording.from(path[0])}; ${path.length} steps from the author`);
      if (instant.state[peer] === CUT_OFF) lines.push("cut off");
    }
    $("about").textContent = lines.join("\n");
    const [x, y] = this.drawing.toCanvas(this.places[peer]);
    const room = $("network").getBoundingClientRect();
    $("about").style.left = `${Math.min(Math.max(4, x + 14), room.width - $("about").offsetWidth - 4)}px`;
    $("about").style.top = `${Math.min(Math.max(4, y + 14), room.height - $("about").offsetHeight - 4)}px`;
  }

  // -- what the reader does

  _fillIn() {
    const { recording } = this;
    recording.feeds.forEach((feed, index) => $("feed").add(new Option(`the feed of peer ${feed.author}`, index)));
    $("feed").hidden = recording.feeds.length < 2;
    for (const speed of SPEEDS) $("speed").add(new Option(speed < 1 ? `1/${Math.round(1 / speed)} speed` : `${speed}× speed`, speed));
    $("speed").value = this.speed;
    $("slider").max = recording.end;
    for (const place of document.querySelectorAll("#figures dd")) place.append("", document.createElement("small"));
    $("legend").open = innerWidth > 900 && innerHeight > 640;
    $("play").innerHTML = PLAY;
  }

  _listen() {
    $("play").addEventListener("click", () => this.play(!this.playing));
    $("slider").addEventListener("input", () => this.seek($("slider").value * this.recording.tick));
    $("speed").addEventListener("change", () => (this.speed = Number($("speed").value)));
    $("feed").addEventListener("change", () => this.choose(Number($("feed").value), this.layout));
    $("layout").addEventListener("change", () => this.choose(this.feed, $("layout").value));
    $("theme").addEventListener("click", () => this.dress(this.isDark() ? "light" : "dark"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
    new ResizeObserver(() => this.resize()).observe($("network"));
    $("legend").addEventListener("toggle", () => this.resize());
    addEventListener("keydown", (event) => this._key(event));
    const network = $("network");
    network.addEventListener("pointermove", (event) => event.pointerType === "mouse" && !event.buttons && this._point(event));
    network.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this._select(NONE));
    network.addEventListener("click", (event) => this._point(event));
  }

  /** What the address says behind #: t (seconds), feed, layout, theme, play. */
  _follow(wish) {
    if (wish.has("theme")) this.dress(wish.get("theme"));
    const feed = Math.min(Number(wish.get("feed")) || 0, this.recording.feeds.length - 1);
    this.choose(feed, wish.get("layout") in LAYOUTS ? wish.get("layout") : $("layout").dataset.first);
    this.seek(Number(wish.get("t")) || 0);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches || wish.has("t") || wish.get("play") === "0";
    this.play(!calm);
  }

  isDark() {
    return (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "")) === "dark";
  }

  dress(theme) {
    document.documentElement.dataset.theme = theme;
    this.resize();
  }

  _point(event) {
    const room = $("network").getBoundingClientRect();
    const [x, y] = this.drawing.toDisc(event.clientX - room.left, event.clientY - room.top);
    const found = this.near.find(x, y, REACH / this.drawing.scale);
    this._select(found ? found[2] : NONE);
  }

  _select(peer) {
    if (peer === this.drawing.selected) return;
    this.drawing.selected = peer;
    this.show();
  }

  /** To the next message or mark, or the one before. */
  _jump(direction) {
    const { feeds, marks, end } = this.recording;
    const stops = [0, ...feeds[this.feed].appended, ...marks.map(([at]) => at), end].sort((one, other) => one - other);
    const found = direction > 0 ? stops.find((at) => at > this.time) : stops.findLast((at) => at < this.time);
    if (found !== undefined) this.seek(found * this.recording.tick);
  }

  _faster(direction) {
    this.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, SPEEDS.indexOf(this.speed) + direction))];
    $("speed").value = this.speed;
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    if (target.tagName === "SELECT" || (key === " " && ["BUTTON", "SUMMARY"].includes(target.tagName))) return;
    const step = STEP * (event.shiftKey ? 10 : 1);
    const deeds = {
      " ": () => this.play(!this.playing),
      ArrowRight: () => this.seek(this.seconds + step),
      ArrowLeft: () => this.seek(this.seconds - step),
      Home: () => this.seek(0),
      End: () => this.seek(this.recording.end * this.recording.tick),
      ",": () => this._jump(-1),
      ".": () => this._jump(1),
      "+": () => this._faster(1),
      "=": () => this._faster(1),
      "-": () => this._faster(-1),
      f: () => this.choose((this.feed + 1) % this.recording.feeds.length, this.layout),
      l: () => this.choose(this.feed, next(Object.keys(LAYOUTS), this.layout)),
      0: () => d3.select($("network")).transition().duration(250).call(this.zoom.transform, d3.zoomIdentity),
    };
    const deed = deeds[key.length === 1 ? key.toLowerCase() : key];
    if (!deed) return;
    event.preventDefault();
    deed();
  }

  /** What is on the canvas, in numbers: for tests, and for the curious. */
  state() {
    const { eagerCount, openCount, newest, live, has, cutOff, looking } = this.instant;
    return {
      seconds: this.seconds, playing: this.playing, feed: this.feed, layout: this.layout,
      eager: eagerCount, links: openCount, travelling: this.drawing.travelling,
      newest, live, has, cutOff, looking, rmr: this.instant.feed.redundancy(this.time),
    };
  }
}

window.picture = new Page(new Recording(JSON.parse($("recording").textContent)));
