// Hashes files and makes the torrent, byte for byte as `wl create --no-date` does: hybrid (BEP 52), pieces of 256 KiB.
//
// One pass over the data, 4 MiB at a time, with the next 4 MiB being read meanwhile. Browsers offer their own SHA only to
// https and localhost; everywhere else the two below do the work.
'use strict'

const PIECE = 262144
const BLOCK = 16384
const SLICE = 4194304
const CHUNK = 10240
const IDT_MAX = 20971520
const ZEROS = new Uint8Array(BLOCK)
const subtle = self.crypto && self.crypto.subtle
const utf8 = new TextEncoder()

// What both hashes share: a buffer for the rest of a block, and the padding (FIPS 180-4).
class Hash {
  constructor (state) {
    this.state = Int32Array.from(state)
    this.rest = new Uint8Array(64)
    this.length = 0
  }

  update (bytes) {
    let at = 0
    const held = this.length % 64
    this.length += bytes.length
    if (held) {
      at = Math.min(64 - held, bytes.length)
      this.rest.set(bytes.subarray(0, at), held)
      if (held + at < 64) return this
      this.blocks(this.rest, 0, 64)
    }
    const end = bytes.length - (bytes.length - at) % 64
    this.blocks(bytes, at, end)
    this.rest.set(bytes.subarray(end))
    return this
  }

  digest () {
    const held = this.length % 64
    const tail = new Uint8Array(held < 56 ? 64 : 128)
    tail.set(this.rest.subarray(0, held))
    tail[held] = 128
    const view = new DataView(tail.buffer)
    view.setUint32(tail.length - 8, Math.floor(this.length / 0x20000000))
    view.setUint32(tail.length - 4, this.length << 3)
    this.blocks(tail, 0, tail.length)
    const out = new Uint8Array(this.state.length * 4)
    this.state.forEach((word, i) => new DataView(out.buffer).setInt32(i * 4, word))
    return out
  }
}

const W = new Int32Array(80)

class Sha1 extends Hash {
  constructor () {
    super([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  }

  blocks (m, at, end) {
    const s = this.state
    const w = W
    const v = new DataView(m.buffer, m.byteOffset, m.length)
    let [h0, h1, h2, h3, h4] = s
    for (; at < end; at += 64) {
      for (let i = 0, j = at; i < 16; i++, j += 4) w[i] = v.getInt32(j)
      for (let i = 16; i < 80; i++) {
        const x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]
        w[i] = x << 1 | x >>> 31
      }
      let a = h0; let b = h1; let c = h2; let d = h3; let e = h4
      for (let i = 0; i < 20; i += 5) {
        e = (a << 5 | a >>> 27) + (d ^ b & (c ^ d)) + e + 0x5a827999 + w[i] | 0; b = b << 30 | b >>> 2
        d = (e << 5 | e >>> 27) + (c ^ a & (b ^ c)) + d + 0x5a827999 + w[i + 1] | 0; a = a << 30 | a >>> 2
        c = (d << 5 | d >>> 27) + (b ^ e & (a ^ b)) + c + 0x5a827999 + w[i + 2] | 0; e = e << 30 | e >>> 2
        b = (c << 5 | c >>> 27) + (a ^ d & (e ^ a)) + b + 0x5a827999 + w[i + 3] | 0; d = d << 30 | d >>> 2
        a = (b << 5 | b >>> 27) + (e ^ c & (d ^ e)) + a + 0x5a827999 + w[i + 4] | 0; c = c << 30 | c >>> 2
      }
      for (let i = 20; i < 40; i += 5) {
        e = (a << 5 | a >>> 27) + (b ^ c ^ d) + e + 0x6ed9eba1 + w[i] | 0; b = b << 30 | b >>> 2
        d = (e << 5 | e >>> 27) + (a ^ b ^ c) + d + 0x6ed9eba1 + w[i + 1] | 0; a = a << 30 | a >>> 2
        c = (d << 5 | d >>> 27) + (e ^ a ^ b) + c + 0x6ed9eba1 + w[i + 2] | 0; e = e << 30 | e >>> 2
        b = (c << 5 | c >>> 27) + (d ^ e ^ a) + b + 0x6ed9eba1 + w[i + 3] | 0; d = d << 30 | d >>> 2
        a = (b << 5 | b >>> 27) + (c ^ d ^ e) + a + 0x6ed9eba1 + w[i + 4] | 0; c = c << 30 | c >>> 2
      }
      for (let i = 40; i < 60; i += 5) {
        e = (a << 5 | a >>> 27) + (b & c | d & (b | c)) + e - 0x70e44324 + w[i] | 0; b = b << 30 | b >>> 2
        d = (e << 5 | e >>> 27) + (a & b | c & (a | b)) + d - 0x70e44324 + w[i + 1] | 0; a = a << 30 | a >>> 2
        c = (d << 5 | d >>> 27) + (e & a | b & (e | a)) + c - 0x70e44324 + w[i + 2] | 0; e = e << 30 | e >>> 2
        b = (c << 5 | c >>> 27) + (d & e | a & (d | e)) + b - 0x70e44324 + w[i + 3] | 0; d = d << 30 | d >>> 2
        a = (b << 5 | b >>> 27) + (c & d | e & (c | d)) + a - 0x70e44324 + w[i + 4] | 0; c = c << 30 | c >>> 2
      }
      for (let i = 60; i < 80; i += 5) {
        e = (a << 5 | a >>> 27) + (b ^ c ^ d) + e - 0x359d3e2a + w[i] | 0; b = b << 30 | b >>> 2
        d = (e << 5 | e >>> 27) + (a ^ b ^ c) + d - 0x359d3e2a + w[i + 1] | 0; a = a << 30 | a >>> 2
        c = (d << 5 | d >>> 27) + (e ^ a ^ b) + c - 0x359d3e2a + w[i + 2] | 0; e = e << 30 | e >>> 2
        b = (c << 5 | c >>> 27) + (d ^ e ^ a) + b - 0x359d3e2a + w[i + 3] | 0; d = d << 30 | d >>> 2
        a = (b << 5 | b >>> 27) + (c ^ d ^ e) + a - 0x359d3e2a + w[i + 4] | 0; c = c << 30 | c >>> 2
      }
      h0 = h0 + a | 0; h1 = h1 + b | 0; h2 = h2 + c | 0; h3 = h3 + d | 0; h4 = h4 + e | 0
    }
    s[0] = h0; s[1] = h1; s[2] = h2; s[3] = h3; s[4] = h4
  }
}

// The constants are the first bits of roots of primes, so they are computed.
const K = new Int32Array(64)
const H256 = []
for (let n = 2, k = 0; k < 64; n++) {
  let prime = true
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false
  if (!prime) continue
  if (k < 8) H256.push((n ** 0.5 % 1) * 0x100000000 | 0)
  K[k++] = (Math.cbrt(n) % 1) * 0x100000000 | 0
}

const S0 = x => (x >>> 2 | x << 30) ^ (x >>> 13 | x << 19) ^ (x >>> 22 | x << 10)
const S1 = x => (x >>> 6 | x << 26) ^ (x >>> 11 | x << 21) ^ (x >>> 25 | x << 7)

class Sha256 extends Hash {
  constructor () {
    super(H256)
  }

  blocks (m, at, end) {
    const s = this.state
    const w = W
    const v = new DataView(m.buffer, m.byteOffset, m.length)
    const k = K
    let [h0, h1, h2, h3, h4, h5, h6, h7] = s
    for (; at < end; at += 64) {
      for (let i = 0, j = at; i < 16; i++, j += 4) w[i] = v.getInt32(j)
      for (let i = 16; i < 64; i++) {
        const x = w[i - 15]
        const y = w[i - 2]
        w[i] = w[i - 16] + w[i - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
          ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10) | 0
      }
      let a = h0; let b = h1; let c = h2; let d = h3; let e = h4; let f = h5; let g = h6; let h = h7; let t
      for (let i = 0; i < 64; i += 8) {
        t = h + S1(e) + (g ^ e & (f ^ g)) + k[i] + w[i] | 0
        d = d + t | 0
        h = t + S0(a) + (a & b | c & (a | b)) | 0
        t = g + S1(d) + (f ^ d & (e ^ f)) + k[i + 1] + w[i + 1] | 0
        c = c + t | 0
        g = t + S0(h) + (h & a | b & (h | a)) | 0
        t = f + S1(c) + (e ^ c & (d ^ e)) + k[i + 2] + w[i + 2] | 0
        b = b + t | 0
        f = t + S0(g) + (g & h | a & (g | h)) | 0
        t = e + S1(b) + (d ^ b & (c ^ d)) + k[i + 3] + w[i + 3] | 0
        a = a + t | 0
        e = t + S0(f) + (f & g | h & (f | g)) | 0
        t = d + S1(a) + (c ^ a & (b ^ c)) + k[i + 4] + w[i + 4] | 0
        h = h + t | 0
        d = t + S0(e) + (e & f | g & (e | f)) | 0
        t = c + S1(h) + (b ^ h & (a ^ b)) + k[i + 5] + w[i + 5] | 0
        g = g + t | 0
        c = t + S0(d) + (d & e | f & (d | e)) | 0
        t = b + S1(g) + (a ^ g & (h ^ a)) + k[i + 6] + w[i + 6] | 0
        f = f + t | 0
        b = t + S0(c) + (c & d | e & (c | d)) | 0
        t = a + S1(f) + (h ^ f & (g ^ h)) + k[i + 7] + w[i + 7] | 0
        e = e + t | 0
        a = t + S0(b) + (b & c | d & (b | c)) | 0
      }
      h0 = h0 + a | 0; h1 = h1 + b | 0; h2 = h2 + c | 0; h3 = h3 + d | 0
      h4 = h4 + e | 0; h5 = h5 + f | 0; h6 = h6 + g | 0; h7 = h7 + h | 0
    }
    s[0] = h0; s[1] = h1; s[2] = h2; s[3] = h3; s[4] = h4; s[5] = h5; s[6] = h6; s[7] = h7
  }
}

const sha1 = bytes => new Sha1().update(bytes).digest()
const sha256 = bytes => new Sha256().update(bytes).digest()
const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')

// Combines `count` hashes at `level` into the one `height` levels above; missing ones are roots of zero leaves.
// Overwrites `flat`.
function fold (flat, count, level, height) {
  const pair = new Uint8Array(64)
  let missing = new Uint8Array(32)
  const up = () => { pair.set(missing); pair.set(missing, 32); missing = sha256(pair) }
  for (; level > 0; level--) up()
  for (; height > 0; height--) {
    const pairs = Math.ceil(count / 2)
    for (let i = 0; i < pairs; i++) {
      pair.set(flat.subarray(i * 64, Math.min(i * 64 + 64, count * 32)))
      if (i * 2 + 1 === count) pair.set(missing, 32)
      flat.set(sha256(pair), i * 32)
    }
    up()
    count = pairs
  }
  return flat.slice(0, 32)
}

const heightOver = count => Math.ceil(Math.log2(count))

// SHA-1 of each piece in a slice; the last one filled up with zeros if it is `padded`.
function piecesOf (bytes, padded) {
  const out = []
  for (let at = 0; at < bytes.length; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE)
    let zeros = padded ? PIECE - piece.length : 0
    if (subtle) {
      const whole = zeros ? new Uint8Array(PIECE) : piece
      if (zeros) whole.set(piece)
      out.push(subtle.digest('SHA-1', whole))
      continue
    }
    const hash = new Sha1().update(piece)
    for (; zeros > 0; zeros -= BLOCK) hash.update(ZEROS.subarray(0, Math.min(zeros, BLOCK)))
    out.push(hash.digest())
  }
  return Promise.all(out)
}

function blocksOf (bytes) {
  const out = []
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK)
    out.push(subtle ? subtle.digest('SHA-256', block) : sha256(block))
  }
  return Promise.all(out)
}

// The leaves and layers of one file, slice by slice.
class Tree {
  constructor (length) {
    this.count = Math.ceil(length / PIECE)
    this.layer = new Uint8Array(this.count * 32)
    this.done = 0
  }

  add (leaves) {
    for (let at = 0; at < leaves.length; at += 16) {
      const some = leaves.slice(at, at + 16)
      const flat = new Uint8Array(some.length * 32)
      some.forEach((leaf, i) => flat.set(new Uint8Array(leaf), i * 32))
      const height = this.count === 1 ? heightOver(some.length) : 4
      this.layer.set(fold(flat, some.length, 0, height), this.done++ * 32)
    }
  }

  root () {
    return this.count === 1 ? this.layer : fold(this.layer.slice(), this.count, 4, heightOver(this.count))
  }
}

// Bencode: what is written stands in the order of the calls.
class Bencode {
  constructor () { this.parts = [] }
  raw (bytes) { this.parts.push(typeof bytes === 'string' ? utf8.encode(bytes) : bytes); return this }
  int (n) { return this.raw('i' + n + 'e') }
  text (bytes) {
    if (typeof bytes === 'string') bytes = utf8.encode(bytes)
    return this.raw(bytes.length + ':').raw(bytes)
  }

  finish () {
    const out = new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of this.parts) { out.set(part, at); at += part.length }
    return out
  }
}

function compare (a, b) {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}

function comparePaths (a, b) {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) {
    const order = compare(a[i], b[i])
    if (order) return order
  }
  return a.length - b.length
}

function fileTree (out, files) {
  out.raw('d')
  let open = []
  for (const { bytes, size, root } of files) {
    const folders = bytes.slice(0, -1)
    let shared = 0
    while (shared < open.length && shared < folders.length && !compare(open[shared], folders[shared])) shared++
    out.raw('e'.repeat(open.length - shared))
    for (const folder of folders.slice(shared)) out.text(folder).raw('d')
    open = folders
    out.text(bytes[bytes.length - 1]).raw('d0:d6:lengthi' + size + 'e')
    if (size) out.text('pieces root').text(root)
    out.raw('ee')
  }
  out.raw('e'.repeat(open.length + 1))
}

function info (job, pieces) {
  const out = new Bencode().raw('d').text('file tree')
  fileTree(out, job.files)
  if (job.single) {
    out.text('length').int(job.files[0].size)
  } else {
    out.text('files').raw('l')
    for (const { bytes, size } of job.files) {
      out.raw('d6:lengthi' + size + 'e4:pathl')
      bytes.forEach(part => out.text(part))
      out.raw('ee')
      const pad = job.padded ? (PIECE - size % PIECE) % PIECE : 0
      if (pad) out.raw('d4:attr1:p6:lengthi' + pad + 'e4:pathl4:.pad').text(String(pad)).raw('ee')
    }
    out.raw('e')
  }
  return out.raw('12:meta versioni2e').text('name').text(job.name).text('piece length').int(PIECE)
    .text('pieces').text(pieces).raw('e').finish()
}

function torrent (job, info) {
  const out = new Bencode().raw('d').text('announce').text(job.announce).text('info').raw(info).text('piece layers').raw('d')
  const layered = job.files.filter(file => file.size > PIECE).sort((a, b) => compare(a.root, b.root))
  layered.forEach(({ root, layer }, i) => {
    if (!i || compare(root, layered[i - 1].root)) out.text(root).text(layer)
  })
  return out.raw('ee').finish()
}

// The idtorrent of one small file, and its id.
function idtorrent (name, size, hashes) {
  const id = hex(sha1(utf8.encode(name + size + hashes.join(''))))
  const quoted = text => '"' + text.replace(/["\\]/g, '\\$&') + '"'
  const lines = [
    `"file_name": ${quoted(name)}`, `"file_size": ${size}`, `"chunk_size": ${CHUNK}`, `"num_chunks": ${hashes.length}`,
    `"chunk_hashes": [${hashes.map(quoted).join(', ')}]`, `"file_id": "${id}"`
  ]
  return { id, text: '{\n  ' + lines.join(',\n  ') + '\n}\n' }
}

// Chunks need not fit slices, so their hash is always our own.
class Chunks {
  constructor () { this.hashes = []; this.hash = new Sha1() }
  add (bytes) {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK - this.hash.length)
      this.hash.update(part)
      at += part.length
      if (this.hash.length === CHUNK) this.end()
    }
  }

  end () {
    if (this.hash.length) this.hashes.push(hex(this.hash.digest()))
    this.hash = new Sha1()
  }
}

const isControl = /[\u0000-\u001f\u007f-\u009f]/

// Sorts the files as torrents have them, and refuses what `wl create` refuses.
function prepare (job) {
  const refuse = words => { throw new Error(words) }
  if (!job.files.length) refuse('There are no files in it.')
  const folded = new Set()
  const folders = new Set()
  const warnings = new Set()
  for (const file of job.files) {
    file.size = file.file.size
    file.bytes = file.path.map(part => utf8.encode(part))
    const path = file.path.join('/')
    if (/\p{Surrogate}/u.test(path)) refuse(`The name of ${path} is not UTF-8. wl create --raw-names takes it.`)
    if (file.bytes.some(part => part.length > 255)) refuse(`A name in ${path} is longer than 255 bytes.`)
    if (utf8.encode(path).length > 4096) refuse(`A path is longer than 4096 bytes: ${path.slice(0, 80)} …`)
    if (file.path.length > 95) refuse('A folder lies more than 95 levels deep.')
    if (file.path.some(part => isControl.test(part) || part.includes('\\'))) warnings.add(`${path} will be renamed by downloaders.`)
    const key = path.normalize('NFC').toLowerCase()
    if (folded.has(key)) warnings.add(`${path} differs from another name by case or accents only: macOS and Windows take them for one.`)
    folded.add(key)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) folders.add(path.slice(0, end))
  }
  job.files.sort((a, b) => comparePaths(a.bytes, b.bytes))
  job.files.forEach(({ bytes, path }, i) => {
    const name = path.join('/')
    if (folders.has(name) || (i && !comparePaths(job.files[i - 1].bytes, bytes))) refuse(`Two files would be called ${name}.`)
  })
  job.padded = job.files.length > 1
  job.size = job.files.reduce((sum, file) => sum + file.size, 0)
  job.pieces = job.files.reduce((sum, file) => sum + Math.ceil(file.size / PIECE), 0)
  if (!job.size) warnings.add('There is no data in it: other clients refuse such a torrent.')
  const hashed = job.padded ? job.pieces * PIECE : job.size
  if (hashed > 4 * job.size && hashed - job.size > 16777216) {
    warnings.add(`Padding makes the hashed data ${Math.round(hashed / job.size)} times the payload: wl create --piece-length auto does better.`)
  }
  job.warnings = warnings
}

// Reads into a buffer that is used again: otherwise browsers let megabytes pile up.
async function fill (reader, buffer, length) {
  let at = 0
  while (at < length) {
    const { value, done } = await reader.read(new Uint8Array(buffer, at, length - at))
    if (done) break
    buffer = value.buffer
    at += value.length
  }
  return new Uint8Array(buffer, 0, at)
}

// Chromium collects a stream that only its pending read knows, and the read never ends: here it is known, until the
// one after the next is opened.
const held = []

function readerOf (file) {
  try {
    held.push(file.stream().getReader({ mode: 'byob' }))
    if (held.length > 2) held.shift()
    return held.at(-1)
  } catch {
    return null
  }
}

// The slices of all files, each read while the one before is hashed.
async function * slices (files) {
  const spare = [new ArrayBuffer(SLICE), new ArrayBuffer(SLICE)]
  let ahead
  for (const file of files) {
    const reader = file.size > SLICE && readerOf(file.file)
    for (let at = 0; at < file.size; at += SLICE) {
      const length = Math.min(SLICE, file.size - at)
      const buffer = spare.pop()
      const read = Promise.resolve(ahead?.read).then(async () => reader
        ? fill(reader, buffer, length)
        : new Uint8Array(await file.file.slice(at, at + length).arrayBuffer()))
      read.catch(() => {})
      if (ahead) {
        yield ahead
        spare.push(reader ? (await ahead.read).buffer : null)
      }
      ahead = { file, read, length }
    }
  }
  if (ahead) yield ahead
}

let cancelled = 0

async function make (job) {
  prepare(job)
  const pieces = new Uint8Array(job.pieces * 20)
  const name = job.files[0].path[0]
  const chunks = job.single && job.size <= IDT_MAX && name.length && !isControl.test(name) && !/[/\\]/.test(name) ? new Chunks() : null
  let [done, piece, told, tree] = [0, 0, 0, null]
  for await (const { file, read, length } of slices(job.files)) {
    let bytes
    try {
      bytes = await read
    } catch {
      throw new Error(`${file.path.join('/')} cannot be read. It may have changed since you chose it, or not be yours to read.`)
    }
    if (cancelled >= job.id) return
    if (bytes.length !== length) throw new Error(`${file.path.join('/')} changed while it was hashed.`)
    tree = file.tree = file.tree || new Tree(file.size)
    const [hashes, leaves] = await Promise.all([piecesOf(bytes, job.padded), blocksOf(bytes)])
    for (const hash of hashes) pieces.set(new Uint8Array(hash), piece++ * 20)
    tree.add(leaves)
    if (chunks) chunks.add(bytes)
    if (tree.done === tree.count) {
      file.root = tree.root()
      if (file.size > PIECE) file.layer = tree.layer
      file.tree = null
    }
    done += length
    if (Date.now() - told > 100) {
      told = Date.now()
      postMessage({ id: job.id, type: 'progress', done, total: job.size })
      // Lets a message be read: our own functions never wait.
      await new Promise(resolve => setTimeout(resolve))
    }
  }
  if (cancelled >= job.id) return
  const dictionary = info(job, pieces)
  const file = torrent(job, dictionary)
  if (job.pieces > 2097152 || file.length > 1e7) job.warnings.add('Some clients refuse torrents this large; wl create makes smaller ones with a larger --piece-length.')
  if (chunks) chunks.end()
  postMessage({
    id: job.id,
    type: 'made',
    torrent: file.buffer,
    v1: hex(sha1(dictionary)),
    v2: hex(sha256(dictionary)),
    size: job.size,
    count: job.files.length,
    pieces: job.pieces,
    idt: chunks && idtorrent(name, job.size, chunks.hashes),
    warnings: [...job.warnings]
  }, [file.buffer])
}

onmessage = ({ data }) => {
  if (data.cancel) {
    cancelled = data.cancel
    return
  }
  make(data).catch(error => postMessage({ id: data.id, type: 'failed', words: error.message }))
}
