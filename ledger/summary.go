package ledger

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// RowsMax bounds the rows of one summary: a week by the minute.
const RowsMax = 10_080

// SourcesMax bounds the sources of one summary; those found beyond it count in
// the totals only.
const SourcesMax = 10_000

// Query says what a summary covers.
type Query struct {
	Tenant event.Tenant
	// Source limits it to one source; empty takes all.
	Source string
	// From <= minute < To.
	From, To int64
	// StepMinutes is how many minutes a row stands for; 0 is 1. Rows begin at
	// multiples of it since 1970.
	StepMinutes int64
}

// Row is the account of some minutes.
type Row struct {
	// Minute is its first minute.
	Minute int64 `json:"minute"`
	Counts
}

// SourceTotal is the account of one source over the range.
type SourceTotal struct {
	Source string `json:"source"`
	Counts
}

// TypeTotal is the volume of one event type over the range.
type TypeTotal struct {
	Type string `json:"type"`
	Volume
}

// Summary is the account of a range. Rows without any count are left out.
type Summary struct {
	// Rows are in order of minute, Sources of name, Types of bytes, the most
	// first.
	Rows    []Row         `json:"rows"`
	Sources []SourceTotal `json:"sources"`
	Types   []TypeTotal   `json:"types"`
	Totals  Counts        `json:"totals"`
	// Incomplete counts the cells that could not be read at some time.
	Incomplete int `json:"incomplete"`
	// Truncated is set when there were more sources than [SourcesMax] or more
	// types than [RowsMax].
	Truncated bool `json:"truncated"`
}

// Summarize adds up the cells of a range. The error tells that the range has
// more than [RowsMax] rows, or is that of scan.
func Summarize(scan Scan, q Query) (Summary, error) {
	step := max(q.StepMinutes, 1)
	if q.From < 0 || q.To > minuteMax || q.From > q.To {
		return Summary{}, fmt.Errorf("the range of minutes %d to %d is not one", q.From, q.To)
	}
	if (q.To-q.From)/step > RowsMax {
		return Summary{}, fmt.Errorf("%d minutes in steps of %d are more than %d rows; ask for a shorter range or a longer step", q.To-q.From, step, RowsMax)
	}
	s := Summary{Rows: []Row{}, Sources: []SourceTotal{}, Types: []TypeTotal{}}
	rows, sources, types := map[int64]*Counts{}, map[string]*Counts{}, map[string]Volume{}
	err := cells(scan, q.Tenant, q.From, q.To, func(c Cell, received, evaluated *half) {
		if q.Source != "" && c.Source != q.Source {
			return
		}
		counts := received.counts
		counts.add(&evaluated.counts)
		if received.incomplete || evaluated.incomplete {
			s.Incomplete++
		}
		s.Totals.add(&counts)
		at := c.Minute - c.Minute%step
		if rows[at] == nil {
			rows[at] = &Counts{}
		}
		rows[at].add(&counts)
		switch {
		case sources[c.Source] != nil:
			sources[c.Source].add(&counts)
		case len(sources) < SourcesMax:
			sources[c.Source] = &counts
		default:
			s.Truncated = true
		}
		for _, name := range slices.Sorted(maps.Keys(evaluated.types)) {
			v := evaluated.types[name]
			have, known := types[name]
			if !known && len(types) >= RowsMax {
				s.Truncated = true
				name = OtherType
				have = types[name]
			}
			types[name] = Volume{Events: sum(have.Events, v.Events), Bytes: sum(have.Bytes, v.Bytes)}
		}
	})
	if err != nil {
		return Summary{}, err
	}
	for _, minute := range slices.Sorted(maps.Keys(rows)) {
		s.Rows = append(s.Rows, Row{Minute: minute, Counts: *rows[minute]})
	}
	for name, c := range sources {
		s.Sources = append(s.Sources, SourceTotal{Source: name, Counts: *c})
	}
	slices.SortFunc(s.Sources, func(a, b SourceTotal) int { return strings.Compare(a.Source, b.Source) })
	for name, v := range types {
		s.Types = append(s.Types, TypeTotal{Type: name, Volume: v})
	}
	slices.SortFunc(s.Types, func(a, b TypeTotal) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Type, b.Type))
	})
	return s, nil
}
