// Package stream is the pipeline of a running node: batches in the log go in,
// detections come out, and every record is accounted for.
//
//	log: events ──stage 1──▶ log: matches ──stage 2──▶ detections, ledger, quarantine
//
// Stage 1 evaluates. Workers take batches of all partitions, the tenant first
// whose share is furthest behind, and parse, route and match them in any order;
// what spans batches (events in parts, groups of records, the watermark, numbers
// that should be contiguous) is done in the order of the partition, by whichever
// worker completes the batch that is due. For each batch stage 1 writes one
// [Section] to the matches of the tenant.
//
// Stage 2 decides. One goroutine for each scope of matches reads them in order,
// runs correlations and episodes, and commits what changed (detections,
// evidence, quarantine, the ledger, notifications to be sent) in one write. A
// source that is read once, an import, is a scope of its own: its events are
// old, and must neither be late nor hold up what happens now.
//
// There is one way to recover: load the last snapshot, read the log again from
// its offset. What stage 1 writes again is known by producer and offset and
// skipped; what stage 2 writes again has the same ids and changes nothing. Time
// is in the log (receive times, heartbeats), and so are changes of content, so
// that an offset always meets the same rules.
//
// A batch that cannot be read, a record that no parser takes or that makes one
// panic goes to quarantine with its bytes; the stream goes on.
package stream
