// Package ledger is the account of every record: what was received, and what
// became of it, per tenant, source and minute of receive time; and the intervals
// in which a rule did not run.
//
//	log entry ──Book.Received───┐
//	                            ├──▶ cells ──Writes──▶ store.Records
//	deltas of stage 1 ──Book.Evaluated──┘                 │
//	                          Check, Summarize ◀──────────┘
//
// received = evaluated + late + quarantined + damaged, exactly, for every cell
// whose batches have all been evaluated; a remainder is an alarm. Each half of a
// cell is written by one side alone and holds the position, per partition, up to
// which it counts, so that what is handed over again after a restart counts
// once, whatever was or was not written before.
//
// The package is pure: it turns calls into writes and stored documents into
// answers, and takes times as arguments. Minutes are Unix time in minutes, other
// times microseconds since 1970. A [Book] and a [RuleGaps] belong to one
// goroutine each; functions are safe for concurrent use. Everything is bounded:
// types of an event per cell, partitions per cell, cells in memory, rows and
// entries of an answer.
package ledger

import "github.com/tiercel-io/tiercel/store"

// The kinds of document that the ledger keeps in [store.Records].
const (
	// KindReceived and KindEvaluated are the two halves of a cell. Their ids
	// begin with the minute, so that they are in order of time.
	KindReceived  = "ledger.received"
	KindEvaluated = "ledger.evaluated"
	// KindRuleGap is an interval in which a rule did not run, in order of its
	// beginning.
	KindRuleGap = "ledger.rule_gap"
	// KindUpstreamGap is a run of records that never came, in order of when it
	// was found.
	KindUpstreamGap = "ledger.upstream_gap"
)

// Get reads one document's value, or store.ErrNotFound.
type Get func(store.Key) ([]byte, error)

// Scan visits the documents of a range in order until visit returns false, as
// [store.Records] does.
type Scan func(r store.Range, visit func(store.Document) bool) error
