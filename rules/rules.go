// Package rules is the detection content that Tiercel ships: Sigma rules and
// correlations of its own, one folder each, named by its id.
//
// A folder holds rule.yml, the rule, behind a correlation also the rules that
// only feed it, and cases.yml, what must and must not come of given events.
// Only the rules are embedded; the cases are read through package rulecase and
// run by package casetest. The content is fixed when the
// program is built and safe for concurrent use. README.md says how a rule is
// laid out and how to add one.
package rules

import "embed"

// FS holds every rule as <id>/rule.yml. It is read-only.
//
//go:embed */rule.yml
var FS embed.FS
