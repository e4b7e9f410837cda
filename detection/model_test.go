package detection

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// documents returns all of one kind by id.
func documents(t failer, r store.Records, tn event.Tenant, kind string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	if err := r.Scan(store.Range{Tenant: tn, Kind: kind}, func(d store.Document) bool {
		out[d.ID] = slices.Clone(d.Value)
		return true
	}); err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

func (f *fixture) check() { invariants(f.t, f.records, f.tenant) }

// invariants: each detection stands exactly once in each index, where its
// document says, and no index names one that is not there.
func invariants(t failer, r store.Records, tn event.Tenant) {
	t.Helper()
	docs := documents(t, r, tn, kindDetection)
	byCreated, byRule, bySeq := map[string]bool{}, map[string]bool{}, map[string]string{}
	for id, value := range docs {
		var d Detection
		if err := json.Unmarshal(value, &d); err != nil || d.ID != id {
			t.Fatalf("document %s: %v", id, err)
		}
		byCreated[createdID(d.Created, id)] = true
		byRule[ruleID(d.Rule.ID, d.Created, id)] = true
		if other := bySeq[seqID(d.Seq)]; other != "" {
			t.Fatalf("%s and %s both have number %d", id, other, d.Seq)
		}
		bySeq[seqID(d.Seq)] = id
	}
	for kind, want := range map[string]map[string]bool{kindCreated: byCreated, kindRule: byRule} {
		got := documents(t, r, tn, kind)
		if len(got) != len(want) {
			t.Fatalf("%s has %d entries for %d detections", kind, len(got), len(want))
		}
		for id, value := range got {
			var row row
			if err := json.Unmarshal(value, &row); err != nil || !want[id] {
				t.Fatalf("%s has %q: %v", kind, id, err)
			}
			var d Detection
			if err := json.Unmarshal(docs[row.ID], &d); err != nil || d.Seq != row.Seq || d.Phase != row.Phase || !d.Updated.Equal(row.Updated) {
				t.Fatalf("%s of %s is behind: %v", kind, row.ID, err)
			}
		}
	}
	got := documents(t, r, tn, kindSeq)
	if len(got) != len(bySeq) {
		t.Fatalf("%d numbers for %d detections", len(got), len(bySeq))
	}
	for id, value := range got {
		if bySeq[id] != string(value) {
			t.Fatalf("number %d names %s, not %s", binary.BigEndian.Uint64([]byte(id)), value, bySeq[id])
		}
	}
	if states := documents(t, r, tn, kindState); len(states) != len(docs) {
		t.Fatalf("%d states for %d detections", len(states), len(docs))
	}
}

// The store against a map: random revisions, restarts, replays and trims; the
// list, the feed and the indexes must follow from the map.
func TestStoreAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := fresh(t)
		type known struct {
			revision, phase, rule string
			count, seq            uint64
			created, updated      time.Time
		}
		model := map[string]*known{}
		var log []*Detection // what was put, but for what retention removed
		steps := 0
		reader, seen := f.store.Feed(f.tenant, 0), map[string]uint64{}
		var last uint64
		drain := func() {
			for {
				list, more, err := reader.take()
				if err != nil {
					rt.Fatal(err)
				}
				for _, d := range list {
					if d.Seq <= last {
						rt.Fatalf("the feed gave %d after %d", d.Seq, last)
					}
					last = d.Seq
					seen[d.ID] = d.Seq
				}
				if !more && len(list) == 0 {
					return
				}
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			f.clock.advance(time.Second)
			switch rapid.IntRange(0, 9).Draw(rt, "step") {
			case 0:
				f.restart()
				reader = f.store.Feed(f.tenant, last)
			case 1:
				if len(log) > 0 {
					from := rapid.IntRange(0, len(log)-1).Draw(rt, "from")
					if changes, err := f.store.Put(f.tenant, log[from:], nil, store.Relaxed); err != nil || len(changes) > 0 {
						rt.Fatalf("replay: %d changes, %v", len(changes), err)
					}
				}
			case 2:
				drain()
			case 3:
				before := start.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "age")) * time.Second)
				n, err := f.store.Trim(f.tenant, before, 0)
				removed := 0
				for id, k := range model {
					if k.updated.Before(before) {
						delete(model, id)
						removed++
						// What retention forgot would be new again.
						log = slices.DeleteFunc(log, func(d *Detection) bool { return d.ID == id })
					}
				}
				if err != nil || n != removed {
					rt.Fatalf("trimmed %d, want %d: %v", n, removed, err)
				}
			default:
				id := fmt.Sprintf("%02d", rapid.IntRange(0, 5).Draw(rt, "id"))
				k := model[id]
				next := known{phase: Provisional, rule: rapid.SampledFrom([]string{"r1", "r2"}).Draw(rt, "rule"), count: 1, created: f.clock.Now()}
				if k != nil {
					next.rule, next.count, next.created = k.rule, k.count+1, k.created
					phases := map[string][]string{
						Provisional: {Provisional, Final, Superseded}, Final: {Final, Closed}, Closed: {Closed}, Superseded: {Provisional},
					}[k.phase]
					next.phase = rapid.SampledFrom(phases).Draw(rt, "phase")
				}
				next.updated = f.clock.Now()
				steps++
				next.revision = fmt.Sprint("v", steps)
				d := made(id, next.revision, next.phase, next.count)
				d.Rule.ID = next.rule
				log = append(log, d)
				changes, err := f.store.Put(f.tenant, []*Detection{d}, nil, store.Durability(rapid.Bool().Draw(rt, "durable")))
				if err != nil || len(changes) != 1 || changes[0].First != (k == nil) {
					rt.Fatalf("%d changes, %v", len(changes), err)
				}
				next.seq = changes[0].Detection.Seq
				model[id] = &next
			}
		}
		drain()
		invariants(rt, f.records, f.tenant)
		ids := slices.Collect(maps.Keys(model))
		slices.SortFunc(ids, func(a, b string) int {
			return cmp.Or(model[b].created.Compare(model[a].created), cmp.Compare(b, a))
		})
		limit := rapid.IntRange(1, 4).Draw(rt, "limit")
		if got := f.list(Filter{Phases: []string{Provisional, Final, Closed, Superseded}, Limit: limit}); !slices.Equal(got, ids) {
			rt.Fatalf("list %q, want %q", got, ids)
		}
		for id, k := range model {
			d := f.get(id)
			if d.Revision != k.revision || d.Phase != k.phase || d.Seq != k.seq || !d.Created.Equal(k.created) || !d.Updated.Equal(k.updated) {
				rt.Fatalf("stored %+v, want %+v", d, k)
			}
			if seen[id] != k.seq {
				rt.Fatalf("the feed gave %d of %s, not %d", seen[id], id, k.seq)
			}
		}
	})
}
