// Package storetest is the contract of the ports in package store: each engine
// runs it against the real thing in its own tests, and passes all of it. A case
// says what a caller may rely on, and nothing about how an engine does it.
package storetest
