'use strict'
// One end of one link of the JavaScript implementation, over TCP on 127.0.0.1:
//
//     node end.js '{"role": "server" | "client", "network": HEX, "seed": HEX, …}'
//
//     port, remote   for a client: whom to call, and the key expected there
//     admit          for a server: false refuses everybody by key
//     echo           send back what comes, and the goodbye when theirs comes
//     send           otherwise: so many random bytes, then the goodbye
//     last           wait for their goodbye with the last piece and our own
//     cut            when their goodbye has come, end the connection without our own
//
// Says in lines of JSON what happens: listening, open, refused, sent, ended.

const crypto = require('crypto')
const net = require('net')
const sodium = require('chloride')
const pull = require('pull-stream')
const toPull = require('stream-to-pull-stream')
const secretHandshake = require('secret-handshake')

const PIECE = 50021 // several chunks of the box stream, the last one never full
const TIMEOUT = 5000
const options = JSON.parse(process.argv[2])
const network = Buffer.from(options.network, 'hex')
const keys = sodium.crypto_sign_seed_keypair(Buffer.from(options.seed, 'hex'))

function say (event, more) {
  process.stdout.write(JSON.stringify({ event, ...more }) + '\n')
}

function reason (error) {
  return error && error !== true ? String(error.message || error) : null
}

function talk (socket, stream) {
  let theyEnded
  const goodbye = new Promise(resolve => { theyEnded = resolve })
  const received = crypto.createHash('sha256')
  let size = 0
  const count = pull.through(
    data => { received.update(data); size += data.length },
    error => {
      say('ended', { size, received: received.digest('hex'), error: reason(error) })
      theyEnded()
      if (options.cut) socket.end()
    }
  )
  if (options.echo) return pull(stream.source, count, stream.sink)
  pull(stream.source, count, pull.drain(null, () => {}))
  pull(random(options.last ? goodbye : null), stream.sink)
}

// A source of options.send random bytes.
function random (goodbye) {
  const sent = crypto.createHash('sha256')
  let left = options.send
  return (abort, give) => {
    if (abort) return give(abort)
    const isLast = left <= PIECE
    const go = () => {
      if (left <= 0) {
        say('sent', { sent: sent.digest('hex') })
        return give(true)
      }
      const data = crypto.randomBytes(Math.min(left, PIECE))
      sent.update(data)
      left -= data.length
      give(null, data)
    }
    if (!(isLast && goodbye)) return go()
    goodbye.then(() => { if (!options.cut) go() })
  }
}

function shake (socket, begin) {
  let once = true
  socket.on('error', () => {})
  const secret = begin((error, stream) => {
    if (!once) return
    once = false
    if (error) return say('refused', { error: reason(error) })
    say('open', { remote: stream.remote.toString('hex') })
    talk(socket, stream)
  })
  pull(secret, toPull.duplex(socket), secret)
}

if (options.role === 'server') {
  const admit = (key, answer) => answer(null, options.admit !== false)
  const create = secretHandshake.createServer(keys, admit, network, TIMEOUT)
  const server = net.createServer(socket => shake(socket, create))
  server.listen(0, '127.0.0.1', () => say('listening', { port: server.address().port }))
} else {
  const create = secretHandshake.createClient(keys, network, TIMEOUT)
  const remote = Buffer.from(options.remote, 'hex')
  const socket = net.connect(options.port, '127.0.0.1', () => shake(socket, done => create(remote, done)))
}
