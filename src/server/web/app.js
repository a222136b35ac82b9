// The page at `/`. The server renders searches and entries; this moves between them without loading everything again,
// hands files to the worker that hashes them, registers what came out, and draws how the daemon is doing.
'use strict'

const $ = id => document.getElementById(id)
const root = document.documentElement
const browse = $('browse')
// The page may lie below a path of its host, so every address in it is relative.
const tracker = document.body.dataset.public || new URL('.', location).href.slice(0, -1)

// An element; what a person wrote only ever becomes text or a property.
function el (tag, props, ...children) {
  const svg = ['svg', 'path'].includes(tag)
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag)
  for (const [name, value] of Object.entries(props || {})) node.setAttribute(name, value)
  node.append(...children)
  return node
}

function size (bytes) {
  if (bytes < 1024) return bytes + ' B'
  let value = bytes / 1024
  const units = ['KB', 'MB', 'GB', 'TB', 'PB']
  while (value >= 1023.95) { value /= 1024; units.shift() }
  return value.toFixed(1) + ' ' + units[0]
}

const count = n => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, '\u202f')
const many = (n, one) => `${count(n)} ${one}${n === 1 ? '' : 's'}`
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
function say (words) { $('say').textContent = words }

// Asks again while the answer is to come back later.
async function patiently (ask) {
  for (let tries = 0; ; tries++) {
    const answer = await ask()
    if (answer.status !== 429 || tries === 4) return answer
    await pause(1000)
  }
}

function span (seconds) {
  if (seconds < 60) return Math.max(1, Math.round(seconds)) + ' s'
  if (seconds < 3600) return Math.round(seconds / 60) + ' min'
  if (seconds < 172800) return (seconds / 3600).toFixed(1) + ' h'
  return Math.round(seconds / 86400) + ' days'
}

// ---- copying ----

// Browsers give the clipboard to https and localhost only; elsewhere the old way still works.
async function copy (text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = el('textarea', { class: 'visually-hidden', readonly: '' }, text)
  document.body.append(area)
  area.select()
  const done = document.execCommand('copy')
  area.remove()
  if (!done) throw new Error()
}

function addCopyButtons (within) {
  for (const code of within.querySelectorAll('code[data-copy]')) {
    code.removeAttribute('data-copy')
    const of = code.closest('dd')?.previousElementSibling?.textContent || 'command'
    const button = el('button', { type: 'button', class: 'quiet', 'aria-label': 'Copy ' + of }, 'Copy')
    button.addEventListener('click', async () => {
      try {
        await copy(code.textContent)
        button.textContent = 'Copied'
        say('Copied')
      } catch {
        getSelection().selectAllChildren(code)
        button.textContent = 'Press Ctrl+C'
      }
      setTimeout(() => { button.textContent = 'Copy' }, 1600)
    })
    const box = el('span', { class: 'copyable' })
    code.replaceWith(box)
    box.append(code, button)
  }
}

// ---- moving about ----

const here = () => location.pathname + location.search
let shown = here()
let asked = 0

function load (url) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('GET', url)
    request.responseType = 'document'
    request.setRequestHeader('Accept', 'text/html')
    request.onload = () => request.response?.getElementById('browse') ? resolve({ status: request.status, page: request.response }) : reject(request)
    request.onerror = reject
    request.send()
  })
}

// The form stays as it is while somebody types in it.
function show (page, typing) {
  const fresh = page.getElementById('browse')
  if (typing) {
    const form = browse.querySelector('.search')
    while (form.nextSibling) form.nextSibling.remove()
    fresh.querySelector('.search')?.remove()
    browse.append(...fresh.childNodes)
  } else {
    browse.replaceChildren(...fresh.childNodes)
  }
  document.title = page.title
  enhance()
}

async function go (url, typing) {
  const mine = ++asked
  browse.setAttribute('aria-busy', 'true')
  try {
    const answer = await patiently(() => load(url))
    if (mine !== asked) return
    shown = url
    show(answer.page, typing)
    const heading = browse.querySelector('h1')
    say(heading.textContent)
    if (!typing) {
      heading.tabIndex = -1
      heading.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
  } catch {
    if (mine === asked) notice('The tracker does not answer. Check your connection and try again; sharing works without it up to registering.')
  }
  if (mine === asked) browse.removeAttribute('aria-busy')
}

function notice (words) {
  browse.querySelector('.card.problem')?.remove()
  browse.prepend(el('p', { class: 'card problem', role: 'alert' }, words))
}

function view () {
  const wanted = location.hash.slice(1)
  const to = ['share', 'status'].includes(wanted) ? wanted : 'browse'
  root.dataset.view = to
  for (const link of document.querySelectorAll('header [data-to]')) {
    if (link.dataset.to === to) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
  if (to === 'status') poll()
}

function move (url) {
  history.pushState(null, '', url)
  view()
  if (here() !== shown) go(here())
}

document.addEventListener('click', event => {
  const link = event.target.closest('a')
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || link.download) return
  if (link.origin !== location.origin || link.pathname !== location.pathname || link.hash) return
  event.preventDefault()
  // A link to what is on the screen asks for it anew.
  if (link.href === location.href) go(here())
  else move(link.pathname + link.search)
})

addEventListener('popstate', () => {
  view()
  if (here() !== shown) go(here())
})

function searchUrl (form) {
  const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === 'sort' && value === 'created_at')))
  return location.pathname + (query.size ? '?' + query : '')
}

browse.addEventListener('submit', event => {
  event.preventDefault()
  move(searchUrl(event.target))
})

let typed
browse.addEventListener('input', event => {
  const form = event.target.form
  clearTimeout(typed)
  typed = setTimeout(() => {
    const url = searchUrl(form)
    if (url === shown) return
    history.replaceState(null, '', url)
    go(url, true)
  }, event.target.name === 'q' ? 300 : 0)
})

document.addEventListener('keydown', event => {
  if (event.key !== '/' || event.target.closest('input, textarea, select')) return
  const input = root.dataset.view === 'browse' && browse.querySelector('input[type=search]')
  if (input) {
    event.preventDefault()
    input.select()
  }
})

// Swarms change while one looks.
setInterval(async () => {
  if (document.hidden || root.dataset.view !== 'browse' || !browse.querySelector('[data-live]')) return
  const of = shown
  const answer = await load(of).catch(() => null)
  if (!answer || answer.status !== 200 || of !== shown) return
  const fresh = new Map([...answer.page.querySelectorAll('[data-live]')].map(node => [node.dataset.live, node]))
  for (const old of browse.querySelectorAll('[data-live]')) {
    const now = fresh.get(old.dataset.live)
    if (now && now.textContent !== old.textContent) old.replaceChildren(...now.childNodes)
  }
}, 20000)

// ---- an entry ----

function enhance () {
  addCopyButtons(browse)
  const entry = browse.querySelector('article.entry')
  if (entry && entry.dataset.file === '1') files(entry).catch(() => {})
}

const LIST_BYTES_MAX = 8e6
const ROWS_MAX = 200

async function files (entry) {
  const box = el('div', { class: 'files' }, el('h2', null, 'Files'))
  const answer = await patiently(() => fetch('api/registry/meta?info_hash=' + encodeURIComponent(entry.dataset.hash)))
  if (!answer.ok) return
  if (Number(answer.headers.get('Content-Length')) > LIST_BYTES_MAX) {
    answer.body.cancel()
    box.append(el('p', { class: 'dim' }, 'More files than a page can list. wl show --files lists them all.'))
    return entry.append(box)
  }
  const meta = await answer.json()
  const top = new Map()
  for (const { path, length } of meta.files) {
    let folder = top
    const parts = path.split('/')
    for (const part of parts.slice(0, -1)) {
      if (!(folder.get(part) instanceof Map)) folder.set(part, new Map())
      folder = folder.get(part)
    }
    folder.set(parts.at(-1), length)
  }
  box.append(
    el('p', { class: 'dim' }, `${many(meta.files.length, 'file')}, ${many(meta.piece_count, entry.dataset.kind === 'torrent' ? 'piece' : 'chunk')} of ${size(meta.piece_length).replace('.0 ', ' ')}`),
    folderList(top))
  entry.append(box)
}

const sum = folder => [...folder.values()].reduce((total, item) => total + (item instanceof Map ? sum(item) : item), 0)

// Folders are filled when they are opened.
function folderList (folder) {
  const list = el('ul')
  const rows = [...folder]
  const more = () => {
    for (const [name, item] of rows.splice(0, ROWS_MAX)) list.append(el('li', null, fileRow(name, item)))
    if (!rows.length) return
    const button = el('button', { type: 'button', class: 'quiet' }, `Show more of the other ${count(rows.length)}`)
    const last = el('li', null, button)
    button.addEventListener('click', () => { last.remove(); more() })
    list.append(last)
  }
  more()
  return list
}

function fileRow (name, item) {
  if (!(item instanceof Map)) return el('span', { class: 'leaf' }, el('span', null, name), el('span', null, size(item)))
  const row = el('details', null, el('summary', null, name, el('span', null, ` · ${many(item.size, 'item')}, ${size(sum(item))}`)))
  row.addEventListener('toggle', () => row.append(folderList(item)), { once: true })
  return row
}

// ---- sharing ----

const policy = self.trustedTypes?.createPolicy('weightless', { createScriptURL: url => url === 'web/worker.js' ? url : '' })
// Started at once, so that files can be hashed when there is no connection any more.
const worker = new Worker(policy ? policy.createScriptURL('web/worker.js') : 'web/worker.js')
const LARGE = 4 * 2 ** 30
let job = { id: 0 }
let made

function stage (name) {
  for (const id of ['drop', 'several', 'hashing', 'failed', 'made']) $(id).hidden = id !== name
}

function fail (words) {
  stage('failed')
  $('failed').firstElementChild.textContent = words
}

function again () {
  worker.postMessage({ cancel: job.id })
  job = { id: job.id + 1 }
  made = null
  for (const id of ['get-torrent', 'get-idt']) {
    URL.revokeObjectURL($(id).href)
    $(id).removeAttribute('href')
  }
  $('files').value = $('folder').value = ''
  stage('drop')
}

// All files below what was dropped, as [{path: [name, ...], file}].
async function walk (entry, path, found) {
  if (entry.isFile) {
    found.push({ path: [...path, entry.name], file: await new Promise((resolve, reject) => entry.file(resolve, reject)) })
    if (found.length % 500 === 0) $('pace').textContent = `Looking through the folder: ${many(found.length, 'file')} so far …`
    return
  }
  const reader = entry.createReader()
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
    if (!some.length) return
    for (const each of some) await walk(each, [...path, entry.name], found)
  }
}

async function dropped (event) {
  // What was dropped can be asked for only before this returns for the first time.
  const entries = [...event.dataTransfer.items].map(item => item.kind === 'file' && item.webkitGetAsEntry()).filter(Boolean)
  if (!entries.length) return
  if (root.dataset.view !== 'share') move(here() + '#share')
  again()
  const mine = job.id
  $('hashing-name').textContent = entries[0].name
  $('bar').removeAttribute('value')
  $('pace').textContent = 'Looking …'
  stage('hashing')
  const found = []
  try {
    for (const entry of entries) await walk(entry, [], found)
  } catch (error) {
    if (mine === job.id) fail(`Something in there cannot be read: ${error.message || error.name}`)
    return
  }
  if (mine !== job.id) return
  if (entries.length > 1) return consider(found, null)
  if (entries[0].isFile) return consider(found, entries[0].name, true)
  consider(found.map(({ path, file }) => ({ path: path.slice(1), file })), entries[0].name)
}

// Asks what has to be asked before hashing: a name for loose files, patience for large ones.
function consider (files, name, single) {
  const total = files.reduce((sum, { file }) => sum + file.size, 0)
  const ready = { files, name, single: Boolean(single), total }
  if (name !== null && total <= LARGE) return hash(ready)
  const form = $('several')
  const loose = name === null
  form.querySelector('h2').textContent = loose ? 'Several files, one folder' : name
  const slow = total > LARGE ? ` That is a lot for a page: it may take long, and wl create is many times faster.` : ''
  $('several-what').textContent = `${many(files.length, 'file')}, ${size(total)}.${slow}`
  form.querySelector('label').hidden = !loose
  form.elements.name.disabled = !loose
  form.onsubmit = event => {
    event.preventDefault()
    const given = form.elements.name.value.trim()
    if (loose && (/[/\\\u0000-\u001f]/.test(given) || ['', '.', '..'].includes(given))) return form.elements.name.focus()
    hash(loose ? { ...ready, name: given } : ready)
  }
  stage('several')
  if (loose) form.elements.name.select()
}

function hash ({ files, name, single, total }) {
  job = { id: job.id + 1, name, single, total, since: performance.now() }
  $('hashing-name').textContent = name
  $('bar').value = 0
  $('pace').textContent = 'Reading …'
  stage('hashing')
  $('cancel').focus()
  worker.postMessage({ id: job.id, files, name, single, announce: tracker + '/announce' })
}

worker.onmessage = ({ data }) => {
  if (data.id !== job.id) return
  if (data.type === 'failed') return fail(data.words)
  if (data.type === 'made') return finish(data)
  const seconds = (performance.now() - job.since) / 1000
  const rate = data.done / seconds
  $('bar').value = data.done / data.total
  $('pace').textContent = `${size(data.done)} of ${size(data.total)} · ${size(rate)}/s · ${span((data.total - data.done) / rate)} left`
}
worker.onerror = event => { event.preventDefault(); if (job.name) fail('The part of this page that hashes could not be started. Load the page again.') }

const encoded = text => encodeURIComponent(text).replace(/[!'()*]/g, c => '%' + c.charCodeAt(0).toString(16).toUpperCase())
const quoted = text => {
  const safe = text.startsWith('-') ? './' + text : text
  return /^[\w.@%+=:,/-]+$/.test(safe) ? safe : `'${safe.replace(/'/g, "'\\''")}'`
}

function offer (link, blob, name) {
  link.href = URL.createObjectURL(blob)
  link.download = name
}

function finish (data) {
  made = { ...data, name: job.name }
  if (document.body.dataset.passkey) data.warnings.push('This tracker wants a passkey of every client: seed with wl seed --user-id, or put yours behind /announce/ in the tracker’s address.')
  const fileName = job.name.replace(/[/\\\u0000-\u001f\u007f-\u009f]/g, '_')
  $('made-name').textContent = job.name
  $('made-what').textContent = `${many(data.count, 'file')}, ${size(data.size)}, ${many(data.pieces, 'piece')} of 256 KB`
  $('warnings').replaceChildren(...data.warnings.map(words => el('li', null, words)))
  offer($('get-torrent'), new Blob([data.torrent], { type: 'application/x-bittorrent' }), fileName + '.torrent')
  $('get-idt').hidden = !data.idt
  for (const node of document.querySelectorAll('[data-idt]')) node.hidden = !data.idt
  if (data.idt) {
    offer($('get-idt'), new Blob([data.idt.text], { type: 'application/json' }), fileName + '.idtorrent')
    $('made-id').textContent = data.idt.id
  }
  $('made-magnet').textContent = `magnet:?xt=urn:btih:${data.v1}&xt=urn:btmh:1220${data.v2}&dn=${encoded(job.name)}&tr=${encoded(tracker + '/announce')}`
  $('made-v1').textContent = data.v1
  $('made-v2').textContent = data.v2
  $('made-seed').textContent = `wl seed ${quoted(fileName + '.torrent')} ${quoted(job.name)}`
  const form = $('register')
  for (const name of FIELDS) form.elements[name].defaultValue = name === 'name' ? job.name : ''
  form.reset()
  $('known').hidden = true
  fillIn(made).catch(() => {})
  answer()
  form.querySelector('.buttons').hidden = false
  stage('made')
  $('made-name').focus()
}

// ---- registering ----

let key = ''

function askForKey (wrong) {
  const dialog = $('key')
  const form = dialog.firstElementChild
  if (wrong) $('key-why').textContent = 'The tracker did not accept that key. Check it for missing or extra characters; it is case-sensitive.'
  form.reset()
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise(resolve => {
    dialog.onclose = () => {
      key = dialog.returnValue === 'ok' ? form.elements.key.value : ''
      form.reset()
      resolve(Boolean(key))
    }
  })
}

// Base64 in parts that need no long string.
function base64 (bytes) {
  const parts = []
  for (let at = 0; at < bytes.length; at += 24576) parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + 24576))))
  return parts
}

// What is registered under a hash; nothing if nothing is.
async function registered (hash) {
  const reply = await patiently(() => fetch('api/registry?info_hash=' + hash))
  if (reply.ok) return reply.json()
  if (reply.status !== 404) throw await outcome(reply)
}

const outcome = async reply => ({ status: reply.status, words: await reply.json().then(json => json.error || '', () => '') })
const FIELDS = ['name', 'description', 'publisher', 'license', 'category', 'tags']

// What stands in the form; an entry's own words in the fields that nobody has touched.
function merged (entry) {
  const { elements } = $('register')
  return Object.fromEntries(FIELDS.map(name => {
    const { value, defaultValue } = elements[name]
    return [name, entry && value === defaultValue ? entry[name] || '' : value.trim()]
  }))
}

// Registering replaces all of an entry, so what is there already goes into every field that nobody has touched.
async function fillIn (mine) {
  if (mine.known) return
  const entry = await registered(mine.v2)
  if (mine !== made || mine.known) return
  mine.known = entry || {}
  if (!entry) return
  const { elements } = $('register')
  const values = merged(entry)
  for (const name of FIELDS) {
    elements[name].defaultValue = entry[name] || ''
    elements[name].value = values[name]
  }
  $('known').hidden = false
}

async function post (fields, data, bytes) {
  const body = new Blob([JSON.stringify(fields).slice(0, -1), `,"${data}":"`, ...base64(bytes), '"}'], { type: 'application/json' })
  for (let wrong = false; ; wrong = true) {
    const headers = key ? { 'X-Weightless-Key': key } : {}
    const reply = await fetch('api/registry', { method: 'POST', body, headers })
    if (reply.status === 401 && await askForKey(wrong && key !== '')) continue
    return outcome(reply)
  }
}

function meaning (status, words) {
  switch (status) {
    case 0: return 'The tracker does not answer. Your files are saved below all the same: try again when you are connected.'
    case 400: return 'The tracker cannot use one of the fields.'
    case 401: return 'Not registered: this tracker wants its key, and none was given.'
    case 403: return /blocked/.test(words)
      ? 'The operator of this tracker has taken this content down and blocked it. It cannot be registered here.'
      : 'This tracker does not take registrations from the address this page was opened at. Its operator can name that address in PUBLIC_URL, or set REGISTRY_KEY.'
    case 408: return 'Your connection was too slow to hand over the .torrent. Try again.'
    case 409: return 'Another entry of this registry already holds one of these info hashes.'
    case 413: return 'The .torrent is larger than this tracker takes. A larger piece length makes it smaller: wl create --piece-length auto.'
    case 422: return 'The tracker’s own look at the .torrent gave other hashes. Something between this page and the tracker has changed it; make it again.'
    case 429: return 'Too many requests came from your address. Wait a few seconds, then try again.'
    case 503: return 'The tracker cannot store anything right now: its database is busy, or its disk is full. Try again in a while.'
    default: return 'The tracker could not register it.'
  }
}

function answer (words, detail, good) {
  const box = $('answer')
  box.className = words && !good ? 'problem' : ''
  box.replaceChildren(...(words ? [words] : []), ...(detail ? [el('small', null, detail)] : []))
}

$('register').addEventListener('submit', async event => {
  event.preventDefault()
  const form = event.target
  const button = form.querySelector('.buttons button')
  const mine = made
  button.disabled = true
  answer('Registering …', '', true)
  let problem
  try {
    await fillIn(mine)
    let reply = await post({ info_hash: mine.v2, v1_info_hash: mine.v1, size: mine.size, ...merged() }, 'torrent_data', new Uint8Array(mine.torrent))
    if (reply.status === 201 && mine.idt && form.elements.idt.checked) {
      const fields = merged(await registered(mine.idt.id))
      reply = await post({ info_hash: mine.idt.id, size: mine.size, ...fields }, 'idt_data', new TextEncoder().encode(mine.idt.text))
      if (reply.status !== 201) reply.words = `The .torrent is registered, the .idtorrent is not: ${reply.words}`
    }
    if (reply.status !== 201) problem = reply
  } catch (error) {
    problem = error.status ? error : { status: 0, words: '' }
  }
  button.disabled = false
  if (mine !== made) return
  if (problem) return answer(meaning(problem.status, problem.words), problem.status ? `${problem.status}: ${problem.words}` : '')
  answer('Registered. ', '', true)
  $('answer').append(el('a', { href: './?info_hash=' + mine.v2 }, 'See its entry'))
  form.querySelector('.buttons').hidden = true
})

// ---- what starts sharing ----

$('pick-files').addEventListener('click', () => $('files').click())
$('pick-folder').addEventListener('click', () => $('folder').click())
$('files').addEventListener('change', event => {
  const chosen = [...event.target.files].map(file => ({ path: [file.name], file }))
  if (chosen.length) consider(chosen, chosen.length > 1 ? null : chosen[0].path[0], chosen.length === 1)
})
$('folder').addEventListener('change', event => {
  const chosen = [...event.target.files]
  if (!chosen.length) return fail('There are no files in that folder.')
  const name = chosen[0].webkitRelativePath.split('/')[0]
  consider(chosen.map(file => ({ path: file.webkitRelativePath.split('/').slice(1), file })), name)
})
$('cancel').addEventListener('click', again)
for (const button of document.querySelectorAll('[data-again]')) button.addEventListener('click', again)

let inside = 0
const hasFiles = event => [...event.dataTransfer?.types || []].includes('Files')
addEventListener('dragenter', event => { if (hasFiles(event)) { inside++; $('drop').classList.add('over') } })
addEventListener('dragleave', event => { if (hasFiles(event) && --inside <= 0) $('drop').classList.remove('over') })
addEventListener('dragover', event => { if (hasFiles(event)) event.preventDefault() })
addEventListener('drop', event => {
  if (!hasFiles(event)) return
  event.preventDefault()
  inside = 0
  $('drop').classList.remove('over')
  dropped(event)
})

// ---- status ----

const EVERY = 2000
const POINTS = 150
const history_ = []
let polling = false
const rate = (now, before, name) => before ? Math.max(0, now[name] - before[name]) / (now.at - before.at) * 1000 : NaN
const PLOTS = [
  ['Peers', n => n.tracker_active_peers, count, n => many(n.tracker_seeders || 0, 'seeder')],
  ['Announces/s', (n, b) => rate(n, b, 'tracker_announces_total'), n => n < 10 ? n.toFixed(1) : count(n), n => `${count(n.tracker_announces_total)} in all`],
  ['Torrents', n => n.tracker_registered_torrents, count, n => many(n.tracker_swarms_total, 'swarm')],
  ['Traffic', (n, b) => rate(n, b, 'tracker_received_bytes_total') + rate(n, b, 'tracker_sent_bytes_total'), n => size(Math.round(n)) + '/s', () => 'in and out'],
  ['Memory', n => n.process_resident_memory_bytes, size, () => 'resident'],
  ['Processor', (n, b) => rate(n, b, 'process_cpu_seconds_total') * 100, n => n.toFixed(1) + ' %', () => 'of one core']
]

// Numbers by name; series of one name are added up.
function metrics (text) {
  const sums = { at: performance.now(), version: text.match(/tracker_build_info{version="([^"]*)"/)?.[1] }
  for (const [, name, labels, value] of text.matchAll(/^([a-z]\w*)({.*})? (\S+)$/gm)) {
    if (name.endsWith('_bucket')) continue
    sums[name] = (sums[name] || 0) + Number(value)
    if (labels?.includes('result="limited"')) sums.limited = (sums.limited || 0) + Number(value)
  }
  return sums
}

function plot (values, words) {
  const known = values.filter(Number.isFinite)
  const top = Math.max(...known, 1e-9) * 1.15
  // The first half minute fills the picture, later it is pushed on.
  const wide = Math.max(values.length, POINTS / 10)
  const points = values.map((value, i) => Number.isFinite(value) && [(wide - values.length + i) / (wide - 1) * 100, 40 - value / top * 38]).filter(Boolean)
  const picture = el('svg', { viewBox: '0 0 100 40', preserveAspectRatio: 'none', role: 'img', 'aria-label': words })
  if (points.length > 1) {
    const line = 'M' + points.map(([x, y]) => x.toFixed(2) + ' ' + y.toFixed(2)).join('L')
    picture.append(el('path', { class: 'area', d: `${line}L100 40L${points[0][0].toFixed(2)} 40Z` }), el('path', { class: 'line', d: line }))
  }
  return picture
}

function draw () {
  const now = history_.at(-1)
  const plots = PLOTS.map(([title, of, format, more]) => {
    const values = history_.map((point, i) => of(point, history_[i - 1]))
    const last = values.at(-1)
    const known = values.filter(Number.isFinite)
    const words = known.length ? `${title} over the last ${span(history_.length * EVERY / 1000)}: lowest ${format(Math.min(...known))}, highest ${format(Math.max(...known))}` : title
    return el('div', { class: 'plot' }, el('h2', null, title),
      el('p', null, Number.isFinite(last) ? format(last) : '…', ' ', el('small', null, more(now))), plot(values, words))
  })
  const turn = now.tracker_loop_latency_seconds_sum / now.tracker_loop_latency_seconds_count
  const facts = [
    ['Version', now.version],
    ['Up for', span(Date.now() / 1000 - now.process_start_time_seconds)],
    ['Connections', count(now.tracker_connections)],
    ['Downloads completed', count(now.tracker_completions_total)],
    ['Blocked hashes', count(now.tracker_blocklist_entries)],
    ['Requests over the limit', count(now.limited || 0)],
    ['A turn of the loop', turn ? `${(turn * 1e6).toFixed(0)} µs on average` : '…'],
    ['Last snapshot', `${span(now.tracker_snapshot_age_seconds)} ago`],
    ['Waiting for the database', count(now.tracker_store_queue)],
    ['Database failures', count(now.tracker_store_errors_total)]
  ]
  const list = el('dl', { class: 'facts' })
  for (const [name, value] of facts) list.append(el('dt', null, name), el('dd', null, value ?? '…'))
  $('status-app').replaceChildren(el('div', { class: 'plots' }, ...plots), list)
}

async function poll () {
  if (polling) return
  polling = true
  while (root.dataset.view === 'status') {
    if (!document.hidden) {
      let words = 'How this tracker is doing, every two seconds.'
      try {
        const reply = await fetch('metrics')
        if (!reply.ok) throw new Error()
        history_.push(metrics(await reply.text()))
        if (history_.length > POINTS) history_.shift()
        draw()
        $('status-app').className = ''
      } catch {
        words = 'The tracker does not answer. Trying again …'
        $('status-app').className = 'stale'
      }
      $('status').querySelector('.lead').textContent = words
    }
    await pause(EVERY)
  }
  polling = false
}

root.classList.add('js')
$('share-app').hidden = $('status-app').hidden = false
addCopyButtons($('share'))
enhance()
view()
