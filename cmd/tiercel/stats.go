package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
)

// rulesShown is how many rules the figures name.
const rulesShown = 10

// contentStats are the figures of the content that a scan was given.
type contentStats struct{ disabled, refused, correlations int }

// printStats prints the figures of a scan for people. Lines are "name value".
func printStats(w io.Writer, s *pipeline.Stats, engine *pipeline.Sigma, content contentStats) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	seconds := max(s.Elapsed.Seconds(), 1e-9)
	line("rules", "%d used; %d disabled, %d refused, %d correlations checked only, %d that no pack feeds",
		len(engine.Rules()), content.disabled, content.refused, content.correlations, len(engine.Unviewed()))
	line("files", "%d", s.Files)
	line("records", "%d read, %d routed, %d unrouted, %d problems", s.Records, s.Routed, s.Unrouted, s.Problems)
	for _, f := range s.Formats {
		line("  "+f.Name, "%d files, %d records, %d problems", f.Files, f.Records, f.Problems)
	}
	if s.OutOfRange > 0 || s.Untimed > 0 {
		line("time", "%d outside --from and --to; %d without a time, matched all the same", s.OutOfRange, s.Untimed)
	}
	if s.DuplicateFields > 0 || s.InvalidTexts > 0 {
		line("doubtful", "%d records with a field twice, %d with text that is not Unicode; all were evaluated", s.DuplicateFields, s.InvalidTexts)
	}
	if s.Reassembled > 0 || s.Incomplete > 0 {
		line("script blocks", "%d put together from parts, %d incomplete", s.Reassembled, s.Incomplete)
	}
	if s.Joined > 0 || s.JoinedEarly > 0 {
		line("audit events", "%d joined from single lines, %d before they were whole", s.Joined, s.JoinedEarly)
	}
	var levels []string
	for l := int(rule.Critical); l >= 0; l-- {
		levels = append(levels, fmt.Sprintf("%d %s", s.Matches[l], rule.Level(l)))
	}
	line("matches", "%d: %s", s.Total(), strings.Join(levels, ", "))
	for _, i := range busiest(s.RuleMatches, rulesShown) {
		r := engine.Rules()[i]
		line(fmt.Sprintf("  %d", s.RuleMatches[i]), "%s (%s)", report.Clean(r.Title, 200), r.Level)
	}
	line("rate", "%.0f records/s, %.1f MB/s, %.2f s", float64(s.Records)/seconds, float64(s.Bytes)/seconds/1e6, s.Elapsed.Seconds())
}

// busiest returns the indices of the largest counts above 0, at most n; of
// equals the first.
func busiest(counts []int64, n int) []int {
	var top []int
	for i, c := range counts {
		if c == 0 {
			continue
		}
		at := len(top)
		for at > 0 && counts[top[at-1]] < c {
			at--
		}
		if at < n {
			top = append(top[:at], append([]int{i}, top[at:]...)...)
			top = top[:min(len(top), n)]
		}
	}
	return top
}
