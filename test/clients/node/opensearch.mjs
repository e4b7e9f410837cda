// Sends events with the official OpenSearch client, in bulk requests. A refused
// request is sent again, as it was, once the time that the server asks for has
// passed.
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from '@opensearch-project/opensearch'

const texts = JSON.parse(readFileSync(process.env.EVENTS, 'utf8'))
const client = new Client({
  node: process.env.URL,
  auth: { username: 'tiercel', password: process.env.TOKEN },
  maxRetries: 5
})

const size = 200
await client.info()
for (let first = 0; first < texts.length; first += size) {
  const body = texts.slice(first, first + size).flatMap((message, i) => [
    { create: { _index: 'logs-client-default' } },
    { '@timestamp': new Date().toISOString(), message, n: first + i }
  ])
  for (;;) {
    try {
      const answer = (await client.bulk({ body })).body
      if (answer.errors !== false || answer.items.length !== body.length / 2) throw new Error(JSON.stringify(answer).slice(0, 300))
      break
    } catch (e) {
      if (e.statusCode !== 429 && e.statusCode !== 503) throw e
      await wait(1000 * Number(e.headers['retry-after'] ?? 1))
    }
  }
}
await client.close()
