'use strict'
// Peers of the reference in a process of their own, to be measured; the commands are those of ours.py, and so are the
// answers. The reference at its best: logs and clocks in memory, reads on the next tick, the objects of its own protocol
// batched into CBOR arrays of up to 64 KiB, one write to the socket for each.

console.log = console.error // the reference prints, and standard output is for answers

const { createHash } = require('node:crypto')
const net = require('node:net')
const readline = require('node:readline')
const createEBT = require('epidemic-broadcast-trees')
const { Encoder } = require('cbor-x')

const BATCH = 65536
const UNIX = 'unix://'

// The default for maps writes 16-bit sizes, which is wrong past 65,535 entries.
const cbor = new Encoder({ useRecords: false, variableMapSize: true, mapsAsObjects: true, tagUint8Array: false })

function nameOf (kind, number) {
  return '@' + createHash('sha256').update(`${kind} ${number}`).digest('base64') + '.ed25519'
}

function stamped (size) {
  const content = Buffer.alloc(size)
  content.writeBigUInt64BE(process.hrtime.bigint())
  return content
}

class Arrivals {
  constructor () {
    this.count = 0
    this.timed = false
    this.ages = []
    this._wanted = Infinity
    this._reached = null
  }

  add (content) {
    this.count++
    if (this.timed) this.ages.push(Number(process.hrtime.bigint() - content.readBigUInt64BE()) / 1e9)
    if (this.count >= this._wanted) this._look()
  }

  _look () {
    if (this.count < this._wanted) return
    this._wanted = Infinity
    this._reached()
  }

  wait (count) {
    return new Promise(resolve => {
      this._wanted = count
      this._reached = () => resolve(null)
      this._look()
    })
  }

  quantiles () {
    const ages = this.ages.sort((a, b) => a - b)
    this.ages = []
    if (ages.length === 0) return {}
    const at = part => ages[Math.min(Math.floor(ages.length * part / 100), ages.length - 1)]
    return { p50: at(50), p99: at(99) }
  }
}

class Link {
  constructor (peer, socket, isClient) {
    this.peer = peer
    this.socket = socket
    this._isClient = isClient
    this._stream = null
    this._waiting = []
    this._batch = []
    this._bytes = 0
    this._flushing = null
    this._chunks = []
    this._size = 0
    this._needed = 4
    socket.setNoDelay(true) // nothing on a Unix socket
    socket.on('data', chunk => this._data(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this._gone())
    this._say(peer.id)
  }

  // -- out

  _say (object, bytes = 0) {
    this._batch.push(object)
    this._bytes += bytes
    if (this._bytes >= BATCH) this._flush()
    else if (this._flushing === null) this._flushing = setImmediate(() => this._flush())
  }

  _flush () {
    clearImmediate(this._flushing)
    this._flushing = null
    const body = cbor.encode(this._batch)
    this._batch = []
    this._bytes = 0
    const data = Buffer.allocUnsafe(4 + body.length)
    data.writeUInt32BE(body.length)
    data.set(body, 4)
    this.peer.sent += data.length
    if (this.socket.writable) this.socket.write(data)
  }

  // -- in

  _data (chunk) {
    this._chunks.push(chunk)
    this._size += chunk.length
    if (this._size < this._needed) return
    const data = this._chunks.length === 1 ? chunk : Buffer.concat(this._chunks, this._size)
    let at = 0
    this._needed = 4
    while (data.length - at >= 4) {
      const end = at + 4 + data.readUInt32BE(at)
      if (end > data.length) {
        this._needed = end - at
        break
      }
      for (const object of cbor.decode(data.subarray(at + 4, end))) this._received(object)
      at = end
    }
    this._chunks = at < data.length ? [data.subarray(at)] : []
    this._size = data.length - at
  }

  _received (object) {
    if (this._waiting !== null && this._stream !== null) this._waiting.push(object)
    else if (this._stream === null) this._open(object)
    else if (!this._stream.ended) this._stream.write(object)
  }

  _open (remote) {
    this._stream = this.peer.ebt.createStream(remote, 3, this._isClient)
    this._stream.sink = {
      paused: false,
      ended: false,
      write: data => this._say(data, data.content ? data.content.length : 0),
      end: () => {},
      resume: () => {}
    }
    this._stream.source = { ended: false, resume: () => this._loaded(), abort: () => {} }
    this._stream.resume()
  }

  // The remote's clock has been loaded: what comes before makes the reference throw.
  _loaded () {
    const waiting = this._waiting || []
    this._waiting = null
    for (const object of waiting) this._stream.write(object)
  }

  _gone () {
    this.peer.links.delete(this)
    if (this._stream !== null && !this._stream.ended) this._stream.end()
  }
}

class Peer {
  constructor (id, arrived) {
    this.id = id
    this.sent = 0
    this.links = new Set()
    this.log = new Map()
    this._arrived = arrived
    this._clocks = new Map()
    this.ebt = createEBT({
      id,
      getClock: (peer, done) => process.nextTick(() => done(null, { ...this._clocks.get(peer) })),
      setClock: (peer, clock) => this._clocks.set(peer, { ...clock }),
      getAt: ({ id, sequence }, done) => process.nextTick(() => done(null, this.log.get(id)[sequence - 1])),
      append: (message, done) => this._append(message, done)
    })
  }

  fill (feeds, head, ahead, size) {
    const clock = {}
    feeds.forEach((author, number) => {
      const messages = []
      const last = head + (number < ahead ? 1 : 0)
      for (let sequence = 1; sequence <= last; sequence++) {
        messages.push({ author, sequence, content: Buffer.alloc(size) })
      }
      this.log.set(author, messages)
      if (last > 0) clock[author] = last
    })
    this.ebt.state.clock = clock
    for (const author of feeds) this.ebt.request(author, true)
  }

  _append (message, done) {
    const messages = this.log.get(message.author)
    if (message.sequence === messages.length + 1) {
      messages.push(message)
      this._arrived.add(message.content)
      this.ebt.onAppend(message)
    }
    done()
  }

  append (author, content) {
    const messages = this.log.get(author)
    const message = { author, sequence: messages.length + 1, content }
    messages.push(message)
    this.ebt.onAppend(message)
  }
}

const arrived = new Arrivals()
let peers = []
let feeds = []

function paced (count, perSecond, produce) {
  return new Promise(resolve => {
    const began = process.hrtime.bigint()
    let done = 0
    const tick = () => {
      const due = perSecond
        ? Math.min(Math.floor(Number(process.hrtime.bigint() - began) / 1e9 * perSecond), count)
        : count
      for (; done < due; done++) produce()
      if (done < count) setTimeout(tick, 1)
      else resolve(null)
    }
    tick()
  })
}

const commands = {
  open: ({ peer, feeds: count, size, head = 0, ahead = 0, peers: several = 1 }) => {
    feeds = Array.from({ length: count }, (_, number) => nameOf('feed', number))
    peers = Array.from({ length: several }, (_, number) => new Peer(nameOf('peer', peer + number), arrived))
    for (const one of peers) one.fill(feeds, head, ahead, size)
    if (global.gc) global.gc()
    return null
  },
  listen: ({ url, peer = 0 }) => new Promise((resolve, reject) => {
    const server = net.createServer(socket => peers[peer].links.add(new Link(peers[peer], socket, false)))
    server.on('error', reject)
    if (url.startsWith(UNIX)) server.listen(url.slice(UNIX.length), () => resolve(url))
    else server.listen(0, '127.0.0.1', () => resolve(`tcp://127.0.0.1:${server.address().port}`))
  }),
  connect: ({ url, peer: only }) => Promise.all((only === undefined ? peers : [peers[only]]).map(peer => new Promise((resolve, reject) => {
    const where = url.startsWith(UNIX) ? { path: url.slice(UNIX.length) } : { port: Number(url.split(':').at(-1)), host: '127.0.0.1' }
    const socket = net.connect(where)
    socket.on('error', reject)
    socket.on('connect', () => { peer.links.add(new Link(peer, socket, true)); resolve(null) })
  }))).then(() => null),
  close: () => { for (const peer of peers) for (const link of peer.links) link.socket.end(); return null },
  extend: ({ feeds: count, size }) => {
    for (const feed of feeds.slice(0, count)) peers[0].append(feed, Buffer.alloc(size))
    return null
  },
  produce: ({ count, per_second: perSecond, size }) =>
    paced(count, perSecond, () => peers[0].append(feeds[0], stamped(size))),
  until: ({ count }) => arrived.wait(count),
  timed: () => { arrived.ages = []; arrived.timed = true; return null },
  ages: () => arrived.quantiles(),
  heap: () => { global.gc(); const { heapUsed, external } = process.memoryUsage(); return heapUsed + external },
  peak: () => process.resourceUsage().maxRSS * 1024,
  usage: () => {
    const { user, system } = process.cpuUsage()
    return { cpu: (user + system) / 1e6, sent: peers.reduce((sum, peer) => sum + peer.sent, 0) }
  }
}

readline.createInterface({ input: process.stdin }).on('line', async line => {
  const { do: name, ...options } = JSON.parse(line)
  let answer
  try {
    answer = { result: await commands[name](options) }
  } catch (error) {
    answer = { error: String(error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}).on('close', () => process.exit(0))
