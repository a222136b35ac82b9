// One announce, one scrape and one farewell by npm's bittorrent-tracker client.
// usage: node announce.mjs TRACKER_URL INFO_HASH_HEX PORT
// NODE_MODULES names the folder where bittorrent-tracker is installed.
// Writes one JSON object: {"update": {complete, incomplete}, "peers": ["ip:port"], "scrape": {...}}
import { pathToFileURL } from 'node:url'

const { Client } = await import(pathToFileURL(process.env.NODE_MODULES + '/bittorrent-tracker/index.js'))
const [announce, infoHash, port] = process.argv.slice(2)
const said = { peers: [] }
const client = new Client({
  infoHash,
  peerId: Buffer.from('-NP0001-' + String(port).padStart(12, '0')),
  announce: [announce],
  port: Number(port),
})

function fail (error) {
  console.error(String(error))
  process.exit(1)
}
client.on('error', fail)
client.on('warning', fail)
client.on('peer', peer => said.peers.push(peer))
client.once('update', data => {
  said.update = { complete: data.complete, incomplete: data.incomplete }
  client.scrape()
})
client.once('scrape', data => {
  said.scrape = { complete: data.complete, incomplete: data.incomplete, downloaded: data.downloaded }
  client.once('update', () => {
    console.log(JSON.stringify(said))
    client.destroy(() => process.exit(0))
  })
  client.stop()
})
client.start({ left: 1000, numwant: 10 })
setTimeout(() => fail('no answer'), 20000)
