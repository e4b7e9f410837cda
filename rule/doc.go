// Package rule is Sigma: its rules, correlations and filters, parsed, checked
// and linked into a [Set] that the engine compiles.
//
// The flow is [Parse], document by document and in any order or goroutine, then
// [Link], once over all documents in a fixed order: it resolves placeholders
// and references, applies filters, and sets aside what is not enabled. What is
// wrong comes back as a [Diagnostic] with its place, a stable code of [Codes]
// and what to write instead; an error refuses one document, a lint none. The
// language is Sigma 2.1.0; [Modifiers] is the table of its value modifiers.
// Comments here and in other packages that say [D22] and the like refer to the
// numbered decisions of docs/reference/sigma-decisions.md, made where the
// specification is silent.
//
// The package is pure: no YAML, no files, no clock. Everything is bounded: the
// values of a rule by [ValuesMax], its conditions by [ExprDepthMax] and
// [ConditionNodesMax], expressions by [RegexBytesMax] and [RegexSizeMax].
// Documents and sets are immutable once returned and safe for concurrent use.
package rule
