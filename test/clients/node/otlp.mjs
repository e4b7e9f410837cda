// Sends events as log records with the OpenTelemetry SDK, by OTLP over HTTP in
// JSON. The exporter repeats what is refused by itself, within its timeout.
import { readFileSync } from 'node:fs'
import { SeverityNumber } from '@opentelemetry/api-logs'
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { diag, DiagConsoleLogger, DiagLogLevel } from '@opentelemetry/api'

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN)
const texts = JSON.parse(readFileSync(process.env.EVENTS, 'utf8'))
const exporter = new OTLPLogExporter({
  url: process.env.URL + '/v1/logs',
  headers: { Authorization: 'Bearer ' + process.env.TOKEN },
  timeoutMillis: 60000
})
const processor = new BatchLogRecordProcessor({ exporter, maxQueueSize: 2 * texts.length, maxExportBatchSize: 512, exportTimeoutMillis: 60000 })
const provider = new LoggerProvider({ processors: [processor] })
const logger = provider.getLogger('tiercel-test')
for (const [n, body] of texts.entries()) {
  logger.emit({ body, severityNumber: SeverityNumber.INFO, severityText: 'INFO', attributes: { n } })
}
await provider.forceFlush()
await provider.shutdown()
