'use strict'
// A peer of the reference, told what to do by lines of JSON on its standard input, each answered by one on its
// standard output: { id, do, … } → { id, result } or { id, error }. It ends with its input.

console.log = console.error // the reference prints, and standard output is for answers

const net = require('node:net')
const readline = require('node:readline')
const createEBT = require('epidemic-broadcast-trees')
const { Link } = require('./link')
const { Log } = require('./log')
const { decode, encode } = require('./frames')

class Peer {
  constructor (id, timeout) {
    this.id = id
    this.log = new Log()
    this.links = new Set()
    this.byes = []
    this.count = {
      messagesIn: 0, messagesOut: 0, notesIn: 0, notesOut: 0, duplicates: 0, gaps: 0, starts: 0, acks: 0
    }
    this._waiting = new Set()
    this.ebt = createEBT({
      id,
      timeout,
      getClock: (peer, done) => process.nextTick(() => done(null, this.log.loadClock(peer))),
      setClock: (peer, clock) => this.log.saveClock(peer, clock),
      getAt: ({ id, sequence }, done) => setImmediate(() => this._read(id, sequence, done)),
      append: (message, done) => this._append(message, done)
    })
    this.ebt.request(id, true)
  }

  _read (author, sequence, done) {
    const content = this.log.get(author, sequence)
    if (content === undefined) done(new Error(`no message ${sequence} of ${author}`))
    else done(null, { author, sequence, content })
  }

  // From a remote. What cannot be stored is no error here: for any error the reference blocks who has sent it.
  _append (message, done) {
    const outcome = this.log.append(message.author, message.sequence, message.content)
    if (outcome === 'new') this.ebt.onAppend(message)
    else this.count[outcome + 's']++
    done()
    this.changed()
  }

  // Our own: `contents` in JSON, or `payloads` in base64.
  append ({ feed = this.id, contents = [], payloads = [] }) {
    const made = [...contents.map(encode), ...payloads.map(payload => Buffer.from(payload, 'base64'))]
    for (const content of made) {
      const sequence = this.log.head(feed) + 1
      this.log.append(feed, sequence, content)
      this.ebt.onAppend({ author: feed, sequence, content })
    }
    this.changed()
    return this.log.head(feed)
  }

  blocks (peer) {
    const { blocks } = this.ebt.state
    return Boolean(blocks[this.id] && blocks[this.id][peer])
  }

  connected (socket, isClient) {
    this.links.add(new Link(this, socket, isClient))
  }

  gone (link) {
    this.links.delete(link)
    this.changed()
  }

  linksWith (remote) {
    return [...this.links].filter(link => remote === null || link.remote === remote)
  }

  changed () {
    for (const look of [...this._waiting]) look()
  }

  // Wait until our clock has reached `clock`, exactly the peers named have a stream, and there are so many connections.
  until ({ clock = {}, peers = null, links = null }) {
    const isSo = () => {
      const connected = Object.keys(this.ebt.streams).sort()
      return Object.entries(clock).every(([feed, sequence]) => this.log.head(feed) >= sequence) &&
        (links === null || this.links.size === links) &&
        (peers === null || JSON.stringify(connected) === JSON.stringify([...peers].sort()))
    }
    return new Promise(resolve => {
      const look = () => {
        if (!isSo()) return
        this._waiting.delete(look)
        resolve(true)
      }
      this._waiting.add(look)
      look()
    })
  }
}

const [id, timeout] = process.argv.slice(2)
const peer = new Peer(id, Number(timeout))

const commands = {
  listen: () => new Promise((resolve, reject) => {
    const server = net.createServer({ allowHalfOpen: true }, socket => peer.connected(socket, false))
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server.address().port))
  }),
  connect: ({ port }) => new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', reject)
    socket.on('connect', () => { peer.connected(socket, true); resolve(true) })
  }),
  close: ({ remote }) => peer.linksWith(remote).map(link => link.close()).length,
  cut: ({ remote }) => peer.linksWith(remote).map(link => link.cut()).length,
  follow: ({ feeds, value }) => feeds.forEach(feed => peer.ebt.request(feed, value)),
  block: ({ target, origin = peer.id, value }) => peer.ebt.block(origin, target, value),
  append: options => peer.append(options),
  until: options => peer.until(options),
  clock: () => peer.log.clock(),
  payload: ({ feed, sequence }) => peer.log.get(feed, sequence).toString('base64'),
  content: ({ feed, sequence }) => decode(peer.log.get(feed, sequence)),
  digest: ({ feed }) => peer.log.digest(feed),
  count: () => peer.count,
  byes: () => peer.byes,
  progress: () => peer.ebt.progress()
}

function answer (line) {
  process.stdout.write(JSON.stringify(line, (_, value) => typeof value === 'bigint' ? Number(value) : value) + '\n')
}

readline.createInterface({ input: process.stdin }).on('line', async line => {
  const { id, do: name, ...options } = JSON.parse(line)
  try {
    const result = await commands[name](options)
    answer({ id, result: result === undefined ? null : result })
  } catch (error) {
    answer({ id, error: String(error) })
  }
}).on('close', () => process.exit(0))
