"use strict";
/* A network at an instant, on a canvas. Whatever moves or fades does so by the recording's time, so it can be scrubbed. */

const YOUNG = 0.6;
/** Seconds for which one sees that a link has just become eager. */
const GLOW = 0.12;
/** Seconds for which one sees that a message has just come. */
const MANY = 400;
/** Peers, from which on lines must be lighter. */

const COLOURS = ["paper", "ink", "soft", "lazy", "eager", "change", "message", "repeat", "dead", "cut"];

/** What the style sheet says, for light or dark. */
function coloursOf(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

class Drawing {
  constructor(canvas, recording) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.recording = recording;
    this.view = { k: 1, x: 0, y: 0 };
    this.selected = NONE;
    this.ticks = (seconds) => seconds / recording.tick;
  }

  /** Take the size that the page gives to the canvas; so many pixels at the left are covered. */
  measure(covered) {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.ratio = Math.min(devicePixelRatio || 1, 3);
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    const margin = Math.min(width, height) < 500 ? 16 : 32;
    this.base = Math.max(50, Math.min(width - covered, height) / 2 - margin) / RADIUS;
    this.centre = [(width + covered) / 2, height / 2];
    this.colours = coloursOf(this.canvas);
  }

  get scale() {
    return this.base * this.view.k;
  }

  /** From the canvas, in CSS pixels, to the disc. */
  toDisc(x, y) {
    return [(x - this.view.x) / this.view.k, (y - this.view.y) / this.view.k].map(
      (value, axis) => (value - this.centre[axis]) / this.base,
    );
  }

  toCanvas({ x, y }) {
    return [x, y].map((value, axis) => (value * this.base + this.centre[axis]) * this.view.k + [this.view.x, this.view.y][axis]);
  }

  draw(instant, places) {
    const { context, ratio, view } = this;
    this.places = places;
    const pixels = Math.min(7.5, Math.max(1.9, 0.2 * spacing(this.recording.peers) * this.base)) * view.k ** 0.6;
    this.radius = pixels / this.scale;
    this.pixel = 1 / this.scale;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = this.colours.paper;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(
      ratio * this.scale, 0, 0, ratio * this.scale,
      ratio * (this.centre[0] * view.k + view.x), ratio * (this.centre[1] * view.k + view.y),
    );
    context.lineCap = "round";
    this._lazy(instant);
    this._eager(instant);
    this._path(instant);
    this._glow(instant);
    this._messages(instant);
    this._peers(instant);
  }

  _lazy(instant) {
    const { context, recording, places } = this;
    const { a, b, count } = recording.links;
    context.beginPath();
    for (let link = 0; link < count; link++) {
      if (!instant.open[link]) continue;
      const [from, to] = [places[a[link]], places[b[link]]];
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
    }
    context.lineWidth = this.pixel * Math.min(1.1, 0.7 * this.view.k ** 0.3);
    context.strokeStyle = this.colours.lazy;
    context.stroke();
  }

  /** Wedges: broad where the messages come from. Those that are new wear a coat of another colour, which wears off. */
  _eager(instant) {
    const { context } = this;
    const young = this.ticks(YOUNG);
    context.beginPath();
    for (let row = 0; row < instant.eagerCount; row++) this._wedge(instant.eager[row], 1);
    context.fillStyle = this.colours.eager;
    context.globalAlpha = this.recording.peers > MANY ? 0.8 : 1;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    for (let row = 0; row < instant.eagerCount; row++) {
      const age = (instant.time - instant.eagerSince[row]) / young;
      if (age < 1) this._wedge(instant.eager[row], 1.25 * (1 - age ** 2));
    }
    context.fillStyle = this.colours.change;
    context.fill();
  }

  _wedge(end, strength) {
    const { context, places, recording } = this;
    const [from, to] = [places[recording.from(end)], places[recording.to(end)]];
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const broad = (strength * Math.max(0.36 * this.radius, 0.5 * this.pixel)) / length;
    const [acrossX, acrossY] = [-(to.y - from.y) * broad, (to.x - from.x) * broad];
    context.moveTo(from.x + acrossX, from.y + acrossY);
    context.lineTo(to.x + acrossX * 0.22, to.y + acrossY * 0.22);
    context.lineTo(to.x - acrossX * 0.22, to.y - acrossY * 0.22);
    context.lineTo(from.x - acrossX, from.y - acrossY);
    context.closePath();
  }

  /** The way by which the chosen peer gets the feed. */
  _path(instant) {
    if (this.selected === NONE) return;
    this.context.beginPath();
    for (const end of instant.path(this.selected)) this._wedge(end, 1.9);
    this.context.fillStyle = this.colours.ink;
    this.context.fill();
  }

  /** A message has just come. */
  _glow(instant) {
    const { context, places } = this;
    const glow = this.ticks(GLOW);
    context.fillStyle = this.colours.change;
    for (let peer = 0; peer < this.recording.peers; peer++) {
      if (instant.storedAt[peer] === NONE || !instant.up[peer]) continue;
      const age = (instant.time - instant.storedAt[peer]) / glow;
      if (age >= 1) continue;
      context.globalAlpha = 0.55 * (1 - age);
      context.beginPath();
      this._circle(places[peer], this.radius * (1.3 + 1.2 * age));
      context.fill();
    }
    context.globalAlpha = 1;
  }

  _messages(instant) {
    const { context, recording, places } = this;
    const { sent } = instant.feed;
    const [first, behind] = instant.feed.underWay(instant.time, recording.longestLatency);
    this.travelling = 0;
    for (const repeats of [false, true]) {
      const dots = new Path2D();
      context.beginPath();
      for (let row = first; row < behind; row++) {
        const end = sent.end[row];
        const took = sent.took[row] < 0 ? recording.links.latency[end >> 1] : sent.took[row];
        const done = (instant.time - sent.at[row]) / Math.max(1, took);
        if (done > 1 || !instant.open[end >> 1]) continue;
        if (repeats !== (sent.took[row] >= 0 && sent.fresh[row] < sent.count[row])) continue;
        this.travelling++;
        const [from, to] = [places[recording.from(end)], places[recording.to(end)]];
        const at = (share) => [from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share];
        const [x, y] = at(done);
        context.moveTo(...at(Math.max(0, done - 0.22)));
        context.lineTo(x, y);
        dots.moveTo(x, y);
        dots.arc(x, y, Math.max(0.5 * this.radius, 1.7 * this.pixel), 0, 2 * Math.PI);
      }
      context.lineWidth = Math.max(0.45 * this.radius, 1.4 * this.pixel);
      context.strokeStyle = context.fillStyle = repeats ? this.colours.repeat : this.colours.message;
      context.globalAlpha = 0.5;
      context.stroke();
      context.globalAlpha = 1;
      context.fill(dots);
    }
  }

  _peers(instant) {
    const { context, places, colours, radius } = this;
    const kinds = [
      [DEAD, colours.paper, colours.dead, 0.62],
      [CUT_OFF, colours.paper, colours.cut, 1],
      [IDLE, colours.paper, colours.soft, 1],
      [BEHIND, colours.paper, colours.eager, 1],
      [HAS, colours.eager, colours.eager, 1],
    ];
    context.lineWidth = Math.max(0.26 * radius, 1.1 * this.pixel);
    for (const [kind, inside, outline, size] of kinds) {
      context.beginPath();
      for (let peer = 0; peer < places.length; peer++) {
        if (instant.state[peer] === kind) this._circle(places[peer], radius * size);
      }
      context.fillStyle = inside;
      context.fill();
      context.strokeStyle = outline;
      context.stroke();
    }
    context.beginPath();
    for (let peer = 0; peer < places.length; peer++) {
      if (instant.state[peer] === BEHIND && instant.source[peer] === NONE) this._circle(places[peer], radius * 1.05);
    }
    context.lineWidth *= 1.3;
    context.strokeStyle = colours.change;
    context.stroke();
    this._ring(instant.feed.author, 1.9, instant.up[instant.feed.author] ? colours.eager : colours.dead);
    if (this.selected !== NONE) this._ring(this.selected, 1.9, colours.ink);
  }

  _ring(peer, size, colour) {
    this.context.beginPath();
    this._circle(this.places[peer], this.radius * size);
    this.context.strokeStyle = colour;
    this.context.stroke();
  }

  _circle({ x, y }, radius) {
    this.context.moveTo(x + radius, y);
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
  }
}
