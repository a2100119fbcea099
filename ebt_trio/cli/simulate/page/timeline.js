"use strict";
/* What happened when, small, behind the slider. */

/** Counts of times per bin. */
function binned(times, end, bins) {
  const counts = new Float64Array(bins);
  for (const time of times) counts[Math.min(bins - 1, Math.floor((time / Math.max(1, end)) * bins))]++;
  return counts;
}

class Timeline {
  constructor(canvas, recording) {
    this.canvas = canvas;
    this.recording = recording;
  }

  /** `inset`: CSS pixels at both ends, where the slider's thumb cannot go. */
  draw(feed, time, inset) {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = Math.min(devicePixelRatio || 1, 3);
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    const context = this.canvas.getContext("2d");
    const colours = coloursOf(this.canvas);
    context.scale(ratio, ratio);
    const { end, marks } = this.recording;
    const room = Math.max(1, width - 2 * inset);
    const x = (when) => inset + (when / Math.max(1, end)) * room;
    const bins = Math.max(1, Math.floor(room / 2));
    const bars = binned(feed.deliveries, end, bins);
    const repeats = binned(feed.repeats, end, bins);
    const most = Math.max(1, ...bars, ...repeats);
    const paint = (counts, colour) => {
      context.fillStyle = colour;
      counts.forEach((count, bin) => {
        const tall = Math.sqrt(count / most) * (height - 6);
        const left = inset + (bin * room) / bins;
        context.globalAlpha = left <= x(time) ? 1 : 0.4;
        if (count) context.fillRect(left, height - tall, Math.max(1, room / bins - 0.5), tall);
      });
      context.globalAlpha = 1;
    };
    paint(bars, colours.eager);
    paint(repeats, colours.repeat);
    context.fillStyle = colours.cut;
    for (const [when] of marks) context.fillRect(x(when) - 1, 0, 2, height);
  }
}

/** Stretches in which nothing moves: [from, until] in ticks. Playing, one need not wait for them to pass. */
function quiet(recording, feed) {
  const margin = 0.03 / recording.tick;
  const busy = [...feed.sent.at].map((at, row) => [at, at + Math.max(feed.sent.took[row], 0)]);
  for (const at of feed.asked.times) busy.push([at, at]);
  for (const at of feed.deliveries) busy.push([at, at]);
  for (const [at] of recording.marks) busy.push([at - 8 * margin, at + 8 * margin]);
  busy.sort((one, other) => one[0] - other[0]);
  const found = [];
  let until = 0;
  for (const [from, to] of [...busy, [recording.end, recording.end]]) {
    if (from - until > 4 * margin) found.push([until + margin, from - margin]);
    until = Math.max(until, to);
  }
  return found;
}
