package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
)

// unroutedShown is how many files without a routed record are named. One tells
// what is wrong; a folder can hold thousands of the kind.
const unroutedShown = 20

// unroutedLog tells which files no rule was asked of: "no matches" about them
// would say that they are clean.
type unroutedLog struct {
	shown           []string // lines about whole files, the first unroutedShown
	files           int      // files without a routed record
	partly          int      // files with some
	records, missed int64    // of the files in partly
}

// add takes the figures of a file with records that no pack knows.
func (l *unroutedLog) add(path string, records, unrouted int64) {
	if unrouted < records {
		l.partly++
		l.records += records
		l.missed += unrouted
		return
	}
	if l.files++; len(l.shown) < unroutedShown {
		what := fmt.Sprintf("its %d records, so no rule was asked of them", records)
		if records == 1 {
			what = "its record, so no rule was asked of it"
		}
		l.shown = append(l.shown, fmt.Sprintf("%s: no pack knows %s; see 'tiercel pack list'", report.Clean(path, problemTextMax), what))
	}
}

// writeTo prints what was added.
func (l *unroutedLog) writeTo(w io.Writer) {
	for _, line := range l.shown {
		fmt.Fprintf(w, "tiercel: %s\n", line)
	}
	if more := l.files - len(l.shown); more > 0 {
		fmt.Fprintf(w, "tiercel: and %s of which no pack knows a record\n", plural(more, "more file"))
	}
	if l.partly > 0 {
		fmt.Fprintf(w, "tiercel: no pack knows %d of the %d records of %s, so no rule was asked of those; see 'tiercel pack list'\n",
			l.missed, l.records, plural(l.partly, "file"))
	}
}

// unfedNote warns of n rules that can never match.
func unfedNote(w io.Writer, n int) {
	switch {
	case n == 1:
		fmt.Fprintln(w, "tiercel: 1 rule asks for a log source that no pack feeds; 'tiercel rule list' shows it")
	case n > 1:
		fmt.Fprintf(w, "tiercel: %d rules ask for log sources that no pack feeds; 'tiercel rule list' shows them\n", n)
	}
}

// fed reports whether some pack's views are of the log source that a rule asks
// for.
func fed(set *pack.Set, r *rule.Rule) bool {
	views := set.Views()
	return slices.ContainsFunc(views, func(v event.View) bool { return detect.Proves(&v, r) })
}
