'use strict'
// Frames: CBOR arrays, each in a definite-length CBOR byte string on a byte stream (docs/protocol.md).

const { Encoder } = require('cbor-x')

const HELLO = 0
const NOTES = 1
const MESSAGES = 2
const BYE = 3
const PING = 4
const PONG = 5
const RESUME = 6
const START = 7
const ACK = 64

// Plain maps with string keys, heads of the shortest size (the default writes 16 bits always), no tags on bytes.
const cbor = new Encoder({ useRecords: false, variableMapSize: true, mapsAsObjects: true, tagUint8Array: false })

// A frame, or the content of a message, from bytes.
function decode (bytes) {
  return cbor.decode(bytes)
}

// A copy, because the encoder's buffer is used again.
function encode (value) {
  return Buffer.from(cbor.encode(value))
}

// A frame as it goes onto the stream.
function wrap (frame) {
  return encode(encode(frame))
}

// An unsigned integer for the encoder, which would write a number from 2^32 on as a float.
function uint (n) {
  return typeof n === 'number' && n > 0xffffffff ? BigInt(n) : n
}

// Cuts what arrives into frames, whatever the chunks.
class Splitter {
  constructor () {
    this._chunks = []
    this._size = 0
    this._needed = 1
  }

  // Take in a chunk; returns the frames that are whole by now, decoded.
  push (chunk) {
    this._chunks.push(chunk)
    this._size += chunk.length
    const frames = []
    if (this._size < this._needed) return frames
    let data = this._chunks.length === 1 ? chunk : Buffer.concat(this._chunks)
    while (data.length > 0) {
      const [head, length] = splitHead(data)
      this._needed = head + length
      if (data.length < this._needed) break
      frames.push(decode(data.subarray(head, this._needed)))
      data = data.subarray(this._needed)
      this._needed = 1
    }
    this._chunks = data.length > 0 ? [data] : []
    this._size = data.length
    return frames
  }
}

// [length of the head, length of what follows it]; of a head that is not whole yet, as much as is known to be needed.
function splitHead (data) {
  const first = data[0]
  if (first >> 5 !== 2) throw new Error(`expected a byte string, got the initial byte ${first}`)
  const info = first & 31
  if (info < 24) return [1, info]
  if (info > 26) throw new Error(`expected a byte string of a definite length below 2^32, got the initial byte ${first}`)
  const width = 1 << (info - 24)
  return data.length > width ? [1 + width, data.readUIntBE(1, width)] : [1 + width, 0]
}

module.exports = { HELLO, NOTES, MESSAGES, BYE, PING, PONG, RESUME, START, ACK, Splitter, decode, encode, uint, wrap }
