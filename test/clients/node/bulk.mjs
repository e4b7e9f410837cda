// Sends events with the official Elasticsearch client, in bulk requests with one
// broken document among them. A refused request is sent again, as it was, once
// the time that the server asks for has passed.
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from '@elastic/elasticsearch'

const texts = JSON.parse(readFileSync(process.env.EVENTS, 'utf8'))
const client = new Client({
  node: process.env.URL,
  auth: { username: 'tiercel', password: process.env.TOKEN },
  compression: true,
  maxRetries: 5
})

const size = 200
await client.info()
for (let first = 0; first < texts.length; first += size) {
  const operations = []
  for (const [i, message] of texts.slice(first, first + size).entries()) {
    if (first === 2 * size && i === size / 2) operations.push({ create: {} }, '{"message": "never closed')
    operations.push({ create: {} }, { '@timestamp': new Date().toISOString(), message, n: first + i })
  }
  for (;;) {
    try {
      const answer = await client.bulk({ index: 'logs-client-default', operations })
      if (answer.errors !== false || answer.items.length !== operations.length / 2) throw new Error(JSON.stringify(answer).slice(0, 300))
      break
    } catch (e) {
      if (e.statusCode !== 429 && e.statusCode !== 503) throw e
      await wait(1000 * Number(e.headers['retry-after'] ?? 1))
    }
  }
}
await client.close()
