// Package event is the event: its envelope and identity, its tree as the
// vendor wrote it, and access to the fields that rules ask for.
//
// A format's parser fills a [Record] and its [Tree], a flat array of nodes over
// the record's bytes in which nothing is decoded before it is asked for. A
// [Plan] interns the fields that rules, packs and groupings look up; a
// [Reader] binds a tree to them. Records of one shape, the same keys in the
// same nesting, are resolved once: afterwards a field costs an index, no
// allocation and no comparison of names.
//
// The package is pure: no clock, no files, no goroutines. A Plan is built by
// one goroutine and then read by many; Tree, Record and Reader belong to one
// goroutine each.
package event
