'use strict'
// Does to peers of the reference what a script says, and answers what they send: to compare a model with the real one.
// Standard input: {"feeds": what is looked at, "follows": what everybody follows, "script": [[seconds, what, peer,
// other, more], ...]}. Standard output: [[seconds, peer, other, frame], ...]. No time passes but the script's.

const makeEBT = require('epidemic-broadcast-trees')
const { feeds, follows, script } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))

console.log = console.error // the reference prints
let now = 0
Date.now = () => 1e12 + Math.round(now * 1000)
let ticker = null
global.setInterval = tick => { ticker = tick; return {} }

const sent = []
const peers = {}

function peerCalled (id) {
  if (peers[id]) return peers[id]
  const peer = { reads: [], clocks: {}, loading: {} }
  peer.ebt = makeEBT({
    id,
    getClock: (other, done) => { peer.loading[other] = done },
    setClock: (other, clock) => { peer.clocks[other] = clock },
    getAt: (wanted, done) => { peer.reads.push([wanted, done]) },
    append: () => {} // the script says when it is done
  })
  peer.tick = ticker
  for (const feed of follows) peer.ebt.request(feed, true)
  peers[id] = peer
  return peer
}

const message = (author, sequence) => ({ author, sequence, content: 1 })

const commands = {
  connect (id, other, client) {
    const stream = peerCalled(id).ebt.createStream(other, 3, client)
    stream.sink = {
      paused: false,
      write (frame) {
        const kept = frame.content ? frame : Object.fromEntries(Object.entries(frame).filter(([feed]) => feeds.includes(feed)))
        sent.push([now, id, other, kept])
      },
      end () { this.ended = true }
    }
  },
  begin: (id, other) => { peers[id].loading[other](null, Object.assign({}, peers[id].clocks[other])) },
  write: (id, other, frame) => { peers[id].ebt.streams[other].write(frame) },
  append: (id, feed, sequence) => { peerCalled(id).ebt.onAppend(message(feed, sequence)) },
  read (id, feed, sequence) {
    const [wanted, done] = peers[id].reads.shift()
    if (wanted.id !== feed || wanted.sequence !== sequence) throw new Error(`${id} reads ${JSON.stringify(wanted)} instead`)
    done(null, message(feed, sequence))
  },
  timeout: id => { peerCalled(id).tick() },
  end: (id, other) => { peers[id].ebt.streams[other].end() }
}

for (const [time, what, ...rest] of script) {
  now = time
  commands[what](...rest)
}
process.stdout.write(JSON.stringify(sent))
