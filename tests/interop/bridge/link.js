'use strict'
// One connection: our frames on a socket on one side, a stream of the reference on the other.
//
//   HELLO, RESUME      said here, with `acks` false and nothing remembered; then the stream is created
//   NOTES              stream.write(notes); the reference's first notes end with an empty NOTES
//   MESSAGES           stream.write({ author, sequence, content }) for each, the content being the payload's bytes
//   PING               PONG
//   BYE, end, error    stream.end(), once
//   START, ACK         the reference has no such thing: counted

const { randomBytes } = require('node:crypto')
const { HELLO, NOTES, MESSAGES, BYE, PING, PONG, RESUME, START, ACK, Splitter, uint, wrap } = require('./frames')

const DONE = 0
const REPLACED = 1
const BLOCKED = 5
const INSTANCE = randomBytes(8)
const NOTES_PER_FRAME = 10000
const MESSAGE_BYTES = 64 << 10 // per frame, more or less
const PATIENCE = 1000 // ms that the remote has to close after BYE

class Link {
  constructor (peer, socket, isClient) {
    this.remote = null
    this._peer = peer
    this._socket = socket
    this._isClient = isClient
    this._stream = null
    this._sink = { paused: false, ended: false, write: data => this._said(data), end: error => this._finish(error) }
    this._inbox = []
    this._isLoading = false // the reference takes nothing before it has loaded the remote's clock
    this._isPumping = false
    this._saidInitial = false
    this._runs = []
    this._runBytes = 0
    this._flushing = null
    const splitter = new Splitter()
    socket.setNoDelay(true)
    socket.on('data', chunk => { this._inbox.push(...splitter.push(chunk)); this._pump() })
    socket.on('drain', () => { this._sink.paused = false; if (this._stream && !this._stream.ended) this._stream.resume() })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => { this._endStream(); peer.gone(this) })
    socket.on('end', () => this._close())
    const hello = { ebt: 1, id: peer.id, network: '', instance: INSTANCE, max_frame: 1 << 20, acks: false }
    this._send([HELLO, hello])
  }

  // End in order.
  close () {
    this._endStream()
    this._close(DONE)
  }

  // Break the connection, as if a cable were cut: whatever is in flight is lost.
  cut () {
    this._socket.resetAndDestroy()
  }

  // -- from the socket to the reference

  _pump () {
    if (this._isPumping) return
    this._isPumping = true
    while (this._inbox.length > 0 && !this._isLoading) this._take(this._inbox.shift())
    this._isPumping = false
  }

  _take ([kind, ...rest]) {
    if (this._stream && this._stream.ended) return
    if (kind === BYE) {
      this._peer.byes.push({ from: this.remote, code: rest[0], text: rest[1] })
      this._endStream()
      this._close()
    } else if (this._stream === null) {
      this._shakeHands(kind, rest[0])
    } else if (kind === NOTES) {
      this._peer.count.notesIn += Object.keys(rest[0]).length
      this._stream.write(rest[0])
    } else if (kind === MESSAGES) {
      for (const [author, first, payloads] of rest) this._takeRun(author, first, payloads)
    } else if (kind === PING) {
      this._send([PONG, uint(rest[0])])
    } else if (kind === START) {
      this._peer.count.starts++
    } else if (kind === ACK) {
      this._peer.count.acks++
    } else if (kind < 64) {
      throw new Error(`a frame of kind ${kind} after the handshake`)
    }
    this._peer.changed()
  }

  _takeRun (author, first, payloads) {
    payloads.forEach((content, index) => {
      if (this._stream.ended) return
      this._peer.count.messagesIn++
      this._stream.write({ author, sequence: first + index, content })
    })
  }

  _shakeHands (kind, body) {
    if (this.remote === null && kind === HELLO) {
      if (body.ebt !== 1) throw new Error(`version ${body.ebt}`)
      this.remote = body.id
      this._send([RESUME, {}])
    } else if (this.remote !== null && kind === RESUME) {
      this._open()
    } else {
      throw new Error(`a frame of kind ${kind} in the handshake`)
    }
  }

  _open () {
    this._isLoading = true
    this._stream = this._peer.ebt.createStream(this.remote, 3, this._isClient) // ends the remote's older one, if any
    this._stream.sink = this._sink
    const loaded = () => { this._isLoading = false; this._pump() }
    this._stream.source = { ended: false, resume: loaded, abort: () => {} }
    this._peer.changed()
  }

  // Once only: a second end would take away the state of whatever stream this remote has by then.
  _endStream () {
    if (this._stream && !this._stream.ended) this._stream.end()
  }

  // -- from the reference to the socket

  _said (data) {
    if (Buffer.isBuffer(data.content)) this._message(data)
    else this._notes(data)
  }

  _message ({ author, sequence, content }) {
    this._peer.count.messagesOut++
    const run = this._runs.at(-1)
    if (run && run[0] === author && run[1] + run[2].length === sequence) run[2].push(content)
    else this._runs.push([author, sequence, [content]])
    this._runBytes += content.length
    if (this._runBytes >= MESSAGE_BYTES) this._flush()
    else if (this._flushing === null) this._flushing = setImmediate(() => this._flush())
  }

  _notes (notes) {
    this._flush() // in the order in which they were said
    const entries = Object.entries(notes)
    this._peer.count.notesOut += entries.length
    for (let at = 0; at < entries.length; at += NOTES_PER_FRAME) {
      this._send([NOTES, Object.fromEntries(entries.slice(at, at + NOTES_PER_FRAME))])
    }
    if (!this._saidInitial) this._send([NOTES, {}])
    this._saidInitial = true
  }

  _flush () {
    clearImmediate(this._flushing)
    this._flushing = null
    if (this._runs.length === 0) return
    const runs = this._runs
    this._runs = []
    this._runBytes = 0
    this._send([MESSAGES, ...runs])
  }

  _finish (error) {
    this._sink.ended = true
    const isBlocked = this._peer.blocks(this.remote)
    const isReplaced = error && /reconnected/.test(error.message)
    this._flush()
    this._close(isReplaced ? REPLACED : isBlocked ? BLOCKED : DONE)
  }

  _send (frame) {
    if (!this._socket.writable) return
    if (!this._socket.write(wrap(frame))) this._sink.paused = true
  }

  _close (code) {
    if (this._socket.writable && code !== undefined) this._send([BYE, code, ''])
    this._socket.end()
    this._socket.setTimeout(PATIENCE, () => this._socket.destroy())
  }
}

module.exports = { Link }
