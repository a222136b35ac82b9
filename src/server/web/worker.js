// Hashes files and makes the torrent, byte for byte as `wl create --no-date` does: hybrid (BEP 52), pieces of 256 KiB.
//
// One pass over the data, 4 MiB at a time, with the next 4 MiB being read meanwhile. Browsers offer their own SHA only to
// https and localhost; everywhere else the two below do the work.
'use strict'

const PIECE = 262144
const BLOCK = 16384
const SLICE = 4194304
const CHUNK = 10240
const COLLECT = 256
const IDT_MAX = 20971520
const subtle = self.crypto && self.crypto.subtle
const utf8 = new TextEncoder()

// What both hashes share: the bytes that make no block yet, and the padding (FIPS 180-4). One object hashes one thing
// after the other and leaves nothing behind, because garbage piles up by the megabyte before a browser collects it.
class Hash {
  constructor (start) {
    this.start = start
    this.state = Int32Array.from(start)
    this.rest = new Uint8Array(64)
    this.length = 0
  }

  update (bytes, at = 0, end = bytes.length) {
    const held = this.length % 64
    this.length += end - at
    if (held) {
      const more = Math.min(64 - held, end - at)
      this.rest.set(bytes.subarray(at, at + more), held)
      if (held + more < 64) return this
      this.blocks(this.rest, 0, 64)
      at += more
    }
    const whole = end - (end - at) % 64
    this.blocks(bytes, at, whole)
    if (whole < end) this.rest.set(bytes.subarray(whole, end))
    return this
  }

  // Writes the hash into `out`, and begins anew.
  digest (out = new Uint8Array(this.state.length * 4), to = 0) {
    let held = this.length % 64
    this.rest[held++] = 128
    if (held > 56) {
      this.blocks(this.rest.fill(0, held), 0, 64)
      held = 0
    }
    this.rest.fill(0, held)
    for (let at = 63, bits = this.length * 8; bits; at--, bits = Math.floor(bits / 256)) this.rest[at] = bits
    this.blocks(this.rest, 0, 64)
    for (const word of this.state) for (let shift = 24; shift >= 0; shift -= 8) out[to++] = word >>> shift
    this.state.set(this.start)
    this.length = 0
    return out
  }
}

// The block at hand as words, and what is made of them.
const W = new Int32Array(80)

// What a round of SHA-1 adds.
const mix = (i, b, c, d) => i < 20
  ? (d ^ b & (c ^ d)) + 0x5a827999
  : i >= 40 && i < 60
    ? (b & c | d & (b | c)) - 0x70e44324
    : (b ^ c ^ d) + (i < 40 ? 0x6ed9eba1 : -0x359d3e2a)

class Sha1 extends Hash {
  constructor () {
    super([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0])
  }

  blocks (m, at, end) {
    let [h0, h1, h2, h3, h4] = this.state
    for (; at < end; at += 64) {
      for (let i = 0, j = at; i < 16; i++, j += 4) W[i] = m[j] << 24 | m[j + 1] << 16 | m[j + 2] << 8 | m[j + 3]
      for (let i = 16; i < 80; i++) {
        const x = W[i - 3] ^ W[i - 8] ^ W[i - 14] ^ W[i - 16]
        W[i] = x << 1 | x >>> 31
      }
      let a = h0; let b = h1; let c = h2; let d = h3; let e = h4
      for (let i = 0; i < 80; i += 5) {
        e = (a << 5 | a >>> 27) + mix(i, b, c, d) + e + W[i] | 0; b = b << 30 | b >>> 2
        d = (e << 5 | e >>> 27) + mix(i, a, b, c) + d + W[i + 1] | 0; a = a << 30 | a >>> 2
        c = (d << 5 | d >>> 27) + mix(i, e, a, b) + c + W[i + 2] | 0; e = e << 30 | e >>> 2
        b = (c << 5 | c >>> 27) + mix(i, d, e, a) + b + W[i + 3] | 0; d = d << 30 | d >>> 2
        a = (b << 5 | b >>> 27) + mix(i, c, d, e) + a + W[i + 4] | 0; c = c << 30 | c >>> 2
      }
      h0 = h0 + a | 0; h1 = h1 + b | 0; h2 = h2 + c | 0; h3 = h3 + d | 0; h4 = h4 + e | 0
    }
    this.state.set([h0, h1, h2, h3, h4])
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
    let [h0, h1, h2, h3, h4, h5, h6, h7] = this.state
    for (; at < end; at += 64) {
      for (let i = 0, j = at; i < 16; i++, j += 4) W[i] = m[j] << 24 | m[j + 1] << 16 | m[j + 2] << 8 | m[j + 3]
      for (let i = 16; i < 64; i++) {
        const x = W[i - 15]
        const y = W[i - 2]
        W[i] = W[i - 16] + W[i - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
          ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10) | 0
      }
      let a = h0; let b = h1; let c = h2; let d = h3; let e = h4; let f = h5; let g = h6; let h = h7; let t
      for (let i = 0; i < 64; i += 8) {
        t = h + S1(e) + (g ^ e & (f ^ g)) + K[i] + W[i] | 0; d = d + t | 0
        h = t + S0(a) + (a & b | c & (a | b)) | 0
        t = g + S1(d) + (f ^ d & (e ^ f)) + K[i + 1] + W[i + 1] | 0; c = c + t | 0
        g = t + S0(h) + (h & a | b & (h | a)) | 0
        t = f + S1(c) + (e ^ c & (d ^ e)) + K[i + 2] + W[i + 2] | 0; b = b + t | 0
        f = t + S0(g) + (g & h | a & (g | h)) | 0
        t = e + S1(b) + (d ^ b & (c ^ d)) + K[i + 3] + W[i + 3] | 0; a = a + t | 0
        e = t + S0(f) + (f & g | h & (f | g)) | 0
        t = d + S1(a) + (c ^ a & (b ^ c)) + K[i + 4] + W[i + 4] | 0; h = h + t | 0
        d = t + S0(e) + (e & f | g & (e | f)) | 0
        t = c + S1(h) + (b ^ h & (a ^ b)) + K[i + 5] + W[i + 5] | 0; g = g + t | 0
        c = t + S0(d) + (d & e | f & (d | e)) | 0
        t = b + S1(g) + (a ^ g & (h ^ a)) + K[i + 6] + W[i + 6] | 0; f = f + t | 0
        b = t + S0(c) + (c & d | e & (c | d)) | 0
        t = a + S1(f) + (h ^ f & (g ^ h)) + K[i + 7] + W[i + 7] | 0; e = e + t | 0
        a = t + S0(b) + (b & c | d & (b | c)) | 0
      }
      h0 = h0 + a | 0; h1 = h1 + b | 0; h2 = h2 + c | 0; h3 = h3 + d | 0
      h4 = h4 + e | 0; h5 = h5 + f | 0; h6 = h6 + g | 0; h7 = h7 + h | 0
    }
    this.state.set([h0, h1, h2, h3, h4, h5, h6, h7])
  }
}

const sha1 = new Sha1()
const sha256 = new Sha256()
const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')

// Room that every piece of every file uses again: two hashes that are missing, and the leaves of a piece.
const missing = new Uint8Array(64)
const group = new Uint8Array(512)

// Combines `count` hashes at `level` into the one `height` levels above; missing ones are roots of zero leaves.
// Overwrites `flat`, which has room for one more, and leaves the result at its beginning.
function fold (flat, count, level, height) {
  missing.fill(0)
  const up = () => sha256.update(missing).digest(missing).copyWithin(32, 0, 32)
  for (; level > 0; level--) up()
  for (; height > 0; height--) {
    if (count % 2) flat.set(missing.subarray(32), count++ * 32)
    count /= 2
    for (let i = 0; i < count; i++) sha256.update(flat, i * 64, i * 64 + 64).digest(flat, i * 32)
    up()
  }
}

const heightOver = count => Math.ceil(Math.log2(count))

// The hashes of a slice in parts of `step` bytes, one behind the other; the last part filled up with zeros if `padded`.
async function hashes (bytes, step, name, own, padded) {
  const length = own.state.length * 4
  const out = new Uint8Array(Math.ceil(bytes.length / step) * length)
  const asked = []
  for (let at = 0, to = 0; at < bytes.length; at += step, to += length) {
    let part = bytes.subarray(at, at + step)
    if (padded && part.length < step) {
      // What is asked of a browser has been copied when the call returns.
      filled.set(part)
      part = filled.fill(0, part.length)
    }
    if (subtle) asked.push(subtle.digest(name, part).then(hash => out.set(new Uint8Array(hash), to)))
    else own.update(part).digest(out, to)
  }
  await Promise.all(asked)
  return out
}

const filled = new Uint8Array(PIECE)

// Adds the leaves of a slice to the layer of its file, and the root when they were the last.
function grow (file, leaves) {
  const count = Math.ceil(file.size / PIECE)
  file.layer = file.layer || new Uint8Array(count * 32)
  for (let at = 0; at < leaves.length; at += 512) {
    const some = leaves.subarray(at, at + 512)
    group.set(some)
    const height = count === 1 ? heightOver(some.length / 32) : 4
    fold(group, some.length / 32, 0, height)
    file.layer.set(group.subarray(0, 32), file.done++ * 32)
  }
  if (file.done < count) return
  const all = new Uint8Array(count * 32 + 32)
  all.set(file.layer)
  fold(all, count, 4, heightOver(count))
  file.root = all.slice(0, 32)
}

// Bencode: what is written stands in the order of the calls.
class Bencode {
  constructor () { this.bytes = new Uint8Array(65536); this.length = 0 }
  raw (part) {
    const most = this.length + part.length * (typeof part === 'string' ? 3 : 1)
    if (most > this.bytes.length) {
      const larger = new Uint8Array(most * 2)
      larger.set(this.bytes)
      this.bytes = larger
    }
    if (typeof part !== 'string') {
      this.bytes.set(part, this.length)
      this.length += part.length
    } else {
      // Nearly all is ASCII, and so costs no object.
      let at = 0
      while (part.charCodeAt(at) < 128) this.bytes[this.length++] = part.charCodeAt(at++)
      if (at < part.length) this.length += utf8.encodeInto(part.slice(at), this.bytes.subarray(this.length)).written
    }
    return this
  }

  int (n) { return this.raw('i' + n + 'e') }
  text (part) {
    if (typeof part === 'string' && /[^\0-\x7f]/.test(part)) part = utf8.encode(part)
    return this.raw(part.length + ':').raw(part)
  }

  finish () { return this.bytes.slice(0, this.length) }
}

function compare (a, b) {
  const end = Math.min(a.length, b.length)
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}

function fileTree (out, files) {
  out.raw('d')
  let open = []
  for (const { path, size, root } of files) {
    const folders = path.slice(0, -1)
    let shared = 0
    while (shared < open.length && open[shared] === folders[shared]) shared++
    out.raw('e'.repeat(open.length - shared))
    for (const folder of folders.slice(shared)) out.text(folder).raw('d')
    open = folders
    out.text(path.at(-1)).raw('d0:d6:lengthi' + size + 'e')
    if (size) out.text('pieces root').text(root)
    out.raw('ee')
  }
  out.raw('e'.repeat(open.length + 1))
}

function info (job) {
  const out = new Bencode().raw('d').text('file tree')
  fileTree(out, job.files)
  if (job.single) {
    out.text('length').int(job.files[0].size)
  } else {
    out.text('files').raw('l')
    for (const { path, size } of job.files) {
      out.raw('d6:lengthi' + size + 'e4:pathl')
      path.forEach(part => out.text(part))
      out.raw('ee')
      const pad = job.padded ? (PIECE - size % PIECE) % PIECE : 0
      if (pad) out.raw('d4:attr1:p6:lengthi' + pad + 'e4:pathl4:.pad').text(String(pad)).raw('ee')
    }
    out.raw('e')
  }
  return out.raw('12:meta versioni2e').text('name').text(job.name).text('piece length').int(PIECE)
    .text('pieces').text(job.pieces).raw('e').finish()
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
  const id = hex(sha1.update(utf8.encode(name + size + hashes.join(''))).digest())
  const quoted = JSON.stringify
  const lines = [
    `"file_name": ${quoted(name)}`, `"file_size": ${size}`, `"chunk_size": ${CHUNK}`, `"num_chunks": ${hashes.length}`,
    `"chunk_hashes": [${hashes.map(hash => quoted(hash)).join(', ')}]`, `"file_id": "${id}"`
  ]
  return { id, text: '{\n  ' + lines.join(',\n  ') + '\n}\n' }
}

// Chunks need not fit slices, so their hash is always our own.
class Chunks {
  constructor () { this.hashes = []; this.hash = new Sha1() }
  add (bytes) {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(at + CHUNK - this.hash.length, bytes.length)
      this.hash.update(bytes, at, end)
      at = end
      if (this.hash.length === CHUNK) this.end()
    }
  }

  end () {
    if (this.hash.length) this.hashes.push(hex(this.hash.digest()))
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
    file.done = 0
    // In the order of these bytes: by names, not by whole paths.
    file.key = utf8.encode(file.path.join('\0'))
    const path = file.path.join('/')
    if (/\p{Surrogate}/u.test(path)) refuse(`The name of ${path} is not UTF-8. wl create --raw-names takes it.`)
    if (file.path.some(part => utf8.encode(part).length > 255)) refuse(`A name in ${path} is longer than 255 bytes.`)
    if (file.key.length > 4096) refuse(`A path is longer than 4096 bytes: ${path.slice(0, 80)} …`)
    if (file.path.length > 95) refuse('A folder lies more than 95 levels deep.')
    if (file.path.some(part => isControl.test(part) || part.includes('\\'))) warnings.add(`${path} will be renamed by downloaders.`)
    const key = path.normalize('NFC').toLowerCase()
    if (folded.has(key)) warnings.add(`${path} differs from another name by case or accents only: macOS and Windows take them for one.`)
    folded.add(key)
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) folders.add(path.slice(0, end))
  }
  job.files.sort((a, b) => compare(a.key, b.key))
  job.files.forEach(({ key, path }, i) => {
    const name = path.join('/')
    if (folders.has(name) || (i && !compare(job.files[i - 1].key, key))) refuse(`Two files would be called ${name}.`)
  })
  job.padded = job.files.length > 1
  job.size = job.files.reduce((sum, file) => sum + file.size, 0)
  const pieces = job.files.reduce((sum, file) => sum + Math.ceil(file.size / PIECE), 0)
  job.pieces = new Uint8Array(pieces * 20)
  if (!job.size) warnings.add('There is no data in it: other clients refuse such a torrent.')
  const hashed = job.padded ? pieces * PIECE : job.size
  if (hashed > 4 * job.size && hashed - job.size > 16777216) {
    warnings.add(`Padding makes the hashed data ${Math.round(hashed / job.size)} times the payload: wl create --piece-length auto does better.`)
  }
  job.warnings = warnings
}

// Chromium collects a stream that only its pending read knows, and the read never ends: here it is known.
let reading

// Reads into a buffer that is used again: otherwise browsers let megabytes pile up.
async function fill (blob, buffer) {
  let at = 0
  let reader
  try {
    reader = reading = blob.stream().getReader({ mode: 'byob' })
  } catch {
    const bytes = new Uint8Array(buffer, 0, blob.size)
    bytes.set(new Uint8Array(await blob.arrayBuffer()))
    return bytes
  }
  while (at < blob.size) {
    const { value, done } = await reader.read(new Uint8Array(buffer, at, blob.size - at))
    if (done) break
    buffer = value.buffer
    at += value.length
  }
  // Browsers run out of what they read with, unless it is given back.
  reader.cancel()
  return new Uint8Array(buffer, 0, at)
}

function * slices (files) {
  for (const file of files) {
    for (let at = 0; at < file.size; at += SLICE) yield { file, blob: file.file.slice(at, at + SLICE) }
  }
}

// Each call of the browser's own SHA leaves about a kilobyte behind, which Chromium alone would collect after gigabytes:
// it looks when large buffers come and go. Nobody writes to this one, so it takes no memory.
function collect () {
  try { return new ArrayBuffer(67108864) } catch { return null }
}

// Free to be read into.
const buffers = []
let cancelled = 0

async function make (job) {
  prepare(job)
  const name = job.files[0].path[0]
  const chunks = job.single && job.size <= IDT_MAX && name.length && !isControl.test(name) && !/[/\\]/.test(name) ? new Chunks() : null
  const left = slices(job.files)
  const begin = () => {
    const slice = left.next().value
    if (!slice) return null
    slice.read = fill(slice.blob, buffers.pop() || new ArrayBuffer(SLICE))
    slice.read.catch(() => {})
    return slice
  }
  let [done, hashed, told, garbage] = [0, 0, 0, 0]
  for (let now = begin(), ahead; now; now = ahead) {
    const path = now.file.path.join('/')
    const bytes = await now.read.catch(() => {
      throw new Error(`${path} cannot be read. It may have changed since you chose it, or not be yours to read.`)
    })
    if (cancelled >= job.id) return
    if (bytes.length !== now.blob.size) throw new Error(`${path} changed while it was hashed.`)
    // Read while this one is hashed.
    ahead = begin()
    const [v1, leaves] = await Promise.all([hashes(bytes, PIECE, 'SHA-1', sha1, job.padded), hashes(bytes, BLOCK, 'SHA-256', sha256)])
    job.pieces.set(v1, hashed)
    hashed += v1.length
    grow(now.file, leaves)
    if (chunks) chunks.add(bytes)
    buffers.push(bytes.buffer)
    done += bytes.length
    garbage += 16 + v1.length / 20 + leaves.length / 32
    if (garbage > COLLECT) {
      garbage = 0
      collect()
    }
    if (Date.now() - told > 100) {
      told = Date.now()
      postMessage({ id: job.id, type: 'progress', done, total: job.size })
      // Lets a message be read: our own functions never wait.
      await new Promise(resolve => setTimeout(resolve))
    }
  }
  if (cancelled >= job.id) return
  collect()
  const dictionary = info(job)
  const file = torrent(job, dictionary)
  const pieces = job.pieces.length / 20
  if (pieces > 2097152 || file.length > 1e7) job.warnings.add('Some clients refuse torrents this large; wl create makes smaller ones with a larger --piece-length.')
  if (chunks) chunks.end()
  postMessage({
    id: job.id,
    type: 'made',
    torrent: file.buffer,
    v1: hex(sha1.update(dictionary).digest()),
    v2: hex(sha256.update(dictionary).digest()),
    size: job.size,
    count: job.files.length,
    pieces,
    idt: chunks && idtorrent(name, job.size, chunks.hashes),
    warnings: [...job.warnings]
  }, [file.buffer])
}

onmessage = ({ data }) => {
  if (data.cancel) cancelled = data.cancel
  else make(data).catch(error => postMessage({ id: data.id, type: 'failed', words: error.message }))
}
