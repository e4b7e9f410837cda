// Package rules is the detection content that Tiercel ships: Sigma rules of
// its own, one folder a rule, named by the rule's id.
//
// A folder holds rule.yml, the rule, and cases.yml, events that must and must
// not match it. Only the rules are embedded; the cases are read by the tests
// of this package through package rulecase. The content is fixed when the
// program is built and safe for concurrent use. README.md says how a rule is
// laid out and how to add one.
package rules

import "embed"

// FS holds every rule as <id>/rule.yml. It is read-only.
//
//go:embed */rule.yml
var FS embed.FS
