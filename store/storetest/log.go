package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// LogTenants are the tenants that Log uses: those of [Tenants].
func LogTenants(t testing.TB) *event.Tenants {
	t.Helper()
	all, err := event.NewTenants([]string{"a", "ab", "c"})
	mustLog(t, err)
	return all
}

// Log is the contract of store.Log. place makes room for an empty log that
// serves tenants and returns how to open it: the first time empty, and again, as
// it was left, after Close. The contract closes what it opens. The cases run in
// parallel.
func Log(t *testing.T, place func(t *testing.T, tenants *event.Tenants) (open func() store.Log)) {
	t.Helper()
	cases := []struct {
		name string
		run  func(*testing.T, func() store.Log)
	}{
		{"entries are read as they were appended", logRoundTrip},
		{"offsets count from 0 in each partition", logOffsets},
		{"partitions do not mix", logSeparate},
		{"a page ends once it has the bytes asked for", logPages},
		{"a reader at the end gets an empty page", logEnd},
		{"a partition that is not there is not found", logNotFound},
		{"metas are visited in order and stop when told", logMetas},
		{"heads list every partition in one order", logHeads},
		{"the arguments may be reused", logReuse},
		{"the page belongs to the caller", logOwnership},
		{"changes are told", logChanged},
		{"concurrent appends lose nothing and keep their order", logConcurrent},
		{"bounds hold and nothing is appended beyond", logBounds},
		{"nothing is stored without a tenant", logTenant},
		{"it is as it was after it is opened again", logReopen},
		{"what is not released stays", logRelease},
		{"a closed log says so", logClosed},
		{"it agrees with lists", logModel},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, place(t, LogTenants(t)))
		})
	}
}

// fataler is testing.TB or a run of rapid.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func mustLog(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, open func() store.Log) store.Log {
	t.Helper()
	l := open()
	t.Cleanup(func() { mustLog(t, l.Close()) })
	return l
}

func appendOne(t testing.TB, l store.Log, p store.Partition, meta, payload string) int64 {
	t.Helper()
	offsets, err := l.Append([]store.Entry{{Partition: p, Meta: []byte(meta), Payload: []byte(payload)}})
	mustLog(t, err)
	if len(offsets) != 1 {
		t.Fatalf("append of one entry gave offsets %v", offsets)
	}
	return offsets[0]
}

// readAll reads a partition from an offset to its end, by pages, and fails on
// gaps.
func readAll(t testing.TB, l store.Log, p store.Partition, from int64, bytesMax int) []store.Stored {
	t.Helper()
	var all []store.Stored
	for {
		page, err := l.Read(p, from, bytesMax)
		mustLog(t, err)
		if len(page.Gaps) > 0 {
			t.Fatalf("partition %v has gaps %v", p, page.Gaps)
		}
		if len(page.Entries) == 0 {
			if page.Next != from {
				t.Fatalf("an empty page at %d goes on at %d", from, page.Next)
			}
			return all
		}
		all = append(all, page.Entries...)
		if last := page.Entries[len(page.Entries)-1].Offset; page.Next != last+1 {
			t.Fatalf("a page that ends with offset %d goes on at %d", last, page.Next)
		}
		from = page.Next
	}
}

func logRoundTrip(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "any \x00 text/\xff.. \"", Shard: 3}
	random := make([]byte, 100_000)
	for i, x := 0, uint32(1); i < len(random); i++ {
		x = x*1664525 + 1013904223
		random[i] = byte(x >> 24)
	}
	bodies := [][]byte{nil, {}, {0}, []byte("x"), bytes.Repeat([]byte("abc "), 50_000), random, []byte(strings.Repeat("\x00", 1<<20))}
	for i, b := range bodies {
		offsets, err := l.Append([]store.Entry{{Partition: p, Meta: fmt.Append(nil, "meta ", i), Payload: b}})
		mustLog(t, err)
		if !slices.Equal(offsets, []int64{int64(i)}) {
			t.Fatalf("offsets %v, want %d", offsets, i)
		}
	}
	for i, e := range readAll(t, l, p, 0, 1<<30) {
		if e.Offset != int64(i) || string(e.Meta) != fmt.Sprint("meta ", i) || !bytes.Equal(e.Payload, bodies[i]) {
			t.Errorf("entry %d is offset %d, meta %q, %d bytes", i, e.Offset, e.Meta, len(e.Payload))
		}
	}
}

func logOffsets(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, ab, _ := Tenants(t)
	p, q := store.Partition{Tenant: a, Kind: "events", Source: "s"}, store.Partition{Tenant: ab, Kind: "events", Source: "s"}
	offsets, err := l.Append([]store.Entry{{Partition: p}, {Partition: q}, {Partition: p}, {Partition: p}, {Partition: q}})
	mustLog(t, err)
	if want := []int64{0, 0, 1, 2, 1}; !slices.Equal(offsets, want) {
		t.Fatalf("offsets %v, want %v", offsets, want)
	}
	if none, err := l.Append(nil); err != nil || len(none) != 0 {
		t.Fatalf("append of nothing: %v, %v", none, err)
	}
	if o := appendOne(t, l, p, "", ""); o != 3 {
		t.Fatalf("offset %d, want 3", o)
	}
}

func logSeparate(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, ab, _ := Tenants(t)
	// Names that would meet if they were joined without their lengths.
	list := []store.Partition{
		{Tenant: a, Kind: "b", Source: "c"},
		{Tenant: ab, Kind: "b", Source: "c"},
		{Tenant: a, Kind: "bb", Source: "c"},
		{Tenant: a, Kind: "b", Source: "bc"},
		{Tenant: a, Kind: "b", Source: ""},
		{Tenant: a, Kind: "b", Source: "c/1"},
		{Tenant: a, Kind: "b", Source: "c", Shard: 1},
	}
	for i, p := range list {
		appendOne(t, l, p, "", fmt.Sprint(i))
	}
	for i, p := range list {
		if all := readAll(t, l, p, 0, 1000); len(all) != 1 || string(all[0].Payload) != fmt.Sprint(i) {
			t.Errorf("partition %v holds %v", p, all)
		}
	}
}

func logPages(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	for range 10 {
		appendOne(t, l, p, "m", strings.Repeat("x", 100))
	}
	for _, c := range []struct{ bytesMax, want int }{{-1, 1}, {0, 1}, {1, 1}, {100, 1}, {101, 2}, {250, 3}, {1000, 10}, {1 << 30, 10}} {
		page, err := l.Read(p, 0, c.bytesMax)
		mustLog(t, err)
		if len(page.Entries) != c.want || page.Next != int64(c.want) {
			t.Errorf("read of %d bytes gave %d entries up to %d, want %d", c.bytesMax, len(page.Entries), page.Next, c.want)
		}
	}
	if all := readAll(t, l, p, 7, 150); len(all) != 3 || all[0].Offset != 7 {
		t.Errorf("read from 7 gave %d entries", len(all))
	}
}

func logEnd(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	appendOne(t, l, p, "", "x")
	page, err := l.Read(p, 1, 100)
	mustLog(t, err)
	if len(page.Entries) != 0 || len(page.Gaps) != 0 || page.Next != 1 {
		t.Errorf("the page at the end is %+v", page)
	}
}

func logNotFound(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, c := Tenants(t)
	appendOne(t, l, store.Partition{Tenant: a, Kind: "events", Source: "s"}, "", "x")
	for _, p := range []store.Partition{{Tenant: c, Kind: "events", Source: "s"}, {Tenant: a, Kind: "matches", Source: "s"}, {Tenant: a, Kind: "events", Source: "s", Shard: 1}} {
		if _, err := l.Read(p, 0, 1); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read of %v: %v", p, err)
		}
		if err := l.Metas(p, 0, func(int64, []byte) bool { return true }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("metas of %v: %v", p, err)
		}
		l.Release(p, 10)
	}
}

func logMetas(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, ab, _ := Tenants(t)
	p, q := store.Partition{Tenant: a, Kind: "events", Source: "s"}, store.Partition{Tenant: ab, Kind: "events", Source: "s"}
	for i := range 5 {
		appendOne(t, l, p, fmt.Sprint("p", i), "payload")
		appendOne(t, l, q, fmt.Sprint("q", i), "payload")
	}
	var got []string
	collect := func(most int) func(int64, []byte) bool {
		got = nil
		return func(offset int64, meta []byte) bool {
			got = append(got, fmt.Sprintf("%d%s", offset, meta))
			return len(got) < most
		}
	}
	mustLog(t, l.Metas(p, 2, collect(100)))
	if want := []string{"2p2", "3p3", "4p4"}; !slices.Equal(got, want) {
		t.Errorf("metas %v, want %v", got, want)
	}
	mustLog(t, l.Metas(q, 0, collect(2)))
	if want := []string{"0q0", "1q1"}; !slices.Equal(got, want) {
		t.Errorf("metas %v, want %v", got, want)
	}
	mustLog(t, l.Metas(q, 5, collect(2)))
	if len(got) != 0 {
		t.Errorf("metas at the end %v", got)
	}
}

func logHeads(t *testing.T, open func() store.Log) {
	l := open()
	a, ab, c := Tenants(t)
	if heads := l.Heads(); len(heads) != 0 {
		t.Fatalf("an empty log has heads %v", heads)
	}
	for i, tenant := range []event.Tenant{c, a, ab} {
		for shard := range 3 {
			for range i + 1 {
				appendOne(t, l, store.Partition{Tenant: tenant, Kind: "events", Source: "s", Shard: shard}, "m", "payload")
			}
		}
	}
	names := func(heads []store.Head) (list []string) {
		for _, h := range heads {
			list = append(list, h.Partition.String())
		}
		return list
	}
	heads := l.Heads()
	if len(heads) != 9 {
		t.Fatalf("%d heads, want 9", len(heads))
	}
	next := map[event.Tenant]int64{c: 1, a: 2, ab: 3}
	for _, h := range heads {
		if h.First != 0 || h.Next != next[h.Partition.Tenant] || h.Bytes < h.Next*int64(len("payload")+len("m")) {
			t.Errorf("head %+v", h)
		}
	}
	again := names(l.Heads())
	mustLog(t, l.Close())
	l = opened(t, open)
	if reopened := names(l.Heads()); !slices.Equal(names(heads), again) || !slices.Equal(again, reopened) {
		t.Errorf("the order changed: %v, %v, %v", names(heads), again, reopened)
	}
}

func logReuse(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	meta, payload := []byte("meta"), []byte("payload")
	entries := []store.Entry{{Partition: p, Meta: meta, Payload: payload}}
	_, err := l.Append(entries)
	mustLog(t, err)
	if string(meta) != "meta" || string(payload) != "payload" {
		t.Error("append changed its arguments")
	}
	copy(meta, "XXXX")
	copy(payload, "XXXXXXX")
	if all := readAll(t, l, p, 0, 100); string(all[0].Meta) != "meta" || string(all[0].Payload) != "payload" {
		t.Errorf("entry is %q %q", all[0].Meta, all[0].Payload)
	}
	mustLog(t, l.Metas(p, 0, func(_ int64, m []byte) bool {
		if string(m) != "meta" {
			t.Errorf("meta is %q", m)
		}
		return true
	}))
}

func logOwnership(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	appendOne(t, l, p, "meta", strings.Repeat("payload", 1000))
	first := readAll(t, l, p, 0, 100)
	clear(first[0].Meta)
	clear(first[0].Payload)
	second := readAll(t, l, p, 0, 100)
	if string(second[0].Meta) != "meta" || string(second[0].Payload) != strings.Repeat("payload", 1000) {
		t.Error("a page shares its memory")
	}
}

func logChanged(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	for range 3 {
		appendOne(t, l, p, "", "x")
		// It has no limit of its own: a change that is not told hangs here.
		<-l.Changed()
	}
}

func logConcurrent(t *testing.T, open func() store.Log) {
	l := open()
	a, ab, _ := Tenants(t)
	parts := []store.Partition{{Tenant: a, Kind: "events", Source: "s"}, {Tenant: ab, Kind: "events", Source: "s"}}
	const writers, calls = 8, 25
	var mu sync.Mutex
	acked := make(map[store.Partition]map[int64]string)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range calls {
				var entries []store.Entry
				for j := range 1 + i%3 {
					entries = append(entries, store.Entry{Partition: parts[(w+j)%2], Payload: fmt.Appendf(nil, "%d %d %d", w, i, j)})
				}
				offsets, err := l.Append(entries)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for j, o := range offsets {
					p := entries[j].Partition
					if acked[p] == nil {
						acked[p] = make(map[int64]string)
					}
					if old, ok := acked[p][o]; ok {
						t.Errorf("offset %d of %v was given to %q and %q", o, p, old, entries[j].Payload)
					}
					acked[p][o] = string(entries[j].Payload)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	check := func() {
		for _, p := range parts {
			all := readAll(t, l, p, 0, 64)
			if len(all) != len(acked[p]) {
				t.Errorf("partition %v has %d entries, %d were acknowledged", p, len(all), len(acked[p]))
			}
			last := make(map[string]int)
			for i, e := range all {
				if e.Offset != int64(i) || acked[p][e.Offset] != string(e.Payload) {
					t.Errorf("offset %d holds %q, acknowledged was %q", e.Offset, e.Payload, acked[p][e.Offset])
				}
				var w, n, j int
				if _, err := fmt.Sscan(string(e.Payload), &w, &n, &j); err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprint(w)
				if at := n*10 + j; at < last[key] {
					t.Errorf("writer %d: its entries changed their order", w)
				} else {
					last[key] = at
				}
			}
		}
	}
	check()
	mustLog(t, l.Close())
	l = opened(t, open)
	check()
}

func logBounds(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: strings.Repeat("s", 200)}
	meta := bytes.Repeat([]byte("m"), store.MetaBytesMax)
	if o := appendOne(t, l, p, string(meta), "x"); o != 0 {
		t.Fatalf("offset %d", o)
	}
	long := p
	long.Source += "s"
	negative := p
	negative.Shard = -1
	kindless := p
	kindless.Kind = ""
	for name, e := range map[string]store.Entry{
		"meta":    {Partition: p, Meta: append(meta, 'm')},
		"payload": {Partition: p, Payload: make([]byte, store.PayloadBytesMax+1)},
		"source":  {Partition: long},
		"shard":   {Partition: negative},
		"kind":    {Partition: kindless},
	} {
		// The entry before it in the call is not appended either.
		if _, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("y")}, e}); err == nil {
			t.Errorf("%s beyond its bound was appended", name)
		}
	}
	if all := readAll(t, l, p, 0, 1<<20); len(all) != 1 || !bytes.Equal(all[0].Meta, meta) {
		t.Errorf("the log holds %d entries", len(all))
	}
}

func logTenant(t *testing.T, open func() store.Log) {
	l := opened(t, open)
	if _, err := l.Append([]store.Entry{{Partition: store.Partition{Kind: "events", Source: "s"}}}); err == nil {
		t.Error("an entry without a tenant was appended")
	}
	if len(l.Heads()) != 0 {
		t.Errorf("heads %v", l.Heads())
	}
}

func logReopen(t *testing.T, open func() store.Log) {
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	for i := range 5 {
		l := open()
		var all []store.Stored
		if len(l.Heads()) > 0 {
			all = readAll(t, l, p, 0, 10)
		}
		if len(all) != 2*i {
			t.Fatalf("%d entries after %d times, want %d", len(all), i, 2*i)
		}
		for j, e := range all {
			if e.Offset != int64(j) || string(e.Payload) != fmt.Sprint(j) {
				t.Fatalf("entry %d is %d %q", j, e.Offset, e.Payload)
			}
		}
		for j := range 2 {
			if o := appendOne(t, l, p, "", fmt.Sprint(2*i+j)); o != int64(2*i+j) {
				t.Fatalf("offset %d, want %d", o, 2*i+j)
			}
		}
		mustLog(t, l.Close())
	}
}

func logRelease(t *testing.T, open func() store.Log) {
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	l := opened(t, open)
	for range 20 {
		appendOne(t, l, p, "", strings.Repeat("x", 1000))
	}
	l.Release(p, 5)
	l.Release(p, 3)
	for range 20 {
		appendOne(t, l, p, "", strings.Repeat("x", 1000))
	}
	if all := readAll(t, l, p, 5, 1<<20); len(all) != 35 {
		t.Errorf("%d entries from 5 on, want 35", len(all))
	}
}

func logClosed(t *testing.T, open func() store.Log) {
	a, _, _ := Tenants(t)
	p := store.Partition{Tenant: a, Kind: "events", Source: "s"}
	l := open()
	appendOne(t, l, p, "", "x")
	mustLog(t, l.Close())
	if _, err := l.Append([]store.Entry{{Partition: p}}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Read(p, 0, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := l.Metas(p, 0, func(int64, []byte) bool { return true }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("metas: %v", err)
	}
	mustLog(t, l.Close())
}

// logModel runs random operations against lists in memory.
func logModel(t *testing.T, open func() store.Log) {
	a, ab, _ := Tenants(t)
	parts := []store.Partition{
		{Tenant: a, Kind: "events", Source: "s"},
		{Tenant: ab, Kind: "events", Source: "s"},
		{Tenant: a, Kind: "matches", Source: "s", Shard: 2},
	}
	l := open()
	model := make(map[store.Partition][]store.Entry)
	// The log lives on from one run to the next, and so does the model.
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(t, "operations") {
			p := rapid.SampledFrom(parts).Draw(t, "partition")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				mustLog(t, l.Close())
				l = open()
			case 1, 2, 3:
				from := rapid.Int64Range(0, int64(len(model[p]))).Draw(t, "from")
				bytesMax := rapid.IntRange(0, 2000).Draw(t, "bytes")
				page, err := l.Read(p, from, bytesMax)
				if len(model[p]) == 0 {
					if !errors.Is(err, store.ErrNotFound) {
						t.Fatalf("read of a partition without entries: %v", err)
					}
					continue
				}
				mustLog(t, err)
				sum := 0
				for i, e := range page.Entries {
					want := model[p][from+int64(i)]
					if e.Offset != from+int64(i) || !bytes.Equal(e.Meta, want.Meta) || !bytes.Equal(e.Payload, want.Payload) {
						t.Fatalf("%v at %d: %+v, want %+v", p, from, e, want)
					}
					if i > 0 && sum >= bytesMax {
						t.Fatalf("a page of %d bytes has more than it needs", bytesMax)
					}
					sum += len(e.Payload)
				}
				if len(page.Entries) == 0 && from < int64(len(model[p])) || page.Next != from+int64(len(page.Entries)) {
					t.Fatalf("read of %v at %d of %d: %+v", p, from, len(model[p]), page)
				}
			default:
				var entries []store.Entry
				for range rapid.IntRange(1, 3).Draw(t, "entries") {
					entries = append(entries, store.Entry{
						Partition: rapid.SampledFrom(parts).Draw(t, "into"),
						Meta:      rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "meta"),
						Payload:   bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "payload"), rapid.IntRange(1, 50).Draw(t, "times")),
					})
				}
				offsets, err := l.Append(entries)
				mustLog(t, err)
				for i, e := range entries {
					if offsets[i] != int64(len(model[e.Partition])) {
						t.Fatalf("offset %d of %v, want %d", offsets[i], e.Partition, len(model[e.Partition]))
					}
					model[e.Partition] = append(model[e.Partition], e)
				}
			}
		}
	})
	mustLog(t, l.Close())
}
