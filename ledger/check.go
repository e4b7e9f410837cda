package ledger

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// RemaindersMax bounds the cells that one [Check] names; the others are
// counted.
const RemaindersMax = 1_000

// Progress says, per partition, up to which position each side's counts stand
// in the store. A partition that is missing has nothing there yet.
type Progress struct {
	Received, Evaluated map[string]int64
}

// Remainder is a cell whose account does not come out.
type Remainder struct {
	Cell
	// Received and Accounted are its two sides in records. More accounted than
	// received is as wrong as less.
	Received, Accounted uint64
	// Incomplete cells have a half that could not be read at some time, which is
	// what explains them.
	Incomplete bool
}

// Unexplained is received less accounted, bounded to the range of its type.
func (r Remainder) Unexplained() int64 {
	if r.Received >= r.Accounted {
		return int64(min(r.Received-r.Accounted, math.MaxInt64))
	}
	return -int64(min(r.Accounted-r.Received, math.MaxInt64))
}

// Audit is what a check of the ledger found.
type Audit struct {
	// Settled cells were compared; Waiting ones have batches that one of the two
	// sides has not counted yet.
	Settled, Waiting int
	// Remainders are the settled cells that do not come out, in order of minute
	// and source, at most [RemaindersMax]; More counts the others.
	Remainders []Remainder
	More       int
}

// Check compares received with accounted in every cell of the minutes from <=
// minute < to. A cell is settled when each side has passed every position that
// the other has counted into it; then both hold the same batches, and any
// difference is a fault. The error is that of scan, or tells of an unreadable
// document.
func Check(scan Scan, tenant event.Tenant, from, to int64, done Progress) (Audit, error) {
	var audit Audit
	err := cells(scan, tenant, from, to, func(cell Cell, received, evaluated *half) {
		if !passed(received, done.Evaluated) || !passed(evaluated, done.Received) {
			audit.Waiting++
			return
		}
		audit.Settled++
		r := Remainder{
			Cell: cell, Received: received.counts.Received, Accounted: evaluated.counts.accounted(),
			Incomplete: received.incomplete || evaluated.incomplete,
		}
		if r.Received == r.Accounted {
			return
		}
		if len(audit.Remainders) == RemaindersMax {
			audit.More++
			return
		}
		audit.Remainders = append(audit.Remainders, r)
	})
	return audit, err
}

// passed tells whether the other side has come as far as a half counts.
func passed(h *half, done map[string]int64) bool {
	for partition, offset := range h.through {
		if through, ok := done[partition]; !ok || through < offset {
			return false
		}
	}
	return true
}

// cells visits both halves of each cell of a range in order of minute and
// source; a half that is not stored is empty. It holds one minute at a time.
func cells(scan Scan, tenant event.Tenant, from, to int64, visit func(c Cell, received, evaluated *half)) error {
	from, to = max(from, 0), min(to, minuteMax)
	// Both kinds are read in stretches of an hour, so that no more than that is
	// in memory whatever the range.
	for ; from < to; from += 60 {
		end := min(from+60, to)
		type pair struct {
			cell                Cell
			received, evaluated *half
		}
		pairs := map[string]*pair{}
		found := false
		for _, kind := range []string{KindReceived, KindEvaluated} {
			var fault error
			err := scan(store.Range{Tenant: tenant, Kind: kind, From: cellID("", from), To: cellID("", end)}, func(d store.Document) bool {
				source, minute, ok := cellOf(d.ID)
				if !ok {
					fault = fmt.Errorf("document %q of kind %s is no cell of the ledger; remove it", d.ID, kind)
					return false
				}
				h, err := decodeHalf(d.Value)
				if err != nil {
					h = &half{incomplete: true}
				}
				p := pairs[d.ID]
				if p == nil {
					p = &pair{cell: Cell{Tenant: tenant, Source: source, Minute: minute}, received: &half{}, evaluated: &half{}}
					pairs[d.ID] = p
				}
				if kind == KindReceived {
					p.received = h
				} else {
					p.evaluated = h
				}
				found = true
				return true
			})
			if err != nil {
				return fmt.Errorf("read the ledger of tenant %q: %w", tenant, err)
			}
			if fault != nil {
				return fault
			}
		}
		for _, id := range slices.Sorted(maps.Keys(pairs)) {
			visit(pairs[id].cell, pairs[id].received, pairs[id].evaluated)
		}
		if found {
			continue
		}
		// Nothing in this hour: go on where something is.
		next, err := nextMinute(scan, tenant, end, to)
		if err != nil {
			return err
		}
		from = max(from, next-60)
	}
	return nil
}

// nextMinute returns the first minute of a range that has a cell, or its end.
func nextMinute(scan Scan, tenant event.Tenant, from, to int64) (int64, error) {
	next := to
	for _, kind := range []string{KindReceived, KindEvaluated} {
		err := scan(store.Range{Tenant: tenant, Kind: kind, From: cellID("", from), To: cellID("", to)}, func(d store.Document) bool {
			if _, minute, ok := cellOf(d.ID); ok {
				next = min(next, minute)
			} else {
				next = from
			}
			return false
		})
		if err != nil {
			return 0, fmt.Errorf("read the ledger of tenant %q: %w", tenant, err)
		}
	}
	return next, nil
}
