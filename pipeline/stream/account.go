package stream

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ledger"
)

// LedgerMinute is the account of one source in one minute of receive time.
type LedgerMinute struct {
	ledger.Row
	Source string
	// Settled: both sides have counted everything of it, so that the account must
	// come out.
	Settled bool
}

// LedgerRange is the account of a range of minutes.
type LedgerRange struct {
	Minutes []LedgerMinute
	Totals  ledger.Counts
	// Types are the largest first.
	Types []LedgerType
	// Next is the first minute that was left out for the limit, or zero.
	Next time.Time
}

// LedgerType is the volume of one kind of record of one source.
type LedgerType struct {
	Source string
	ledger.TypeTotal
}

// Ledger returns the account of a tenant over from <= minute < to, of one source
// or of all (""), at most limit minutes times sources and the last one whole.
func (n *Node) Ledger(t event.Tenant, source string, from, to time.Time, limit int) (LedgerRange, error) {
	first, last := from.Unix()/60, (to.Unix()+59)/60
	q := ledger.Query{Tenant: t, Source: source, From: first, To: last, StepMinutes: max(1, last-first)}
	sum, err := ledger.Summarize(n.records.Scan, q)
	if err != nil {
		return LedgerRange{}, err
	}
	out := LedgerRange{Totals: sum.Totals}
	volumes := map[[2]string]ledger.Volume{}
	open, err := n.unexplained(t, first, last)
	if err != nil {
		return LedgerRange{}, err
	}
	for _, s := range sum.Sources {
		// A day at a time keeps the rows of one question within their bound.
		for day := first; day < last; day += minutesInDay {
			part, err := ledger.Summarize(n.records.Scan, ledger.Query{Tenant: t, Source: s.Source, From: day, To: min(day+minutesInDay, last)})
			if err != nil {
				return LedgerRange{}, err
			}
			for _, x := range part.Types {
				k := [2]string{s.Source, x.Type}
				v := volumes[k]
				volumes[k] = ledger.Volume{Events: v.Events + x.Events, Bytes: v.Bytes + x.Bytes}
			}
			for _, r := range part.Rows {
				even := r.Received == r.Evaluated+r.Late+r.Quarantined+r.Damaged
				out.Minutes = append(out.Minutes, LedgerMinute{Row: r, Source: s.Source, Settled: even || open[cellKey{s.Source, r.Minute}]})
			}
		}
	}
	for k, v := range volumes {
		out.Types = append(out.Types, LedgerType{Source: k[0], TypeTotal: ledger.TypeTotal{Type: k[1], Volume: v}})
	}
	slices.SortFunc(out.Types, func(a, b LedgerType) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Type, b.Type))
	})
	slices.SortFunc(out.Minutes, func(a, b LedgerMinute) int {
		return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Source, b.Source))
	})
	if limit > 0 && len(out.Minutes) > limit {
		end := limit
		for end < len(out.Minutes) && out.Minutes[end].Minute == out.Minutes[limit-1].Minute {
			end++
		}
		if end < len(out.Minutes) {
			out.Next = time.Unix(out.Minutes[end].Minute*60, 0).UTC()
			out.Minutes = out.Minutes[:end]
		}
	}
	return out, nil
}

const minutesInDay = 24 * 60

type cellKey struct {
	source string
	minute int64
}

// unexplained returns the settled cells whose account does not come out.
func (n *Node) unexplained(t event.Tenant, from, to int64) (map[cellKey]bool, error) {
	a, err := ledger.Check(n.records.Scan, t, from, to, n.progress(t))
	if err != nil {
		return nil, err
	}
	out := map[cellKey]bool{}
	for _, r := range a.Remainders {
		out[cellKey{r.Source, r.Minute}] = true
	}
	return out, nil
}
