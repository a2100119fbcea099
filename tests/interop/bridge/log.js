'use strict'
// What a reference peer keeps: feeds of payloads, and the clocks of peers, in memory.

const { createHash } = require('node:crypto')

class Log {
  constructor () {
    this._feeds = new Map()
    this._clocks = new Map()
  }

  head (feed) {
    return this._feeds.has(feed) ? this._feeds.get(feed).length : 0
  }

  clock () {
    return Object.fromEntries([...this._feeds].map(([feed, payloads]) => [feed, payloads.length]))
  }

  get (feed, sequence) {
    const payloads = this._feeds.get(feed) || []
    return payloads[sequence - 1]
  }

  // Store the next message of a feed. Returns 'new', or why it was not stored: 'duplicate', 'gap'.
  append (feed, sequence, payload) {
    const head = this.head(feed)
    if (sequence <= head) return 'duplicate'
    if (sequence > head + 1) return 'gap'
    if (head === 0) this._feeds.set(feed, [])
    this._feeds.get(feed).push(payload)
    return 'new'
  }

  // SHA-256 over all payloads of a feed, each preceded by its length in 4 bytes.
  digest (feed) {
    const hash = createHash('sha256')
    const length = Buffer.alloc(4)
    for (const payload of this._feeds.get(feed) || []) {
      length.writeUInt32BE(payload.length)
      hash.update(length).update(payload)
    }
    return hash.digest('hex')
  }

  // Clocks of peers are copied both ways: the reference goes on writing into those that it hands out and is given.
  saveClock (peer, clock) {
    this._clocks.set(peer, { ...clock })
  }

  loadClock (peer) {
    return { ...this._clocks.get(peer) }
  }
}

module.exports = { Log }
