// Package pack turns records into events: a pack says which records are its
// own, how their text is parsed, when they happened, which Sigma logsources
// they prove (views), where the fields that rules name stand, and what they
// are in OCSF. Packs are YAML, checked by a schema; those of Tiercel are
// embedded, and a user adds more without compiling.
//
//	Load → Set → Router (with the engine's event.Plan) → Session.Route per record
//
// A Set and a Router are immutable and shared; a Session belongs to one
// goroutine. What Route decides depends only on the record: its caches are
// keyed by everything the decision reads, so they can change nothing but the
// time it takes. All of them are bounded.
package pack
