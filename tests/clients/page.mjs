// Drives the page at `/` in headless Chromium, by playwright-core.
// usage: node page.mjs SCENARIO JSON
// NODE_MODULES names the folder where playwright-core is installed, CHROMIUM the browser.
// Writes one JSON object on stdout; ends with 1 and says why if something is not as it should be. Every scenario also
// fails if the page violates its policy, logs an error, or asks anything of anybody but its tracker.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { readFileSync, writeFileSync } from 'node:fs'

const { chromium } = createRequire(process.env.NODE_MODULES + '/')('playwright-core')
const [scenario, json] = process.argv.slice(2)
const given = JSON.parse(json)
// A name that is not localhost is not trusted by browsers: crypto.subtle and the clipboard are absent there.
const plain = given.base.replace('127.0.0.1', 'tracker.test')

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP tracker.test 127.0.0.1']
})

const wrong = []
// What a browser logs of itself when an answer is an error; scenarios that cause errors look at what the page says.
const statusLine = /^Failed to load resource: the server responded with a status of/

async function open (url, options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, ...options })
  await context.addInitScript(() => addEventListener('securitypolicyviolation', event => console.error('violates ' + event.violatedDirective)))
  const page = await context.newPage()
  page.setDefaultTimeout(40000)
  page.on('console', message => {
    if (message.type() === 'error' && !statusLine.test(message.text()) && !/ERR_INTERNET_DISCONNECTED/.test(message.text())) wrong.push(message.text())
  })
  page.on('pageerror', error => wrong.push(String(error)))
  page.on('request', request => {
    const to = request.url()
    if (!to.startsWith(given.base) && !to.startsWith(plain) && !to.startsWith('blob:')) wrong.push('asks ' + to)
  })
  await page.goto(url)
  return page
}

const text = (page, selector) => page.locator(selector).innerText()
const made = page => page.waitForSelector('#made:not([hidden]), #failed:not([hidden])')

// Saves what a link offers, and reads it. Chromium on a busy machine was once seen to begin no download at a click: like a
// person, this clicks once more.
async function saved (page, selector) {
  const clicked = timeout => Promise.all([page.waitForEvent('download', { timeout }), page.click(selector)])
  const [download] = await clicked(20000).catch(() => clicked(40000))
  return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()).toString('base64') }
}

// A real drop of real files, as the mouse would do it.
async function drop (page, paths) {
  const cdp = await page.context().newCDPSession(page)
  const { x, y, width, height } = await page.locator('#drop').boundingBox()
  const at = { x: x + width / 2, y: y + height / 2, data: { items: [], files: paths, dragOperationsMask: 1 } }
  for (const type of ['dragEnter', 'dragOver', 'drop']) await cdp.send('Input.dispatchDragEvent', { type, ...at })
  await made(page)
}

async function result (page) {
  assert.equal(await page.isVisible('#failed'), false, await page.locator('#failed p').first().textContent())
  const found = {}
  for (const id of ['v1', 'v2', 'magnet', 'seed', 'what', 'id']) found[id] = await page.locator('#made-' + id).textContent()
  found.warnings = await page.locator('#warnings li').allTextContents()
  found.torrent = await saved(page, '#get-torrent')
  if (await page.isVisible('#get-idt')) found.idt = await saved(page, '#get-idt')
  return found
}

const again = page => page.click('#made [data-again]')

async function submit (page, name) {
  await page.fill('#register [name=name]', name)
  await page.click('#register .buttons button')
}

const told = async page => {
  await page.waitForFunction(() => !/^(Registering|$)/.test(document.querySelector('#answer').textContent))
  return text(page, '#answer')
}

const scenarios = {
  // Searching and browsing, with a mouse and with keys.
  async browse () {
    const page = await open(given.base + '/')
    assert.equal(await page.locator('.entries li').count(), 25)
    assert.equal(await text(page, '.found h1'), '31 entries')
    await page.click('a[rel=next]')
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 6)
    assert.match(page.url(), /offset=25/)
    await page.goBack()
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 25)

    // Typing searches, and leaves the caret where it is.
    await page.keyboard.press('/')
    await page.keyboard.type('NUMBER 2', { delay: 30 })
    await page.waitForFunction(() => document.querySelector('.found h1').textContent === '10 entries')
    assert.match(page.url(), /q=NUMBER/)
    assert.equal(await page.evaluate(() => document.activeElement.value), 'NUMBER 2')
    await page.fill('input[type=search]', 'no such thing')
    await page.waitForSelector('.empty')
    assert.equal(await text(page, '.found h1'), 'No match')

    // What was registered stays text.
    await page.fill('input[type=search]', '<img')
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 1)
    assert.match(await text(page, '.entries h2'), /<img src=x onerror=alert\(1\)>/)
    assert.equal(await page.locator('.entries img, .entries script').count(), 0)

    // A category, the order, and out again.
    await page.goto(given.base + '/')
    await page.locator('.facts a', { hasText: /^even$/ }).first().click()
    await page.waitForSelector('.filters')
    assert.equal(await text(page, '.found h1'), '15 entries')
    await page.selectOption('select', 'seeders')
    await page.waitForFunction(() => location.search.includes('sort=seeders'))
    await page.waitForFunction(() => document.querySelector('.entries h2').innerText === 'number 4')
    assert.match(await text(page, '.entries li:first-child .live'), /1 seeder\b/)
    await page.click('.filters a')
    await page.waitForFunction(() => !document.querySelector('.filters'))
    assert.match(await text(page, '.entries li:first-child .live'), /1 seeder\b/)

    // An entry with its files.
    await page.locator('.entries h2 a', { hasText: 'tree' }).first().click()
    await page.waitForSelector('.files summary')
    assert.equal(await text(page, 'h1:visible'), 'tree')
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'a screen reader is told')
    assert.match(await page.title(), /^tree/)
    await page.click('.files summary')
    await page.waitForFunction(() => document.querySelectorAll('.files .leaf').length === 6)
    const rows = await page.locator('.files .leaf').allInnerTexts()
    assert.deepEqual(rows.map(row => row.split(/\s*\n\s*/)), [['b.bin', '19.5 KB'], ['empty', '0 B'], ['a.txt', '5 B'], ['z.bin', '3 B'], ['é.bin', '16.0 KB'], ['日本.bin', '256.0 KB']])
    assert.match(await text(page, '.entry dl.facts'), /not signed/)
    const magnet = await page.locator('a', { hasText: 'magnet' }).getAttribute('href')
    const torrent = await saved(page, 'a[download]')

    // Copying, where the browser lets a page do it and where it does not.
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.click('[aria-label="Copy Info hash, v2"]')
    await page.waitForSelector('text=Copied')
    const copied = await page.evaluate(() => navigator.clipboard.readText())
    const foreign = await open(plain + '/?info_hash=' + given.tree)
    assert.equal(await foreign.evaluate(() => Boolean(navigator.clipboard)), false)
    await foreign.click('[aria-label="Copy Info hash, v1"]')
    await foreign.waitForSelector('text=Copied')

    // Nothing under this hash.
    const lost = await open(given.base + '/?info_hash=' + 'ab'.repeat(20))
    assert.equal(await text(lost, 'h1:visible'), 'Not found')
    return { magnet, torrent, copied }
  },

  // The same without scripts.
  async noscript () {
    const page = await open(given.base + '/', { javaScriptEnabled: false })
    assert.equal(await page.locator('.entries li').count(), 25)
    assert.match(await text(page, '#share'), /wl create PATH/)
    assert.equal(await page.isVisible('#drop'), false)
    await page.fill('input[type=search]', 'number 12')
    await page.selectOption('select', 'completions')
    await page.click('button:has-text("Search")')
    assert.equal(await text(page, '.found h1'), '1 entry')
    assert.match(page.url(), /q=number\+12&sort=completions/)
    await page.goto(given.base + '/')
    await page.click('a[rel=next]')
    assert.equal(await page.locator('.entries li').count(), 6)
    await page.goto(given.base + '/?info_hash=' + given.tree)
    assert.equal(await text(page, '#browse h1'), 'tree')
    const magnet = await page.locator('a', { hasText: 'magnet' }).getAttribute('href')
    return { magnet, torrent: await saved(page, 'a[download]') }
  },

  // Torrents of files and folders, chosen and dropped; with the browser's hash functions and with our own.
  async hash () {
    const found = {}
    for (const [kind, base] of [['browser', given.base], ['own', plain]]) {
      const page = await open(base + '/#share')
      assert.equal(await page.evaluate(() => Boolean(crypto.subtle)), kind === 'browser')
      for (const [at, path] of given.files.entries()) {
        if (kind === 'own' && at >= given.few) break
        await page.setInputFiles('#files', path)
        await made(page)
        found[`${kind} file ${at}`] = await result(page)
        await again(page)
      }
      for (const [at, path] of given.folders.entries()) {
        if (kind === 'own' && at >= given.fewFolders) break
        await page.setInputFiles('#folder', path)
        await made(page)
        found[`${kind} folder ${at}`] = await result(page)
        await again(page)
      }
      await drop(page, [given.folders[0]])
      found[kind + ' dropped folder 0'] = await result(page)
      await again(page)
      await drop(page, [given.files[0]])
      found[kind + ' dropped file 0'] = await result(page)
      await page.context().close()
    }
    return found
  },

  // Loose files become a folder whose name is asked for; hashing can be cancelled, and goes on without a connection.
  async share () {
    const page = await open(given.base + '/')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content')
    await page.click('nav >> text=Share')
    await page.setInputFiles('#files', given.loose)
    await page.waitForSelector('#several:not([hidden])')
    await page.fill('#several [name=name]', 'a/b')
    await page.click('#several .buttons button')
    assert.equal(await page.isVisible('#several'), true, 'a name is one name')
    await page.fill('#several [name=name]', 'loose')
    await page.keyboard.press('Enter')
    await made(page)
    const loose = await result(page)
    await again(page)

    await page.setInputFiles('#files', given.large)
    await page.waitForSelector('#several:not([hidden])')
    assert.match(await text(page, '#several-what'), /5\.0 GB.*That is a lot/)
    await page.click('#several .buttons button')
    await page.waitForFunction(() => document.querySelector('#bar').value > 0)
    assert.match(await text(page, '#pace'), /of 5\.0 GB .* left/)
    await page.click('#cancel')
    assert.equal(await page.isVisible('#drop'), true)

    await page.context().setOffline(true)
    await page.setInputFiles('#files', given.loose[0])
    await made(page)
    const offline = await result(page)
    await submit(page, 'offline')
    assert.match(await told(page), /does not answer/)
    await page.context().setOffline(false)
    await again(page)

    await page.setInputFiles('#folder', given.empty)
    assert.match(await text(page, '#failed'), /no files/)
    return { loose, offline }
  },

  // Far more data than hashing it may take memory: how much the page's process grew, at most, in MiB.
  async memory () {
    const page = await open(given.base + '/#share')
    const { processInfo } = await (await browser.newBrowserCDPSession()).send('SystemInfo.getProcessInfo')
    const pages = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
    const mebibytes = (id, field) => readFileSync(`/proc/${id}/status`, 'utf8').match(new RegExp(field + ':\\s*(\\d+)'))[1] / 1024
    const before = pages.map(id => mebibytes(id, 'VmRSS'))
    // From here on the kernel keeps the highest value anew.
    for (const id of pages) writeFileSync(`/proc/${id}/clear_refs`, '5')
    const found = {}
    for (const [of, input] of [['file', '#files'], ['folder', '#folder']]) {
      await page.setInputFiles(input, given[of])
      await made(page)
      found[of] = await page.locator('#made-v2').textContent()
      found[of + ' grown'] = Math.max(...pages.map((id, at) => mebibytes(id, 'VmHWM') - before[at]))
      await again(page)
    }
    return found
  },

  // What the registry knows of an entry is not lost when the same content is registered again.
  async anew () {
    const page = await open(given.base + '/#share')
    const values = () => page.locator('#register').evaluate(form => Object.fromEntries(new FormData(form)))
    const make = async () => {
      await page.setInputFiles('#files', given.file)
      await made(page)
    }
    await make()
    await page.waitForSelector('#known:not([hidden])')
    const filled = await values()
    await page.fill('#register [name=tags]', '')
    await page.fill('#register [name=license]', 'CC0-1.0')
    await page.check('#register [name=idt]')
    await page.click('#register .buttons button')
    assert.match(await told(page), /^Registered/)
    await again(page)

    // Nor when the registry could not be asked before.
    const asks = '**/api/registry?*'
    await page.route(asks, route => route.fulfill({ status: 503, contentType: 'application/json', body: '{"error":"Busy"}' }))
    await make()
    assert.equal(await page.isVisible('#known'), false)
    await submit(page, 'typed')
    assert.match(await told(page), /503: Busy/)
    await page.unroute(asks)
    await page.click('#register .buttons button')
    await page.waitForFunction(() => /^Registered\. /.test(document.querySelector('#answer').textContent))
    return { filled, registered: await values() }
  },

  // All of it below a path of a proxy.
  async prefix () {
    const page = await open(given.base + '/')
    await page.keyboard.press('/')
    await page.keyboard.type('tree', { delay: 30 })
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 1)
    assert.equal(page.url(), given.base + '/?q=tree')
    await page.click('.entries h2 a')
    await page.waitForSelector('.files summary')
    assert.equal(page.url(), given.base + '/?info_hash=' + given.tree)
    const torrent = await saved(page, 'a[download]')
    const command = await text(page, 'dd >> text=wl get')
    await page.click('.crumb a')
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 25)
    assert.equal(page.url(), given.base + '/')
    await page.click('a[rel=next]')
    await page.waitForFunction(() => document.querySelectorAll('.entries li').length === 6)

    await page.click('nav >> text=Share')
    await page.setInputFiles('#files', given.file)
    await made(page)
    const shared = await result(page)
    await submit(page, 'below a path')
    assert.match(await told(page), /^Registered/)
    await page.click('#answer a')
    await page.waitForSelector('article.entry .files')
    assert.equal(await text(page, 'h1:visible'), 'below a path')
    await page.click('nav >> text=Status')
    await page.waitForFunction(() => document.querySelectorAll('.plot .line').length === 6)
    await page.click('nav >> text=Browse')
    await page.waitForSelector('.entries')
    for (const link of ['API', 'Metrics']) {
      const reply = await page.request.get(await page.locator('footer a', { hasText: link }).evaluate(node => node.href))
      assert.equal(reply.status(), 200, link)
    }

    // Without scripts the same links lead there.
    const plainly = await open(given.base + '/', { javaScriptEnabled: false })
    await plainly.fill('input[type=search]', 'tree')
    await plainly.click('button:has-text("Search")')
    await plainly.click('.entries h2 a')
    assert.equal(plainly.url(), given.base + '/?info_hash=' + given.tree)
    return { torrent, command, shared }
  },

  // Registering with a key: asked for, kept in memory only.
  async key () {
    const page = await open(given.base + '/#share')
    await page.setInputFiles('#files', given.file)
    await made(page)
    await submit(page, 'with a key')
    await page.waitForSelector('#key[open]')
    await page.keyboard.press('Escape')
    assert.match(await told(page), /wants its key/)
    await submit(page, 'with a key')
    await page.waitForSelector('#key[open]')
    await page.fill('#key input', 'wrong')
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => /did not accept/.test(document.querySelector('#key-why').textContent))
    await page.fill('#key input', given.key)
    await page.keyboard.press('Enter')
    assert.match(await told(page), /^Registered/)
    const stores = await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length)
    assert.equal(stores, 0, 'the key is in memory only')
    await page.click('#answer a')
    await page.waitForSelector('article.entry .files')
    assert.equal(await text(page, 'h1:visible'), 'with a key')
    const torrent = await saved(page, 'a[download]')

    // It is remembered while the page lives, and no longer.
    await page.click('nav >> text=Share')
    await again(page)
    await page.setInputFiles('#files', given.other)
    await made(page)
    const small = await result(page)
    await page.check('#register [name=idt]')
    await submit(page, 'another')
    assert.match(await told(page), /^Registered/)

    // The idtorrent of it has an entry of its own.
    const idt = await open(given.base + '/?info_hash=' + small.id)
    await idt.waitForSelector('.files .leaf')
    assert.equal(await idt.locator('a[href^=magnet]').count(), 0, 'an idtorrent has no magnet link')
    assert.match(await text(idt, 'dl.facts >> nth=0'), new RegExp(`wl get ${small.id}`))
    assert.match(await text(idt, '.files .dim'), /1 file, 1 chunk of 10 KB/)
    small.served = await saved(idt, 'a[download]')
    await page.reload()
    await page.setInputFiles('#files', given.other)
    await made(page)
    await submit(page, 'another')
    await page.waitForSelector('#key[open]')
    return { torrent, small }
  },

  // What the page says when it is refused. The last few answers are the daemon's texts, given by the test.
  async refused () {
    const page = await open(given.base + '/#share')
    const said = {}
    const make = async path => {
      await page.setInputFiles('#files', path)
      await made(page)
    }
    await make(given.blocked)
    await submit(page, 'x')
    said[403] = await told(page)
    await again(page)
    await make(given.taken)
    await submit(page, 'x')
    said[409] = await told(page)
    await submit(page, 'x\u0080')
    await page.waitForFunction(() => /Invalid name/.test(document.querySelector('#answer').textContent))
    said[400] = await text(page, '#answer')
    for (const [status, error] of [[413, 'Request body too large'], [422, 'torrent_data does not match info_hash'], [429, 'Too Many Requests'], [503, 'Storage unavailable'], [500, 'Database error']]) {
      await page.route('**/api/registry', route => route.fulfill({ status, contentType: 'application/json', body: JSON.stringify({ error }) }), { times: 1 })
      await submit(page, 'x')
      said[status] = await told(page)
    }
    assert.equal(await page.isVisible('#get-torrent'), true, 'the downloads stay')
    const foreign = await open(plain + '/#share')
    await foreign.setInputFiles('#files', given.taken)
    await made(foreign)
    await submit(foreign, 'x')
    said.origin = await told(foreign)
    return said
  },

  // Live numbers.
  async status () {
    const page = await open(given.base + '/#status')
    await page.waitForFunction(() => document.querySelectorAll('.plot .line').length === 6)
    const plots = {}
    for (const plot of await page.locator('.plot').all()) plots[await plot.locator('h2').innerText()] = await plot.locator('p').innerText()
    const label = await page.locator('.plot svg').first().getAttribute('aria-label')
    return { plots, label, facts: await text(page, '#status dl') }
  }
}

try {
  const said = await scenarios[scenario]()
  assert.deepEqual(wrong, [])
  console.log(JSON.stringify(said))
} catch (error) {
  console.error(error.stack || error)
  if (wrong.length) console.error('the page logged:', wrong)
  process.exitCode = 1
} finally {
  await browser.close()
}
