// One mtcute client: reads what to do from standard input, prints one JSON object and ends.
// It makes a key with a data centre through the proxy, asks for help.getConfig, and moves file parts when asked to.
import { readFileSync } from 'node:fs'
import { BaseTelegramClient, MemoryStorage, MtProxyTcpTransport } from '@mtcute/node'
import { addPublicKey, LogManager, NodeCryptoProvider } from '@mtcute/node/utils.js'

const request = JSON.parse(readFileSync(0, 'utf8'))
const crypto = new NodeCryptoProvider()
await crypto.initialize()
addPublicKey(crypto, request.pem)

// It names a data centre, but knows no way to one except the proxy.
const dc = { id: request.dc, ipAddress: '192.0.2.1', port: 443 }
const complaints = []
const client = new BaseTelegramClient({
  apiId: 1,
  apiHash: '0'.repeat(32),
  crypto,
  storage: new MemoryStorage(),
  transport: new MtProxyTcpTransport({ host: request.host, port: request.port, secret: request.secret }),
  defaultDcs: { main: dc, media: dc },
  disableUpdates: true,
  logLevel: LogManager.WARN,
})
client.log.mgr.handler = (_color, _level, _tag, format, args) => complaints.push([format, ...args.map(String)].join(' '))

try {
  await client.connect()
  const config = await client.call({ _: 'help.getConfig' }, { timeout: 15000, throw503: true })
  const seen = { kind: config._, thisDc: config.thisDc, dcOptions: config.dcOptions.length, complaints }
  console.log(JSON.stringify(seen))
} catch (error) {
  console.log(JSON.stringify({ error: String(error), complaints }))
}
process.exit(0)
