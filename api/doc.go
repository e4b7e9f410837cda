// Package api is the HTTP interface of a running Tiercel: detections,
// quarantine, the ledger, sources, tokens and what an operator asks of it,
// described by one OpenAPI 3.1 document.
//
//	request ──guard──▶ token ──▶ permission ──▶ tenant ──▶ body cap ──▶ handler ──▶ stores, [Node]
//
// Every route stands in one table that says who may call it, for which
// tenant, how large its body may be and what it costs; the guard in front of
// the handlers does what the table says, and a route that does not stand in it
// stops the process from starting. A tenant is looked up, never made, from what
// a request names. The package starts no goroutine, listens nowhere and keeps no
// state but counters: it is an [net/http.Handler] and safe for concurrent use.
package api
